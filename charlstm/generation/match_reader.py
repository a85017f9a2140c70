"""Finds whether a freely sampled text is a match of a pattern, and where it ends."""

from __future__ import annotations

from typing import Literal, TypeAlias

from charlstm.generation.pattern import Pattern
from charlstm.generation.word_edges import WordEdges
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING

# How a text has ended: as a match, as one without its last token, which the pattern forbids, or not
# as a match.
Verdict: TypeAlias = Literal["match", "match before", "no match"]


class MatchReader:
    """Follows one text.

    A match ends at the end of the document, at its length, or before a token that the pattern
    forbids. In the last case, it must be longer than the prompt and must not end within a word.

    Args:
        pattern: the pattern.
        words: where tokens begin and end within words.
        state: the state of the pattern after the part of the prompt that has been read.
        in_word: whether that part ends within a word.
        unread: the number of characters of the prompt that the text begins with.
        length: the maximum number of tokens of the text.
    """

    def __init__(
        self,
        pattern: Pattern,
        words: WordEdges,
        state: int,
        *,
        in_word: bool,
        unread: int,
        length: int,
    ) -> None:
        self._pattern = pattern
        self._words = words
        self._state = state
        self._in_word = in_word
        self._left = length
        self._unread = unread
        self._spells = False

    def add(self, token_id: int) -> Verdict | None:
        """Add a token. Return how the text ends, or ``None`` if it continues."""
        pattern = self._pattern
        reached = int(pattern.after(self._state)[token_id])
        self._left -= 1
        if token_id == END_OF_DOCUMENT:
            return "match" if pattern.matches(self._state) else "no match"
        if not pattern.is_alive(reached):
            within = self._in_word and self._words.begins[token_id]
            is_match = pattern.matches(self._state) and self._unread < 0 and not within
            return "match before" if is_match else "no match"
        if pattern.shortest(reached) > self._left:
            return "no match"
        self._state = reached
        self._unread -= self._words.lengths[token_id]
        if self._words.spells and token_id in (BEGIN_SPELLING, END_SPELLING):
            self._spells = token_id == BEGIN_SPELLING
        self._in_word = self._words.is_within_after(self._in_word, token_id)
        if self._left:
            return None
        return "no match" if self._spells else "match"
