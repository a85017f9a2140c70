"""A regular expression as a deterministic automaton over characters, which is built lazily.

Python's own parser reads the expression, and Python's own matcher decides which characters each
item matches. A deterministic automaton can be exponentially large, as for ``.*a.{40}``, so a state
is created when a text first reaches it. A state is a set of nodes of the nondeterministic automaton
of the expression (Thompson 1968). These nodes determine its distance from a match.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from re import _compiler as compiler  # type: ignore[attr-defined]
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Mask
from charlstm.errors import UsageError

Test: TypeAlias = Callable[[str], bool]


DEAD = 0  # the state from which no text leads to a match
NEVER = np.int32(2**30)
MOST_NODES = 100_000
_UNSUPPORTED = {
    ops.ASSERT: "look-around",
    ops.ASSERT_NOT: "look-around",
    ops.GROUPREF: "back-references",
    ops.GROUPREF_EXISTS: "conditionals",
    ops.AT: "word boundaries",
    ops.POSSESSIVE_REPEAT: "possessive quantifiers",
    ops.ATOMIC_GROUP: "atomic groups",
}
_ALPHABETS = re.ASCII | re.UNICODE  # exactly one of them is set
_CLASSES = {
    ops.CATEGORY_DIGIT: r"\d",
    ops.CATEGORY_NOT_DIGIT: r"\D",
    ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S",
    ops.CATEGORY_WORD: r"\w",
    ops.CATEGORY_NOT_WORD: r"\W",
}
_BEGINS = (ops.AT_BEGINNING, ops.AT_BEGINNING_STRING)
_ENDS = (ops.AT_END, ops.AT_END_STRING)


class Automaton:
    """The automaton of an expression. States are integers.

    Args:
        expression: an expression in the syntax of Python's ``re``, which must match the whole
            text. These parts of the syntax have no automaton and are not supported: look-around,
            back-references, conditionals, word boundaries, possessive quantifiers, atomic groups,
            multi-line anchors.
        alphabet: the characters that can be generated.

    Attributes:
        start: the state of the empty text.
        distances: for each state so far, the minimum number of characters of the alphabet to a
            match, int32 [states]; ``NEVER`` if there is no match.
        accepting: for each state so far, whether a text may end there, bool [states].
        farthest: the largest possible distance.

    Raises:
        UsageError: if the expression is invalid, not supported or too large.
    """

    def __init__(self, expression: str, alphabet: Sequence[str]) -> None:
        nodes = _Nodes(expression)
        self._nodes = nodes
        self._alphabet = alphabet
        self._writable: dict[Test, Mask] = {}
        self._node_distances = self._measure()
        finite = self._node_distances[self._node_distances < NEVER]
        self.farthest = int(finite.max(initial=0))
        self._lock = threading.Lock()
        self._numbers: dict[frozenset[int], int] = {}
        self._sets: list[frozenset[int]] = []
        self._rows: NDArray[np.int32] = np.full((16, len(alphabet) + 1), -1, np.int32)
        self.distances: NDArray[np.int32] = np.empty(16, np.int32)
        self.accepting: Mask = np.empty(16, np.bool_)
        self._number(frozenset(), accepting=False)
        self._rows[DEAD] = DEAD
        first = nodes.reached([nodes.first], nodes.skips, nodes.begins)
        ends = nodes.reached([nodes.first], nodes.skips, nodes.begins, nodes.ends)
        self.start = self._number(first, accepting=nodes.last in ends)

    def move(self, state: int, character: str) -> int:
        """Return the state after a character, whether it is in the alphabet or not."""
        reads = (self._nodes.reads[node] for node in self._sets[state])
        with self._lock:
            return self._after(to for test, to in reads if test(character))

    def moves(self, states: NDArray[np.int32], columns: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the states after characters of the alphabet, int32 [N].

        Args:
            states: int32 [N].
            columns: the indices of the characters in the alphabet, int32 [N]. The length of the
                alphabet stands for any other character.
        """
        for state in set(states.tolist()):
            if self._rows[state, 0] < 0:
                self._fill(state)
        return self._rows[states, columns]

    def parts(self, state: int) -> tuple[int, ...]:
        """Return the states that consist of a single node of this state.

        A text leads from a state to a match if and only if it does so from one of its parts, or the
        text is empty and the state is accepting.
        """
        with self._lock:
            return tuple(
                self._number(frozenset([node]), accepting=False)
                for node in sorted(self._sets[state])
            )

    def all_parts(self) -> tuple[int, ...]:
        """Return the states of a single node, for all nodes that lead to a match."""
        with self._lock:
            return tuple(
                self._number(frozenset([node]), accepting=False)
                for node in sorted(self._nodes.reads)
                if self._node_distances[node] < NEVER
            )

    @property
    def size(self) -> int:
        """The maximum number of parts."""
        return len(self._nodes.reads)

    def unmatched(self) -> list[str]:
        """Return the items of the expression that match no character of the alphabet."""
        items = reversed(self._nodes.items.items())  # the last item is read first
        return [item for test, item in items if not self._is_written(test).any()]

    def _fill(self, state: int) -> None:
        """Compute the state after each character of the alphabet."""
        reads = [self._nodes.reads[node] for node in self._sets[state]]
        table = np.array([self._is_written(test) for test, _ in reads])
        row = np.full(len(self._alphabet) + 1, DEAD, np.int32)
        known: dict[bytes, int] = {}
        with self._lock:
            for column, matches in enumerate(table.T if len(reads) else ()):
                key = matches.tobytes()
                if key not in known:
                    known[key] = self._after(
                        to for (_, to), is_match in zip(reads, matches, strict=True) if is_match
                    )
                row[column] = known[key]
            self._rows[state] = row

    def _after(self, targets: Iterable[int]) -> int:
        """Return the state after a character that leads to these nodes."""
        nodes, reached = self._nodes, list(targets)
        ends = nodes.reached(reached, nodes.skips, nodes.ends)
        return self._number(nodes.reached(reached, nodes.skips), accepting=nodes.last in ends)

    def _number(self, found: frozenset[int], *, accepting: bool) -> int:
        """Return the state for a set of nodes. Only nodes that read a character matter."""
        reading = frozenset(node for node in found if node in self._nodes.reads)
        # These nodes do not determine whether a text may end there.
        key = reading | {-1} if accepting else reading
        number = self._numbers.get(key)
        if number is None:
            number = len(self._sets)
            if number == len(self._rows):
                self._grow()
            nearest = min((self._node_distances[node] for node in reading), default=NEVER)
            self.distances[number] = 0 if accepting else nearest
            self.accepting[number] = accepting
            self._sets.append(reading)
            self._numbers[key] = number
        return number

    def _grow(self) -> None:
        self._rows = np.concatenate([self._rows, np.full_like(self._rows, -1)])
        self.distances = np.concatenate([self.distances, np.empty_like(self.distances)])
        self.accepting = np.concatenate([self.accepting, np.empty_like(self.accepting)])

    def _measure(self) -> NDArray[np.int32]:
        """Return the number of characters from each node to a match, int32 [nodes]."""
        nodes = self._nodes
        distances = np.full(len(nodes), NEVER, np.int32)
        before: list[list[tuple[int, int]]] = [[] for _ in range(len(nodes))]
        for node, targets in nodes.skips.items():
            for target in targets:
                before[target].append((node, 0))
        for node, (test, target) in nodes.reads.items():
            if self._is_written(test).any():
                before[target].append((node, 1))
        ends = nodes.leading_to_end()
        distances[list(ends)] = 0
        queue = deque(ends)
        while queue:
            node = queue.popleft()
            for source, cost in before[node]:
                if distances[node] + cost < distances[source]:
                    distances[source] = distances[node] + cost
                    (queue.append if cost else queue.appendleft)(source)
        return distances

    def _is_written(self, test: Test) -> Mask:
        if test not in self._writable:
            self._writable[test] = np.array(list(map(test, self._alphabet)), np.bool_)
        return self._writable[test]


