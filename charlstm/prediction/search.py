"""Best-first search: the likeliest paths are followed first.

A path is one way of writing, token by token. The frontier holds the paths that can still be
followed. A candidate sums the probability of all paths that were found to end in it. This module
knows no model, and nothing about how tokens make up text.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import IntEnum

from charlstm.arrays import Floats

# A path whose probability is shared by many candidates, or goes to one that is already found, has
# this many times the priority of others: otherwise the sums of the candidates would miss too much.
SHARED = 4.0
# The search stops when no path is as likely as this share of the last candidate asked for. At 1 it
# would find the right candidates, but their probabilities would lack what less likely paths add.
_SLACK = 0.7
_LEAST = 1e-4  # divided by the number of candidates asked for: less likely paths are dropped


class Target(IntEnum):
    """What a search looks for after a word that may be half typed."""

    ALL = 0
    COMPLETIONS = 1  # longer words only
    NEXT = 2  # the word is over: what follows it only


@dataclass(slots=True)
class Node:
    """The end of a path: a symbol to read, and what has been written with it.

    Attributes:
        probability: of the path, the symbol included.
        phase: what the grammar knows of it.
        text: what else the grammar has to know: the word that was typed at character level, the
            token so far at word level.
        append: all that has been written.
        completes: whether the candidate goes on with the word that was typed.
        symbol: the id to read.
        state: before it, float32 [2 * layers, units].
    """

    probability: float
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
        append: what to write to have it, in the likeliest of the paths that were found.
        probability: of all paths that were found.
        likeliest: of that path alone.
        path: its last symbol and the probability up to there; None if it can't be gone on from.
    """

    completes: bool
    text: str
    append: str
    probability: float
    likeliest: float
    path: Node | None


@dataclass(slots=True)
class BestFirstSearch:
    """One search: its frontier, and the candidates found so far.

    Attributes:
        count: how many candidates are asked for.
        target: what it looks for.
        words_only: whether only words and numbers count.
        least: paths less likely than this are dropped; None for what makes little difference.
    """

    count: int
    target: Target = Target.ALL
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
        """Add a path, unless it is too unlikely to matter."""
        if priority > self.bar:
            heapq.heappush(self._open, (-priority, self._pushed, node))
            self._pushed += 1

    def find(
        self, completes: bool, text: str, append: str, probability: float, path: Node | None = None
    ) -> None:
        """Add a path that has ended in a candidate; one without ``path`` never is its likeliest."""
        if self.words_only and not text[:1].isalnum():
            return
        key = completes, text
        found = self._found.get(key)
        if found is None:
            self._found[key] = Candidate(completes, text, append, probability, probability, path)
            return
        found.probability += probability
        if path is not None and (found.path is None or probability > found.likeliest):
            found.append, found.likeliest, found.path = append, probability, path

    def take(self, width: int) -> list[Node]:
        """Remove the likeliest paths, at most ``width``; none if the search is over."""
        self.bar = max(self._least, _SLACK * self._last())
        taken: list[Node] = []
        while self._open and len(taken) < width and -self._open[0][0] > self.bar:
            taken.append(heapq.heappop(self._open)[2])
        return taken

    def best(self) -> list[Candidate]:
        """Return the likeliest candidates, the first first; ties in the order of their text."""
        order = sorted(self._found.values(), key=lambda found: (-found.probability, found.text))
        return order[: self.count]

    def _last(self) -> float:
        """Return the probability of the last candidate asked for, or 0 if it is not found yet."""
        if len(self._found) < self.count:
            return 0.0
        return heapq.nlargest(self.count, (found.probability for found in self._found.values()))[-1]
