"""Constraints on a text, as numbers to add to the logits of the next token.

The constraints are a prefix that the text must have, a pattern that it must match, banned texts and
biased texts. A ``ConstraintState`` is the progress of one text. It is immutable, so any number of
texts can continue from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from charlstm.arrays import Floats
from charlstm.config import SampleConfig
from charlstm.errors import UsageError
from charlstm.generation.stopping import beginning_at_end
from charlstm.tokenizer.base import (
    BEGIN_SPELLING,
    END_OF_DOCUMENT,
    END_SPELLING,
    UNKNOWN,
    Tokenizer,
)

if TYPE_CHECKING:
    from charlstm.generation.pattern import Pattern
    from charlstm.generation.unread import Ways

_NEVER = np.float32(-np.inf)
_CACHED_NUMBERS = 2**23
_SHOWN = 80  # characters of a prompt in a message

BETWEEN, BEGUN, INSIDE = range(3)


class ConstraintState(NamedTuple):
    """The progress of a text.

    Attributes:
        forced_prefix: the text that must follow.
        spelling: ``BETWEEN`` words, ``BEGUN`` at the start of a spelled word, or ``INSIDE`` one.
        pattern_state: the state of the pattern; 0 without one.
        tail: the end of the text that may be the beginning of a banned or biased text.
        ways: the tokens that write a part of the forced prefix; ``None`` after it.
    """

    forced_prefix: str
    spelling: int
    pattern_state: int
    tail: str
    ways: Ways | None = None


class Constraints:
    """The constraints of a configuration, for the tokens of one tokenizer.

    Raises:
        UsageError: if the pattern is not a supported regular expression.
    """

    def __init__(
        self, config: SampleConfig, tokenizer: Tokenizer, pattern: Pattern | None = None
    ) -> None:
        if pattern is None and config.match is not None:
            pattern = pattern_of(config.match, tokenizer)
        self._tokenizer = tokenizer
        self._pieces = tokenizer.pieces
        self._spells = tokenizer.spells
        self._letters = tokenizer.character_ids.astype(np.int64)
        self._length = config.length
        self._min_length = config.min_length
        self._pattern = pattern
        self._biases = dict(config.bias) | dict.fromkeys(config.ban, float(_NEVER))
        self._cache: dict[tuple[ConstraintState, int], Floats] = {}
        # A character at the end of no banned text may follow anywhere.
        last = {text[-1] for text in config.ban}
        letters = {self._pieces[index] for index in self._letters.tolist()}
        self._may_be_stuck = bool(last) and letters <= last
        self._steps: dict[ConstraintState, float] = {}

    def start(
        self, prompt: str, forced_prefix: str, ways: Ways | None = None
    ) -> ConstraintState | None:
        """Return the state after a prompt, or ``None`` if the text has no constraints.

        Args:
            prompt: the part of the prompt that has been read.
            forced_prefix: the part that must follow.
            ways: the tokens that write a part of ``forced_prefix``, with the probability of the
                rest, so that they are sampled in proportion to it.

        Raises:
            UsageError: if no match of the pattern begins with the prompt or is short enough, or if
                no text without banned texts has the minimum length.
        """
        if self._pattern is None and not self._biases and not forced_prefix:
            return None
        pattern_state = self._pattern.read(prompt) if self._pattern else 0
        state = ConstraintState(forced_prefix, BETWEEN, pattern_state, self._tail(prompt), ways)
        if self._pattern:
            self._check(self._pattern, state, prompt + forced_prefix)
        if self._may_be_stuck and self._min_length:
            if state not in self._steps:
                from charlstm.generation.dead_ends import longest_paths

                self._steps |= longest_paths(state, self._following)
            if self._steps[state] < self._min_length:
                raise UsageError(
                    f"`min_length` is {self._min_length:,}: no text of that length is free of the "
                    "texts of `ban`."
                )
        return state

    def after(self, state: ConstraintState, token_id: int) -> ConstraintState | None:
        """Return the state after a token, or ``None`` if no constraints are left."""
        piece = self._pieces[token_id]
        spelling = INSIDE if state.spelling else BETWEEN
        if self._spells and token_id in (BEGIN_SPELLING, END_SPELLING):
            spelling = BEGUN if token_id == BEGIN_SPELLING else BETWEEN
        forced_prefix = state.forced_prefix[len(piece) :]
        if self._pattern is None and not self._biases and not forced_prefix:
            return None
        pattern_state = (
            int(self._pattern.after(state.pattern_state)[token_id]) if self._pattern else 0
        )
        ways = state.ways.after.get(token_id) if state.ways and forced_prefix else None
        return ConstraintState(
            forced_prefix, spelling, pattern_state, self._tail(state.tail + piece), ways
        )

    def adjustment(self, state: ConstraintState, written: int) -> Floats:
        """Return the numbers to add to the logits, float32 [V]: -inf for tokens that can't follow.

        Args:
            state: the progress of the text.
            written: the number of tokens sampled so far.
        """
        left = 0  # only patterns, and a minimum length if texts can be stuck, depend on it
        if self._may_be_stuck and written < self._min_length:
            left = min(self._min_length - written, len(self._steps))
        if self._pattern:
            left = min(self._length - written, self._pattern.horizon + len(state.forced_prefix))
        key = state, left
        if key not in self._cache:
            if (len(self._cache) + 1) * len(self._pieces) > _CACHED_NUMBERS:
                self._cache.clear()
            self._cache[key] = self._compute(state, left)
        return self._cache[key]

    def _compute(self, state: ConstraintState, left: int) -> Floats:
        added = self._possible(state)
        if self._may_be_stuck and left:
            for token_id, after in self._continued(state, added):
                if self._steps[after] < left - 1:
                    added[token_id] = _NEVER
        if self._pattern:
            spelling = state.spelling != BETWEEN
            allowed = self._pattern.allowed(state.pattern_state, left, spelling=spelling)
            if state.forced_prefix and self._spells and not state.spelling:
                allowed[BEGIN_SPELLING] = self._spelled(self._pattern, state) <= left
            added[~allowed] = _NEVER
        return added

    def _possible(self, state: ConstraintState) -> Floats:
        """Return the numbers to add to the logits, without those of the pattern and the length."""
        biases = self._bias(state)
        added = self._prefix(state) + biases
        if self._spells and not state.forced_prefix and np.isneginf(biases[self._letters]).all():
            added[BEGIN_SPELLING] = _NEVER  # because no character may follow it
        if self._spells and state.spelling == BETWEEN:
            added[END_SPELLING] = _NEVER
        if state.spelling == BEGUN:
            added[self._tokenizer.no_characters] = _NEVER  # a spelled word is not empty
        return added

    def _continued(
        self, state: ConstraintState, added: Floats
    ) -> Iterator[tuple[int, ConstraintState]]:
        """Yield the tokens that may follow without ending the text, and the states after them."""
        for token_id in np.flatnonzero(added > _NEVER).tolist():
            after = self.after(state, token_id)
            if after is not None and token_id not in (END_OF_DOCUMENT, UNKNOWN):
                yield token_id, after

    def _following(self, state: ConstraintState) -> list[ConstraintState]:
        return [after for _, after in self._continued(state, self._possible(state))]

    def _prefix(self, state: ConstraintState) -> Floats:
        """Exclude tokens that do not lead to the forced prefix."""
        forced_prefix = state.forced_prefix
        if not forced_prefix:
            return np.zeros(len(self._pieces), np.float32)
        leads = [
            piece == forced_prefix[0] if state.spelling else piece.startswith(forced_prefix)
            for piece in self._pieces
        ]
        added = np.where(leads, np.float32(0), _NEVER)
        if state.ways:
            for token_id, ways in state.ways.after.items():
                added[token_id] = ways.value
            added -= np.float32(state.ways.value)  # conditional on the prefix before
        return added

    def _bias(self, state: ConstraintState) -> Floats:
        """Add the bias of each text to the tokens that complete it beyond the forced prefix."""
        tail = state.tail
        added = np.zeros(len(self._pieces), np.float32)
        for text, value in self._biases.items():
            start = max(0, len(tail) + len(state.forced_prefix) - len(text) + 1)
            completes = [(tail + piece).find(text, start) >= 0 for piece in self._pieces]
            added[completes] += np.float32(value)
        return added

    def _tail(self, text: str) -> str:
        """Return the end of a text that may be the beginning of a banned or biased text."""
        return beginning_at_end(text, self._biases)

    def _check(self, pattern: Pattern, state: ConstraintState, prompt: str) -> None:
        expression = pattern.expression
        # A prompt may have characters that the model lacks, and so begin a match of a pattern that
        # the model could not write from its start.
        is_alive = pattern.is_alive(pattern.read(state.forced_prefix, state.pattern_state))
        if not is_alive and not pattern.is_alive(pattern.start):
            reason = "no text matches it"
            if missing := pattern.unmatched():
                reason = f"the training text has no characters that match {' or '.join(missing)}"
            raise UsageError(f"`match` '{expression}' can never match: {reason}.")
        if not is_alive:
            raise UsageError(
                f"`match` '{expression}' can't match a text that begins with the prompt "
                f"{_shortened(prompt)!r}. A pattern must match the whole text, including the "
                "prompt."
            )
        needed = self._needed(pattern, state)
        if needed > self._length:
            spelled = " (words may be spelled)" if self._spells else ""
            raise UsageError(
                f"`length` is {self._length:,}: a match of '{expression}' needs {needed:,} tokens"
                f"{spelled}."
            )

    def _needed(self, pattern: Pattern, state: ConstraintState) -> int:
        """Return a number of tokens that is enough for a match."""
        if not state.forced_prefix:
            return pattern.shortest(state.pattern_state)
        after = pattern.after(state.pattern_state).tolist()
        whole = [
            1 + pattern.shortest(after[token_id])
            for token_id, piece in enumerate(self._pieces)
            if piece.startswith(state.forced_prefix)
        ]
        if self._spells:
            return min([self._spelled(pattern, state), *whole])
        parts = [self.after(state, token_id) for token_id in state.ways.after] if state.ways else []
        return min((*whole, *(1 + self._needed(pattern, part) for part in parts if part)))

    def _spelled(self, pattern: Pattern, state: ConstraintState) -> int:
        """Return a number of tokens that is enough for a match if the forced prefix is spelled."""
        rest = pattern.shortest(pattern.read(state.forced_prefix, state.pattern_state))
        return len(state.forced_prefix) + rest + 2


@lru_cache(maxsize=1)
def pattern_of(expression: str, tokenizer: Tokenizer) -> Pattern:
    """Return a pattern, which is built once for all prompts."""
    from charlstm.generation.pattern import Pattern

    return Pattern(expression, tokenizer)


def _shortened(prompt: str) -> str:
    """Return a prompt, or only its end if it is too long for a message."""
    return prompt if len(prompt) <= _SHOWN else "…" + prompt[-_SHOWN:]
