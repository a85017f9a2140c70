"""Symbols -> words: what the next symbol does to the word that is being written.

A word, number or run of one punctuation mark is a token of word level (``charlstm.tokenizer``)
without the space before it, at both levels. White space between them is passed over. Characters
and words have a grammar each; both take probabilities and tell a frontier which ways go on and
which have ended in a candidate. As in ``generate``, symbols that are never written count for
nothing, and the probabilities of the others sum to 1.

This module knows the ids of a tokenizer and no engine; what it has to have read, it asks for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.frontier import SHARED, Floats, Frontier, Node, Wanted
from charlstm.metrics import softmax
from charlstm.tokenizer import (
    BEGIN_SPELLING,
    END_OF_DOCUMENT,
    END_SPELLING,
    Kind,
    Tokenizer,
    kind_of,
    partial_word,
    tokens_of,
)

Ids: TypeAlias = NDArray[np.int64]
Probabilities: TypeAlias = NDArray[np.float64]
Step: TypeAlias = Callable[[Ids, Floats], tuple[Floats, Floats]]

_LAST_CODE = "\U0010ffff"


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """Where a prediction begins.

    Attributes:
        logits: after what has been read, float32 [V].
        state: there, float32 [2 * layers, units].
        typed: the word or number being typed, as far as it is; may be empty. At character level it
            has been read.
        unread: at word level, what the next token begins with: ``typed``, the space before it.
    """

    logits: Floats
    state: Floats
    typed: str = ""
    unread: str = ""


class Grammar(ABC):
    """How the symbols of one tokenizer make up words."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = tokenizer.pieces
        self._tokenizer = tokenizer

    @abstractmethod
    def split(self, prompt: str) -> tuple[Ids, str, str]:
        """Return the ids to read, the end of a document first, and a context's two texts."""

    @abstractmethod
    def begin(self, items: Sequence[tuple[Frontier, Context]], step: Step) -> None:
        """Begin searches; ``step`` is the engine's."""

    @abstractmethod
    def unfold(
        self, items: Sequence[tuple[Frontier, Node]], logits: Floats, states: Floats
    ) -> None:
        """Go on with ways whose symbol has been read.

        Args:
            items: R ways, each with the search it belongs to.
            logits: after each, float32 [R, V].
            states: there, float32 [2 * layers, R, units].
        """

    def after(self, written: str, logits: Floats, state: Floats) -> Context:
        """Return the context after a candidate, for a search for what is ``Wanted.NEXT``."""
        return Context(logits, state, written)


def probabilities(logits: Floats, columns: Ids) -> Probabilities:
    """Return the probabilities of some symbols among themselves.

    Args:
        logits: float32 [R, V].
        columns: C ids.

    Returns:
        float64 [R, C], each row summing to 1.
    """
    # ``take`` leaves rows contiguous, so that a row has the same sum at any R.
    return softmax(np.take(logits, columns, axis=1))


# Characters


class _Phase(IntEnum):
    """How far a way of writing characters has come."""

    GAP = 0  # before a word; white space may have been written
    TYPED_WORD = auto()  # after what was typed, which may go on
    TYPED_APOSTROPHE = auto()  # the same, and it ends with an apostrophe
    TYPED_NUMBER = auto()
    TYPED_OTHER = auto()  # after a run of punctuation
    WORD = auto()
    APOSTROPHE = auto()  # after a word, of which it is a part if a letter follows
    DOUBT = auto()  # the same after the word that was typed
    NUMBER = auto()
    OTHER = auto()


class _Act(IntEnum):
    """What a symbol does to a way."""

    SKIP = auto()
    START = auto()
    ALONE = auto()
    END = auto()
    GROW = auto()
    LOOSEN = auto()  # an apostrophe that may be a part of the word or not
    TIE = auto()  # it is
    COMPLETE = auto()


