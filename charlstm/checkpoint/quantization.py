"""8-bit weights: integers with one scale per column.

A small checkpoint stores each matrix as int8 under its own name, and its float32 scales as
``NAME_scales``. Vectors stay float32. Above the first layer, the kernel and the recurrent kernel of
a layer share their scales, because the engine multiplies by both at once, using the stored
integers. The embedding has one scale per token, so that tied models can use its rows as columns of
the output projection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Floats, Weights
from charlstm.checkpoint.safetensors import TensorType, too_large_error
from charlstm.checkpoint.schema import MODEL, by_network, expected_shapes, joined, of_networks
from charlstm.config import ModelConfig

# Weights are integers in [-LEVELS, LEVELS], so sums of 2 x 16,384 products stay below 2**31. On x86
# without VNNI, sums of two products saturate at 16 bits. 64 levels would avoid that (see
# ``int8_pairs_saturate``).
LEVELS = 127

_SCALES = "_scales"
_EMBEDDINGS = "embedding/embeddings"
_KEY = "attention/key"  # a small matrix, by which the engine multiplies in float32


def quantize_columns(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Quantize a matrix symmetrically with one scale per column.

    Args:
        matrix: float32 [rows, columns].

    Returns:
        int8 [rows, columns] and float32 scales [columns]. Each entry times its scale differs from
        the matrix by at most half the scale.
    """
    largest: Floats = np.maximum(matrix.max(axis=0), -matrix.min(axis=0))
    scales = largest / np.float32(LEVELS)
    scales[scales == 0] = 1
    levels = matrix / scales
    return np.rint(levels, out=levels).astype(np.int8), scales


def quantize_weights(config: ModelConfig, weights: Weights) -> dict[str, NDArray[Any]]:
    """Return the tensors that store weights in 8 bits; quantizing them again changes nothing.

    Args:
        config: the sizes of the networks.
        weights: float32 arrays with the names and shapes of ``expected_shapes``, also those of a
            backward network, as ``model.safetensors`` names them.
    """
    forward, backward = by_network(weights)
    return joined(_quantized(config, forward), _quantized(config, backward) if backward else None)


def _quantized(config: ModelConfig, weights: Weights) -> dict[str, NDArray[Any]]:
    """Return the tensors of one network."""
    stored: dict[str, NDArray[Any]] = dict(weights)
    levels, stored[_EMBEDDINGS + _SCALES] = quantize_columns(weights[_EMBEDDINGS].T)
    stored[_EMBEDDINGS] = levels.T
    for names in _multiplied_at_once(config):
        levels, scales = quantize_columns(np.concatenate([weights[name] for name in names]))
        start = 0
        for name in names:
            stop = start + len(weights[name])
            stored[name], stored[name + _SCALES] = levels[start:stop], scales
            start = stop
    return stored


class DequantizedWeights(Mapping[str, Floats]):
    """The float32 weights that tensors of ``quantize_weights`` represent.

    Each is computed when it is first used. None is if the cache has the graph of the model.

    Args:
        stored: the tensors.
        path: the file that they are from, for messages.

    Raises:
        CheckpointError: on use, if a matrix doesn't fit into the memory of this machine.
    """

    def __init__(self, stored: Mapping[str, NDArray[Any]], path: Path = Path(MODEL)) -> None:
        self._stored = stored
        self._path = path
        self._computed: dict[str, Floats] = {}

    def __getitem__(self, name: str) -> Floats:
        if name.endswith(_SCALES):
            raise KeyError(name)
        if name not in self._computed:
            scales = self._stored.get(name + _SCALES)
            try:
                self._computed[name] = _dequantized(name, self._stored[name], scales)
            except MemoryError:
                size = 4 * self._stored[name].size
                raise too_large_error(self._path, size) from None
        return self._computed[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._stored if not name.endswith(_SCALES))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def quantized_types(config: ModelConfig) -> dict[str, TensorType]:
    """Return the type of each tensor of ``quantize_weights`` by name."""
    types = {}
    for name, shape in expected_shapes(config).items():
        types[name] = TensorType(shape)
        if len(shape) > 1 and name != _KEY:
            types[name] = TensorType(shape, np.dtype(np.int8))
            types[name + _SCALES] = TensorType((shape[0 if name == _EMBEDDINGS else 1],))
    return of_networks(config, types)


def _multiplied_at_once(config: ModelConfig) -> Iterator[tuple[str, ...]]:
    """Yield the names of matrices that the engine multiplies by; a tuple shares its scales."""
    yield ("lstm_0/kernel",)
    yield ("lstm_0/recurrent_kernel",)
    for layer in range(1, config.layers):
        yield f"lstm_{layer}/kernel", f"lstm_{layer}/recurrent_kernel"
    if config.attention:
        yield ("attention/query",)
        yield ("attention/output",)
    if not config.tied:
        yield ("output/kernel",)


def _dequantized(name: str, tensor: NDArray[Any], scales: Floats | None) -> Floats:
    if scales is None:
        return tensor
    by_axis = scales[:, np.newaxis] if name == _EMBEDDINGS else scales
    values: Floats = tensor * by_axis
    return values
