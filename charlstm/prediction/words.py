"""The grammar of word level: a token is a word, and those outside the vocabulary are spelled.

A word that is half typed has not been read: a search begins with the tokens that go on with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.metrics import softmax
from charlstm.prediction.grammar import Context, Grammar, Step, probabilities
from charlstm.prediction.search import SHARED, BestFirstSearch, Node, Target
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of, partial_word, tokens_of

_LAST_CODE = "\U0010ffff"

_TOKEN = 0  # phases: after a token, and within a spelled one
_SPELLING = 1


def _shares(probs: Doubles) -> Doubles:
    """Return what is left of probabilities as shares of their sum; of none, nothing is left."""
    total = float(np.add.reduce(probs))
    return probs / total if total > 0 else np.zeros_like(probs)


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

    def begin(self, items: Sequence[tuple[BestFirstSearch, Context]], step: Step) -> None:
        """Begin with the tokens that what is unread is the beginning of."""
        logits = np.stack([context.logits for _, context in items])
        probs = self._probabilities(logits)
        paths = [
            (row, path)
            for row, (_, context) in enumerate(items)
            if context.unread
            for path in self._paths(context.unread)
        ]
        starts = [(probs[row], items[row][1].state, path) for row, path in paths]
        ends = self._follow(starts, step)
        roots: list[list[Node]] = [[] for _ in items]
        for (row, path), (probability, state) in zip(paths, ends, strict=True):
            spelled = path[0] == BEGIN_SPELLING
            context = items[row][1]
            phase, text = (_SPELLING if spelled else _TOKEN), context.unread
            completes = spelled and context.typed != ""
            roots[row].append(Node(probability, phase, text, "", completes, path[-1], state))
        for row, (search, context) in enumerate(items):
            self._begin(search, context, probs[row], roots[row])

    def _begin(
        self, search: BestFirstSearch, context: Context, probs: Doubles, spelled: list[Node]
    ) -> None:
        unread, state = context.unread, context.state
        written = "" if unread else context.typed
        root = Node(1.0, _TOKEN, written, "", False, END_OF_DOCUMENT, state)
        if not unread:
            self._go_on(search, root, probs, state)
            return
        symbols = self._beginning(unread)
        total = float(np.add.reduce(probs[symbols])) + sum(node.probability for node in spelled)
        if not total:
            return
        probs = probs / total
        for node in spelled:
            node.probability /= total
            if node.phase == _SPELLING or search.target is not Target.COMPLETIONS:
                search.push(node, SHARED * node.probability)
        root.completes = context.typed != ""
        self._take(search, root, probs, self._divided(symbols), state, len(unread))

    def _paths(self, unread: str) -> list[list[int]]:
        """Return the ids that spell what is unread, and its own if it has several tokens."""
        letters = [int(self._tokenizer.encode(letter)[0]) for letter in unread]
        paths = [[BEGIN_SPELLING, *letters]]
        tokens = list(tokens_of(unread))
        if len(tokens) > 1:
            # Between the tokens nothing is spelled if all are known; else the path is left out.
            own = [self._tokenizer.encode(token).tolist() for token in tokens]
            if all(len(ids) == 1 for ids in own):
                paths.append([ids[0] for ids in own])
        return paths

    def _follow(
        self, starts: Sequence[tuple[Doubles, Floats, list[int]]], step: Step
    ) -> list[tuple[float, Floats]]:
        """Return the probability of paths, and the state before the last id of each.

        A start is the probabilities of its first id, the state before that, and the path.
        """
        probs = [float(first[path[0]]) for first, _, path in starts]
        states = [state for _, state, _ in starts]
        for at in range(1, max((len(path) for _, _, path in starts), default=0)):
            rows = [row for row, (_, _, path) in enumerate(starts) if len(path) > at]
            ids = np.array([starts[row][2][at - 1] for row in rows])
            logits, after = step(ids, np.stack([states[row] for row in rows], axis=1))
            for place, row in enumerate(rows):
                path, states[row] = starts[row][2], after[:, place]
                values = logits[place : place + 1]
                if path[0] != BEGIN_SPELLING:
                    probs[row] *= float(self._probabilities(values)[0, path[at]])
                    continue
                letters = self._spelled_probabilities(values)[0]
                column = int(np.searchsorted(self._letters, path[at]))
                # The first letter can't be an end; where nothing else is likely, there is no path.
                left = 1 - float(letters[-1]) * (at == 1)
                probs[row] *= float(letters[column]) / left if left > 0 else 0.0
        return list(zip(probs, states, strict=True))

    def unfold(
        self, items: Sequence[tuple[BestFirstSearch, Node]], logits: Floats, states: Floats
    ) -> None:
        """Go on after tokens, or with the next letter of spelled ones."""
        phases = np.array([node.phase for _, node in items])
        for row, probs in _rows(phases == _TOKEN, logits, self._probabilities):
            search, node = items[row]
            self._go_on(search, node, probs, states[:, row])
        for row, probs in _rows(phases == _SPELLING, logits, self._spelled_probabilities):
            search, node = items[row]
            self._spell(search, node, probs, states[:, row])

    def _go_on(self, search: BestFirstSearch, node: Node, probs: Doubles, state: Floats) -> None:
        """Take the next token, which does not go on with the one before it."""
        if len(goes_on := self._going_on(node.text)):
            probs[goes_on] = 0.0
            probs = _shares(probs)
        probs *= node.probability
        search.find(False, "", "", float(probs[END_OF_DOCUMENT]))
        self._take(search, node, probs, self._all, state, 0)
        probability = float(probs[BEGIN_SPELLING])
        begun = Node(probability, _SPELLING, "", node.append, False, BEGIN_SPELLING, state)
        search.push(begun, probability)

    def _take(
        self,
        search: BestFirstSearch,
        node: Node,
        probs: Doubles,
        tokens: tuple[Ids, Ids, Ids],
        state: Floats,
        skipped: int,
    ) -> None:
        """Take the likeliest of some tokens, whose first characters are written already."""
        blank, words, others = tokens
        for symbol in blank.tolist():
            self._pass(search, node, symbol, float(probs[symbol]), state, skipped)
        some = words if search.words_only else others
        some = some[probs[some] > search.bar / SHARED]
        for symbol in _likeliest(probs, some, 4 * search.count + 32).tolist():
            probability, piece = float(probs[symbol]), self._pieces[symbol]
            append = node.append + piece[skipped:]
            if node.completes and len(piece) == skipped:
                self._pass(search, node, symbol, probability, state, skipped)
            else:
                path = Node(probability, _TOKEN, "", append, node.completes, symbol, state)
                search.find(node.completes, piece.removeprefix(" "), append, probability, path)

    def _divided(self, tokens: Ids) -> tuple[Ids, Ids, Ids]:
        """Return the white space, the words and numbers, and all that is not white space."""
        blank, word = self._is_blank[tokens], self._is_word[tokens]
        return tokens[blank], tokens[word], tokens[~blank]

    def _pass(
        self,
        search: BestFirstSearch,
        node: Node,
        symbol: int,
        probability: float,
        state: Floats,
        skipped: int,
    ) -> None:
        """Take a token after which the next word is still to come."""
        if search.target is Target.COMPLETIONS and node.completes:
            return
        piece = self._pieces[symbol]
        append = node.append + piece[skipped:]
        search.push(
            Node(probability, _TOKEN, piece, append, False, symbol, state), SHARED * probability
        )

    def _spell(self, search: BestFirstSearch, node: Node, probs: Doubles, state: Floats) -> None:
        """Take the next letter of a spelled token, or its end, which can't be its beginning."""
        if not node.text:
            probs = _shares(probs[:-1])
        probs = probs * node.probability
        for column in np.flatnonzero(probs > search.bar / SHARED).tolist():
            symbol, probability = int(self._spelled[column]), float(probs[column])
            letter = self._pieces[symbol]
            child = Node(
                probability,
                _SPELLING,
                node.text + letter,
                node.append + letter,
                node.completes,
                symbol,
                state,
            )
            if symbol != END_SPELLING:
                search.push(child, probability)
                continue
            child.phase = _TOKEN
            if not node.text.strip() or (node.completes and not node.append):
                child.completes = False
                if not (search.target is Target.COMPLETIONS and node.completes):
                    search.push(child, SHARED * probability)
            else:
                text = node.text.removeprefix(" ")
                search.find(node.completes, text, node.append, probability, child)

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

    def _probabilities(self, logits: Floats) -> Doubles:
        """Return the probabilities outside of spelling, float64 [R, V]."""
        allowed = logits.copy()
        allowed[:, self._illegal] = -np.inf
        return softmax(allowed)

    def _spelled_probabilities(self, logits: Floats) -> Doubles:
        """Return the probabilities within spelling, of the letters and then its end, [R, L + 1]."""
        return probabilities(logits, self._spelled)


def _rows(
    chosen: Mask, logits: Floats, of: Callable[[Floats], Doubles]
) -> Iterator[tuple[int, Doubles]]:
    """Yield the chosen rows and their probabilities."""
    places = np.flatnonzero(chosen)
    if len(places):
        yield from zip(places.tolist(), of(logits[places]), strict=True)


def _likeliest(probs: Doubles, symbols: Ids, count: int) -> Ids:
    """Return the likeliest of some symbols, in no order."""
    if len(symbols) <= count:
        return symbols
    return symbols[np.argpartition(-probs[symbols], count - 1)[:count]]
