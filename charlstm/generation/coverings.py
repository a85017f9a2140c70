"""The ways in which tokens write a text that was typed but not read, and their probabilities.

A half-typed word may continue, so it is not known yet how it divides into tokens: "hou" may become
" house", or " h" and "our". A covering is a sequence of tokens whose text begins with the typed
text. Only its last token can be longer than the typed text.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids
from charlstm.engine.state import State, joined

# Like ``Engine.step``: reads ids [R], one for each row of the state.
Step: TypeAlias = Callable[[Ids, State], tuple[Floats, State]]

# Among the beginnings of coverings that end at the same character, only this many most likely ones
# are extended, and none that is less likely than this share of the most likely one.
LEAST_COVERING = 1e-5
MOST_BEGINNINGS = 16


class PieceIndex:
    """The pieces of a vocabulary by their beginnings.

    Args:
        pieces: the text of each id. Results never contain ids without text.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        order = sorted((i for i, piece in enumerate(pieces) if piece), key=pieces.__getitem__)
        self.order: Ids = np.array(order, np.int64)
        self._sorted = [pieces[token_id] for token_id in order]
        self._ids = {pieces[token_id]: token_id for token_id in order}
        self._longest = max(map(len, self._sorted), default=0)

    def beginning_with(self, text: str) -> Ids:
        """Return the ids of pieces that begin with a text, in the order of the pieces."""
        size = len(text)
        low = bisect_left(self._sorted, text)
        return self.order[low : bisect_right(self._sorted, text, low, key=lambda p: p[:size])]

    def beginnings_of(self, text: str) -> list[int]:
        """Return the ids of pieces that a text begins with and that are shorter, shortest first."""
        lengths = range(1, min(len(text), self._longest + 1))
        found = (self._ids.get(text[:length]) for length in lengths)
        return [token_id for token_id in found if token_id is not None]


class Covering(NamedTuple):
    """A covering, or many that differ only in their last token.

    Attributes:
        before: the ids before the last one.
        rest: the text that the last token begins with.
        log_probability: the log-probability of the ids before the last one.
        probabilities: the probability of each id after them, float64 [V].
        state: the state after them, one row.
    """

    before: tuple[int, ...]
    rest: str
    log_probability: float
    probabilities: Doubles
    state: State


@dataclass(frozen=True)
class CoveringSearch:
    """Finds coverings with one vocabulary.

    Attributes:
        index: the pieces.
        pieces: the text of each id.
        probabilities_of: returns probabilities float64 [R, V] for logits float32 [R, V].
    """

    index: PieceIndex
    pieces: Sequence[str]
    probabilities_of: Callable[[Floats], Doubles]

    def run(self, text: str, logits: Floats, state: State, step: Step) -> list[Covering]:
        """Return the coverings of a text, grouped by their beginnings, shorter ones first.

        A beginning competes with others that have written equally many characters. So the number of
        beginnings grows with the length of the text, not with the number of ways to divide it.

        Args:
            text: the typed text, not empty.
            logits: the logits before it, float32 [V].
            state: the state before it, one row.
            step: reads tokens.
        """
        root = Covering((), text, 0.0, self.probabilities_of(logits[np.newaxis])[0], state)
        found, waiting = [root], defaultdict[int, list[_Beginning]](list)
        self._continue(root, 0, waiting)
        for written in range(1, len(text)):
            beginnings = _likely(waiting.pop(written, []))
            if not beginnings:
                continue
            ids = np.array([token_id for _, _, token_id in beginnings])
            states = joined([parent.state for _, parent, _ in beginnings])
            logits, states = step(ids, states)
            probabilities = self.probabilities_of(logits)
            for row, (log_probability, parent, token_id) in enumerate(beginnings):
                before = (*parent.before, token_id)
                rest = text[written:]
                covering = Covering(
                    before, rest, log_probability, probabilities[row], states.row(row)
                )
                found.append(covering)
                self._continue(covering, written, waiting)
        return found

    def log_total(self, covering: Covering) -> float:
        """Return the log-probability of all coverings in a group."""
        ids = self.index.beginning_with(covering.rest)
        total = float(np.add.reduce(covering.probabilities[ids]))
        return covering.log_probability + math.log(total) if total > 0 else -math.inf

    def _continue(
        self, covering: Covering, written: int, waiting: dict[int, list[_Beginning]]
    ) -> None:
        """Add the continuations of a beginning, by the number of characters written then."""
        for token_id in self.index.beginnings_of(covering.rest):
            probability = float(covering.probabilities[token_id])
            if probability > 0:
                log_probability = covering.log_probability + math.log(probability)
                after = written + len(self.pieces[token_id])
                waiting[after].append(_Beginning(log_probability, covering, token_id))


class _Beginning(NamedTuple):
    """A covering, the next token to read after it, and the log-probability with that token."""

    log_probability: float
    parent: Covering
    token_id: int


def _likely(beginnings: list[_Beginning]) -> list[_Beginning]:
    """Return the most likely of some beginnings that have written equally many characters."""
    ordered = sorted(beginnings, key=lambda each: -each.log_probability)[:MOST_BEGINNINGS]
    least = ordered[0].log_probability + math.log(LEAST_COVERING) if ordered else 0.0
    return [each for each in ordered if each.log_probability >= least]
