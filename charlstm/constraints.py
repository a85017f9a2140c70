"""What a text must begin with, match, and not hold -> which symbols may follow.

A ``Place`` is where one text stands in all of this. It is a value: as many texts as one likes can
go on from it. This module knows symbols and their text, no model and nothing of how symbols are
drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.config import SampleConfig
from charlstm.endings import beginning_at_end
from charlstm.errors import UsageError
from charlstm.pattern import Pattern
from charlstm.tokenizer import BEGIN_SPELLING, END_SPELLING, Tokenizer

Floats = NDArray[np.float32]

_NEVER = np.float32(-np.inf)
_CACHED_NUMBERS = 2**23


class Place(NamedTuple):
    """Where a text stands.

    Attributes:
        required: what the next symbols must spell.
        spelling: whether a word is being spelled.
        state: of the pattern; 0 without one.
        tail: the end of the text as far as a biased text may have begun there.
    """

    required: str
    spelling: bool
    state: int
    tail: str


class Constraints:
    """All that a configuration asks of texts, for the symbols of one tokenizer.

    Raises:
        UsageError: if no text can do what is asked.
    """

    def __init__(self, config: SampleConfig, tokenizer: Tokenizer) -> None:
        self._pieces = tokenizer.pieces
        self._spells = tokenizer.spells
        self._length = config.length
        self._pattern = None if config.match is None else Pattern(config.match, tokenizer)
        self._biases = dict(config.bias) | dict.fromkeys(config.ban, float(_NEVER))
        self._cache: dict[tuple[Place, int], Floats] = {}

    def start(self, prompt: str, required: str) -> Place | None:
        """Return the place after a prompt, or None where nothing is asked of the text.

        Args:
            prompt: what has been read.
            required: what has to follow.

        Raises:
            UsageError: if no match of the pattern begins with both.
        """
        if self._pattern is None and not self._biases and not required:
            return None
        state = 0
        if self._pattern:
            state = self._pattern.read(prompt)
            self._check(self._pattern, self._pattern.read(required, state), prompt + required)
        return Place(required, False, state, self._tail(prompt))

    def after(self, place: Place, symbol: int) -> Place | None:
        """Return the place after a symbol, None if nothing more is asked."""
        piece = self._pieces[symbol]
        spelling = place.spelling
        if self._spells and symbol in (BEGIN_SPELLING, END_SPELLING):
            spelling = symbol == BEGIN_SPELLING
        required = place.required[len(piece) :]
        if self._pattern is None and not self._biases and not required:
            return None
        state = int(self._pattern.after(place.state)[symbol]) if self._pattern else 0
        return Place(required, spelling, state, self._tail(place.tail + piece))

    def adjustment(self, place: Place, written: int) -> Floats:
        """Return what to add to the logits, float32 [V]: -inf for what may not follow.

        Args:
            place: where the text stands.
            written: how many symbols have been drawn.
        """
        left = self._length - written
        left = min(left, self._pattern.horizon) if self._pattern else 0
        key = place, left
        if key not in self._cache:
            if (len(self._cache) + 1) * len(self._pieces) > _CACHED_NUMBERS:
                self._cache.clear()
            self._cache[key] = self._adjustment(place, left)
        return self._cache[key]

    def _adjustment(self, place: Place, left: int) -> Floats:
        added = self._beginning(place) + self._bias(place.tail)
        if self._pattern:
            allowed = self._pattern.allowed(place.state, left, spelling=place.spelling)
            added[~allowed] = _NEVER
        return added

    def _beginning(self, place: Place) -> Floats:
        """Rule out what does not lead to the text that is still required."""
        required = place.required
        if not required:
            return np.zeros(len(self._pieces), np.float32)
        leads = [
            piece == required[0] if place.spelling else piece.startswith(required)
            for piece in self._pieces
        ]
        added = np.where(leads, np.float32(0), _NEVER)
        if not place.spelling and self._spells:
            added[BEGIN_SPELLING] = 0
        return added

    def _bias(self, tail: str) -> Floats:
        """Add the bias of each text to the symbols that complete it."""
        added = np.zeros(len(self._pieces), np.float32)
        for text, value in self._biases.items():
            begin = max(0, len(tail) - len(text) + 1)
            completes = [(tail + piece).find(text, begin) >= 0 for piece in self._pieces]
            added[completes] += np.float32(value)
        return added

    def _tail(self, text: str) -> str:
        """Return the end of a text that may be the beginning of a biased one."""
        return beginning_at_end(text, self._biases)

    def _check(self, pattern: Pattern, state: int, prompt: str) -> None:
        expression = pattern.expression
        if not pattern.is_alive(state):
            raise UsageError(
                f"no match of the pattern {expression!r} begins with the prompt {prompt!r}: the "
                "pattern is for the whole text, the prompt included"
            )
        if pattern.shortest(state) > self._length:
            raise UsageError(
                f"a match of the pattern {expression!r} needs {pattern.shortest(state):,} symbols "
                f"or more, and the length is {self._length:,}: raise --length"
            )
