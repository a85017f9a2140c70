"""A regular expression -> which symbols keep a text on the way to a match.

The expression becomes an automaton over the characters that a model knows; symbols of several
characters walk it character by character, spelled words too. A symbol is allowed only if a match
can still be completed with the symbols that are left, so whoever draws what is allowed ends with a
match. This module knows no model and nothing of how symbols are drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import UsageError
from charlstm.tokenizer import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, Tokenizer

if TYPE_CHECKING:
    from outlines_core import Index

Mask: TypeAlias = NDArray[np.bool_]

# Stands after a match. The library's automata prefer the first alternative and the fewest
# repetitions; where every match must end in this character, they know all of them.
_END = "\x00"
# What patterns may name although the model doesn't know it: an alternative with it can't be
# written, but the others can.
_FOREIGN = [chr(code) for code in range(1, 0x250)]
_PATIENCE = 10.0  # seconds; what takes longer needs gigabytes
_NEVER = np.int32(2**30)
_CACHED_NUMBERS = 2**24
_SPELLING = 3  # symbols that spelling takes at least: begin, one letter, end


class Pattern:
    """An expression, ready to be walked with a tokenizer's symbols.

    A place in a match is a state of the automaton, an integer; ``start`` is the first.

    Args:
        expression: a regular expression in the syntax of Rust's ``regex``: no look-around, no
            back-references. It has to match the text as a whole.
        tokenizer: whose symbols make up the text.

    Raises:
        UsageError: if the expression is not one, or no text of these symbols matches it.
    """

    def __init__(self, expression: str, tokenizer: Tokenizer) -> None:
        if any("\ud800" <= character <= "\udfff" for character in expression):
            raise UsageError(f"the pattern {expression!r} is not valid UTF-8: give it in UTF-8")
        characters = [tokenizer.pieces[index] for index in tokenizer.character_ids.tolist()]
        self.expression = expression
        self._table, self._accepting, self.start = _automaton(expression, characters)
        self._distances = _distances(self._table, self._accepting)
        if self._distances[self.start] == _NEVER:
            raise _impossible(expression)
        # More symbols than this make no difference to what is allowed.
        self.horizon = int(self._distances[self._distances < _NEVER].max()) + _SPELLING + 1
        self._spells = tokenizer.spells
        self._letters = tokenizer.character_ids.astype(np.int64)
        self._codes, self._order, self._longer = _spelled_out(tokenizer.pieces, characters)
        self._column = {character: code for code, character in enumerate(characters)}
        self._walked: dict[int, NDArray[np.int32]] = {}

    def shortest(self, state: int) -> int:
        """Return how many characters the shortest way from a state to a match has."""
        return int(self._distances[state])

    def matches(self, state: int) -> bool:
        """Whether the text up to a state is a match."""
        return bool(self._accepting[state])

    def is_alive(self, state: int) -> bool:
        """Whether some text leads from a state to a match."""
        return bool(self._distances[state] < _NEVER)

    def read(self, text: str, state: int | None = None) -> int:
        """Return the state after a text, from the start or from a given state."""
        at = self.start if state is None else state
        for character in text:
            at = int(self._table[at, self._column.get(character, -1)])
        return at

    def after(self, state: int) -> NDArray[np.int32]:
        """Return the state after each symbol, int32 [V]."""
        reached = self._walked.get(state)
        if reached is None:
            if (len(self._walked) + 1) * len(self._order) > _CACHED_NUMBERS:
                self._walked.clear()  # another thread may be about to read it: hence ``get``
            reached = self._walked[state] = self._walk(state)
        return reached

    def allowed(self, state: int, left: int, *, spelling: bool = False) -> Mask:
        """Return which symbols may follow, bool [V].

        Args:
            state: where the text stands.
            left: how many symbols may still be written, 1 or more.
            spelling: whether a word is being spelled.
        """
        own = int(self._distances[state])
        needed = self._distances[self.after(state)]
        if spelling:
            allowed = np.zeros(len(needed), np.bool_)
            allowed[self._letters] = needed[self._letters] + 2 <= left
            allowed[END_SPELLING] = own + 1 <= left
            return allowed
        allowed = needed + 1 <= left
        allowed[END_OF_DOCUMENT] = self.matches(state)
        if self._spells:
            # One letter at least, and the end of the spelling.
            least = int(needed[self._letters].min(initial=int(_NEVER)))
            allowed[BEGIN_SPELLING] = least + _SPELLING <= left
            allowed[END_SPELLING] = False
        return allowed

    def _walk(self, state: int) -> NDArray[np.int32]:
        reached = np.full(len(self._order), state, np.int32)
        for position, longer in enumerate(self._longer):
            reached[:longer] = self._table[reached[:longer], self._codes[:longer, position]]
        after = np.empty_like(reached)
        after[self._order] = reached
        return after


def _automaton(expression: str, characters: Sequence[str]) -> tuple[NDArray[np.int32], Mask, int]:
    """Build the automaton.

    Returns:
        Next states, int32 [states, characters + 1], where the last state is a dead end and the
        last column every character that is not known; which states end a match; the first state.
    """
    known = dict.fromkeys([*characters, _END, *expression])
    number = {character: at for at, character in enumerate(known, 1)}
    try:
        index = _within_seconds(lambda: _index(expression, number))
    except ValueError as error:
        if "vocabulary" not in str(error):
            raise UsageError(
                f"the pattern {expression!r} can't be used: expected a regular expression without "
                "look-around, back-references, word boundaries and anchors (no automaton has them)"
            ) from error
        # Some part of it can't be written, perhaps not all of it.
        number |= {each: len(number) + at for at, each in enumerate(_FOREIGN) if each not in number}
        try:
            index = _within_seconds(lambda: _index(expression, number))
        except ValueError:
            raise _impossible(expression) from error
    if index is None:
        raise UsageError(
            f"the pattern {expression!r} needs an automaton that is too large: put fewer "
            "repetitions with large counts beside one another, such as .{0,30} before .{0,20}"
        )
    moves = index.get_transitions()
    rows = {state: row for row, state in enumerate(moves)}
    dead = len(rows)
    table = np.full((dead + 1, len(characters) + 1), dead, np.int32)
    columns = {number[character]: column for column, character in enumerate(characters)}
    accepting = np.zeros(dead + 1, np.bool_)
    ends = index.get_final_states()
    for state, found in moves.items():
        accepting[rows[state]] = found.get(number[_END]) in ends
        for symbol, target in found.items():
            if symbol in columns and target in rows:
                table[rows[state], columns[symbol]] = rows[target]
    return table, accepting, rows[index.get_initial_state()]


def _index(expression: str, number: dict[str, int]) -> Index:
    """Build the library's automaton, over characters and their numbers."""
    from outlines_core import Index, Vocabulary

    vocabulary = Vocabulary(0, {character: [index] for character, index in number.items()})
    return Index(f"(?:{_without_anchors(expression)}){_END}", vocabulary)


