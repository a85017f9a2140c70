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
from operator import mul
from typing import NamedTuple, TypeAlias

from charlstm.prediction.best_first_search import SHARED, Target
from charlstm.tokenizer.segmentation import Kind, kind_of, tokens_of

# Two examples of each kind of character, so that neighbors of one kind need not be a run.
_EXAMPLES = ("ab", "\u0301\u0300", "'’", "12", " \t", "中文", ".!")
_END_KIND = len(Kind)  # a kind for the end of the document
_SAME_KIND = _END_KIND + 1  # a kind for a repetition of the last character

# For each character, or visible character: its kind, whether it repeats the one before (letters and
# digits never count as repetitions), and its number of characters.
Shape: TypeAlias = tuple[tuple[int, bool, int], ...]
# Whether the next word continues the typed word, and the number of characters after the next word;
# ``None`` if there is none yet.
_Word: TypeAlias = tuple[bool, int | None]


class _Tail(NamedTuple):
    """An example of the end of a text.

    Attributes:
        typed: the typed word, until it is certain whether the next word continues it.
        written: the text after it.
    """

    typed: str
    written: str

    def then(self, kind: int) -> _Tail:
        """Return the text with one more character."""
        last = (self.typed + self.written)[-1:]
        if kind == _SAME_KIND:
            return _Tail(self.typed, self.written + last)
        characters = "\n" if kind == _END_KIND else _EXAMPLES[kind].replace(last, "")
        return _Tail(self.typed, self.written + characters[0])

    def next_word(self) -> _Word:
        """Return the next word: the first token that is not white space."""
        typed, written = self
        whole = typed + written
        first = next(tokens_of(whole)) if typed else ""
        if len(first) > len(typed):
            return True, len(whole) - len(first)
        rest = len(written)
        for token in tokens_of(written):
            rest -= len(token)
            if not token.isspace():
                return False, rest
        return False, None

    def words(self) -> tuple[_Word, ...]:
        """Return the next word after one more character of each kind, by which tails differ."""
        return tuple(self.then(kind).next_word() for kind in (*Kind, _SAME_KIND))


@dataclass(frozen=True, slots=True)
class Effect:
    """What some characters do to the current word.

    Attributes:
        tail: the number of the tail after them; 0 if the word has ended.
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


_NOWHERE = (0.0,) * len(Target)
_EVERYWHERE = (1.0,) * len(Target)


class Rules:
    """What each kind of character does after each tail. Tails are numbered.

    Attributes:
        within: the number of the tail after a visible character, which no rule continues.
        after_cluster: the number of the tail after one at the end of the prompt.
        spare: [tail], the number of characters at its end that are not in the word if the word ends
            here.
        is_certain: [tail], whether there is only one way to divide the text so far.
        is_run: [tail], whether a repetition of its last character differs from others of its kind.
    """

    def __init__(self) -> None:
        self._tails: list[_Tail] = []
        self._numbers: dict[tuple[bool, tuple[_Word, ...]], int] = {}
        starts = ("", "a'", *"a\u0301'1中.")
        self._typed = {typed: self._number(_Tail(typed, "")) for typed in starts}
        self.within, self.after_cluster = self._number(_Tail("", "中")), self._typed["中"]
        kinds = range(_SAME_KIND + 1)
        # This list grows while the loop finds the tails that the first ones lead to.
        self._effects = [[self._effect(tail, kind) for kind in kinds] for tail in self._tails]
        self.spare = [tail.next_word()[1] or 0 for tail in self._tails]
        self.is_certain = [
            not tail.typed and not spare
            for tail, spare in zip(self._tails, self.spare, strict=True)
        ]
        lasts = [(tail.typed + tail.written)[-1:] for tail in self._tails]
        self.is_run = [
            last != "" and effects[_SAME_KIND] != effects[kind_of(last)]
            for last, effects in zip(lasts, self._effects, strict=True)
        ]

    @property
    def tails(self) -> int:
        """The number of tails."""
        return len(self._tails)

    def _number(self, tail: _Tail) -> int:
        """Return the number of a tail. Tails after which each character does the same share one."""
        known = tail.typed != "", tail.words()
        if known not in self._numbers:
            self._numbers[known] = len(self._tails)
            self._tails.append(tail)
        return self._numbers[known]

    def _effect(self, before: _Tail, kind: int) -> Effect:
        """Return what a character does. A word is over when no next character can change it."""
        tail = before.then(kind)
        completes, spare = tail.next_word()
        possible = tail.words()
        may_complete = not completes and any(longer for longer, _ in possible)
        leaves = before.typed != "" and not (completes or may_complete)
        unwanted = {Target.NEXT: completes, Target.COMPLETIONS: leaves}
        wanted = tuple(float(not unwanted.get(target)) for target in Target)
        if kind == _END_KIND or (spare is not None and {*possible} == {(completes, spare + 1)}):
            if spare:
                return Effect(0, _NOWHERE, wanted, completes=False)
            return Effect(0, wanted, _NOWHERE, completes, length=1)
        if completes:
            tail = _Tail("", tail.typed + tail.written)
        elif not may_complete:
            tail = _Tail("", tail.written)
        weight = SHARED if may_complete or spare != 0 else 1.0
        weights = tuple(weight * each for each in wanted)
        return Effect(self._number(tail), weights, _NOWHERE, completes, may_complete)

    def number_of(self, typed: str) -> int:
        """Return the number of the tail for a typed word."""
        kinds = [_kind_of(character) for character in typed[:1] + typed[-1:]]
        example = "".join(_EXAMPLES[kind][0] for kind in kinds[:1])
        if kinds == [Kind.LETTER, Kind.APOSTROPHE]:
            example += "'"  # which is in the word if a letter follows
        return self._typed[example]

    def follow(self, tail: int, shape: Shape) -> Effect:
        """Return the effect of the characters of a shape after a tail, until the word ends."""
        wanted = weights = _EVERYWHERE
        completes = may_complete = False
        position = 0
        for kind, repeats, length in shape:
            effect = self._effects[tail][_SAME_KIND if repeats and self.is_run[tail] else kind]
            if any(effect.ends):
                if position == 0:
                    return effect
                weights = tuple(map(min, wanted, effect.ends))
                return Effect(0, weights, _NOWHERE, completes, length=position - self.spare[tail])
            position += length
            wanted = tuple(map(min, wanted, effect.weights))  # 0 if any of them is 0, otherwise 1
            weights = tuple(map(mul, wanted, effect.weights))
            completes, may_complete = completes or effect.completes, effect.may_complete
            if effect.length is not None:
                return Effect(0, weights, _NOWHERE, completes, length=position)
            tail = effect.tail
        return Effect(tail, weights, _NOWHERE, completes, may_complete)

    def joined(self, *, completes: bool) -> Effect:
        """Return the effect of a continued visible character, which overrides the rules."""
        return Effect(self.within, _EVERYWHERE, _NOWHERE, completes)


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
    return ((_END_KIND, False, 1),)


_kind_of = cache(kind_of)


@cache
def word_rules() -> Rules:
    """Return the rules. They are built at the first use."""
    return Rules()
