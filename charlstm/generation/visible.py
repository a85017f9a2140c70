"""Completion of the last visible character of a sample.

A token may be a part of a visible character: a letter, a vowel sign, half a flag. A sample that has
reached its length continues as long as the next tokens continue its last visible character. The
first token that does not is dropped.
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

MOST_EXTRA = 16  # the maximum number of tokens beyond the length
_LOOKED_AT = 64  # characters at the end of a text that its last visible character depends on


class DrawnSample(Protocol):
    """A sample in progress."""

    index: int
    start: PrefilledPrompt


class LastCharacter:
    """Continues samples at their length to the end of their last visible character.

    It is false if no token can continue a visible character, and for texts that must match a
    pattern.
    """

    def __init__(self, config: SampleConfig, tokenizer: Tokenizer) -> None:
        self._length = config.length
        self._tokenizer = tokenizer
        self._is_divided = config.match is None and _divides_characters(tokenizer)
        # For each sample at its length: the number of tokens that count, and their log-probability.
        self._kept: dict[int, tuple[int, float]] = {}

    def __bool__(self) -> bool:
        return self._is_divided

    def extend(
        self, batch: Batch, samples: Sequence[DrawnSample], ids: Ids, finished: Mask
    ) -> list[int]:
        """Decide for rows at their length whether they continue.

        Args:
            batch: the rows. Changed in place if a token is dropped.
            samples: the samples in the rows.
            ids: their last tokens, int64 [B].
            finished: which rows are finished, bool [B]. Changed to false for rows that continue.

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
        """Return whether a token continues the last visible character of a text."""
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
    """Return whether a visible character can be more than one token."""
    return has_parts("".join(tokenizer.pieces))
