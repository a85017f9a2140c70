"""The grammar of character level: what the next character does to the word being written.

The tokenizer's pattern says what a word is. Here it is asked about short examples, once: what each
kind of character does after each kind of text. A model's characters look that up. Examples have no
tags in angle brackets and are shorter than any bound of the pattern, so these count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids
from charlstm.prediction.grammar import Context, Grammar, Step, probabilities
from charlstm.prediction.search import SHARED, BestFirstSearch, Node, Target
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of, partial_word, tokens_of


class _Tail(NamedTuple):
    """An example of what is written: all that decides what the next character does.

    Attributes:
        typed: the word that was typed, until it is certain whether the next word goes on with it.
        written: after it, without the white space before the next word.
    """

    typed: str = ""
    written: str = ""


class _Change(NamedTuple):
    """What one more character does to the word being written.

    Attributes:
        tail: after it.
        completes: with it the word goes on with the one that was typed.
        may_complete: the same may be true after one more character.
        ends: the word ended before it.
        closes: the word ends with it, whatever follows.
        is_open: no word has begun, or it may turn out that the word ended before.
    """

    tail: _Tail
    completes: bool
    may_complete: bool
    ends: bool
    closes: bool
    is_open: bool


# The next character of each kind. Tails consist of others, so that these never prolong a run.
_EXAMPLES = {
    Kind.LETTER: "a",
    Kind.MARK: "\u0301",
    Kind.APOSTROPHE: "’",
    Kind.DIGIT: "1",
    Kind.SPACE: " ",
    Kind.ALONE: "中",
    Kind.OTHER: "!",
}
_END = len(Kind)  # a kind of its own: the end of the document, after which words are over
_SAME = _END + 1  # and one more of the character that was read last
_ALL_KINDS = [*map(int, Kind), _END, _SAME]


def _next_word(typed: str, written: str) -> tuple[bool, int]:
    """Return whether the next word goes on with ``typed``, and where in ``written`` it ends.

    It is the first token that is not white space. As long as there is none it ends at 0.
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
    """Return a short text that goes on as a word does, whatever the word's length."""
    kind = kind_of(word[0]) if word else Kind.SPACE
    if kind is Kind.LETTER:
        return "a'" if kind_of(word[-1]) is Kind.APOSTROPHE else "a"
    if kind in (Kind.SPACE, Kind.ALONE):
        return ""
    return "1" if kind is Kind.DIGIT else "."


def _change(tail: _Tail, kind: int) -> _Change:
    """Ask the tokenizer what a character does: a word is over when none that follows changes it."""
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
    """Return whether a search follows a path after a change."""
    if change.completes:
        return target is not Target.NEXT
    leaves_typed = tail.typed != "" and not change.may_complete
    return not (leaves_typed and target is Target.COMPLETIONS)


class _Rules:
    """What each kind of character does after each tail; tails have numbers.

    Attributes:
        changes: [tail][kind]: the change, and the number of the tail after it.
        spare: [tail]: how many characters at its end are not the word's if the word ends.
        is_certain: [tail]: whether the text can be divided in one way only, so far.
        is_run: [tail]: whether its last character once more has another effect than its kind.
        weights: [target, tail, kind]: the priority of the path as a multiple of its probability;
            0 where it is not followed.
        ends: [target, tail, kind]: 1 where the word ends.
    """

    def __init__(self) -> None:
        tails = [_Tail(typed) for typed in ("", "a", "a'", "1", ".")]  # and those that they lead to
        changes = []
        for tail in tails:
            changes.append([_change(tail, kind) for kind in _ALL_KINDS])
            tails += dict.fromkeys(each.tail for each in changes[-1] if each.tail not in tails)
        self._numbers = {tail: number for number, tail in enumerate(tails)}
        self.changes = [[(each, self._numbers[each.tail]) for each in row] for row in changes]
        self.spare = [len(tail.written) - _next_word(*tail)[1] for tail in tails]
        self.is_certain = [
            not tail.typed and not spare for tail, spare in zip(tails, self.spare, strict=True)
        ]
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

    def number_of(self, typed: str) -> int:
        """Return the number of the tail after what was typed."""
        return self._numbers[_Tail(_example_of(typed))]


