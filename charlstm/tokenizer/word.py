"""Word level: words, numbers, punctuation and white space are tokens.

Words outside the vocabulary are spelled in characters, so that only a character that is not in the
vocabulary becomes the unknown token.
"""

from __future__ import annotations

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
        """Divide a prompt as at other levels, but after an apostrophe at its end."""
        if partial_word(prompt, self.segmentation).ends_open:
            return prompt, ""  # until a letter follows, the apostrophe is a token
        return super().split_prompt(prompt)
