"""Probabilities of selected rows, and the most likely tokens of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask


def normalized(probs: Doubles) -> Doubles:
    """Return probabilities divided by their sum; zeros if the sum is 0."""
    total = float(np.add.reduce(probs))
    return probs / total if total > 0 else np.zeros_like(probs)


def rows_of(
    chosen: Mask, logits: Floats, of: Callable[[Floats], Doubles]
) -> Iterator[tuple[int, Doubles]]:
    """Yield the numbers of the chosen rows and their probabilities."""
    rows = np.flatnonzero(chosen)
    if len(rows):
        yield from zip(rows.tolist(), of(logits[rows]), strict=True)


def likeliest_of(probs: Doubles, tokens: Ids, count: int) -> Ids:
    """Return the ``count`` most likely tokens, in no particular order."""
    if len(tokens) <= count:
        return tokens
    return tokens[np.argpartition(-probs[tokens], count - 1)[:count]]
