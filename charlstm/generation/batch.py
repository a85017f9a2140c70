"""The samples that are drawn side by side: one row each in a few arrays, and their random numbers.

A row is taken by the next sample as soon as the one before it is finished. This module does not
know how symbols are drawn nor what text they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.generation.constraints import ConstraintState
from charlstm.generation.penalties import EMPTY

_GROUP = 64  # samples that share a block of random numbers
_AHEAD = 32  # random numbers of a sample in a block
_KEPT_BLOCKS = 256
_FIRST_PLACES = 64  # for the symbols of a row; doubled when they are full


@dataclass(frozen=True, slots=True)
class PrefilledPrompt:
    """A prompt that has been read: where a sample begins.

    Attributes:
        prompt: the prompt as given.
        logits: of the first symbol, float32 [V].
        state: after what has been read, float32 [2 * layers, units].
        window: the last ids that were read, oldest first.
        forced_prefix: the end of the prompt, if it was not read but is to be written.
        constraints: what is asked of the text.
    """

    prompt: str
    logits: Floats
    state: Floats
    window: Ids
    forced_prefix: str
    constraints: ConstraintState | None


class SampleRng:
    """Random numbers in [0, 1): those of a sample follow from the seed and its index."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._blocks: dict[tuple[int, int], Doubles] = {}

    def of(self, index: int, position: int) -> Doubles:
        """Return the numbers of sample ``index`` from a position on, a multiple of their count."""
        group, place = divmod(index, _GROUP)
        key = group, position // _AHEAD
        if key not in self._blocks:
            if len(self._blocks) == _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            # One word for each number, so that no two keys are alike.
            high, low = divmod(group, 2**32)
            rng = np.random.default_rng([self._seed, low, key[1], high])
            self._blocks[key] = rng.random((_GROUP, _AHEAD))
        drawn: Doubles = self._blocks[key][place]
        return drawn


class Batch:
    """B samples at work.

    Attributes:
        logits: of the next symbols, float32 [B, V].
        state: float32 [2 * layers, B, units].
        tokens: how many symbols each row has, int64 [B].
        sums: of their log-probabilities, float64 [B].
        constraints: what is asked of each text.
        limits: Mirostat's, float64 [B], or None without it.
        recent: the last ids [B, W], oldest first, or None where nothing needs them.
        numbers: of the rows, from 0, int64 [B].
    """

    def __init__(self, starts: Sequence[PrefilledPrompt], *, window: int, limit: float) -> None:
        rows = len(starts)
        self._limit = limit
        self.logits = np.stack([start.logits for start in starts])
        self.state = np.stack([start.state for start in starts], axis=1)
        self.tokens = np.zeros(rows, np.int64)
        self.sums = np.zeros(rows)
        self.constraints: list[ConstraintState | None] = [start.constraints for start in starts]
        self.limits: Doubles | None = np.full(rows, limit) if limit else None
        self.recent: Ids | None = np.empty((rows, window), np.int64) if window else None
        self._uniforms = np.empty((rows, _AHEAD))
        self._until_uniforms = 0  # symbols until a row needs new random numbers
        self._history = np.empty((rows, _FIRST_PLACES), np.int32)
        self._until_history = _FIRST_PLACES  # symbols until a row may need more places
        self.numbers = np.arange(rows)
        for row, start in enumerate(starts):
            self._fill_window(row, start)

    def uniforms(self, indices: Sequence[int], source: SampleRng) -> Doubles:
        """Return each row's next random number [B], given the samples' indices."""
        positions = self.tokens % _AHEAD
        if self._until_uniforms == 0:
            for row in np.flatnonzero(positions == 0).tolist():
                self._uniforms[row] = source.of(indices[row], int(self.tokens[row]))
            self._until_uniforms = _AHEAD - int(positions.max())
        self._until_uniforms -= 1
        return self._uniforms[self.numbers, positions]

    def append(self, ids: Ids, log_probabilities: Doubles, remembered: Ids) -> None:
        """Let each row take a symbol.

        Args:
            ids: int64 [B].
            log_probabilities: float64 [B].
            remembered: as what the penalties remember them, int64 [B].
        """
        if self._until_history == 0:
            if int(self.tokens.max()) == self._history.shape[1]:
                more = np.empty_like(self._history)
                self._history = np.concatenate([self._history, more], axis=1)
            self._until_history = self._history.shape[1] - int(self.tokens.max())
        self._until_history -= 1
        self._history[self.numbers, self.tokens] = ids
        self.tokens += 1
        self.sums += log_probabilities
        if self.recent is not None:
            self.recent = np.concatenate([self.recent[:, 1:], remembered[:, np.newaxis]], axis=1)

    def history(self, row: int) -> NDArray[np.int32]:
        """Return the symbols of a row, int32 [tokens]."""
        return self._history[row, : self.tokens[row]]

    def begin(self, row: int, start: PrefilledPrompt) -> None:
        """Give a row to another sample."""
        self.logits[row] = start.logits
        self.state[:, row] = start.state
        self.tokens[row] = self.sums[row] = 0
        self._until_uniforms = 0
        self.constraints[row] = start.constraints
        if self.limits is not None:
            self.limits[row] = self._limit
        self._fill_window(row, start)

    def keep(self, kept: Mask) -> None:
        """Leave the other rows out."""
        self.constraints = [self.constraints[row] for row in np.flatnonzero(kept).tolist()]
        self.state = self.state[:, kept]
        self.logits, self.tokens, self.sums = self.logits[kept], self.tokens[kept], self.sums[kept]
        self._uniforms, self._history = self._uniforms[kept], self._history[kept]
        self.numbers = np.arange(len(self.tokens))
        self.limits = None if self.limits is None else self.limits[kept]
        self.recent = None if self.recent is None else self.recent[kept]

    def _fill_window(self, row: int, start: PrefilledPrompt) -> None:
        if self.recent is not None:
            self.recent[row] = EMPTY
            window = start.window[-self.recent.shape[1] :]
            self.recent[row, self.recent.shape[1] - len(window) :] = window
