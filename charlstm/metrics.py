"""Log-softmax, softmax, perplexity and bits per character.

Results of a row have the same bits in any batch. A perplexity that is too large for a float is
infinite, and the mean of nothing is NaN; in JSON both are null.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

# Text with more than this many characters per word is not written with white space between words.
# Languages that are have 5 to 10.
_LONGEST_WORDS = 15

_BLOCK = 2**17  # logits normalized at a time, few enough for the CPU cache


def log_normalizers(logits: Floats | Doubles) -> Doubles:
    """Return log(sum(exp(row))) of each row, float64 [B].

    Args:
        logits: floats [B, V]; -inf for impossible ids, but not for all ids of a row.
    """
    highest = np.maximum.reduce(logits, axis=1)
    weights = logits - highest[:, np.newaxis]
    np.exp(weights, out=weights)
    sums = np.add.reduce(weights, axis=1, dtype=np.float64)
    normalizers: Doubles = highest + np.log(sums)
    return normalizers


def log_softmax(logits: Floats) -> Doubles:
    """Return the log-probability of each id, float64 [B, V].

    Args:
        logits: float32 [B, V], as for ``log_normalizers``.
    """
    values: Doubles = logits - log_normalizers(logits)[:, np.newaxis]
    return values


def log_probabilities(logits: Floats, targets: NDArray[np.integer[Any]]) -> Doubles:
    """Return the log-probability of each target, float64 [B, T].

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


def softmax(
    logits: NDArray[np.floating[Any]], excluded: NDArray[np.integer[Any]] | None = None
) -> Doubles:
    """Return the probability of each id, computed in float64, [B, V].

    Args:
        logits: floats [B, V], as for ``log_normalizers``. Rows must be contiguous, or their bits
            depend on B.
        excluded: ids that are impossible in all rows; not all ids.
    """
    values: Doubles = logits.astype(np.float64)
    if excluded is not None:
        values[:, excluded] = -np.inf
    values -= np.maximum.reduce(values, axis=1)[:, np.newaxis]
    np.exp(values, out=values)
    values /= np.add.reduce(values, axis=1)[:, np.newaxis]
    return values


def perplexity(nats: float, count: int = 1) -> float:
    """Return exp(nats / count): infinite if too large for a float, NaN if ``count`` is 0.

    Args:
        nats: total surprisal of all tokens.
        count: number of tokens, or of words for a perplexity per word.
    """
    if not count:
        return math.nan
    try:
        return math.exp(nats / count)
    except OverflowError:
        return math.inf


def has_words(characters: int, words: int) -> bool:
    """Return whether a text has enough white space for a perplexity per word.

    Args:
        characters: length of the text.
        words: number of words separated by white space.
    """
    return words > 0 and characters <= _LONGEST_WORDS * words


def bits_per_character(nats: float, characters: float) -> float:
    """Return the mean surprisal of a character in bits, given the total surprisal in nats.

    NaN if ``characters`` is 0.
    """
    return nats / characters / math.log(2) if characters else math.nan
