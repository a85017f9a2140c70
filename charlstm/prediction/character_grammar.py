"""The grammar of character level: what the next character does to the word being written.

The tokenizer's pattern defines what a word is. It is applied once to short examples, to find what
each kind of character does after each kind of text; then the characters of a model are looked up.
The examples have no tags in angle brackets and are shorter than any bound in the pattern, so
predictions ignore both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.prediction.best_first_search import (
    LEAST_SHARE,
    SHARED,
    BestFirstSearch,
    Node,
    Target,
)
from charlstm.prediction.grammar import Context, Grammar, Step, probabilities
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of, partial_word, tokens_of


class _Tail(NamedTuple):
    """An example of the end of a text, which decides what the next character does.

    Attributes:
        typed: the word that was typed, until it is certain whether the next word continues it.
        written: the text after it, without the white space before the next word.
    """

    typed: str = ""
    written: str = ""


class _Change(NamedTuple):
    """What one more character does to the word being written.

    Attributes:
        tail: the example after it.
        completes: the word now continues the one that was typed.
        may_complete: the same may be true after one more character.
        ends: the word ended before it.
        closes: the word ends with it, whatever follows.
        is_open: no word has begun, or the word may turn out to have ended before.
    """

    tail: _Tail
    completes: bool
    may_complete: bool
    ends: bool
    closes: bool
    is_open: bool


# The next character of each kind. Tails consist of other characters, so these never extend a run.
_EXAMPLES = {
    Kind.LETTER: "a",
    Kind.MARK: "\u0301",
    Kind.APOSTROPHE: "’",
    Kind.DIGIT: "1",
    Kind.SPACE: " ",
    Kind.ALONE: "中",
    Kind.OTHER: "!",
}
_END = len(Kind)  # a kind for the end of the document, which ends words
_SAME = _END + 1  # a kind for a repetition of the last character
_ALL_KINDS = [*map(int, Kind), _END, _SAME]


def _next_word(typed: str, written: str) -> tuple[bool, int]:
    """Return whether the next word continues ``typed``, and where in ``written`` it ends.

    The next word is the first token that is not white space; it ends at 0 if there is none yet.
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


def _change(tail: _Tail, kind: int) -> _Change:
    """Find what a character does. A word is over when no character after it can change it."""
    typed, written = tail
    if kind == _SAME:
        written += (typed + written)[-1:]
    else:
        written += "\n" if kind == _END else _EXAMPLES[Kind(kind)]
    word = completes, end = _next_word(typed, written)
    following = {*_EXAMPLES.values(), written[-1:]}
    possible = {_next_word(typed, written + character) for character in following}
    may_complete = not completes and any(longer for longer, _ in possible)
    is_over = kind == _END or (end > 0 and possible == {word})
    ends = is_over and 0 < end < len(written)
    if may_complete:
        after = _Tail(typed, "'")
    else:
        after = _Tail(written=_example_of(typed + written if completes else written.lstrip()))
    return _Change(
        tail=after,
        completes=completes,
        may_complete=may_complete,
        ends=ends,
        closes=is_over and not ends,
        is_open=not is_over and (may_complete or end < len(written)),
    )


def _is_wanted(target: Target, tail: _Tail, change: _Change) -> bool:
    """Return whether a search with this target follows a path after a change."""
    if change.completes:
        return target is not Target.NEXT
    leaves_typed = tail.typed != "" and not change.may_complete
    return not (leaves_typed and target is Target.COMPLETIONS)


