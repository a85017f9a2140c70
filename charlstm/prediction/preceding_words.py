"""Proposes words that may come before a text, with a network that reads texts from their end.

A best-first search spells each word from its last token to its first. A word is complete at the
space before it or, if the text on the left ends without a space, where that text precedes it.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from charlstm.arrays import Doubles, Mask
from charlstm.engine.inference import Engine
from charlstm.engine.state import State, joined
from charlstm.generation.word_edges import WordEdges
from charlstm.metrics import softmax
from charlstm.prediction.prompt_cache import PromptCache
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, Tokenizer
from charlstm.tokenizer.segmentation import Kind, is_sign, kind_of, partial_word, tokens_of

_WIDTH = 16  # paths that are extended in one engine step
_ROUNDS = 64  # the maximum number of engine steps
_SLACK = 0.7  # paths less likely than this share of the last requested word are not extended
_LEAST = 1e-4  # paths less likely than this / the number of requested words are dropped
_LEFT = 64  # characters of the left side on which its last token depends
_JOINING = (Kind.LETTER, Kind.MARK, Kind.DIGIT)


class _Growth(Enum):
    """What may precede a path within its word."""

    OPEN = 0  # more parts of the word
    WHOLE = 1  # nothing: it is a word of the vocabulary
    SPELLED = 2  # more characters of a spelled word


@dataclass(frozen=True, slots=True)
class _WordEnd:
    """The end of a word.

    Attributes:
        probability: the probability of its tokens.
        text: their text.
        kind: what may precede it.
        token_id: the first of its tokens, which has not been read yet.
        state: the state before that token is read.
    """

    probability: float
    text: str
    kind: _Growth
    token_id: int
    state: State


@dataclass(slots=True)
class _WordSearch:
    """One search for words between two texts.

    Attributes:
        count: the maximum number of words to return.
        known: the space and the letters that the words begin with, which the left side ends with.
        may_space: whether there may be a space before the words.
        closing: the tokens that may precede a word without a space before it, bool [V].
        tokenizer: decides what a word is.
    """

    count: int
    known: str
    may_space: bool
    closing: Mask
    tokenizer: Tokenizer
    _frontier: list[tuple[float, int, _WordEnd]] = field(init=False, default_factory=list)
    _found: dict[str, float] = field(init=False, default_factory=lambda: defaultdict(float))
    _pushed: int = field(init=False, default=0)

    @property
    def least(self) -> float:
        """The probability of the least likely paths to follow."""
        return _LEAST / self.count

    def push(self, path: _WordEnd) -> None:
        """Add a path to those that are to be extended."""
        heapq.heappush(self._frontier, (-path.probability, self._pushed, path))
        self._pushed += 1

    def add(self, text: str, probability: float) -> None:
        """Add the probability of a path that spells a word, with the space before it if any."""
        word = text.removeprefix(" ")
        if not (self.may_space or word == text) or not word[:1].isalnum():
            return
        is_longer = len(text) > len(self.known) and text.startswith(self.known)
        if is_longer and [*tokens_of(word, self.tokenizer.segmentation)] == [word]:
            self._found[text] += probability

    def take(self, width: int) -> list[_WordEnd]:
        """Remove and return the most likely paths; none when the search is over."""
        bar = self.least
        if len(self._found) >= self.count:
            bar = max(bar, _SLACK * heapq.nlargest(self.count, self._found.values())[-1])
        taken: list[_WordEnd] = []
        while self._frontier and len(taken) < width and -self._frontier[0][0] > bar:
            taken.append(heapq.heappop(self._frontier)[2])
        return taken

    def best(self) -> dict[str, str]:
        """Return the most likely words, by the text to insert."""
        order = sorted(self._found, key=lambda text: (-self._found[text], text))
        return {text[len(self.known) :]: text.removeprefix(" ") for text in order[: self.count]}


class PrecedingWords:
    """Proposes words with one backward network. Threads can't share it.

    Args:
        engine: the network.
        tokenizer: its tokenizer.
        prompts: its states after recent texts.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer, prompts: PromptCache) -> None:
        self._engine, self._tokenizer, self._prompts = engine, tokenizer, prompts
        pieces = tokenizer.pieces
        in_word = np.array([all(map(_is_in_word, p.removeprefix(" "))) for p in pieces])
        in_word[: len(tokenizer.reserved)] = False
        spaced = np.array([piece.startswith(" ") for piece in pieces])
        self._with_space: Mask = in_word & spaced
        self._without_space: Mask = in_word & ~spaced
        self._characters: Mask = in_word & ~tokenizer.no_characters
        self._outside: Mask = ~WordEdges(tokenizer).ends

    def find(self, left: str, right: str, count: int) -> dict[str, str]:
        """Return words that may be between two texts, the most likely first.

        They begin with the letters at the end of the left side, if it ends with letters.

        Args:
            left: the text before the words.
            right: the text after them.
            count: the maximum number of words.

        Returns:
            The words, by the text to insert between the two.
        """
        if right and kind_of(right[0]) in _JOINING:
            return {}
        before, typed, space = partial_word(left, self._tokenizer.segmentation)
        may_space = bool(space) or not (typed or before[-1:].isspace() or not before)
        search = _WordSearch(
            count, space + typed, may_space, self._closing(before), self._tokenizer
        )
        ids = np.append(self._tokenizer.encode(right), END_OF_DOCUMENT)[::-1].astype(np.int64)
        logits, state = self._prompts.read(ids)
        nothing = _WordEnd(1.0, "", _Growth.OPEN, END_OF_DOCUMENT, state)
        self._extend(search, nothing, softmax(logits[np.newaxis])[0], state)
        for _ in range(_ROUNDS):
            paths = search.take(_WIDTH)
            if not paths:
                break
            states = joined([path.state for path in paths])
            steps, states = self._engine.step(np.array([path.token_id for path in paths]), states)
            for row, (path, probs) in enumerate(zip(paths, softmax(steps), strict=True)):
                self._extend(search, path, probs, states.row(row))
        return search.best()

    def _closing(self, before: str) -> Mask:
        """Return which tokens may precede a word without a space before it, bool [V]."""
        ids = self._tokenizer.encode(before[-_LEFT:])
        if not len(ids):
            return self._outside
        closing = np.zeros(self._tokenizer.vocab_size, np.bool_)
        closing[ids[-1]] = True
        return closing

    def _extend(self, search: _WordSearch, path: _WordEnd, probs: Doubles, state: State) -> None:
        """Add the tokens that may precede a path, and its word if it can be complete.

        Args:
            search: the search.
            path: the path; its text is empty before the first token.
            probs: the probabilities of the tokens before it, float64 [V].
            state: the state after the path.
        """
        probs = path.probability * probs
        if path.kind is _Growth.SPELLED:
            search.add(path.text, float(probs[BEGIN_SPELLING]))
            if not path.text.startswith(" "):
                self._push(search, path, probs, state, self._characters, _Growth.SPELLED)
            return
        if path.text and not search.known.startswith(" "):
            search.add(path.text, float(probs[search.closing].sum()))
        if path.kind is _Growth.WHOLE:
            return
        if search.may_space:
            for token_id in self._likely(probs, self._with_space, search.least):
                search.add(self._tokenizer.pieces[token_id] + path.text, float(probs[token_id]))
        if self._tokenizer.spells:
            self._push(search, path, probs, state, self._without_space, _Growth.WHOLE)
            if probs[END_SPELLING] > search.least:
                mass = float(probs[END_SPELLING])
                search.push(_WordEnd(mass, "", _Growth.SPELLED, END_SPELLING, state))
        else:
            self._push(search, path, probs, state, self._without_space, _Growth.OPEN)

    def _push(
        self,
        search: _WordSearch,
        path: _WordEnd,
        probs: Doubles,
        state: State,
        possible: Mask,
        kind: _Growth,
    ) -> None:
        """Extend a path by each possible token that is likely enough."""
        for token_id in self._likely(probs, possible, search.least):
            text = self._tokenizer.pieces[token_id] + path.text
            search.push(_WordEnd(float(probs[token_id]), text, kind, token_id, state))

    @staticmethod
    def _likely(probs: Doubles, possible: Mask, least: float) -> Iterator[int]:
        yield from np.flatnonzero(possible & (probs > least)).tolist()


def _is_in_word(character: str) -> bool:
    """Return whether a word may contain a character."""
    return kind_of(character) not in (Kind.SPACE, Kind.OTHER) or is_sign(character)
