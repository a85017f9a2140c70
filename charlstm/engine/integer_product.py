"""Adds matrix multiplications of 8-bit integers to a graph.

Hidden states are in (-1, 1), so they are quantized with a fixed scale, and the results of a row
don't depend on the other rows.
"""

from __future__ import annotations

import numpy as np

from charlstm.arrays import Floats
from charlstm.checkpoint.quantization import quantize_columns
from charlstm.engine.onnx_graph import FLOAT, OnnxGraph

ACTIVATION_LEVELS = 127  # a hidden state h is quantized to round(127 h) + ZERO_POINT
ZERO_POINT = 128  # activations are unsigned: x86 has no fast kernel for signed x signed


def quantized(graph: OnnxGraph, hidden: str) -> str:
    """Quantize numbers between -1 and 1 to uint8."""
    scale = graph.constant(1 / ACTIVATION_LEVELS)
    return graph.add("QuantizeLinear", hidden, scale, graph.constant(ZERO_POINT, np.uint8))


def product(
    graph: OnnxGraph, left: str, matrix: Floats, activation_levels: int = ACTIVATION_LEVELS
) -> str:
    """Add left [1, B, k], uint8 in units of 1 / activation_levels, times a matrix [k, n]."""
    columns, scales = quantize_columns(matrix)
    zero = graph.constant(ZERO_POINT, np.uint8)
    sums = graph.add("MatMulInteger", left, graph.constant(columns, np.int8), zero)
    floats = graph.add("Cast", sums, to=FLOAT)
    return graph.add("Mul", floats, graph.constant(scales / activation_levels))
