"""Weights as int8: columns of integers, each with a scale, and how activations are stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Floats

# Weights are integers in [-LEVELS, LEVELS], so that sums of 2 x 16,384 products stay below 2**31.
# x86 without VNNI clips a sum of two products to 16 bits, for which 64 levels would be few enough
# (see ``int8_pairs_saturate``).
LEVELS = 127
ACTIVATION_LEVELS = 127  # a hidden state h is stored as round(127 h) + ZERO_POINT
ZERO_POINT = 128  # unsigned activations: signed x signed products have no fast kernel on x86


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
