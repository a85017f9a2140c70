"""Probabilities of chosen rows, and the likeliest tokens of one. Knows arrays alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask


def normalized(probs: Doubles) -> Doubles:
    """Return probabilities divided by their sum; zeros if that is 0."""
    total = float(np.add.reduce(probs))
    return probs / total if total > 0 else np.zeros_like(probs)


def rows_of(
    chosen: Mask, logits: Floats, of: Callable[[Floats], Doubles]
) -> Iterator[tuple[int, Doubles]]:
    """Yield the chosen rows and their probabilities."""
    rows = np.flatnonzero(chosen)
    if len(rows):
        yield from zip(rows.tolist(), of(logits[rows]), strict=True)


def likeliest_of(probs: Doubles, tokens: Ids, count: int) -> Ids:
    """Return the ``count`` likeliest tokens, in no order."""
    if len(tokens) <= count:
        return tokens
    return tokens[np.argpartition(-probs[tokens], count - 1)[:count]]
