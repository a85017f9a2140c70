"""Log-softmax, softmax, perplexity and bits per character.

Rows are independent: a row of a batch has the same bits whatever stands beside it. A perplexity
that is too large for a float is infinite in Python and null in JSON; a mean of nothing is NaN, also
null in JSON. This module imports nothing of charlstm.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

_BLOCK = 2**17  # logits that are normalized at a time, so that they stay in the processor's cache


def log_normalizers(logits: Floats) -> Doubles:
    """Return log(sum(exp(row))) of each row, float64 [B].

    Args:
        logits: float32 [B, V]; -inf for an impossible id, but not in all of a row.
    """
    highest = np.maximum.reduce(logits, axis=1)
    sums = np.add.reduce(np.exp(logits - highest[:, np.newaxis]), axis=1, dtype=np.float64)
    normalizers: Doubles = highest + np.log(sums)
    return normalizers


def log_softmax(logits: Floats) -> Doubles:
    """Return the log-probability of every id, float64 [B, V].

    Args:
        logits: float32 [B, V], as for ``log_normalizers``.
    """
    values: Doubles = logits - log_normalizers(logits)[:, np.newaxis]
    return values


def log_probabilities(logits: Floats, targets: NDArray[np.integer[Any]]) -> Doubles:
    """Return the log-probability of each target alone, float64 [B, T].

    Args:
        logits: float32 [B, T, V].
        targets: integers [B, T], each in [0, V).
    """
    rows = logits.reshape(-1, logits.shape[-1])
    chosen = np.take_along_axis(rows, targets.reshape(-1, 1), axis=1)[:, 0].astype(np.float64)
    block = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), block):
        stop = start + block
        chosen[start:stop] -= log_normalizers(rows[start:stop])
    return chosen.reshape(targets.shape)


def softmax(logits: NDArray[np.floating[Any]]) -> Doubles:
    """Return the probability of every id, computed in float64, [B, V].

    Args:
        logits: floats [B, V] with contiguous rows, as for ``log_normalizers``.
    """
    highest = np.maximum.reduce(logits, axis=1)[:, np.newaxis]
    values: Doubles = np.subtract(logits, highest, dtype=np.float64)
    np.exp(values, out=values)
    values /= np.add.reduce(values, axis=1)[:, np.newaxis]
    return values


def perplexity(nats: float, count: int = 1) -> float:
    """Return exp of the mean surprise: infinite beyond what a float holds, NaN of no token.

    Args:
        nats: the surprise of all tokens together.
        count: how many tokens (or words, for a perplexity per word).
    """
    if not count:
        return math.nan
    try:
        return math.exp(nats / count)
    except OverflowError:
        return math.inf


def bits_per_character(nats: float, characters: float) -> float:
    """Return the mean surprise of a character in bits, NaN of no character."""
    return nats / characters / math.log(2) if characters else math.nan
