"""What the next character does to the current word.

The pattern of the tokenizer defines what a word is. This module applies it once to short examples,
to find what each kind of character does after each kind of text. After that, it only looks up the
kinds of characters. The examples have no tags in angle brackets and are shorter than any bound in
the pattern, so predictions ignore both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np

from charlstm.prediction.best_first_search import SHARED, Target
from charlstm.tokenizer.segmentation import Kind, kind_of, tokens_of


class Tail(NamedTuple):
    """An example of the end of a text, which determines what the next character does.

    Attributes:
        typed: the typed word, until it is certain whether the next word continues it.
        written: the text after it, without the white space before the next word.
    """

    typed: str = ""
    written: str = ""


class Change(NamedTuple):
    """What one more character does to the current word.

    Attributes:
        tail: the example that ends with this character.
        completes: whether the word now continues the typed word.
        may_complete: whether one more character can make the word continue the typed word.
        ends: whether the word ended before this character.
        closes: whether the word ends with this character, whatever follows.
        is_open: whether no word has started, or the word may turn out to have ended earlier.
    """

    tail: Tail
    completes: bool
    may_complete: bool
    ends: bool
    closes: bool
    is_open: bool


# An example of each kind of character. Tails have other characters, so these never extend a run.
_EXAMPLES = {
    Kind.LETTER: "a",
    Kind.MARK: "\u0301",
    Kind.APOSTROPHE: "’",
    Kind.DIGIT: "1",
    Kind.SPACE: " ",
    Kind.ALONE: "中",
    Kind.OTHER: "!",
}
END_KIND = len(Kind)  # a kind for the end of the document
SAME_KIND = END_KIND + 1  # a kind for a repetition of the last character
_KINDS = [*map(int, Kind), END_KIND, SAME_KIND]


def _next_word(typed: str, written: str) -> tuple[bool, int]:
    """Return whether the next word continues ``typed``, and where in ``written`` it ends.

    The next word is the first token that is not white space. Its end is 0 if there is none yet.
    """
    if typed:
        first = next(tokens_of(typed + written))
        if len(first) > len(typed):
            return True, len(first) - len(typed)
    end = 0
    for token in tokens_of(written):
        end += len(token)
        if not token.isspace():
            return False, end
    return False, 0


def _example_of(word: str) -> str:
    """Return a short text that can be continued in the same ways as a word of any length."""
    kind = kind_of(word[0]) if word else Kind.SPACE
    if kind is Kind.LETTER:
        return "a'" if kind_of(word[-1]) is Kind.APOSTROPHE else "a"
    if kind in (Kind.SPACE, Kind.ALONE):
        return ""
    return "1" if kind is Kind.DIGIT else "."


def _change(tail: Tail, kind: int) -> Change:
    """Return what a character does. A word is over when no next character can change it."""
    typed, written = tail
    if kind == SAME_KIND:
        written += (typed + written)[-1:]
    else:
        written += "\n" if kind == END_KIND else _EXAMPLES[Kind(kind)]
    word = completes, end = _next_word(typed, written)
    following = {*_EXAMPLES.values(), written[-1:]}
    possible = {_next_word(typed, written + character) for character in following}
    may_complete = not completes and any(longer for longer, _ in possible)
    is_over = kind == END_KIND or (end > 0 and possible == {word})
    ends = is_over and 0 < end < len(written)
    if may_complete:
        after = Tail(typed, "'")
    else:
        after = Tail(written=_example_of(typed + written if completes else written.lstrip()))
    return Change(
        tail=after,
        completes=completes,
        may_complete=may_complete,
        ends=ends,
        closes=is_over and not ends,
        is_open=not is_over and (may_complete or end < len(written)),
    )


def _is_wanted(target: Target, tail: Tail, change: Change) -> bool:
    """Return whether a search with this target follows a path with this change."""
    if change.completes:
        return target is not Target.NEXT
    leaves_typed = tail.typed != "" and not change.may_complete
    return not (leaves_typed and target is Target.COMPLETIONS)


class Rules:
    """What each kind of character does after each tail. Tails are numbered.

    Attributes:
        changes: [tail][kind], the change and the number of the tail after it.
        spare: [tail], the number of characters at its end that are not in the word if the word ends
            here.
        is_certain: [tail], whether there is only one way to divide the text so far.
        is_run: [tail], whether a repetition of its last character differs from others of its kind.
        weights: [target, tail, kind], the priority of the path as a multiple of its probability; 0
            if the path is not followed.
        ends: [target, tail, kind], 1 if the word ends.
        completes: [tail, kind], 1 if the word now continues the typed word.
        may_complete: [tail, kind], whether that depends on the character after it.
    """

    def __init__(self) -> None:
        tails = [Tail(typed) for typed in ("", "a", "a'", "1", ".")]  # and those they lead to
        changes = []
        for tail in tails:
            row = [_change(tail, kind) for kind in _KINDS]
            changes.append(row)
            tails += dict.fromkeys(change.tail for change in row if change.tail not in tails)
        numbers = {tail: number for number, tail in enumerate(tails)}
        self._numbers = numbers
        self.changes = [[(change, numbers[change.tail]) for change in row] for row in changes]
        self.spare = [len(tail.written) - _next_word(*tail)[1] for tail in tails]
        self.is_certain = [
            not tail.typed and not spare for tail, spare in zip(tails, self.spare, strict=True)
        ]
        # Two more tails: a written visible character, and one at the end of the prompt that may
        # continue.
        within = Change(tails[0], False, False, ends=True, closes=False, is_open=False)
        self.changes += [[(within, 0)] * len(_KINDS), self.changes[0]]
        self.within, self.after_cluster = len(tails), len(tails) + 1
        changes = [[change for change, _ in row] for row in self.changes]
        tails += [Tail(written="中"), tails[0]]
        self.spare += [0, 0]
        self.is_certain += [True, True]
        lasts = [(tail.typed + tail.written)[-1:] for tail in tails]
        self.is_run = [
            last != "" and row[SAME_KIND] != row[kind_of(last)]
            for last, row in zip(lasts, changes, strict=True)
        ]
        shape = len(Target), len(tails), len(_KINDS)
        self.weights, self.ends = np.zeros(shape), np.zeros(shape)
        for target, number, kind in np.ndindex(shape):
            change = changes[number][kind]
            if _is_wanted(Target(target), tails[number], change):
                weight = SHARED if change.is_open else 1.0
                self.weights[target, number, kind] = 0.0 if change.ends else weight
                self.ends[target, number, kind] = change.ends
        self.weights[Target.COMPLETIONS, self.after_cluster] = 0.0
        self.ends[Target.COMPLETIONS, self.after_cluster] = 0.0
        self.completes = np.array([[float(c.completes) for c in row] for row in changes])
        self.may_complete = np.array([[c.may_complete for c in row] for row in changes])

    @property
    def tails(self) -> int:
        """The number of tails."""
        return len(self.changes)

    def number_of(self, typed: str) -> int:
        """Return the number of the tail for a typed word."""
        return self._numbers[Tail(_example_of(typed))]

    def follow(self, tail: int, shape: Shape) -> Effect:
        """Return the effect of the characters of a shape after a tail, until the word ends."""
        completes = may_complete = is_open = False
        wanted = np.ones(len(Target), np.bool_)
        position = 0
        for kind, repeats, length in shape:
            key = SAME_KIND if repeats and self.is_run[tail] else kind
            change, after = self.changes[tail][key]
            if change.ends and position == 0:
                ends = tuple(self.ends[:, tail, key].tolist())
                return Effect(after, _NOWHERE, ends, completes=False)
            if change.ends:
                weights = tuple(wanted.astype(float).tolist())
                ending = position - self.spare[tail]
                return Effect(after, weights, _NOWHERE, completes=completes, length=ending)
            position += length
            wanted &= self.weights[:, tail, key] > 0
            completes, may_complete = completes or change.completes, change.may_complete
            is_open, tail = change.is_open, after
            if change.closes:
                weights = tuple(wanted.astype(float).tolist())
                return Effect(after, weights, _NOWHERE, completes=completes, length=position)
        weights = tuple((wanted * (SHARED if is_open else 1.0)).tolist())
        return Effect(tail, weights, _NOWHERE, completes=completes, may_complete=may_complete)

    def joined(self, *, completes: bool) -> Effect:
        """Return the effect of a continued visible character, which overrides the rules."""
        return Effect(self.within, (1.0,) * len(Target), _NOWHERE, completes=completes)


# For each character, or visible character: its kind, whether it repeats the one before (letters and
# digits never count as repetitions), and its number of characters.
Shape: TypeAlias = tuple[tuple[int, bool, int], ...]

_NOWHERE = (0.0,) * len(Target)


@dataclass(frozen=True, slots=True)
class Effect:
    """What some characters do to the current word.

    Attributes:
        tail: the number of the tail after them.
        weights: for each target, the priority of the path as a multiple of its probability; 0 if
            the path is not followed, or if the word ends before the first of them.
        ends: for each target, 1 if the word ends before the first of them.
        completes: whether the word now continues the typed word.
        may_complete: whether that depends on the character after them.
        length: the number of them in the word, if the word ends within or after them.
    """

    tail: int
    weights: tuple[float, ...]
    ends: tuple[float, ...]
    completes: bool
    may_complete: bool = False
    length: int | None = None


def shape_of(characters: Iterable[str], after: str = "") -> Shape:
    """Return the shape of a text, given as characters or visible characters, after another."""
    shape: list[tuple[int, bool, int]] = []
    for character in characters:
        kind = _kind_of(character[0])
        may_run = kind not in (Kind.LETTER, Kind.DIGIT)
        shape.append((int(kind), may_run and character == after, len(character)))
        after = character
    return tuple(shape)


def end_shape() -> Shape:
    """Return the shape of the end of a document."""
    return ((END_KIND, False, 1),)


_kind_of = cache(kind_of)


@cache
def word_rules() -> Rules:
    """Return the rules. They are built at the first use."""
    return Rules()
