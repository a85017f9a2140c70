"""Word level: words, numbers, punctuation and white space are tokens.

Words outside the vocabulary are spelled as characters, so only characters outside the vocabulary
become the unknown token.
"""

from __future__ import annotations

from charlstm.tokenizer.base import BEGIN_SPELLING, END_SPELLING, REPLACEMENT, UNKNOWN
from charlstm.tokenizer.segmentation import partial_word
from charlstm.tokenizer.wordwise import Encoding, WordwiseTokenizer


class WordTokenizer(WordwiseTokenizer):
    """Words, numbers, punctuation and white space are tokens; rare words are spelled.

    A token outside the vocabulary becomes ``BEGIN_SPELLING``, its characters and ``END_SPELLING``.
    A token of one character becomes just the id of that character. The space before a word, a
    number or punctuation belongs to that token.
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
        """Split a prompt before its last word, or after an apostrophe at its end."""
        if partial_word(prompt, self.segmentation).ends_open:
            return prompt, ""  # the apostrophe is a separate token until a letter follows
        return super().split_prompt(prompt)
