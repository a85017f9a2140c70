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
from charlstm.engine.attention_graph import keys_for_queries
from charlstm.engine.graph import (
    SIGMOIDS_FIRST,
    has_float16_table,
    input_table,
    layer_weights,
    output_weights,
)
from charlstm.engine.integer_product import ACTIVATION_LEVELS

_ALIGNMENT = 4


def int8_tensors(config: ModelConfig, weights: Weights) -> dict[str, NDArray[Any]]:
    """Return the tensors of the int8 network.

    Args:
        config: the sizes of the network.
        weights: float32 arrays by name, as for ``engine.graph.build_graph``.

    Returns:
        For each layer ``rows_N`` int8 [4 * units, inputs], the transposed matrix of a product, and
        ``scales_N`` float32 [4 * units]. The gates are in the order input, forget, output,
        candidate. For layers above the first also ``bias_N``. The tensors of ``_input_tensors``
        are the input of the first layer, those of ``_attention_tensors`` the attention.
        ``output_rows``, ``output_scales`` and ``output_bias`` are the output layer.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for layer in range(config.layers):
        kernel, recurrent, bias = layer_weights(weights, layer, SIGMOIDS_FIRST)
        matrix = np.concatenate([kernel, recurrent]) if layer else recurrent
        _add_product(tensors, matrix, "rows", "scales", suffix=f"_{layer}")
        if layer:
            tensors[f"bias_{layer}"] = bias
            continue
        tensors |= _input_tensors(weights["embedding/embeddings"], kernel, bias)
    kernel, bias = output_weights(config, weights)
    if config.attention:
        tensors |= _attention_tensors(config, weights)
    levels = 1 if config.attention else ACTIVATION_LEVELS  # attention gives its own scale
    _add_product(tensors, kernel, "output_rows", "output_scales", levels=levels)
    return tensors | {"output_bias": bias}


def _attention_tensors(config: ModelConfig, weights: Weights) -> dict[str, NDArray[Any]]:
    """Return the attention.

    Returns:
        ``query_rows`` int8 [key width, units] with ``query_scales``; ``keys`` float32 [units, key
        width], which turns the result into a query for outputs; ``added_rows`` int8 [units, units]
        with ``added_scales``, by which the mean of the outputs is multiplied.
    """
    tensors: dict[str, NDArray[Any]] = {"keys": keys_for_queries(config, weights).T}
    _add_product(tensors, weights["attention/query"], "query_rows", "query_scales")
    _add_product(tensors, weights["attention/output"], "added_rows", "added_scales")
    return tensors


def _input_tensors(embeddings: Floats, kernel: Floats, bias: Floats) -> dict[str, NDArray[Any]]:
    """Return what the input of the first layer is computed from: embedding x kernel + bias.

    The engine has a table of it, [V, 4 * units], unless that is too large. The table can be half of
    a page, so its factors are returned instead if they are smaller and give the same numbers.

    Returns:
        One of these, the first of them if there is no table:

        - ``embeddings`` int8 [V, embedding] with ``embedding_scales`` [V], ``kernel_rows`` int8
          [4 * units, embedding] with ``kernel_scales`` [4 * units], and ``bias_0``;
        - ``embeddings`` float32 [V, embedding], ``kernel`` float32 [4 * units, embedding] and
          ``bias_0``;
        - ``table``, float32 or float16 [V, 4 * units].
    """
    columns, scales = quantize_columns(embeddings.T)
    factors: dict[str, NDArray[Any]] = {"bias_0": bias, "embeddings": columns.T}
    factors["embedding_scales"] = scales
    _add_product(factors, kernel, "kernel_rows", "kernel_scales", levels=1)
    table = input_table(embeddings, kernel, bias)
    if table is None:
        return factors
    ways: list[dict[str, NDArray[Any]]] = [
        {"table": table},
        {"embeddings": embeddings, "kernel": kernel.T, "bias_0": bias},
    ]
    if _is_in_8_bits(embeddings.T) and _is_in_8_bits(kernel):
        ways.append(factors)
    return min(ways, key=lambda way: sum(tensor.nbytes for tensor in way.values()))


def _is_in_8_bits(matrix: Floats) -> bool:
    """Return whether quantizing a matrix loses nothing, as in a checkpoint stored as int8."""
    columns, scales = quantize_columns(matrix)
    return np.allclose(columns * scales, matrix, rtol=1e-6, atol=0)


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
        "attention": config.attention,
        "keyWidth": config.key_width,
        "shiftedKeys": config.shifted_keys,
        # Whether the engine rounds the input of the first layer to float16.
        "roundsInput": has_float16_table(config),
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
