"""Chooses the excerpts of a validation text that evaluations count, and measures their length.

A text is read as parallel streams. Each counts one excerpt, the first part of its share, so that a
few tokens represent a long text evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.corpus.word_count import WordCounter
from charlstm.tokenizer.base import END_OF_DOCUMENT

if TYPE_CHECKING:
    from charlstm.dataset.store import StoredIds
    from charlstm.tokenizer.base import Tokenizer

MAX_STREAMS = 128  # the most rows in a batch
WARM = 256  # tokens that each stream reads before its excerpt
_LOOK_BACK = 8  # tokens; more than ever follow one another without text
LENGTH = 128  # tokens per row in a batch


class Excerpts(NamedTuple):
    """The positions of the excerpts, one per stream, which do not overlap.

    Attributes:
        first: the index of the first target of each excerpt among all targets, int64 [streams].
        counts: the number of targets in each excerpt, int64 [streams].
    """

    first: NDArray[np.int64]
    counts: NDArray[np.int64]


def excerpts_of(
    targets: int, counted: int | None = None, *, max_streams: int = MAX_STREAMS, warm: int = WARM
) -> Excerpts:
    """Divide a text among streams, and spread the excerpts that count evenly over it.

    Args:
        targets: the number of tokens in the text after the first.
        counted: the number of tokens that count; by default, or if there are fewer, all.
        max_streams: the maximum number of streams; short texts have fewer.
        warm: the tokens that each stream reads before its excerpt.
    """
    counted = targets if counted is None else min(counted, targets)
    streams = max(1, min(max_streams, counted // (2 * warm)))
    share = -(-counted // streams)
    numbers = np.arange(streams, dtype=np.int64)
    before = numbers * share
    left_out = (targets - counted) * numbers // streams
    return Excerpts(before + left_out, np.clip(counted - before, 0, share))


def tokens_read(targets: int, counted: int | None = None) -> int:
    """Return the number of tokens that the streams read in whole batches, counted or not."""
    if not targets:
        return 0
    counts = excerpts_of(targets, counted).counts
    return int(counts.size * (WARM + -(-counts[0] // LENGTH) * LENGTH))


def in_whole_batches(counted: int) -> int:
    """Round ``counted`` down to a number of tokens that fills the batches of all streams."""
    streams = max(1, min(MAX_STREAMS, counted // (2 * WARM)))
    return max(1, counted // streams // LENGTH) * LENGTH * streams


def lengths_of(
    ids: StoredIds, excerpts: Excerpts, tokenizer: Tokenizer, *, ends_count: bool
) -> tuple[int, int]:
    """Return the number of characters in excerpts, and of words that begin in them.

    Args:
        ids: the validation text, [N].
        excerpts: excerpts of the ``N - 1`` targets.
        tokenizer: the tokenizer of the ids.
        ends_count: whether the end of a document counts as a character, as it does if files are
            divided into documents.
    """
    pieces = ("\n", *tokenizer.pieces[1:])  # the end of a document (id 0) ends a word
    sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
    sizes[END_OF_DOCUMENT] = ends_count
    characters = words = 0
    for first, count in zip(*(part.tolist() for part in excerpts), strict=True):
        read = ids[first + 1 : first + count + 1].tolist()
        characters += int(sizes[read].sum())
        counter = WordCounter()
        counter.add(_last_text(ids[max(0, first - _LOOK_BACK) : first + 1].tolist(), pieces))
        words -= counter.count
        counter.add("".join(map(pieces.__getitem__, read)))
        words += counter.count
    return characters, words


def _last_text(ids: list[int], pieces: Sequence[str]) -> str:
    """Return the text of the last token that has text; the markers of spelled words have none."""
    return next((pieces[token] for token in reversed(ids) if pieces[token]), "")
