"""Packs the int8 network, with the same integers and scales as the engine's graph."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Floats, Weights
from charlstm.checkpoint.quantization import quantize_columns
from charlstm.config import ModelConfig
from charlstm.engine.graph import (
    ACTIVATION_LEVELS,
    SIGMOIDS_FIRST,
    input_table,
    layer_weights,
    output_weights,
)

_ALIGNMENT = 4


def int8_tensors(config: ModelConfig, weights: Weights) -> dict[str, NDArray[Any]]:
    """Return the tensors of the int8 network.

    Args:
        config: the sizes of the network.
        weights: float32 arrays by name, as for ``engine.graph.build_graph``.

    Returns:
        For each layer ``rows_N`` int8 [4 * units, inputs], the transposed matrix of a product, and
        ``scales_N`` float32 [4 * units]. The gates are in the order input, forget, output,
        candidate. For layers above the first also ``bias_N``. For the input of the first layer
        ``table`` [V, 4 * units], or its factors if the table is too large. ``output_rows``,
        ``output_scales`` and ``output_bias`` are the output layer.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for layer in range(config.layers):
        kernel, recurrent, bias = layer_weights(weights, layer, SIGMOIDS_FIRST)
        matrix = np.concatenate([kernel, recurrent]) if layer else recurrent
        _add_product(tensors, matrix, "rows", "scales", suffix=f"_{layer}")
        if layer:
            tensors[f"bias_{layer}"] = bias
            continue
        embeddings = weights["embedding/embeddings"]
        if (table := input_table(embeddings, kernel, bias)) is not None:
            tensors["table"] = table
            continue
        columns, scales = quantize_columns(embeddings.T)
        tensors |= {"embeddings": columns.T, "embedding_scales": scales, "bias_0": bias}
        _add_product(tensors, kernel, "kernel_rows", "kernel_scales", levels=1)
    kernel, bias = output_weights(config, weights)
    _add_product(tensors, kernel, "output_rows", "output_scales")
    return tensors | {"output_bias": bias}


def packed(config: ModelConfig, weights: Weights) -> bytes:
    """Return the network as bytes: the length of a header, the header as JSON, the tensors.

    The header gives the kind, the offset and the number of elements of each tensor. Lengths are
    little-endian uint32; each tensor begins at a multiple of four bytes after the header.
    """
    tensors = int8_tensors(config, weights)
    places: dict[str, tuple[str, int, int]] = {}
    parts: list[bytes] = []
    offset = 0
    for name, tensor in tensors.items():
        data = np.ascontiguousarray(tensor).tobytes()
        data += bytes(-len(data) % _ALIGNMENT)
        places[name] = (tensor.dtype.name, offset, tensor.size)
        parts.append(data)
        offset += len(data)
    model = {
        "layers": config.layers,
        "units": config.units,
        "embedding": config.embedding,
        "vocabSize": config.vocab_size,
    }
    header = msgspec.json.encode({"model": model, "tensors": places})
    return b"".join([struct.pack("<I", len(header)), header, *parts])


def _add_product(
    tensors: dict[str, NDArray[Any]],
    matrix: Floats,
    rows: str,
    scales: str,
    *,
    suffix: str = "",
    levels: int = ACTIVATION_LEVELS,
) -> None:
    columns, steps = quantize_columns(matrix)
    tensors[rows + suffix] = columns.T
    tensors[scales + suffix] = (steps / levels).astype(np.float32)
