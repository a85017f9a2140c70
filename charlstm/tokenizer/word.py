"""Word level: words, numbers, punctuation and white space are tokens.

Words outside the vocabulary are spelled in characters, so that only a character that is not in the
vocabulary becomes the unknown token.
"""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from charlstm.tokenizer.base import BEGIN_SPELLING, END_SPELLING, REPLACEMENT, UNKNOWN, Tokenizer
from charlstm.tokenizer.segmentation import partial_word, tokens_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


CACHED_TOKENS = 2**18


class WordTokenizer(Tokenizer):
    """Words, numbers, punctuation and white space are tokens; rare words are spelled.

    A token outside the vocabulary becomes ``BEGIN_SPELLING``, its characters, ``END_SPELLING``; a
    token of one character is that character's id alone. The space before a word, a number or
    punctuation belongs to that token.
    """

    level = "word"
    reserved = ("", REPLACEMENT, "", "")

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of the text's tokens, spelled if they are rare, uint32 [tokens]."""
        ids = map(self._encodings.__getitem__, tokens_of(text, self.segmentation))
        return np.fromiter(chain.from_iterable(ids), np.uint32)

    def split_prompt(self, prompt: str) -> tuple[str, str]:
        """Divide a prompt before its last word or number, which may be incomplete.

        A space at the end is the beginning of the next token.
        """
        word = partial_word(prompt, self.segmentation)
        if word.ends_open:  # until a letter follows, the apostrophe is a token
            return prompt, ""
        return word.before, word.space + word.typed

    def to_json(self) -> bytes:
        """Return the vocabulary and the rules as JSON, for ``tokenizer_from_json``."""
        stored = {
            "level": self.level,
            "segmentation": self.segmentation,
            "symbols": self.vocabulary,
        }
        return msgspec.json.encode(stored)

    @cached_property
    def _encodings(self) -> _Encodings:
        return _Encodings(self._ids)


class _Encodings(dict[str, tuple[int, ...]]):
    """The ids of tokens, computed at the first use; at most ``CACHED_TOKENS`` are kept."""

    def __init__(self, ids: dict[str, int]) -> None:
        super().__init__()
        self._known = ids

    def __missing__(self, token: str) -> tuple[int, ...]:
        ids = self._encode(token)
        if len(self) < CACHED_TOKENS:
            self[token] = ids
        return ids

    def _encode(self, token: str) -> tuple[int, ...]:
        if token in self._known or len(token) == 1:
            return (self._known.get(token, UNKNOWN),)
        return (BEGIN_SPELLING, *(self._known.get(c, UNKNOWN) for c in token), END_SPELLING)
