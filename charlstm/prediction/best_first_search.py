"""Best-first search for the likeliest texts: the likeliest paths are extended first.

A path is a sequence of tokens; the frontier holds the paths that can still be extended. A candidate
is a text, whose probability is the sum over all paths found that end in it. This module does not
know a model or how tokens make up text.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from enum import IntEnum

from charlstm.arrays import Floats

# A path whose probability is shared by many candidates, or goes to one that was found already, has
# its priority multiplied by this: otherwise the sums of the candidates would miss too much.
SHARED = 4.0
# The search stops when no path is as likely as this share of the last candidate asked for. With 1
# it would find the right candidates, but miss less likely paths that add to their probabilities.
_SLACK = 0.7
# Less of the whole probability than this is next to nothing: no group of predictions is worth it.
LEAST_SHARE = 0.02
_LEAST = 1e-4  # paths less likely than this / the number of candidates asked for are dropped


class Target(IntEnum):
    """What a search looks for after a word that may be half typed."""

    ALL = 0
    COMPLETIONS = 1  # only words that begin with it
    NEXT = 2  # only what follows it: the word is complete


@dataclass(slots=True)
class Node:
    """The end of a path: a token that has not been read yet.

    Attributes:
        probability: of the path, the token included.
        phase: a number that belongs to the grammar.
        text: a text that belongs to the grammar: of words the last token, as far as it is spelled,
            else the word that was typed.
        append: the text of the path.
        completes: whether the path completes the word that was typed.
        token_id: the token to read.
        state: before it, float32 [2 * layers, units].
    """

    probability: float
    phase: int
    text: str
    append: str
    completes: bool
    token_id: int
    state: Floats


@dataclass(slots=True)
class Candidate:
    """A text that may come next.

    Attributes:
        completes: whether it completes the word that was typed.
        text: the whole word, number or punctuation; empty for the end of the document.
        append: the text of the likeliest path found.
        probability: of all paths found.
        likeliest: the probability of the likeliest path found.
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
    """One search: its frontier, and the candidates found so far.

    Attributes:
        count: how many candidates are asked for.
        target: what it looks for.
        words_only: whether only words and numbers count.
        least: paths less likely than this are dropped; ``None`` takes a default.
        share: of the whole probability, what belongs to the target; the default depends on it.
        before: the visible character before the candidates; empty if none can be continued.
        bar: paths of a lower priority are not worth pushing.
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
            completes: whether the path completes the word that was typed.
            text: the candidate.
            append: the text of the path.
            probability: of the path.
            path: its end; ``None`` if it can't be extended, and then it is not the likeliest path.
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
        """Remove the likeliest paths from the frontier, at most ``width``; none at the end."""
        self.bar = max(self._least, _SLACK * self._last())
        taken: list[Node] = []
        while self._frontier and len(taken) < width and -self._frontier[0][0] > self.bar:
            taken.append(heapq.heappop(self._frontier)[2])
        return taken

    def lower(self, factor: float) -> BestFirstSearch:
        """Return the search to begin anew, with less likely paths."""
        return replace(self, least=factor * self._least)

    def best(self) -> list[Candidate]:
        """Return the likeliest candidates, best first; equally likely ones by their text."""
        order = sorted(self._found.values(), key=lambda found: (-found.probability, found.text))
        return order[: self.count]

    def _last(self) -> float:
        """Return the probability of the last candidate asked for, 0 if there are too few yet."""
        if len(self._found) < self.count:
            return 0.0
        return heapq.nlargest(self.count, (found.probability for found in self._found.values()))[-1]
