"""Cuts token ids into batches for training and validation.

Training batches are parallel contiguous streams for truncated backpropagation through time. Each
is a pure function of (seed, step), so a run can resume at any step. Validation batches cut a text
into parallel streams whose results equal those of a single stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.dataset.excerpts import LENGTH, MAX_STREAMS, WARM, excerpts_of
from charlstm.dataset.store import StoredIds, ring_of, token_counts
from charlstm.tokenizer.base import END_OF_DOCUMENT, UNKNOWN

# The share of rows that training reads from where a text may begin instead of from their streams.
# It starts at FIRST_SHARE and falls over FIRST_STEPS, since nothing that the first steps learn
# needs more context.
BEGINNING_SHARE, FIRST_SHARE, FIRST_STEPS = 0.02, 0.1, 250

# The rarest characters together make up at most RARE_SHARE of the training text. Training replaces
# them by the unknown token at REPLACEMENT_RATE, so that it learns the embedding of that token.
RARE_SHARE = 1e-4
REPLACEMENT_RATE = 0.2


def replacement_rates(
    train: StoredIds, character_ids: NDArray[np.integer], vocab_size: int
) -> NDArray[np.float64]:
    """Return the rate at which training replaces each id by the unknown token.

    Only the rarest characters are replaced: those that together make up at most ``RARE_SHARE`` of
    the text, and always the rarest one.

    Args:
        train: the ids of the training text, [N].
        character_ids: the ids of the tokens of one character.
        vocab_size: the number of ids.

    Returns:
        float64 [vocab_size], from 0 to ``REPLACEMENT_RATE``; 0 for all but the rarest characters.
    """
    counts = token_counts(train, vocab_size)
    seen = character_ids[counts[character_ids] > 0]
    by_rarity = seen[np.argsort(counts[seen], kind="stable")]
    rare = by_rarity[np.cumsum(counts[by_rarity]) <= RARE_SHARE * train.size]
    chosen = rare if rare.size else by_rarity[:1]
    rates = np.zeros(vocab_size)
    # If no character is rare, the most infrequent one is replaced at a lower rate.
    rates[chosen] = np.minimum(REPLACEMENT_RATE, RARE_SHARE * train.size / counts[chosen])
    return rates


def beginning_share(step: int) -> float:
    """Return the share of rows that begin a text in training step ``step``."""
    return max(BEGINNING_SHARE, FIRST_SHARE * (1 - step / FIRST_STEPS))


class TrainingBatch(NamedTuple):
    """The tokens of one step.

    Attributes:
        inputs: int32 [streams, sequence_length].
        targets: int32 [streams, sequence_length].
        first_of_epoch: whether the streams start at new positions.
        begins: bool [streams], true for rows that begin a text instead of continuing their stream.
            The carried states of these streams do not change.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    first_of_epoch: bool
    begins: NDArray[np.bool_]


