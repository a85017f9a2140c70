"""What a text must begin with, match, and not hold -> which symbols may follow.

A ``Place`` is where one text stands in all of this. It is a value: as many texts as one likes can
go on from it. This module knows symbols and their text, no model and nothing of how symbols are
drawn.
"""

from __future__ import annotations

from functools import lru_cache
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
_SHOWN = 80  # characters of a prompt in a message


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
        self._pattern = None if config.match is None else _pattern(config.match, tokenizer)
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
        state = self._pattern.read(prompt) if self._pattern else 0
        place = Place(required, False, state, self._tail(prompt))
        if self._pattern:
            self._check(self._pattern, place, prompt + required)
        return place

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
        left = 0
        if self._pattern:
            left = min(self._length - written, self._pattern.horizon + len(place.required))
        key = place, left
        if key not in self._cache:
            if (len(self._cache) + 1) * len(self._pieces) > _CACHED_NUMBERS:
                self._cache.clear()
            self._cache[key] = self._adjustment(place, left)
        return self._cache[key]

    def _adjustment(self, place: Place, left: int) -> Floats:
        added = self._beginning(place) + self._bias(place)
        if self._pattern:
            allowed = self._pattern.allowed(place.state, left, spelling=place.spelling)
            if place.required and self._spells and not place.spelling:
                allowed[BEGIN_SPELLING] = self._spelled(self._pattern, place) <= left
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

    def _bias(self, place: Place) -> Floats:
        """Add the bias of each text to the symbols that complete it beyond what is required."""
        tail = place.tail
        added = np.zeros(len(self._pieces), np.float32)
        for text, value in self._biases.items():
            begin = max(0, len(tail) + len(place.required) - len(text) + 1)
            completes = [(tail + piece).find(text, begin) >= 0 for piece in self._pieces]
            added[completes] += np.float32(value)
        return added

    def _tail(self, text: str) -> str:
        """Return the end of a text that may be the beginning of a biased one."""
        return beginning_at_end(text, self._biases)

    def _check(self, pattern: Pattern, place: Place, prompt: str) -> None:
        expression = pattern.expression
        alive = pattern.is_alive(pattern.read(place.required, place.state))
        if not alive and not prompt:
            raise UsageError(
                f"no text of the model's symbols matches the pattern {expression!r}: write one "
                "with characters that stand in the training text"
            )
        if not alive:
            raise UsageError(
                f"no match of the pattern {expression!r} begins with the prompt "
                f"{_shortened(prompt)!r}: the pattern is for the whole text, the prompt included"
            )
        needed = self._needed(pattern, place)
        if needed > self._length:
            spelled = " (its words may have to be spelled)" if self._spells else ""
            raise UsageError(
                f"a match of the pattern {expression!r} needs {needed:,} symbols or more{spelled}, "
                f"and the length is {self._length:,}: raise --length"
            )

    def _needed(self, pattern: Pattern, place: Place) -> int:
        """Return how many symbols it takes to be sure of a match."""
        if not place.required:
            return pattern.shortest(place.state)
        after = pattern.after(place.state).tolist()
        whole = (
            1 + pattern.shortest(after[symbol])
            for symbol, piece in enumerate(self._pieces)
            if piece.startswith(place.required)
        )
        return min([self._spelled(pattern, place), *whole])

    def _spelled(self, pattern: Pattern, place: Place) -> int:
        """Return how many symbols a match takes if what is required is spelled."""
        rest = pattern.shortest(pattern.read(place.required, place.state))
        return len(place.required) + rest + 2


@lru_cache(maxsize=1)
def _pattern(expression: str, tokenizer: Tokenizer) -> Pattern:
    """Build a pattern once for all the prompts that it is asked of."""
    return Pattern(expression, tokenizer)


def _shortened(prompt: str) -> str:
    """Return the end of a prompt that would fill a page."""
    return prompt if len(prompt) <= _SHOWN else "…" + prompt[-_SHOWN:]