class _Rules:
    """What each kind of character does after each tail. Tails are numbered.

    Attributes:
        changes: [tail][kind], the change and the number of the tail after it.
        spare: [tail], how many characters at its end don't belong to the word if the word ends.
        is_certain: [tail], whether there is only one way to divide the text so far.
        is_run: [tail], whether a repetition of its last character differs from others of its kind.
        weights: [target, tail, kind], the priority of the path as a multiple of its probability; 0
            if it is not followed.
        ends: [target, tail, kind], 1 if the word ends.
        completes: [tail, kind], 1 if the word now continues the one that was typed.
        may_complete: [tail, kind], whether that depends on the character after it.
    """

    def __init__(self) -> None:
        tails = [_Tail(typed) for typed in ("", "a", "a'", "1", ".")]  # and those they lead to
        changes = []
        for tail in tails:
            row = [_change(tail, kind) for kind in _ALL_KINDS]
            changes.append(row)
            tails += dict.fromkeys(change.tail for change in row if change.tail not in tails)
        numbers = {tail: number for number, tail in enumerate(tails)}
        self._numbers = numbers
        self.changes = [[(change, numbers[change.tail]) for change in row] for row in changes]
        self.spare = [len(tail.written) - _next_word(*tail)[1] for tail in tails]
        self.is_certain = [
            not tail.typed and not spare for tail, spare in zip(tails, self.spare, strict=True)
        ]
        # Two more: a visible character is written, or is the end of the prompt and may go on.
        within = _Change(tails[0], False, False, ends=True, closes=False, is_open=False)
        self.changes += [[(within, 0)] * len(_ALL_KINDS), self.changes[0]]
        self.within, self.after_cluster = len(tails), len(tails) + 1
        changes = [[change for change, _ in row] for row in self.changes]
        tails += [_Tail(written="中"), tails[0]]
        self.spare += [0, 0]
        self.is_certain += [True, True]
        lasts = [(tail.typed + tail.written)[-1:] for tail in tails]
        self.is_run = [
            last != "" and row[_SAME] != row[kind_of(last)]
            for last, row in zip(lasts, changes, strict=True)
        ]
        shape = len(Target), len(tails), len(_ALL_KINDS)
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

    def number_of(self, typed: str) -> int:
        """Return the number of the tail after what was typed."""
        return self._numbers[_Tail(_example_of(typed))]


@cache
def _rules() -> _Rules:
    return _Rules()


