"""Where tokens begin or end within words, that is, with a letter, a mark or a digit."""

from __future__ import annotations

import numpy as np

from charlstm.arrays import Mask
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of

_IN_WORDS = (Kind.LETTER, Kind.MARK, Kind.DIGIT)


class WordEdges:
    """The edges of the tokens of a tokenizer.

    Attributes:
        begins: whether each token begins with a letter, mark or digit, bool [V].
        ends: whether each token ends with a letter, mark or digit, bool [V].
        lengths: the number of characters of each token.
        spells: whether words can be spelled.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        pieces = tokenizer.pieces
        self.spells = tokenizer.spells
        known = {
            character: kind_of(character) in _IN_WORDS
            for character in {edge for piece in pieces if piece for edge in (piece[0], piece[-1])}
        }
        self.begins: Mask = np.array([known.get(piece[:1], False) for piece in pieces])
        self.ends: Mask = np.array([known.get(piece[-1:], False) for piece in pieces])
        self.lengths = [len(piece) for piece in pieces]

    def ends_within(self, text: str) -> bool:
        """Return whether a text ends within a word."""
        return bool(text) and kind_of(text[-1]) in _IN_WORDS

    def is_within_after(self, in_word: bool, token_id: int) -> bool:
        """Return whether a text ends within a word after one more token.

        Args:
            in_word: whether it ended within a word before.
            token_id: the token. A token without text changes nothing.
        """
        return bool(self.ends[token_id]) if self.lengths[token_id] else in_word