_END = len(Kind)  # beside the kinds of characters, that of the end of the document
_Acts: TypeAlias = dict[int, tuple[_Act, _Phase]]
_BETWEEN: _Acts = {
    Kind.LETTER: (_Act.START, _Phase.WORD),
    Kind.DIGIT: (_Act.START, _Phase.NUMBER),
    Kind.MARK: (_Act.START, _Phase.OTHER),
    Kind.APOSTROPHE: (_Act.START, _Phase.OTHER),
    Kind.OTHER: (_Act.START, _Phase.OTHER),
    Kind.SPACE: (_Act.SKIP, _Phase.GAP),
    Kind.ALONE: (_Act.ALONE, _Phase.GAP),
    _END: (_Act.END, _Phase.GAP),
}
_COMPLETES = (_Act.COMPLETE, _Phase.WORD)
# Whatever isn't named ends the word.
_ACTS: dict[_Phase, _Acts] = {
    _Phase.GAP: _BETWEEN,
    _Phase.TYPED_WORD: {
        **_BETWEEN,
        Kind.LETTER: _COMPLETES,
        Kind.MARK: _COMPLETES,
        Kind.APOSTROPHE: (_Act.LOOSEN, _Phase.DOUBT),
    },
    _Phase.TYPED_APOSTROPHE: {**_BETWEEN, Kind.LETTER: _COMPLETES},
    _Phase.TYPED_NUMBER: {**_BETWEEN, Kind.DIGIT: (_Act.COMPLETE, _Phase.NUMBER)},
    _Phase.TYPED_OTHER: _BETWEEN,
    _Phase.WORD: {
        Kind.LETTER: (_Act.GROW, _Phase.WORD),
        Kind.MARK: (_Act.GROW, _Phase.WORD),
        Kind.APOSTROPHE: (_Act.LOOSEN, _Phase.APOSTROPHE),
    },
    _Phase.APOSTROPHE: {Kind.LETTER: (_Act.TIE, _Phase.WORD)},
    _Phase.DOUBT: {Kind.LETTER: _COMPLETES},
    _Phase.NUMBER: {Kind.DIGIT: (_Act.GROW, _Phase.NUMBER)},
    _Phase.OTHER: {},
}
_BY_PHASE = [_ACTS[phase] for phase in _Phase]
_SHARED = (_Act.SKIP, _Act.LOOSEN)
# In these the symbol that was read goes on as a run of itself.
_RUNS = (_Phase.OTHER, _Phase.DOUBT)


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
        shape = len(Wanted), len(_Phase), len(kinds)
        self._weights = np.zeros(shape)  # by which a symbol's mass counts as a way to go on with
        self._ends = np.zeros(shape)  # 1 where a symbol ends the word
        for wanted in Wanted:
            for phase in _Phase:
                self._weigh(wanted, phase)

    def _weigh(self, wanted: Wanted, phase: _Phase) -> None:
        for column, kind in enumerate(self._kinds):
            act = _ACTS[phase].get(kind, (None,))[0]
            between = act is not None and phase <= _Phase.TYPED_OTHER
            if act is _Act.COMPLETE:
                unwanted = wanted is Wanted.NEXT
            elif phase is _Phase.GAP or not (between or phase is _Phase.DOUBT):
                unwanted = False
            else:
                unwanted = wanted is Wanted.COMPLETIONS and act is not _Act.LOOSEN
            if not unwanted:
                self._weights[wanted, phase, column] = (
                    0.0 if act is None else SHARED if act in _SHARED else 1.0
                )
                self._ends[wanted, phase, column] = act is None

    def split(self, prompt: str) -> tuple[Ids, str, str]:
        """Return the prompt's ids and the word it ends with."""
        return self._tokenizer.encode_beginning(prompt), partial_word(prompt).typed, ""

    def begin(self, items: Sequence[tuple[Frontier, Context]], step: Step) -> None:  # noqa: ARG002
        """Begin after what was typed."""
        nodes = []
        for frontier, context in items:
            typed, phase = context.typed, _phase_after(context.typed)
            last = int(self._tokenizer.encode(typed[-1:])[0]) if typed else END_OF_DOCUMENT
            nodes.append((frontier, Node(1.0, phase, typed, "", False, last, context.state)))
        logits = np.stack([context.logits for _, context in items])
        self.unfold(nodes, logits, np.stack([context.state for _, context in items], axis=1))

    def unfold(
        self, items: Sequence[tuple[Frontier, Node]], logits: Floats, states: Floats
    ) -> None:
        """Go on, character by character."""
        masses = probabilities(logits, self._columns)
        masses *= np.array([node.mass for _, node in items])[:, np.newaxis]
        wanted = np.array([frontier.wanted for frontier, _ in items])
        phases = np.array([node.phase for _, node in items])
        ends, weights = self._ends[wanted, phases], self._weights[wanted, phases]
        for row, (frontier, node) in enumerate(items):
            column = self._column.get(node.symbol)
            if column is None:
                continue
            if node.phase in _RUNS:
                ends[row, column] = 0.0
                weights[row, column] = frontier.wanted is not Wanted.COMPLETIONS or (
                    node.phase == _Phase.OTHER
                )
            elif node.phase == _Phase.TYPED_OTHER:
                weights[row, column] = 0.0
        self._end(items, np.add.reduce(masses * ends, axis=1).tolist())
        weights *= masses
        bars = np.array([frontier.bar for frontier, _ in items])
        rows, columns = np.nonzero(weights > bars[:, np.newaxis])
        for row, column, mass, weight in zip(
            rows.tolist(),
            columns.tolist(),
            masses[rows, columns].tolist(),
            weights[rows, columns].tolist(),
            strict=True,
        ):
            frontier, node = items[row]
            self._go_on(frontier, node, column, mass, weight, states[:, row])

    def _end(self, items: Sequence[tuple[Frontier, Node]], ended: list[float]) -> None:
        """Tell the frontiers which candidates the ways have ended in."""
        for (frontier, node), mass in zip(items, ended, strict=True):
            if not mass:
                continue
            if node.phase == _Phase.APOSTROPHE:
                frontier.find(node.completes, node.text, node.append[:-1], mass)
            elif node.phase == _Phase.DOUBT:
                frontier.find(False, node.append, node.append, mass)
            else:
                frontier.find(node.completes, node.text, node.append, mass, node)

    def _go_on(
        self, frontier: Frontier, node: Node, column: int, mass: float, weight: float, state: Floats
    ) -> None:
        kind, symbol = self._kinds[column], self._symbols[column]
        piece = self._pieces[symbol]
        append, completes = node.append + piece, node.completes
        if node.phase in _RUNS and symbol == node.symbol:
            act, phase, text = _Act.GROW, _Phase.OTHER, node.text + piece
            if node.phase == _Phase.DOUBT:
                text = append
        else:
            act, phase = _BY_PHASE[node.phase][kind]
            text = node.text
            if act in (_Act.START, _Act.ALONE):
                text = piece
            elif act is _Act.GROW:
                text += piece
            elif act is _Act.TIE:
                text += append[-2:]
            elif act is _Act.COMPLETE:
                text, completes = text + append, True
        if act is _Act.END:
            frontier.find(False, "", "", mass)
            return
        child = Node(mass, phase, text, append, completes, symbol, state)
        if act is _Act.ALONE:
            frontier.find(False, text, append, mass, child)
        else:
            frontier.push(child, weight)


