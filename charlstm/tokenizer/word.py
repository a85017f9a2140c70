"""Word level: words, numbers, punctuation and white space are tokens.

Words outside the vocabulary are spelled in characters, so that only a character that is not in the
vocabulary becomes the unknown token.
"""

from __future__ import annotations

import msgspec

from charlstm.tokenizer.base import BEGIN_SPELLING, END_SPELLING, REPLACEMENT, UNKNOWN
from charlstm.tokenizer.segmentation import partial_word
from charlstm.tokenizer.wordwise import Encoding, WordwiseTokenizer


class WordTokenizer(WordwiseTokenizer):
    """Words, numbers, punctuation and white space are tokens; rare words are spelled.

    A token outside the vocabulary becomes ``BEGIN_SPELLING``, its characters, ``END_SPELLING``; a
    token of one character is that character's id alone. The space before a word, a number or
    punctuation belongs to that token.
    """

    level = "word"
    tokens_are = "tokens"
    reserved = ("", REPLACEMENT, "", "")

    def encode_word(self, word: str) -> Encoding:
        """Return the id of a word, or the ids that spell it if it is rare."""
        known = self._ids
        if word in known or len(word) == 1:
            return (known.get(word, UNKNOWN),)
        return (BEGIN_SPELLING, *(known.get(c, UNKNOWN) for c in word), END_SPELLING)

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
