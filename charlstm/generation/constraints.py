"""What a text must begin with, match, and not hold -> which symbols may follow.

A ``ConstraintState`` is how far one text has come. It is a value: any number of texts can continue
from it. This module knows symbols and their text, no model and nothing of how symbols are
drawn.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from charlstm.arrays import Floats
from charlstm.config import SampleConfig
from charlstm.errors import UsageError
from charlstm.generation.pattern import Pattern
from charlstm.generation.stopping import beginning_at_end
from charlstm.tokenizer.base import BEGIN_SPELLING, END_SPELLING, Tokenizer

_NEVER = np.float32(-np.inf)
_CACHED_NUMBERS = 2**23
_SHOWN = 80  # characters of a prompt in a message


class ConstraintState(NamedTuple):
    """How far a text has come.

    Attributes:
        forced_prefix: what the next symbols must spell.
        spelling: whether a word is being spelled.
        pattern_state: of the pattern; 0 without one.
        tail: the end of the text as far as a biased text may have begun there.
    """

    forced_prefix: str
    spelling: bool
    pattern_state: int
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
        self._cache: dict[tuple[ConstraintState, int], Floats] = {}

    def start(self, prompt: str, forced_prefix: str) -> ConstraintState | None:
        """Return the state after a prompt, or None where nothing is asked of the text.

        Args:
            prompt: what has been read.
            forced_prefix: what has to follow.

        Raises:
            UsageError: if no match of the pattern begins with both.
        """
        if self._pattern is None and not self._biases and not forced_prefix:
            return None
        pattern_state = self._pattern.read(prompt) if self._pattern else 0
        state = ConstraintState(forced_prefix, False, pattern_state, self._tail(prompt))
        if self._pattern:
            self._check(self._pattern, state, prompt + forced_prefix)
        return state

    def after(self, state: ConstraintState, symbol: int) -> ConstraintState | None:
        """Return the state after a symbol, None if nothing more is asked."""
        piece = self._pieces[symbol]
        spelling = state.spelling
        if self._spells and symbol in (BEGIN_SPELLING, END_SPELLING):
            spelling = symbol == BEGIN_SPELLING
        forced_prefix = state.forced_prefix[len(piece) :]
        if self._pattern is None and not self._biases and not forced_prefix:
            return None
        pattern_state = (
            int(self._pattern.after(state.pattern_state)[symbol]) if self._pattern else 0
        )
        return ConstraintState(
            forced_prefix, spelling, pattern_state, self._tail(state.tail + piece)
        )

    def adjustment(self, state: ConstraintState, written: int) -> Floats:
        """Return what to add to the logits, float32 [V]: -inf for what may not follow.

        Args:
            state: how far the text has come.
            written: how many symbols have been drawn.
        """
        left = 0
        if self._pattern:
            left = min(self._length - written, self._pattern.horizon + len(state.forced_prefix))
        key = state, left
        if key not in self._cache:
            if (len(self._cache) + 1) * len(self._pieces) > _CACHED_NUMBERS:
                self._cache.clear()
            self._cache[key] = self._adjustment(state, left)
        return self._cache[key]

    def _adjustment(self, state: ConstraintState, left: int) -> Floats:
        added = self._beginning(state) + self._bias(state)
        if self._pattern:
            allowed = self._pattern.allowed(state.pattern_state, left, spelling=state.spelling)
            if state.forced_prefix and self._spells and not state.spelling:
                allowed[BEGIN_SPELLING] = self._spelled(self._pattern, state) <= left
            added[~allowed] = _NEVER
        return added

    def _beginning(self, state: ConstraintState) -> Floats:
        """Rule out what does not lead to the text that is still required."""
        forced_prefix = state.forced_prefix
        if not forced_prefix:
            return np.zeros(len(self._pieces), np.float32)
        leads = [
            piece == forced_prefix[0] if state.spelling else piece.startswith(forced_prefix)
            for piece in self._pieces
        ]
        added = np.where(leads, np.float32(0), _NEVER)
        if not state.spelling and self._spells:
            added[BEGIN_SPELLING] = 0
        return added

    def _bias(self, state: ConstraintState) -> Floats:
        """Add the bias of each text to the symbols that complete it beyond what is required."""
        tail = state.tail
        added = np.zeros(len(self._pieces), np.float32)
        for text, value in self._biases.items():
            begin = max(0, len(tail) + len(state.forced_prefix) - len(text) + 1)
            completes = [(tail + piece).find(text, begin) >= 0 for piece in self._pieces]
            added[completes] += np.float32(value)
        return added

    def _tail(self, text: str) -> str:
        """Return the end of a text that may be the beginning of a biased one."""
        return beginning_at_end(text, self._biases)

    def _check(self, pattern: Pattern, state: ConstraintState, prompt: str) -> None:
        expression = pattern.expression
        alive = pattern.is_alive(pattern.read(state.forced_prefix, state.pattern_state))
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
        needed = self._needed(pattern, state)
        if needed > self._length:
            spelled = " (its words may have to be spelled)" if self._spells else ""
            raise UsageError(
                f"a match of the pattern {expression!r} needs {needed:,} symbols or more{spelled}, "
                f"and the length is {self._length:,}: raise --length"
            )

    def _needed(self, pattern: Pattern, state: ConstraintState) -> int:
        """Return how many symbols it takes to be sure of a match."""
        if not state.forced_prefix:
            return pattern.shortest(state.pattern_state)
        after = pattern.after(state.pattern_state).tolist()
        whole = (
            1 + pattern.shortest(after[symbol])
            for symbol, piece in enumerate(self._pieces)
            if piece.startswith(state.forced_prefix)
        )
        return min([self._spelled(pattern, state), *whole])

    def _spelled(self, pattern: Pattern, state: ConstraintState) -> int:
        """Return how many symbols a match takes if what is required is spelled."""
        rest = pattern.shortest(pattern.read(state.forced_prefix, state.pattern_state))
        return len(state.forced_prefix) + rest + 2


@lru_cache(maxsize=1)
def _pattern(expression: str, tokenizer: Tokenizer) -> Pattern:
    """Build a pattern once for all the prompts that it is asked of."""
    return Pattern(expression, tokenizer)


def _shortened(prompt: str) -> str:
    """Return the end of a prompt that would fill a page."""
    return prompt if len(prompt) <= _SHOWN else "…" + prompt[-_SHOWN:]
