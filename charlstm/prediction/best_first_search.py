"""Best-first search for the most likely texts: the most likely paths are extended first.

A path is a sequence of tokens. The frontier contains the paths that can still be extended. A
candidate is a text. Its probability is the sum over all paths found that end in it. This module
does not depend on a model or on how tokens make up text.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from enum import IntEnum

from charlstm.engine.state import State

# If the probability of a path is shared by many candidates, or adds to a candidate that was found
# already, its priority is multiplied by this. Otherwise the sums of candidates would miss too much.
SHARED = 4.0
# The search stops when no path is as likely as this share of the last requested candidate. With 1
# it would find the right candidates, but miss less likely paths that add to their probabilities.
_SLACK = 0.7
# A group of predictions with a smaller share of the whole probability is not worth returning.
LEAST_SHARE = 0.02
_LEAST = 1e-4  # paths less likely than this / the number of requested candidates are dropped


class Target(IntEnum):
    """What a search looks for after a word that may be half-typed."""

    ALL = 0
    COMPLETIONS = 1  # only words that begin with it
    NEXT = 2  # only words that follow it: the typed word is complete


@dataclass(slots=True)
class Node:
    """The end of a path: a token that has not been read yet.

    Attributes:
        probability: the probability of the path, including the token.
        phase: a number that only the grammar interprets.
        text: a text that only the grammar interprets. For word-level models, it is the last token,
            or the part of it spelled so far. For others, it is the typed word.
        append: the text of the path.
        completes: whether the path completes the typed word.
        token_id: the token to read.
        state: the state before the token, one row.
    """

    probability: float
    phase: int
    text: str
    append: str
    completes: bool
    token_id: int
    state: State


@dataclass(slots=True)
class Candidate:
    """A text that may come next.

    Attributes:
        completes: whether it completes the typed word.
        text: the whole word, number or punctuation; empty for the end of the document.
        append: the text of the most likely path found.
        probability: the sum over all paths found.
        likeliest: the probability of the most likely path found.
        path: the end of that path; ``None`` if no path can be extended.
    """

    completes: bool
    text: str
    append: str
    probability: float
    likeliest: float
    path: Node | None


@dataclass(slots=True)
class BestFirstSearch:
    """One search: its frontier and the candidates found so far.

    Attributes:
        count: the number of candidates requested.
        target: what it looks for.
        words_only: whether only words and numbers are candidates.
        least: paths less likely than this are dropped. ``None`` takes a default.
        share: the share of the target in the whole probability. The default of ``least`` depends on
            it.
        before: the visible character before the candidates; empty if it can't be continued.
        bar: paths with a lower priority are not pushed.
        ended: the probability of all paths found that end in a word, a number or punctuation,
            whether it is a candidate or not.
    """

    count: int
    target: Target = Target.ALL
    words_only: bool = False
    least: float | None = None
    share: float = 1.0
    before: str = field(init=False, default="")
    bar: float = field(init=False)
    ended: float = field(init=False, default=0.0)
    _frontier: list[tuple[float, int, Node]] = field(init=False, default_factory=list)
    _found: dict[tuple[bool, str], Candidate] = field(init=False, default_factory=dict)
    _pushed: int = field(init=False, default=0)
    _least: float = field(init=False)

    def __post_init__(self) -> None:
        self._least = _LEAST * self.share / self.count if self.least is None else self.least
        self.bar = self._least

    def push(self, node: Node, priority: float) -> None:
        """Add a path to the frontier, unless it is too unlikely to matter."""
        if priority > self.bar:
            heapq.heappush(self._frontier, (-priority, self._pushed, node))
            self._pushed += 1

    def add(
        self, completes: bool, text: str, append: str, probability: float, path: Node | None = None
    ) -> None:
        """Add the probability of a path that ends in a candidate.

        Args:
            completes: whether the path completes the typed word.
            text: the candidate.
            append: the text of the path.
            probability: the probability of the path.
            path: the end of the path. ``None`` if it can't be extended; such a path does not become
                the path of the candidate.
        """
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
        """Remove and return at most ``width`` most likely paths; none when the search is over."""
        self.bar = max(self._least, _SLACK * self._last())
        taken: list[Node] = []
        while self._frontier and len(taken) < width and -self._frontier[0][0] > self.bar:
            taken.append(heapq.heappop(self._frontier)[2])
        return taken

    def lower(self, factor: float) -> BestFirstSearch:
        """Return a new search that also follows less likely paths."""
        return replace(self, least=factor * self._least)

    def best(self) -> list[Candidate]:
        """Return the most likely candidates, best first. Equal ones are sorted by their text."""
        order = sorted(self._found.values(), key=lambda found: (-found.probability, found.text))
        return order[: self.count]

    def _last(self) -> float:
        """Return the probability of the last requested candidate; 0 if too few are found yet."""
        if len(self._found) < self.count:
            return 0.0
        return heapq.nlargest(self.count, (found.probability for found in self._found.values()))[-1]
