"""The batches that training and validation read from token ids.

Training batches are parallel contiguous streams for truncated backpropagation through time; each is
a pure function of (seed, step), so the step number is the whole data cursor. Validation batches
cut a text into streams that together equal one. This module knows ids only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.dataset.store import Ids, ring_of
from charlstm.tokenizer.base import END_OF_DOCUMENT, UNKNOWN

# Of the training text, at most this share stands in characters rare enough to be replaced, and
# each occurrence of them is replaced this often, so that the unknown symbol has a learned place.
RARE_SHARE = 1e-4
REPLACEMENT_RATE = 0.2


def replacement_rates(
    train: Ids, character_ids: NDArray[np.integer], vocab_size: int
) -> NDArray[np.float64]:
    """Return, for each id, how often training shows the unknown symbol in its place.

    Only the rarest characters are replaced: those that together make up at most ``RARE_SHARE`` of
    the text, and the rarest one in any case.

    Args:
        train: the training ids, any shape.
        character_ids: the ids that stand for single characters.
        vocab_size: how many ids there are.

    Returns:
        float64 [vocab_size], 0 for all but the rarest characters.
    """
    counts = np.zeros(vocab_size, np.int64)
    for start in range(0, train.size, 1 << 24):
        counts += np.bincount(train[start : start + (1 << 24)], minlength=vocab_size)
    seen = character_ids[counts[character_ids] > 0]
    by_rarity = seen[np.argsort(counts[seen], kind="stable")]
    rare = by_rarity[np.cumsum(counts[by_rarity]) <= RARE_SHARE * train.size]
    chosen = rare if rare.size else by_rarity[:1]
    rates = np.zeros(vocab_size)
    # Where every character is frequent, even the rarest one is replaced only now and then.
    rates[chosen] = np.minimum(REPLACEMENT_RATE, RARE_SHARE * train.size / counts[chosen])
    return rates


class TrainingBatch(NamedTuple):
    """One step's input and what should follow it, both int32 [streams, sequence_length]."""

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    first_of_epoch: bool


@dataclass(frozen=True)
class Streams:
    """Training ids as parallel contiguous streams; ``batch(step)`` is a pure function.

    The training text is read as a ring that each epoch enters at another place, so that every
    epoch covers all of it with other window borders. Row b of batch k continues row b of batch
    k - 1; only the first batch of an epoch starts anew. Where the ring closes on a document that
    has been cut, what follows is unknown, and the target is the unknown symbol.

    Attributes:
        ids: the training text, [N].
        streams: rows of a batch.
        sequence_length: tokens per row and step; gradients reach back no further.
        seed: determines each epoch's entry and the replaced characters.
        rates: float64 [vocab_size], how often each id is replaced by the unknown symbol.
    """

    ids: Ids
    streams: int
    sequence_length: int
    seed: int
    rates: NDArray[np.float64]

    @cached_property
    def _is_cut(self) -> bool:
        return bool(self.ids[-1] != END_OF_DOCUMENT)

    @cached_property
    def _ring(self) -> Ids:
        return ring_of(self.ids)

    @property
    def tokens_per_step(self) -> int:
        """How many symbols one step predicts."""
        return self.streams * self.sequence_length

    @property
    def steps_per_epoch(self) -> int:
        """How many steps read the whole text once (the last may read a little twice)."""
        return max(1, -(-self._ring.size // self.tokens_per_step))

    def batch(self, step: int) -> TrainingBatch:
        """Return the batch of training step ``step``, counted from 0."""
        epoch, position = divmod(step, self.steps_per_epoch)
        entry = np.random.default_rng([self.seed, 0, epoch]).integers(self._ring.size)
        starts = np.arange(self.streams) * (self.steps_per_epoch * self.sequence_length)
        columns = entry + position * self.sequence_length + np.arange(self.sequence_length + 1)
        places = (starts[:, None] + columns) % self._ring.size
        window = self._ring[places].astype(np.int32)
        draws = np.random.default_rng([self.seed, 1, step]).random(window.shape, np.float32)
        window[draws < self.rates[window]] = UNKNOWN
        targets = window[:, 1:].copy()
        if self._is_cut:
            targets[places[:, 1:] == 0] = UNKNOWN
        return TrainingBatch(window[:, :-1], targets, position == 0)


class ValidationBatch(NamedTuple):
    """A window of all validation streams.

    ``weights`` float32 [streams, length] is 1 where the target counts, 0 in the warm-up and past
    the end. ``keep`` float32 [streams, 1] multiplies the states before the batch: 0 restarts.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    keep: NDArray[np.float32]


def validation_batches(
    ids: Ids, *, max_streams: int = 128, warm: int = 256, length: int = 128
) -> Iterator[ValidationBatch]:
    """Cut a text into parallel streams that together equal one stream with carried states.

    Each stream first reads the ``warm`` tokens before it, uncounted, which brings its states to
    where one stream over the whole text would have them. Every token after the first is
    counted exactly once. All batches have the same shape.

    Args:
        ids: the validation text, [N], N > 1; the first id is context only.
        max_streams: rows of a batch at most; short texts get fewer.
        warm: tokens of warm-up, a multiple of ``length``.
        length: tokens of a batch.
    """
    targets = ids.size - 1
    streams = max(1, min(max_streams, targets // (2 * warm)))
    share = -(-targets // streams)
    first = np.arange(streams)[:, None] * share  # the first position each stream is counted at
    for start in range(-warm, share, length):
        columns = start + np.arange(length)
        position = first + columns
        counted = (columns >= 0) & (columns < share) & (position < targets)
        inside = np.clip(position, 0, targets - 1)
        # Only the first stream has nothing before it: it begins with zero states.
        restart = (start == 0) & (first == 0)
        yield ValidationBatch(
            ids[inside].astype(np.int32),
            ids[inside + 1].astype(np.int32),
            counted.astype(np.float32),
            (~restart).astype(np.float32),
        )
