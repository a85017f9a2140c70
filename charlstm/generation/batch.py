"""The samples in progress, as rows of a few arrays, and their random numbers.

As soon as a sample is finished, the next one takes its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.engine.state import State, joined
from charlstm.generation.constraints import ConstraintState
from charlstm.generation.penalties import EMPTY

_GROUP = 64  # samples that share a block of random numbers
_AHEAD = 32  # random numbers of a sample in a block
_KEPT_BLOCKS = 256
_FIRST_CAPACITY = 64  # tokens of a row; it is doubled when a row is full


@dataclass(frozen=True, slots=True)
class PrefilledPrompt:
    """A prompt that has been read, from which samples start.

    Attributes:
        prompt: the prompt as given.
        logits: the logits of the first token to sample, float32 [V].
        state: the state after the tokens that were read, one row.
        window: the last ids that were read, oldest first.
        forced_prefix: the end of the prompt, if it was not read and must be generated.
        constraints: the state of the constraints; ``None`` without any.
    """

    prompt: str
    logits: Floats
    state: State
    window: Ids
    forced_prefix: str
    constraints: ConstraintState | None


class SampleRng:
    """Random numbers in [0, 1) for each sample, determined by the seed and the sample's index."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._blocks: dict[tuple[int, int], Doubles] = {}

    def of(self, index: int, position: int) -> Doubles:
        """Return ``_AHEAD`` numbers of a sample from ``position``, a multiple of ``_AHEAD``."""
        group, row = divmod(index, _GROUP)
        key = group, position // _AHEAD
        if key not in self._blocks:
            if len(self._blocks) == _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            # The group takes two 32-bit words of the key, so that no two keys are equal.
            high, low = divmod(group, 2**32)
            rng = np.random.default_rng([self._seed, low, key[1], high])
            self._blocks[key] = rng.random((_GROUP, _AHEAD))
        numbers: Doubles = self._blocks[key][row]
        return numbers


class Batch:
    """B samples in progress.

    Attributes:
        logits: the logits of the next tokens, float32 [B, V].
        state: the state of each row.
        tokens: the number of tokens in each row, int64 [B].
        sums: the sums of their log-probabilities, float64 [B].
        constraints: the state of each text's constraints; ``None`` without any.
        begun: whether the last token of each row is ``BEGIN_SPELLING``, bool [B]; ``None`` if it is
            in no row.
        limits: the limits of Mirostat, float64 [B]; ``None`` without Mirostat.
        recent: the last ids [B, W], oldest first; ``None`` if no penalty needs them.
        numbers: the indices of the rows, 0 to B - 1, int64 [B].
    """

    def __init__(self, starts: Sequence[PrefilledPrompt], *, window: int, limit: float) -> None:
        rows = len(starts)
        self._limit = limit
        self.logits = np.stack([start.logits for start in starts])
        self.state = joined([start.state for start in starts])
        self.tokens = np.zeros(rows, np.int64)
        self.sums = np.zeros(rows)
        self.constraints: list[ConstraintState | None] = [start.constraints for start in starts]
        self.begun: Mask | None = None
        self.limits: Doubles | None = np.full(rows, limit) if limit else None
        self.recent: Ids | None = np.empty((rows, window), np.int64) if window else None
        self._uniforms = np.empty((rows, _AHEAD))
        self._until_uniforms = 0  # tokens until a row needs new random numbers
        self._history = np.empty((rows, _FIRST_CAPACITY), np.int32)
        self._until_history = _FIRST_CAPACITY  # tokens until a row may be full
        self.numbers = np.arange(rows)
        for row, start in enumerate(starts):
            self._fill_window(row, start)

    def uniforms(self, indices: Sequence[int], source: SampleRng) -> Doubles:
        """Return the next random number of each row [B], given the indices of the samples."""
        positions = self.tokens % _AHEAD
        if self._until_uniforms == 0:
            for row in np.flatnonzero(positions == 0).tolist():
                self._uniforms[row] = source.of(indices[row], int(self.tokens[row]))
            self._until_uniforms = _AHEAD - int(positions.max())
        self._until_uniforms -= 1
        return self._uniforms[self.numbers, positions]

    def append(self, ids: Ids, log_probabilities: Doubles, remembered: Ids) -> None:
        """Append a token to each row.

        Args:
            ids: the tokens, int64 [B].
            log_probabilities: their log-probabilities, float64 [B].
            remembered: the ids as the penalties see them, int64 [B].
        """
        if self._until_history == 0:
            if int(self.tokens.max()) == self._history.shape[1]:
                free = np.empty_like(self._history)
                self._history = np.concatenate([self._history, free], axis=1)
            self._until_history = self._history.shape[1] - int(self.tokens.max())
        self._until_history -= 1
        self._history[self.numbers, self.tokens] = ids
        self.tokens += 1
        self.sums += log_probabilities
        if self.recent is not None:
            self.recent = np.concatenate([self.recent[:, 1:], remembered[:, np.newaxis]], axis=1)

    def history(self, row: int) -> NDArray[np.int32]:
        """Return the ids of a row, int32 [tokens]."""
        return self._history[row, : self.tokens[row]]

    def begin(self, row: int, start: PrefilledPrompt) -> None:
        """Start another sample in a row."""
        self.logits[row] = start.logits
        self.state.put(row, start.state)
        self.tokens[row] = self.sums[row] = 0
        self._until_uniforms = 0
        self.constraints[row] = start.constraints
        if self.begun is not None:
            self.begun[row] = False
        if self.limits is not None:
            self.limits[row] = self._limit
        self._fill_window(row, start)

    def take(self, rows: Ids) -> None:
        """Replace the rows by ``rows``, int64 [N]. A row can be taken several times."""
        self.constraints = [self.constraints[row] for row in rows.tolist()]
        self.state = self.state[rows]
        self.begun = None if self.begun is None else self.begun[rows]
        self.logits, self.tokens, self.sums = self.logits[rows], self.tokens[rows], self.sums[rows]
        self._uniforms, self._history = self._uniforms[rows], self._history[rows]
        self.numbers = np.arange(len(self.tokens))
        self.limits = None if self.limits is None else self.limits[rows]
        self.recent = None if self.recent is None else self.recent[rows]

    def _fill_window(self, row: int, start: PrefilledPrompt) -> None:
        if self.recent is not None:
            self.recent[row] = EMPTY
            window = start.window[-self.recent.shape[1] :]
            self.recent[row, self.recent.shape[1] - len(window) :] = window