def _phase_after(typed: str) -> _Phase:
    """Return the phase after a word, a number, a run of punctuation or nothing."""
    if not typed:
        return _Phase.GAP
    kind = kind_of(typed[0])
    if kind is Kind.LETTER:
        ends_open = kind_of(typed[-1]) is Kind.APOSTROPHE
        return _Phase.TYPED_APOSTROPHE if ends_open else _Phase.TYPED_WORD
    if kind is Kind.DIGIT:
        return _Phase.TYPED_NUMBER
    return _Phase.GAP if kind is Kind.ALONE else _Phase.TYPED_OTHER


# Words


_TOKEN = 0  # phases: after a token, and within a spelled one
_SPELLING = 1


def _shares(masses: Probabilities) -> Probabilities:
    """Return what is left of probabilities as shares of their sum; of none, nothing is left."""
    total = float(np.add.reduce(masses))
    return masses / total if total > 0 else np.zeros_like(masses)


class Words(Grammar):
    """A symbol is a token; those outside the vocabulary are spelled."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        pieces = self._pieces
        self._illegal = np.array([*tokenizer.never_generated.tolist(), END_SPELLING])
        self._letters = tokenizer.character_ids.astype(np.int64)
        self._spelled = np.append(self._letters, END_SPELLING)
        tokens = np.arange(len(tokenizer.reserved), len(pieces))
        order = sorted(tokens.tolist(), key=pieces.__getitem__)
        self._order: Ids = np.array(order, np.int64)
        self._sorted = [pieces[symbol] for symbol in order]
        first = [pieces[symbol][0] for symbol in tokens.tolist()]
        kinds = {character: kind_of(character) for character in set(first)}
        starts = np.array([kinds[character] for character in first], np.int64)
        self._letters_first: Ids = tokens[np.isin(starts, (Kind.LETTER, Kind.MARK))]
        self._digits_first: Ids = tokens[starts == Kind.DIGIT]
        self._is_blank = np.array([not piece.strip() for piece in pieces])
        self._is_word = np.array([piece.strip()[:1].isalnum() for piece in pieces])
        self._all = self._divided(tokens)
        self._known = frozenset(pieces[symbol] for symbol in self._letters.tolist())

    def split(self, prompt: str) -> tuple[Ids, str, str]:
        """Return the ids of all but the last word, that word, and it with the space before it."""
        before, typed, space = partial_word(prompt)
        if not self._known.issuperset(space + typed):  # what can't be written has to be read
            before, typed, space = prompt, "", ""
        return self._tokenizer.encode_beginning(before), typed, space + typed

    def begin(self, items: Sequence[tuple[Frontier, Context]], step: Step) -> None:
        """Begin with the tokens that what is unread is the beginning of."""
        logits = np.stack([context.logits for _, context in items])
        masses = self._probabilities(logits)
        paths = [
            (row, path)
            for row, (_, context) in enumerate(items)
            if context.unread
            for path in self._paths(context.unread)
        ]
        starts = [(masses[row], items[row][1].state, path) for row, path in paths]
        ends = self._follow(starts, step)
        roots: list[list[Node]] = [[] for _ in items]
        for (row, path), (mass, state) in zip(paths, ends, strict=True):
            spelled = path[0] == BEGIN_SPELLING
            context = items[row][1]
            phase, text = (_SPELLING if spelled else _TOKEN), context.unread
            completes = spelled and context.typed != ""
            roots[row].append(Node(mass, phase, text, "", completes, path[-1], state))
        for row, (frontier, context) in enumerate(items):
            self._begin(frontier, context, masses[row], roots[row])

    def _begin(
        self, frontier: Frontier, context: Context, masses: Probabilities, spelled: list[Node]
    ) -> None:
        unread, state = context.unread, context.state
        written = "" if unread else context.typed
        root = Node(1.0, _TOKEN, written, "", False, END_OF_DOCUMENT, state)
        if not unread:
            self._go_on(frontier, root, masses, state)
            return
        symbols = self._beginning(unread)
        total = float(np.add.reduce(masses[symbols])) + sum(node.mass for node in spelled)
        if not total:
            return
        masses = masses / total
        for node in spelled:
            node.mass /= total
            if node.phase == _SPELLING or frontier.wanted is not Wanted.COMPLETIONS:
                frontier.push(node, SHARED * node.mass)
        root.completes = context.typed != ""
        self._take(frontier, root, masses, self._divided(symbols), state, len(unread))

    def _paths(self, unread: str) -> list[list[int]]:
        """Return the ids that spell what is unread, and its own if it has several tokens."""
        letters = [int(self._tokenizer.encode(letter)[0]) for letter in unread]
        paths = [[BEGIN_SPELLING, *letters]]
        tokens = list(tokens_of(unread))
        if len(tokens) > 1:
            # Between the tokens nothing is spelled if all are known; else the way is left out.
            own = [self._tokenizer.encode(token).tolist() for token in tokens]
            if all(len(ids) == 1 for ids in own):
                paths.append([ids[0] for ids in own])
        return paths

    def _follow(
        self, starts: Sequence[tuple[Probabilities, Floats, list[int]]], step: Step
    ) -> list[tuple[float, Floats]]:
        """Return the probability of paths, and the state before the last id of each.

        A start is the probabilities of its first id, the state before that, and the path.
        """
        masses = [float(first[path[0]]) for first, _, path in starts]
        states = [state for _, state, _ in starts]
        for at in range(1, max((len(path) for _, _, path in starts), default=0)):
            rows = [row for row, (_, _, path) in enumerate(starts) if len(path) > at]
            ids = np.array([starts[row][2][at - 1] for row in rows])
            logits, after = step(ids, np.stack([states[row] for row in rows], axis=1))
            for place, row in enumerate(rows):
                path, states[row] = starts[row][2], after[:, place]
                values = logits[place : place + 1]
                if path[0] != BEGIN_SPELLING:
                    masses[row] *= float(self._probabilities(values)[0, path[at]])
                    continue
                letters = self._spelled_probabilities(values)[0]
                column = int(np.searchsorted(self._letters, path[at]))
                # The first letter can't be an end; where nothing else is likely, there is no way.
                left = 1 - float(letters[-1]) * (at == 1)
                masses[row] *= float(letters[column]) / left if left > 0 else 0.0
        return list(zip(masses, states, strict=True))

    def unfold(
        self, items: Sequence[tuple[Frontier, Node]], logits: Floats, states: Floats
    ) -> None:
        """Go on after tokens, or with the next letter of spelled ones."""
        phases = np.array([node.phase for _, node in items])
        for row, masses in _rows(phases == _TOKEN, logits, self._probabilities):
            frontier, node = items[row]
            self._go_on(frontier, node, masses, states[:, row])
        for row, masses in _rows(phases == _SPELLING, logits, self._spelled_probabilities):
            frontier, node = items[row]
            self._spell(frontier, node, masses, states[:, row])

    def _go_on(self, frontier: Frontier, node: Node, masses: Probabilities, state: Floats) -> None:
        """Take the next token, which does not go on with the one before it."""
        if len(goes_on := self._going_on(node.text)):
            masses[goes_on] = 0.0
            masses = _shares(masses)
        masses *= node.mass
        frontier.find(False, "", "", float(masses[END_OF_DOCUMENT]))
        self._take(frontier, node, masses, self._all, state, 0)
        mass = float(masses[BEGIN_SPELLING])
        begun = Node(mass, _SPELLING, "", node.append, False, BEGIN_SPELLING, state)
        frontier.push(begun, mass)

    def _take(
        self,
        frontier: Frontier,
        node: Node,
        masses: Probabilities,
        tokens: tuple[Ids, Ids, Ids],
        state: Floats,
        skipped: int,
    ) -> None:
        """Take the likeliest of some tokens, whose first characters are written already."""
        blank, words, others = tokens
        for symbol in blank.tolist():
            self._pass(frontier, node, symbol, float(masses[symbol]), state, skipped)
        some = words if frontier.words_only else others
        some = some[masses[some] > frontier.bar / SHARED]
        for symbol in _likeliest(masses, some, 4 * frontier.count + 32).tolist():
            mass, piece = float(masses[symbol]), self._pieces[symbol]
            append = node.append + piece[skipped:]
            if node.completes and len(piece) == skipped:
                self._pass(frontier, node, symbol, mass, state, skipped)
            else:
                way = Node(mass, _TOKEN, "", append, node.completes, symbol, state)
                frontier.find(node.completes, piece.removeprefix(" "), append, mass, way)

    def _divided(self, tokens: Ids) -> tuple[Ids, Ids, Ids]:
        """Return the white space, the words and numbers, and all that is not white space."""
        blank, word = self._is_blank[tokens], self._is_word[tokens]
        return tokens[blank], tokens[word], tokens[~blank]

    def _pass(
        self,
        frontier: Frontier,
        node: Node,
        symbol: int,
        mass: float,
        state: Floats,
        skipped: int,
    ) -> None:
        """Take a token after which the next word is still to come."""
        if frontier.wanted is Wanted.COMPLETIONS and node.completes:
            return
        piece = self._pieces[symbol]
        append = node.append + piece[skipped:]
        frontier.push(Node(mass, _TOKEN, piece, append, False, symbol, state), SHARED * mass)

    def _spell(self, frontier: Frontier, node: Node, masses: Probabilities, state: Floats) -> None:
        """Take the next letter of a spelled token, or its end, which can't be its beginning."""
        if not node.text:
            masses = _shares(masses[:-1])
        masses = masses * node.mass
        for column in np.flatnonzero(masses > frontier.bar / SHARED).tolist():
            symbol, mass = int(self._spelled[column]), float(masses[column])
            letter = self._pieces[symbol]
            child = Node(
                mass,
                _SPELLING,
                node.text + letter,
                node.append + letter,
                node.completes,
                symbol,
                state,
            )
            if symbol != END_SPELLING:
                frontier.push(child, mass)
                continue
            child.phase = _TOKEN
            if not node.text.strip() or (node.completes and not node.append):
                child.completes = False
                if not (frontier.wanted is Wanted.COMPLETIONS and node.completes):
                    frontier.push(child, SHARED * mass)
            else:
                text = node.text.removeprefix(" ")
                frontier.find(node.completes, text, node.append, mass, child)

    def _going_on(self, text: str) -> Ids:
        """Return the tokens that no text has after this one, for together they would be one."""
        kind = kind_of(text[-1]) if text else Kind.SPACE
        if kind in (Kind.SPACE, Kind.ALONE):
            return self._order[:0]
        if kind in (Kind.LETTER, Kind.MARK):
            return self._letters_first
        if kind is Kind.DIGIT:
            return self._digits_first
        run = self._beginning(text[-1])
        if kind is Kind.APOSTROPHE and text[:-1].strip() and kind_of(text[-2]) is not kind:
            return np.concatenate([run, self._letters_first])  # the word before it would go on
        return run

    def _beginning(self, text: str) -> Ids:
        """Return the tokens that begin with a text."""
        low = bisect_left(self._sorted, text)
        return self._order[low : bisect_left(self._sorted, text + _LAST_CODE)]

    def _probabilities(self, logits: Floats) -> Probabilities:
        """Return the probabilities outside of spelling, float64 [R, V]."""
        allowed = logits.copy()
        allowed[:, self._illegal] = -np.inf
        return softmax(allowed)

    def _spelled_probabilities(self, logits: Floats) -> Probabilities:
        """Return the probabilities within spelling, of the letters and then its end, [R, L + 1]."""
        return probabilities(logits, self._spelled)


def _rows(
    chosen: NDArray[np.bool_], logits: Floats, of: Callable[[Floats], Probabilities]
) -> Iterator[tuple[int, Probabilities]]:
    """Yield the chosen rows and their probabilities."""
    places = np.flatnonzero(chosen)
    if len(places):
        yield from zip(places.tolist(), of(logits[places]), strict=True)


def _likeliest(masses: Probabilities, symbols: Ids, count: int) -> Ids:
    """Return the likeliest of some symbols, in no order."""
    if len(symbols) <= count:
        return symbols
    return symbols[np.argpartition(-masses[symbols], count - 1)[:count]]