class Characters(Grammar):
    """Each token is a character."""

    def __init__(self, tokenizer: Tokenizer, *, ends: bool = True, clusters: bool = True) -> None:
        super().__init__(tokenizer, ends=ends, clusters=clusters)
        self._columns = np.delete(np.arange(tokenizer.vocab_size), self._never)
        self._token_ids: list[int] = self._columns.tolist()
        self._kinds: list[int] = [
            int(kind_of(self._pieces[token_id])) if token_id != END_OF_DOCUMENT else _END
            for token_id in self._token_ids
        ]
        self._column = {token_id: column for column, token_id in enumerate(self._token_ids)}

    @cached_property
    def _marks(self) -> Ids:
        """The columns of characters that only continue others."""
        within = self._clusters.begins_within if self._clusters else str
        return np.array([c for c, i in enumerate(self._token_ids) if within(self._pieces[i])], int)

    @cached_property
    def _tables(self) -> tuple[Doubles, Doubles]:
        """The weights and ends of the rules for each column of the probabilities."""
        rules = _rules()
        return rules.weights[:, :, self._kinds], rules.ends[:, :, self._kinds]

    def split(self, prompt: str) -> tuple[Ids, str, str, bool]:
        """Return the prompt's ids and the word or visible character it ends with."""
        ids, typed = self._tokenizer.encode_beginning(prompt), partial_word(prompt).typed
        cluster = "" if typed else self._last_cluster(prompt)
        return ids, typed or cluster, "", cluster != ""

    def _phase_of(self, context: Context) -> int:
        rules = _rules()
        return rules.after_cluster if context.cluster else rules.number_of(context.typed)

    def _joining(self, text: str) -> Mask | None:
        """Return which columns belong to the visible character that a text ends with."""
        if self._clusters is None:
            return None
        return self._clusters.joining(self._clusters.last(text))[self._columns]

    def shares(self, context: Context, step: Step) -> tuple[float, float]:
        """Look at the next character, and beyond an apostrophe that may join a word."""
        rules = _rules()
        tail, joining = self._phase_of(context), self._joining(context.typed)
        probs = probabilities(context.logits[np.newaxis], self._columns)[0]
        goes_on = rules.completes[tail, self._kinds]
        if joining is not None:
            goes_on = np.maximum(goes_on, joining)
        completes = float(probs @ goes_on)
        undecided = rules.may_complete[tail, self._kinds]
        follows = float(probs[~undecided].sum()) - completes
        columns = np.flatnonzero(undecided & (probs >= LEAST_SHARE))
        if len(columns):
            states = np.repeat(context.state[:, np.newaxis], len(columns), axis=1)
            logits, _ = step(self._columns[columns], states)
            after = probabilities(logits, self._columns)
            for row, column in enumerate(columns.tolist()):
                number = rules.changes[tail][self._kinds[column]][1]
                longer = float(after[row] @ rules.completes[number, self._kinds])
                completes += float(probs[column]) * longer
                follows += float(probs[column]) * (1 - longer)
        return completes, follows

    def begin(self, items: Sequence[tuple[BestFirstSearch, Context]], step: Step) -> None:  # noqa: ARG002
        """Start after what was typed."""
        nodes = []
        for search, context in items:
            typed, tail = context.typed, self._phase_of(context)
            last = int(self._tokenizer.encode(typed[-1:])[0]) if typed else END_OF_DOCUMENT
            nodes.append((search, Node(1.0, tail, typed, "", False, last, context.state)))
        logits = np.stack([context.logits for _, context in items])
        self.expand(nodes, logits, np.stack([context.state for _, context in items], axis=1))

    def expand(
        self, items: Sequence[tuple[BestFirstSearch, Node]], logits: Floats, states: Floats
    ) -> None:
        """Extend paths by a character."""
        probs = probabilities(logits, self._columns)
        probs *= np.array([node.probability for _, node in items])[:, np.newaxis]
        target = np.array([search.target for search, _ in items])
        tails = np.array([node.phase for _, node in items])
        rules, (weights_of, ends_of) = _rules(), self._tables
        weights, ends = weights_of[target, tails], ends_of[target, tails]
        for row, (search, node) in enumerate(items):
            if rules.is_run[node.phase] and node.token_id in self._column:
                column = self._column[node.token_id]
                weights[row, column] = rules.weights[search.target, node.phase, _SAME]
                ends[row, column] = rules.ends[search.target, node.phase, _SAME]
        joining = [self._join(*items[row], weights[row], ends[row]) for row in range(len(items))]
        self._end(items, np.add.reduce(probs * ends, axis=1).tolist())
        weights *= probs
        bars = np.array([search.bar for search, _ in items])
        rows, columns = np.nonzero(weights > bars[:, np.newaxis])
        for row, column, probability, weight in zip(
            rows.tolist(),
            columns.tolist(),
            probs[rows, columns].tolist(),
            weights[rows, columns].tolist(),
            strict=True,
        ):
            search, node = items[row]
            joins = joining[row]
            joined = joins is not None and bool(joins[column])
            self._extend(search, node, column, probability, weight, states[:, row], joined)

    def _join(
        self, search: BestFirstSearch, node: Node, weights: Doubles, ends: Doubles
    ) -> Mask | None:
        """Let no word begin or end within a visible character; change one row of both arrays.

        Returns:
            Which columns continue the visible character at the end of the path against the rules
            of words; ``None`` if no character of the model does.
        """
        if self._clusters is None:
            return None
        rules, number = _rules(), node.phase
        joins = self._joining(node.text + node.append)
        begins = node.append.isspace() or not (node.append or node.text)
        if begins:
            weights[self._marks] = 0.0
        if joins is None or not joins.any():
            return joins
        completes = rules.completes[number, self._kinds] > 0
        if not node.append:
            joins &= ~completes
            wanted = search.target is not Target.NEXT
        elif begins or rules.spare[number]:
            joins[:] = False
            wanted = False
        else:
            joins &= ends > 0
            wanted = True
        weights[joins] = float(wanted)
        ends[joins] = 0.0
        return joins

    def _end(self, items: Sequence[tuple[BestFirstSearch, Node]], ended: list[float]) -> None:
        """Report the candidates that end before the next character."""
        rules = _rules()
        for (search, node), probability in zip(items, ended, strict=True):
            if probability:
                search.ended += probability
                append = node.append[: len(node.append) - rules.spare[node.phase]]
                path = node if rules.is_certain[node.phase] else None
                text = _text_of(node, append)
                if self._is_whole(search, node.completes, text, append):
                    search.add(node.completes, text, append, probability, path)

    def _extend(
        self,
        search: BestFirstSearch,
        node: Node,
        column: int,
        probability: float,
        weight: float,
        state: Floats,
        joined: bool,
    ) -> None:
        token_id, kind = self._token_ids[column], self._kinds[column]
        rules = _rules()
        if token_id == node.token_id and rules.is_run[node.phase]:
            kind = _SAME
        change, tail = rules.changes[node.phase][kind]
        append = node.append + self._pieces[token_id]
        completes = node.completes or change.completes
        if joined:
            completes, tail = node.completes or not node.append, rules.within
        closes = change.closes and not joined
        if closes and self._clusters is not None and token_id != END_OF_DOCUMENT:
            closes, tail = False, rules.within  # until it is certain that the character is whole
        child = Node(probability, tail, node.text, append, completes, token_id, state)
        if not closes:
            search.push(child, weight)
            return
        search.ended += probability
        if token_id == END_OF_DOCUMENT:
            search.add(False, "", "", probability)
        else:
            search.add(False, _text_of(child, append), append, probability, child)


def _text_of(node: Node, append: str) -> str:
    """Return the candidate that a path ends in, without white space."""
    return node.text + append if node.completes else append.lstrip()
