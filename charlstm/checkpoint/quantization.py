"""Weights of 8 bits: integers with a scale for each column.

A small checkpoint stores each matrix as int8 under its own name, and its scales, float32, as
``NAME_scales``; vectors stay float32. The recurrent kernel and the kernel of a layer above the
first share their scales: the engine multiplies both at once, by the integers that are stored. The
embeddings have a scale for each token, so that those of tied models serve as columns of the output.
This module knows the names of weights; it reads no files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Floats, Weights
from charlstm.checkpoint.safetensors import TensorType
from charlstm.checkpoint.schema import expected_shapes
from charlstm.config import ModelConfig

# Weights are integers in [-LEVELS, LEVELS], so that sums of 2 x 16,384 products stay below 2**31.
# x86 without VNNI clips a sum of two products to 16 bits, for which 64 levels would be few enough
# (see ``int8_pairs_saturate``).
LEVELS = 127

_SCALES = "_scales"
_EMBEDDINGS = "embedding/embeddings"


def quantize_columns(matrix: Floats) -> tuple[NDArray[np.int8], Floats]:
    """Quantize a matrix symmetrically with one scale per column.

    Args:
        matrix: float32 [rows, columns].

    Returns:
        int8 [rows, columns] and float32 scales [columns]. Their product differs from the matrix by
        at most half a scale in each entry.
    """
    largest: Floats = np.maximum(matrix.max(axis=0), -matrix.min(axis=0))
    scales = largest / np.float32(LEVELS)
    scales[scales == 0] = 1
    levels = matrix / scales
    return np.rint(levels, out=levels).astype(np.int8), scales


def quantize_weights(config: ModelConfig, weights: Weights) -> dict[str, NDArray[Any]]:
    """Return the tensors that store weights in 8 bits; those of quantized weights are the same.

    Args:
        config: the network's sizes.
        weights: float32 arrays under the names and shapes of ``expected_shapes``.
    """
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


def dequantize_weights(stored: dict[str, NDArray[Any]]) -> dict[str, Floats]:
    """Return the float32 weights that tensors of ``quantize_weights`` stand for."""
    return {
        name: _dequantized(name, tensor, stored.get(name + _SCALES))
        for name, tensor in stored.items()
        if not name.endswith(_SCALES)
    }


def quantized_types(config: ModelConfig) -> dict[str, TensorType]:
    """Return the type of every tensor of ``quantize_weights`` by its name."""
    types = {}
    for name, shape in expected_shapes(config).items():
        types[name] = TensorType(shape)
        if len(shape) > 1:
            types[name] = TensorType(shape, np.dtype(np.int8))
            types[name + _SCALES] = TensorType((shape[0 if name == _EMBEDDINGS else 1],))
    return types


def _multiplied_at_once(config: ModelConfig) -> Iterator[tuple[str, ...]]:
    """Yield the names of matrices that the engine multiplies, together those that share scales."""
    yield ("lstm_0/kernel",)
    yield ("lstm_0/recurrent_kernel",)
    for layer in range(1, config.layers):
        yield f"lstm_{layer}/kernel", f"lstm_{layer}/recurrent_kernel"
    if not config.tied:
        yield ("output/kernel",)


def _dequantized(name: str, tensor: NDArray[Any], scales: Floats | None) -> Floats:
    if scales is None:
        return tensor
    by_axis = scales[:, np.newaxis] if name == _EMBEDDINGS else scales
    values: Floats = tensor * by_axis
    return values
