"""Best-first search: the likeliest ways first, and what has been found on them.

A frontier holds the ways of writing that are not over, a candidate collects the probability of all
ways that were found to end in it. This module knows no model and nothing of how text is made of
symbols.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

# A way whose mass goes to many candidates, or to one that is already found, is followed at a mass
# so many times smaller than others: the sums come out right without many ways more.
SHARED = 4.0
# The search ends where no way is as likely as this share of the last candidate asked for. At 1 the
# candidates would be right, but what lesser ways add to them would be missing.
_SLACK = 0.7
_LEAST = 1e-4  # of one candidate asked for: ways less likely than this share of it are dropped


class Wanted(IntEnum):
    """What a search looks for after a word that may be half typed."""

    ALL = 0
    COMPLETIONS = 1  # longer words only
    NEXT = 2  # the word is over: what follows it only


@dataclass(slots=True)
class Node:
    """A way of writing that is not over: a symbol to read, and what has been written with it.

    Attributes:
        mass: the probability of the way, the symbol included.
        phase: what the grammar knows of it.
        text: of the candidate, as far as it is certain.
        append: all that has been written.
        completes: whether the candidate goes on with the word that was typed.
        symbol: the id to read.
        state: before it, float32 [2 * layers, units].
    """

    mass: float
    phase: int
    text: str
    append: str
    completes: bool
    symbol: int
    state: Floats


@dataclass(slots=True)
class Candidate:
    """Something that may come next.

    Attributes:
        completes: whether it goes on with the word that was typed.
        text: the whole word, number or punctuation; empty for the end of the document.
        append: what to write to have it, in the likeliest of the ways that were found.
        probability: of all ways that were found.
        likeliest: of that way alone.
        way: its last symbol and the mass up to there; None if it can't be gone on from.
    """

    completes: bool
    text: str
    append: str
    probability: float
    likeliest: float
    way: Node | None


@dataclass(slots=True)
class Frontier:
    """One search.

    Attributes:
        count: how many candidates are asked for.
        wanted: what it looks for.
        words_only: whether only words and numbers count.
        least: ways less likely than this are dropped; None for what makes little difference.
    """

    count: int
    wanted: Wanted = Wanted.ALL
    words_only: bool = False
    least: float | None = None
    bar: float = field(init=False)
    _open: list[tuple[float, int, Node]] = field(init=False, default_factory=list)
    _found: dict[tuple[bool, str], Candidate] = field(init=False, default_factory=dict)
    _pushed: int = field(init=False, default=0)
    _least: float = field(init=False)

    def __post_init__(self) -> None:
        self._least = _LEAST / self.count if self.least is None else self.least
        self.bar = self._least

    def push(self, node: Node, priority: float) -> None:
        """Add a way, unless it is too unlikely to matter."""
        if priority > self.bar:
            heapq.heappush(self._open, (-priority, self._pushed, node))
            self._pushed += 1

    def find(
        self, completes: bool, text: str, append: str, mass: float, way: Node | None = None
    ) -> None:
        """Add a way that has ended in a candidate; one without ``way`` never is its likeliest."""
        if self.words_only and not text[:1].isalnum():
            return
        key = completes, text
        found = self._found.get(key)
        if found is None:
            self._found[key] = Candidate(completes, text, append, mass, mass, way)
            return
        found.probability += mass
        if way is not None and (found.way is None or mass > found.likeliest):
            found.append, found.likeliest, found.way = append, mass, way

    def take(self, width: int) -> list[Node]:
        """Remove the likeliest ways, at most ``width``; none if the search is over."""
        self.bar = max(self._least, _SLACK * self._last())
        taken: list[Node] = []
        while self._open and len(taken) < width and -self._open[0][0] > self.bar:
            taken.append(heapq.heappop(self._open)[2])
        return taken

    def is_certain(self) -> bool:
        """Whether no way that is left is likelier than the last of the candidates."""
        last = self._last()
        return last >= self._least and all(node.mass <= last for _, _, node in self._open)

    def best(self) -> list[Candidate]:
        """Return the likeliest candidates, the first first; ties in the order of their text."""
        order = sorted(self._found.values(), key=lambda found: (-found.probability, found.text))
        return order[: self.count]

    def left(self) -> float:
        """Return the mass of the ways that are not over."""
        return sum(node.mass for _, _, node in self._open)

    def _last(self) -> float:
        """Return the probability of the last candidate asked for, or 0 if it is not found yet."""
        if len(self._found) < self.count:
            return 0.0
        return heapq.nlargest(self.count, (found.probability for found in self._found.values()))[-1]