def _within_seconds(build: Callable[[], Index]) -> Index | None:
    """Return what is built, or None if it takes too long: an automaton can double with a symbol.

    The library can't be stopped, but it lets other threads run, so one is left behind.
    """
    results: list[Index | Exception] = []

    def work() -> None:
        try:
            results.append(build())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    result = results[0] if results else None
    if isinstance(result, Exception):
        raise result
    return result


def _distances(table: NDArray[np.int32], accepting: Mask) -> NDArray[np.int32]:
    """Return how many characters each state is from a match at least, ``_NEVER`` without one."""
    sources, columns = np.nonzero(table != len(table) - 1)
    targets = table[sources, columns]
    sources = sources[np.argsort(targets, kind="stable")]
    begins = np.searchsorted(np.sort(targets), np.arange(len(table) + 1))
    distances = np.full(len(table), _NEVER, np.int32)
    reached, distance = np.flatnonzero(accepting), 0
    while len(reached):
        distances[reached] = distance
        before = [sources[begins[state] : begins[state + 1]] for state in reached.tolist()]
        reached = np.unique(np.concatenate(before))
        reached = reached[distances[reached] == _NEVER]
        distance += 1
    return distances


def _without_anchors(expression: str) -> str:
    """Leave out what says that the match begins and ends with the text, as it does anyway."""
    bare = expression.removeprefix("^")
    body = bare.removesuffix("$")
    escapes = len(body) - len(body.rstrip("\\"))
    return body if escapes % 2 == 0 else bare


def _impossible(expression: str) -> UsageError:
    return UsageError(
        f"no text of the model's symbols matches the pattern {expression!r}: write one with "
        "characters that stand in the training text"
    )


def _spelled_out(
    pieces: Sequence[str], characters: Sequence[str]
) -> tuple[NDArray[np.int32], NDArray[np.int64], list[int]]:
    """Return the pieces as columns of the automaton, longest first.

    Returns:
        Columns int32 [V, longest piece]; the id of each row; for each position, how many pieces
        are longer.
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