@cache
def _rules() -> _Rules:
    return _Rules()


class Characters(Grammar):
    """Every symbol is a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        self._columns = np.delete(
            np.arange(tokenizer.vocab_size), tokenizer.never_generated.astype(np.int64)
        )
        kinds = [kind_of(self._pieces[symbol]) if symbol else _END for symbol in self._columns]
        self._kinds: list[int] = [int(kind) for kind in kinds]
        self._symbols: list[int] = self._columns.tolist()
        self._column = {symbol: column for column, symbol in enumerate(self._symbols)}

    @cached_property
    def _tables(self) -> tuple[Doubles, Doubles]:
        """For each column, the weights and ends of the rules."""
        rules = _rules()
        return rules.weights[:, :, self._kinds], rules.ends[:, :, self._kinds]

    def split(self, prompt: str) -> tuple[Ids, str, str]:
        """Return the prompt's ids and the word it ends with."""
        return self._tokenizer.encode_beginning(prompt), partial_word(prompt).typed, ""

    def begin(self, items: Sequence[tuple[BestFirstSearch, Context]], step: Step) -> None:  # noqa: ARG002
        """Begin after what was typed."""
        nodes = []
        for search, context in items:
            typed, tail = context.typed, _rules().number_of(context.typed)
            last = int(self._tokenizer.encode(typed[-1:])[0]) if typed else END_OF_DOCUMENT
            nodes.append((search, Node(1.0, tail, typed, "", False, last, context.state)))
        logits = np.stack([context.logits for _, context in items])
        self.unfold(nodes, logits, np.stack([context.state for _, context in items], axis=1))

    def unfold(
        self, items: Sequence[tuple[BestFirstSearch, Node]], logits: Floats, states: Floats
    ) -> None:
        """Go on, character by character."""
        probs = probabilities(logits, self._columns)
        probs *= np.array([node.probability for _, node in items])[:, np.newaxis]
        target = np.array([search.target for search, _ in items])
        tails = np.array([node.phase for _, node in items])
        rules, (weights_of, ends_of) = _rules(), self._tables
        weights, ends = weights_of[target, tails], ends_of[target, tails]
        for row, (search, node) in enumerate(items):
            if rules.is_run[node.phase] and node.symbol in self._column:
                column = self._column[node.symbol]
                weights[row, column] = rules.weights[search.target, node.phase, _SAME]
                ends[row, column] = rules.ends[search.target, node.phase, _SAME]
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
            self._go_on(search, node, column, probability, weight, states[:, row])

    def _end(self, items: Sequence[tuple[BestFirstSearch, Node]], ended: list[float]) -> None:
        """Tell the searches which candidates the paths have ended in."""
        rules = _rules()
        for (search, node), probability in zip(items, ended, strict=True):
            if probability:
                append = node.append[: len(node.append) - rules.spare[node.phase]]
                path = node if rules.is_certain[node.phase] else None
                search.find(node.completes, _text_of(node, append), append, probability, path)

    def _go_on(
        self,
        search: BestFirstSearch,
        node: Node,
        column: int,
        probability: float,
        weight: float,
        state: Floats,
    ) -> None:
        symbol, kind = self._symbols[column], self._kinds[column]
        rules = _rules()
        if symbol == node.symbol and rules.is_run[node.phase]:
            kind = _SAME
        change, tail = rules.changes[node.phase][kind]
        append = node.append + self._pieces[symbol]
        child = Node(
            probability, tail, node.text, append, node.completes or change.completes, symbol, state
        )
        if not change.closes:
            search.push(child, weight)
        elif symbol == END_OF_DOCUMENT:
            search.find(False, "", "", probability)
        else:
            search.find(False, _text_of(child, append), append, probability, child)


def _text_of(node: Node, append: str) -> str:
    """Return the candidate that what is written makes, of which white space is no part."""
    return node.text + append if node.completes else append.lstrip()
