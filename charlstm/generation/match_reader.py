"""Follows a text that is written freely: is it a match of a pattern, and where does it end?

This module knows tokens and patterns. It does not know a model or how tokens are drawn.
"""

from __future__ import annotations

from enum import Enum, auto

from charlstm.generation.pattern import Pattern
from charlstm.generation.word_edges import WordEdges
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING


class Verdict(Enum):
    """How a text has ended."""

    MATCH = auto()
    MATCH_BEFORE = auto()  # without the last token, which the pattern forbids
    NO_MATCH = auto()


class MatchReader:
    """Follows one text.

    A match ends before the end of the document; before what the pattern forbids, though neither at
    once nor within a word; or where its length is reached.

    Args:
        pattern: the pattern.
        words: where the tokens begin and end within words.
        state: of the pattern after what has been read of the prompt.
        in_word: whether that ends within a word.
        unread: how many characters of the prompt the text begins with.
        length: how many tokens may follow it.
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
        """Add a token; return how the text ends, if it does."""
        pattern = self._pattern
        reached = int(pattern.after(self._state)[token_id])
        self._left -= 1
        if token_id == END_OF_DOCUMENT:
            return Verdict.MATCH if pattern.matches(self._state) else Verdict.NO_MATCH
        if not pattern.is_alive(reached):
            within = self._in_word and self._words.begins[token_id]
            is_match = pattern.matches(self._state) and self._unread < 0 and not within
            return Verdict.MATCH_BEFORE if is_match else Verdict.NO_MATCH
        if pattern.shortest(reached) > self._left:
            return Verdict.NO_MATCH
        self._state = reached
        self._unread -= self._words.lengths[token_id]
        if self._words.spells and token_id in (BEGIN_SPELLING, END_SPELLING):
            self._spells = token_id == BEGIN_SPELLING
        self._in_word = self._words.is_within_after(self._in_word, token_id)
        if self._left:
            return None
        return Verdict.NO_MATCH if self._spells else Verdict.MATCH
