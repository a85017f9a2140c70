"""The spelling of words at word level: it begins, has a character at least, and ends.

A phase says where a text is: 0 between words, 1 after ``BEGIN_SPELLING``, 2 after a character of
the word. Phases and token ids go in, the tokens that may follow come out. This module does not
know what is spelled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Ids, Mask
from charlstm.tokenizer.base import BEGIN_SPELLING, END_SPELLING, Tokenizer

BETWEEN, BEGUN, INSIDE = range(3)


class SpellingRules:
    """The phases of one tokenizer, which spells words.

    Attributes:
        allowed: which tokens may follow in each phase, bool [3, V].
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.allowed: Mask = np.zeros((3, tokenizer.vocab_size), np.bool_)
        self.allowed[BETWEEN] = True
        self.allowed[BETWEEN, END_SPELLING] = False
        self.allowed[BEGUN:, tokenizer.character_ids.astype(np.int64)] = True
        self.allowed[INSIDE, END_SPELLING] = True

    def exclude(self, logits: NDArray[np.floating[Any]], phases: Ids) -> None:
        """Set the logits [B, V] of tokens that may not follow in the phases [B] to -inf."""
        logits[phases == BETWEEN, END_SPELLING] = -np.inf
        for row in np.flatnonzero(phases).tolist():
            logits[row, ~self.allowed[phases[row]]] = -np.inf

    def after(self, phases: Ids, ids: Ids) -> Ids:
        """Return the phases [B] after tokens [B] that may follow."""
        after = np.where(phases == BETWEEN, BETWEEN, INSIDE)
        after[ids == BEGIN_SPELLING] = BEGUN
        after[ids == END_SPELLING] = BETWEEN
        return after


def phase_after(phase: int, token_id: int) -> int:
    """Return the phase of one text after a token that may follow, where words are spelled."""
    if token_id in (BEGIN_SPELLING, END_SPELLING):
        return BEGUN if token_id == BEGIN_SPELLING else BETWEEN
    return BETWEEN if phase == BETWEEN else INSIDE
