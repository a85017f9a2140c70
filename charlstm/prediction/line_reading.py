"""Reads lines that differ in one place with one network, and sums their log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlstm.arrays import Doubles, Ids, Mask
from charlstm.engine.inference import Engine
from charlstm.engine.state import State, joined
from charlstm.metrics import log_normalizers, log_probabilities
from charlstm.prediction.prompt_cache import PromptCache
from charlstm.tokenizer.base import END_OF_DOCUMENT

_MOST = 256  # tokens of the common end that are read: a word hardly depends on later ones
_WINDOW = 8  # tokens of the common end that are read between two prunings
# If no two lines differ by this many nats in a window, the rest of the common end is not read: it
# would hardly tell them apart.
_SETTLED = 0.2


class LineReading:
    """Lines that one network reads step by step, as one batch.

    Lines that have fallen behind can be dropped between two steps. The numbers of a line don't
    depend on the others.

    Args:
        engine: the network.
        prompts: its states after recent beginnings.
        lines: C >= 1 sequences of ids in the order in which the network reads them, without
            ``END_OF_DOCUMENT`` before them.
        ends: whether an ``END_OF_DOCUMENT`` after the line counts too.
        closing: ids of which one must follow the line, bool [V]. Their total probability counts
            too. It is not used with ``ends``.

    Attributes:
        totals: the log-probability of the tokens read so far after the beginning that all lines
            share, float64 [rows].
    """

    def __init__(
        self,
        engine: Engine,
        prompts: PromptCache,
        lines: Sequence[Ids],
        *,
        ends: bool = False,
        closing: Mask | None = None,
    ) -> None:
        before = min(common_length(lines), *(len(ids) - 1 for ids in lines))
        middles = [ids[before:] for ids in lines]
        after = min(
            common_length([ids[::-1] for ids in middles]), *(len(ids) - 1 for ids in middles)
        )
        end = middles[0][len(middles[0]) - after :]
        self._engine, self._closing = engine, None if ends else closing
        self._own = [ids[: len(ids) - after] for ids in middles]
        self._end: Ids = (np.append(end, END_OF_DOCUMENT) if ends else end)[:_MOST]
        self._read = -1  # tokens of the end that have been read; -1 if not even the own ones have
        self._gained: Doubles | None = None  # nats, in the last window
        prefix = np.concatenate([[END_OF_DOCUMENT], lines[0][:before]]).astype(np.int64)
        logits, state = prompts.read(prefix)
        self._states = state.repeated(len(lines))
        self._last = np.array([ids[0] for ids in self._own])  # the tokens before the next ones
        self.totals: Doubles = log_probabilities(np.tile(logits, (len(lines), 1)), self._last)

    def keep(self, rows: Mask) -> None:
        """Drop all lines but some, bool [rows]."""
        self.totals, self._last = self.totals[rows], self._last[rows]
        self._states = self._states[rows]
        if self._gained is not None:
            self._gained = self._gained[rows]

    def advance(self) -> bool:
        """Read a few more tokens of each line; return whether there were any.

        After each step, all lines have been read to the same place.
        """
        if self._read < 0:
            self._read_own()
            self._read_end(1)
            return True
        if self._read < len(self._end):
            if self._gained is not None and np.ptp(self._gained) < _SETTLED:
                return False
            before = self.totals
            self._read_end(_WINDOW)
            self._gained = self.totals - before
            return True
        if self._closing is None:
            return False
        logits, self._states = self._engine.step(self._last, self._states)
        possible = np.ascontiguousarray(logits[:, self._closing])
        self.totals = self.totals + log_normalizers(possible) - log_normalizers(logits)
        self._closing = None
        return True

    def _read_own(self) -> None:
        """Read the tokens in which the lines differ, except for the last one of each."""
        lengths = np.array([len(ids) for ids in self._own])
        order = np.argsort(-lengths, kind="stable")
        padded = np.zeros((len(self._own), int(lengths.max())), np.int64)
        for row, index in enumerate(order.tolist()):
            padded[row, : lengths[index]] = self._own[index]
        lengths, sums, states = lengths[order], self.totals[order], self._states[order]
        ended: list[State] = []
        for column in range(padded.shape[1] - 1):
            rows = int((lengths > column + 1).sum())
            ended.append(states[rows:].copy())
            ids, targets = (padded[:rows, n : n + 1] for n in (column, column + 1))
            values, states = self._engine.log_probabilities(ids, targets, states[:rows])
            sums[:rows] += values[:, 0]
        self.totals[order] = sums
        self._states = joined([states, *reversed(ended)])[np.argsort(order)]
        self._last = np.array([ids[-1] for ids in self._own])
        self._read = 0

    def _read_end(self, count: int) -> None:
        """Read at most ``count`` more tokens with which all lines end."""
        part = self._end[self._read : self._read + count]
        if not len(part):
            return
        targets = np.tile(part, (len(self._last), 1))
        ids = np.concatenate([self._last[:, np.newaxis], targets[:, :-1]], axis=1)
        values, self._states = self._engine.log_probabilities(ids, targets, self._states)
        self.totals = self.totals + values.sum(axis=1)
        self._last = targets[:, -1]
        self._read += len(part)


def common_length(sequences: Sequence[Ids]) -> int:
    """Return the length of the longest common beginning of sequences."""
    shortest = min(map(len, sequences))
    stacked = np.stack([ids[:shortest] for ids in sequences])
    differs = (stacked != stacked[0]).any(axis=0)
    return int(differs.argmax()) if differs.any() else shortest