class _Nodes:
    """The nondeterministic automaton: nodes that read a character or skip to other nodes.

    Attributes:
        skips: the nodes that a node leads to without reading.
        begins: the same, only at the beginning of a text.
        ends: the same, only at the end of a text.
        reads: the test that a node applies to a character, and the node that it leads to.
        items: the item of the expression for each test.
        first: the node of the empty text.
        last: the node of a match.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._count = 0
        self.skips: dict[int, list[int]] = {}
        self.begins: dict[int, list[int]] = {}
        self.ends: dict[int, list[int]] = {}
        self.reads: dict[int, tuple[Test, int]] = {}
        self._dollars: dict[int, list[int]] = {}  # the part of ``ends`` that a newline may follow
        self._tests: dict[tuple[Any, str, int], Test] = {}
        self.items: dict[Test, str] = {}
        self.last = self._new()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = parser.parse(expression)
            self.first = self._sequence(tree, tree.state.flags, self.last)
            self._read_last_newline(tree.state.flags)
        except (re.error, OverflowError) as error:
            raise UsageError(
                f"`match` '{expression}' is not a valid Python regular expression: {error}."
            ) from None
        except RecursionError:
            raise self._too_large() from None

    def __len__(self) -> int:
        return self._count

    def reached(self, begin: Iterable[int], *skips: dict[int, list[int]]) -> frozenset[int]:
        """Return the nodes that can be reached without reading, including the first ones."""
        found, waiting = set(begin), list(begin)
        while waiting:
            node = waiting.pop()
            for targets in skips:
                new = [target for target in targets.get(node, ()) if target not in found]
                found.update(new)
                waiting.extend(new)
        return frozenset(found)

    def leading_to_end(self) -> frozenset[int]:
        """Return the nodes at which a text may end."""
        return self._leading_to([self.last], self.skips, self.ends)

    def _leading_to(self, found: Iterable[int], *skips: dict[int, list[int]]) -> frozenset[int]:
        """Return the nodes from which others can be reached without reading, and the others."""
        sources: dict[int, list[int]] = {}
        for node, targets in chain.from_iterable(each.items() for each in skips):
            for target in targets:
                sources.setdefault(target, []).append(node)
        return self.reached(found, sources)

    def _new(self) -> int:
        if self._count == MOST_NODES:
            raise self._too_large()
        self._count += 1
        return self._count - 1

    def _sequence(self, items: Any, flags: int, then: int) -> int:
        """Add the nodes of a sequence that leads to the node ``then``, and return the first."""
        for operator, argument in reversed(list(items)):
            then = self._item(operator, argument, flags, then)
        return then

    def _item(self, operator: Any, argument: Any, flags: int, then: int) -> int:
        if operator in (ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN):
            node = self._new()
            # The nodes of a repeated item share a test, so a character is tested only once.
            key = operator, repr(argument), flags
            if key not in self._tests:
                test = self._tests[key] = _test_of(operator, argument, flags)
                self.items[test] = _source_of(operator, argument)
            self.reads[node] = self._tests[key], then
            return node
        if operator is ops.SUBPATTERN:
            _, added, removed, items = argument
            if added & _ALPHABETS:
                flags &= ~_ALPHABETS
            return self._sequence(items, (flags | added) & ~removed, then)
        if operator is ops.BRANCH:
            node = self._new()
            self.skips[node] = [self._sequence(items, flags, then) for items in argument[1]]
            return node
        if operator in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            least, most, items = argument
            return self._repeat(least, most, items, flags, then)
        if operator is ops.AT and not flags & re.MULTILINE and argument in (*_BEGINS, *_ENDS):
            node = self._new()
            (self.begins if argument in _BEGINS else self.ends)[node] = [then]
            if argument is ops.AT_END:
                self._dollars[node] = [then]
            return node
        unsupported = _UNSUPPORTED.get(operator, "this syntax")
        if operator is ops.AT and argument not in (ops.AT_BOUNDARY, ops.AT_NON_BOUNDARY):
            unsupported = "multi-line anchors"
        raise UsageError(f"`match` '{self._expression}': {unsupported} can't be used.")

    def _repeat(self, least: int, most: int, items: Any, flags: int, then: int) -> int:
        after = then
        if most is ops.MAXREPEAT:
            after = self._new()
            self.skips[after] = [then, self._sequence(items, flags, after)]
        else:
            for _ in range(most - least):
                node = self._new()
                self.skips[node] = [then, self._sequence(items, flags, after)]
                after = node
        for _ in range(least):
            after = self._sequence(items, flags, after)
        return after

    def _read_last_newline(self, flags: int) -> None:
        """Let each ``$`` match before a final newline too, if the rest of the expression can."""
        if not self._dollars:
            return
        ends = self.leading_to_end()
        readers = [node for node, (test, to) in self.reads.items() if to in ends and test("\n")]
        anywhere = self._leading_to(readers, self.skips, self._dollars)
        at_first = self._leading_to(readers, self.skips, self._dollars, self.begins)
        newline = self._new()
        self.reads[newline] = _test_of(ops.LITERAL, ord("\n"), flags), self.last
        for node in self._dollars:
            if node in at_first:
                (self.skips if node in anywhere else self.begins)[node] = [newline]

    def _too_large(self) -> UsageError:
        return UsageError(
            f"`match` '{self._expression}' is too large: with its repetitions written out, it has "
            f"more than {MOST_NODES:,} characters."
        )


def check_expression(expression: str) -> None:
    """Raise ``UsageError`` if an expression is invalid, not supported or too large."""
    _Nodes(expression)


def _source_of(operator: Any, argument: Any) -> str:
    """Return an item of an expression as a person would write it."""
    if operator is ops.LITERAL:
        return chr(argument)
    if operator is ops.NOT_LITERAL:
        return f"[^{chr(argument)}]"
    parts = ""
    for kind, value in argument or ():
        if kind is ops.NEGATE:
            parts += "^"
        elif kind is ops.CATEGORY:
            parts += _CLASSES[value]
        elif kind is ops.RANGE:
            parts += f"{chr(value[0])}-{chr(value[1])}"
        else:
            parts += chr(value)
    return f"[{parts}]" if parts else "."


def _test_of(operator: Any, argument: Any, flags: int) -> Test:
    """Return a test of whether an item of an expression matches a character, as ``re`` does."""
    state = parser.State()
    state.flags = flags
    item: re.Pattern[str] = compiler.compile(parser.SubPattern(state, [(operator, argument)]))
    return lambda character: item.fullmatch(character) is not None
