"""The tokens that can continue a match of a regular expression.

The expression becomes an automaton over the characters of the vocabulary. A token moves through it
character by character, and so does a spelled word. A token is allowed only if the remaining tokens
are enough to complete a match. So a text of allowed tokens always ends with a match.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Ids, Mask
from charlstm.errors import UsageError
from charlstm.generation.regex_automaton import NEVER, Automaton
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, Tokenizer
from charlstm.unicode_text import has_surrogates

_CACHED_NUMBERS = 2**24
_SPELLING = 3  # tokens of the shortest spelled word: its beginning, one letter, its end
_MOST_SHOWN = 5  # items in a message


class Pattern:
    """A regular expression over the tokens of a tokenizer.

    A state is an integer that represents the progress of a text in a match.

    Args:
        expression: a regular expression as for ``Automaton``, which must match the whole text.
        tokenizer: the tokenizer of the text.

    Attributes:
        expression: the expression as given.
        start: the state of the empty text.
        horizon: a number of remaining tokens above which the number makes no difference.

    Raises:
        UsageError: if the expression is not a supported regular expression.
    """

    def __init__(self, expression: str, tokenizer: Tokenizer) -> None:
        if has_surrogates(expression):
            raise UsageError(f"`match` '{expression}': the pattern is not valid UTF-8.")
        characters = [tokenizer.pieces[index] for index in tokenizer.character_ids.tolist()]
        self.expression = expression
        self._automaton = Automaton(expression, characters)
        self.start = self._automaton.start
        self.horizon = self._automaton.farthest + _SPELLING + 1
        self._spells = tokenizer.spells
        self._letters = tokenizer.character_ids.astype(np.int64)
        self._codes, self._order, self._longer = _spelled_out(tokenizer.pieces, characters)
        self._walked: dict[int, NDArray[np.int32]] = {}

    def shortest(self, state: int) -> int:
        """Return the minimum number of characters from a state to a match."""
        return int(self._automaton.distances[state])

    def unmatched(self) -> list[str]:
        """Return some items of the expression that no character of the vocabulary matches."""
        return [repr(item) for item in self._automaton.unmatched()[:_MOST_SHOWN]]

    def matches(self, state: int) -> bool:
        """Return whether a text in this state is a match."""
        return bool(self._automaton.accepting[state])

    @property
    def size(self) -> int:
        """The maximum number of states that ``all_parts`` returns."""
        return self._automaton.size

    def parts(self, state: int) -> tuple[int, ...]:
        """Return states that together lead to the same matches as this one."""
        return self._automaton.parts(state)

    def all_parts(self) -> tuple[int, ...]:
        """Return all states that ``parts`` can return and that lead to a match."""
        return self._automaton.all_parts()

    def are_alive(self, states: NDArray[np.int32]) -> Mask:
        """Return whether any text leads from each state to a match, bool [N]."""
        alive: Mask = self._automaton.distances[states] < NEVER
        return alive

    def is_alive(self, state: int) -> bool:
        """Return whether any text leads from a state to a match."""
        return bool(self._automaton.distances[state] < NEVER)

    def read(self, text: str, state: int | None = None) -> int:
        """Return the state after a text, from the start or from a given state."""
        reached = self.start if state is None else state
        for character in text:
            reached = self._automaton.move(reached, character)
        return reached

    def after(self, state: int) -> NDArray[np.int32]:
        """Return the state after each token of the vocabulary, int32 [V]."""
        reached = self._walked.get(state)
        if reached is None:
            if (len(self._walked) + 1) * len(self._order) > _CACHED_NUMBERS:
                self._walked.clear()  # another thread can do so at any time, so ``get`` is used
            reached = self._walked[state] = self._walk(state)
        return reached

    def allowed(self, state: int, left: int, *, spelling: bool = False) -> Mask:
        """Return which tokens may follow, bool [V].

        Args:
            state: the state of the text.
            left: the number of tokens that the text may still have, 1 or more.
            spelling: whether the text is within a spelled word.
        """
        own, after = self.shortest(state), self.after(state)
        needed = self._automaton.distances[after]
        if spelling:
            allowed = np.zeros(len(needed), np.bool_)
            allowed[self._letters] = needed[self._letters] + 2 <= left
            allowed[END_SPELLING] = own + 1 <= left
            return allowed
        allowed = needed + 1 <= left
        allowed[END_OF_DOCUMENT] = self.matches(state)
        if self._spells:
            # At least one letter and the end of the spelled word must follow.
            least = int(needed[self._letters].min(initial=int(NEVER)))
            allowed[BEGIN_SPELLING] = least + _SPELLING <= left
            allowed[END_SPELLING] = False
        return allowed

    def _walk(self, state: int) -> NDArray[np.int32]:
        reached = np.full(len(self._order), state, np.int32)
        for position, longer in enumerate(self._longer):
            codes = self._codes[:longer, position]
            reached[:longer] = self._automaton.moves(reached[:longer], codes)
        after = np.empty_like(reached)
        after[self._order] = reached
        return after


def _spelled_out(
    pieces: Sequence[str], characters: Sequence[str]
) -> tuple[NDArray[np.int32], Ids, list[int]]:
    """Return the pieces as columns of the automaton, longest piece first.

    Returns:
        The columns of each piece's characters, int32 [V, longest], the id of each row [V], and for
        each position the number of longer pieces.
    """
    column = {character: code for code, character in enumerate(characters)}
    unknown = len(characters)
    lengths = np.array([len(piece) for piece in pieces])
    order = np.argsort(-lengths, kind="stable")
    codes = np.full((len(pieces), int(lengths.max())), unknown, np.int32)
    for row, index in enumerate(order.tolist()):
        codes[row, : lengths[index]] = [column.get(c, unknown) for c in pieces[index]]
    longer = [int((lengths > position).sum()) for position in range(codes.shape[1])]
    return codes, order, longer
