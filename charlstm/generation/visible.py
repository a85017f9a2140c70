"""The end of a sample: not within a visible character.

A token may be a part of a visible character: a letter, a vowel sign, half a flag. A sample that has
reached its length goes on while the tokens that are drawn continue its last visible character. The
first one that does not is dropped. This module knows tokens and their text. It does not know a
model or how tokens are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np

from charlstm.arrays import Ids, Mask
from charlstm.config import SampleConfig
from charlstm.generation.batch import Batch, PrefilledPrompt
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.unicode_text import has_parts, is_within_character

MOST_EXTRA = 16  # tokens beyond the length
_LOOKED_AT = 64  # characters of a text that tell how its last visible character goes on


class DrawnSample(Protocol):
    """A sample that is being drawn."""

    index: int
    start: PrefilledPrompt


class LastCharacter:
    """Continues samples that have reached their length to the end of their last visible character.

    It is false where no token continues one, and for texts that match a pattern, which end so.
    """

    def __init__(self, config: SampleConfig, tokenizer: Tokenizer) -> None:
        self._length = config.length
        self._tokenizer = tokenizer
        self._is_divided = config.match is None and _divides_characters(tokenizer)
        # Of each sample at its length: how many tokens count, and their log-probability.
        self._kept: dict[int, tuple[int, float]] = {}

    def __bool__(self) -> bool:
        return self._is_divided

    def go_on(
        self, batch: Batch, samples: Sequence[DrawnSample], ids: Ids, finished: Mask
    ) -> list[int]:
        """Let rows that have reached their length go on, or end.

        Args:
            batch: the rows; changed where a token is dropped.
            samples: the samples in the rows.
            ids: their last tokens, int64 [B].
            finished: which rows are finished, bool [B]; changed, false for those that go on.

        Returns:
            The indices of the rows whose last token is dropped.
        """
        dropped = []
        for row in np.flatnonzero(batch.tokens >= self._length).tolist():
            index, token_id = samples[row].index, int(ids[row])
            kept = self._kept.pop(index, None)
            if kept and not self.continues(self._before(batch, row, samples[row]), token_id):
                batch.tokens[row], batch.sums[row] = kept
                dropped.append(row)
            elif token_id != END_OF_DOCUMENT and batch.tokens[row] < self._length + MOST_EXTRA:
                self._kept[index] = int(batch.tokens[row]), float(batch.sums[row])
                finished[row] = False
        return dropped

    def continues(self, text: str, token_id: int) -> bool:
        """Whether a token continues the last visible character of a text."""
        return is_within_character(text[-_LOOKED_AT:], self._tokenizer.pieces[token_id])

    def _before(self, batch: Batch, row: int, sample: DrawnSample) -> str:
        """Return the end of the text before the last token of a row."""
        ids = batch.history(row)[:-1]
        text = self._tokenizer.decode(ids[-_LOOKED_AT:])
        if len(ids) > _LOOKED_AT:
            return text
        return sample.start.prompt.removesuffix(sample.start.forced_prefix) + text


@lru_cache(maxsize=1)
def _divides_characters(tokenizer: Tokenizer) -> bool:
    """Whether a visible character may be more than one token."""
    return has_parts("".join(tokenizer.pieces))