@dataclass(frozen=True)
class Streams:
    """Training ids as parallel contiguous streams; ``batch(step)`` is a pure function.

    The training text is read as a ring. Each epoch enters it at a random position, so every epoch
    covers the whole text with different window borders. Row b of batch k continues row b of batch
    k - 1, except in the first batch of an epoch. Where the ring closes on a document that has been
    cut, the next token is not known, and the target is the unknown token.

    If there are ``starts``, some rows read from a random one of these instead of from their stream,
    after an end of document, so that the model learns to begin without context. Their streams skip
    the tokens that these rows would have read, and then continue.

    Attributes:
        ids: the training text, [N].
        streams: the number of rows in a batch (the batch size).
        sequence_length: tokens per row and step; gradients reach back no further.
        seed: determines where each epoch enters, which characters are replaced, and which rows
            begin a text.
        rates: the rate at which each id is replaced by the unknown token, float64 [vocab_size].
        starts: positions where a text may begin, int64 [starts], ascending.
        backward: whether the text is read from its end, as a view. ``starts`` then count from the
            end (see ``beginnings.starts_from_the_end``).
    """

    ids: StoredIds
    streams: int
    sequence_length: int
    seed: int
    rates: NDArray[np.float64]
    starts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    backward: bool = False

    @cached_property
    def _is_cut(self) -> bool:
        return bool(self.ids[-1] != END_OF_DOCUMENT)

    @cached_property
    def _ring(self) -> StoredIds:
        ring = ring_of(self.ids)
        return ring[::-1] if self.backward else ring

    @property
    def tokens_per_step(self) -> int:
        """The number of tokens that one step predicts."""
        return self.streams * self.sequence_length

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps that cover the text once; the last may repeat a part of it."""
        return max(1, -(-self._ring.size // self.tokens_per_step))

    def batch(self, step: int) -> TrainingBatch:
        """Return the batch of training step ``step``, counting from 0."""
        epoch, number = divmod(step, self.steps_per_epoch)
        entry = np.random.default_rng([self.seed, 0, epoch]).integers(self._ring.size)
        starts = np.arange(self.streams) * (self.steps_per_epoch * self.sequence_length)
        columns = entry + number * self.sequence_length + np.arange(self.sequence_length + 1)
        positions = (starts[:, None] + columns) % self._ring.size
        begins = self._begin(positions, step)
        window = self._ring[positions].astype(np.int32)
        draws = np.random.default_rng([self.seed, 1, step]).random(window.shape, np.float32)
        window[draws < self.rates[window]] = UNKNOWN
        window[begins, 0] = END_OF_DOCUMENT
        targets = window[:, 1:].copy()
        if self._is_cut:
            targets[positions[:, 1:] == 0] = UNKNOWN
        return TrainingBatch(window[:, :-1], targets, number == 0, begins)

    def _begin(self, positions: NDArray[np.int64], step: int) -> NDArray[np.bool_]:
        """Move some rows of ``positions``, [streams, N], to where a text may begin.

        Returns:
            Whether each row was moved, bool [streams].
        """
        if not self.starts.size:
            return np.zeros(self.streams, np.bool_)
        rng = np.random.default_rng([self.seed, 2, step])
        begins = rng.random(self.streams) < beginning_share(step)
        starts = self.starts[rng.integers(self.starts.size, size=self.streams)]
        moved = (starts[:, None] - 1 + np.arange(positions.shape[1])) % self._ring.size
        positions[begins] = moved[begins]
        return begins


class ValidationBatch(NamedTuple):
    """One window of all validation streams.

    Attributes:
        inputs: int32 [streams, length].
        targets: int32 [streams, length].
        weights: float32 [streams, length]; 1 if the target counts, 0 during the warm-up and after
            the end.
        keep: float32 [streams, 1]; multiplies the states before the batch, so 0 resets them.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    keep: NDArray[np.float32]


def validation_batches(
    ids: StoredIds,
    counted: int | None = None,
    *,
    max_streams: int = MAX_STREAMS,
    warm: int = WARM,
    length: int = LENGTH,
) -> Iterator[ValidationBatch]:
    """Cut a text into parallel streams that together equal one stream with carried states.

    Each stream first reads the ``warm`` tokens before it without counting them, so that its states
    are close to those of one stream over the whole text. Every token after the first counts exactly
    once. If only ``counted`` tokens are to count, these are excerpts that represent the text (see
    ``excerpts``). All batches have the same shape.

    Args:
        ids: the validation text, [N], N > 1; the first id is only context.
        counted: the number of tokens that count; by default all after the first.
        max_streams: the maximum number of rows in a batch; short texts have fewer.
        warm: the tokens of the warm-up, a multiple of ``length``.
        length: the tokens per row in a batch.
    """
    targets = ids.size - 1
    excerpts = excerpts_of(targets, counted, max_streams=max_streams, warm=warm)
    first, counts = (part[:, None] for part in excerpts)
    for start in range(-warm, int(counts.max()), length):
        columns = start + np.arange(length)
        inside = np.clip(first + columns, 0, targets - 1)
        # The first stream has no tokens before it, so its states are reset after the warm-up.
        restart = (start == 0) & (first == 0)
        yield ValidationBatch(
            ids[inside].astype(np.int32),
            ids[inside + 1].astype(np.int32),
            ((columns >= 0) & (columns < counts)).astype(np.float32),
            (~restart).astype(np.float32),
        )
