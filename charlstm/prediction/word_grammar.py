"""The grammar of word-level models: a token is a word, and unknown words are spelled.

A half-typed word has not been read. A search starts with the tokens that begin with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.engine.state import State, joined
from charlstm.metrics import softmax
from charlstm.prediction.best_first_search import (
    LEAST_SHARE,
    SHARED,
    BestFirstSearch,
    Node,
    Target,
)
from charlstm.prediction.grammar import Context, Grammar, Step, probabilities
from charlstm.prediction.merging import Merging
from charlstm.prediction.rows import likeliest_of, normalized, rows_of
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of, partial_word, tokens_of

_KEYCAP = "\u20e3"  # the frame around a digit
_LAST_CODE = "\U0010ffff"

# The phases of a path.
_TOKEN = 0  # after a token or a spelled word
_SPELLING = 1  # within a spelled word
_CLUSTER = 2  # after a token whose last visible character may continue


class Words(Grammar):
    """Each token is a word, punctuation or white space, or a letter of a spelled word."""

    def __init__(self, tokenizer: Tokenizer, *, ends: bool = True, clusters: bool = True) -> None:
        super().__init__(tokenizer, ends=ends, clusters=clusters)
        pieces = self._pieces
        self._illegal = np.append(self._never, END_SPELLING)
        self._letters = tokenizer.character_ids.astype(np.int64)
        self._spelled = np.append(self._letters, END_SPELLING)
        tokens = np.arange(len(tokenizer.reserved), len(pieces))
        order = sorted(tokens.tolist(), key=pieces.__getitem__)
        self._order: Ids = np.array(order, np.int64)
        self._sorted = [pieces[token_id] for token_id in order]
        self._rules = tokenizer.segmentation
        self._merging = Merging(pieces, tokens, self._rules)
        self._is_blank = np.array([not piece.strip() for piece in pieces])
        self._is_word = np.array([piece.strip()[:1].isalnum() for piece in pieces])
        self._all = self._by_kind(tokens)
        self._may_continue, self._begins_within = self._cluster_masks()
        self._known = frozenset(pieces[token_id] for token_id in self._letters.tolist())

    def _cluster_masks(self) -> tuple[Mask, Mask]:
        """Return which tokens may end, and which begin, within a visible character, bool [V]."""
        may_continue, begins_within = np.zeros((2, len(self._pieces)), np.bool_)
        has_keycaps = _KEYCAP in self._pieces
        if self._clusters is not None:
            for token_id, piece in enumerate(self._pieces):
                kind = kind_of(piece[-1:] or " ")
                in_word = kind is Kind.LETTER or (kind is Kind.DIGIT and not has_keycaps)
                may_continue[token_id] = not in_word
                begins_within[token_id] = self._clusters.begins_within(piece)
        return may_continue, begins_within

    def _joining(self, text: str) -> Mask:
        """Return which tokens continue the visible character at the end of a text."""
        if self._clusters is None:
            return np.zeros(len(self._pieces), np.bool_)
        return self._clusters.joining(self._clusters.last(text))

    def split(self, prompt: str) -> tuple[Ids, str, str, bool]:
        """Return the ids before the last word, that word, and the same with the space before it."""
        before, typed, space = partial_word(prompt, self._rules)
        if not self._known.issuperset(space + typed):  # it can be read but not spelled
            before, typed, space = prompt, "", ""
        ids, cluster = self._tokenizer.encode_beginning(before), ""
        if not typed and not space:
            cluster = self._last_cluster(prompt)
        return ids, typed or cluster, space + typed, cluster != ""

    def shares(self, context: Context, step: Step) -> tuple[float, float]:
        """Compare the token that was typed with tokens that begin with it and spelled words."""
        unread = context.unread
        probs = self._probabilities(context.logits[np.newaxis])[0]
        if not context.typed or not unread:
            joined = float(np.add.reduce(probs[self._joining(context.typed)]))
            return joined, 1 - joined
        paths = self._paths(unread)
        ends = self._follow([(probs, context.state, path) for path in paths], step)
        (spelled, state), *several = ends
        follows = sum(probability for probability, _ in several)
        tokens = self._beginning_with(unread)
        total = float(np.add.reduce(probs[tokens])) + spelled + follows
        if not total:
            return 0.0, 0.0
        if len(tokens) and self._pieces[tokens[0]] == unread:
            follows += float(probs[tokens[0]])
        if spelled >= LEAST_SHARE * total:
            logits, _ = step(np.array(paths[0][-1:]), state)
            follows += spelled * float(self._spelled_probabilities(logits)[0, -1])
        return 1 - follows / total, follows / total

    def begin(self, items: Sequence[tuple[BestFirstSearch, Context]], step: Step) -> None:
        """Start with the tokens that begin with the unread text."""
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
        self, search: BestFirstSearch, context: Context, probs: Doubles, paths: list[Node]
    ) -> None:
        """Start one search, given the paths of several tokens that begin with the unread text."""
        unread, state = context.unread, context.state
        search.before = self._last_cluster(context.typed)
        written = "" if unread else context.typed
        root = Node(1.0, _TOKEN, written, "", False, END_OF_DOCUMENT, state)
        if not unread:
            joining = self._joining(written)
            if context.cluster:
                if search.target is not Target.NEXT:
                    root.completes = True
                    self._join(search, root, probs, joining, state)
                    root.completes = False
                if search.target is Target.COMPLETIONS:
                    return
                root.text = ""  # the next word does not depend on it
            probs[joining] = 0.0
            self._extend(search, root, probs, state)
            return
        tokens = self._beginning_with(unread)
        total = float(np.add.reduce(probs[tokens])) + sum(node.probability for node in paths)
        if not total:
            return
        probs = probs / total
        for node in paths:
            node.probability /= total
            if node.phase == _SPELLING or search.target is not Target.COMPLETIONS:
                search.push(node, SHARED * node.probability)
        root.completes = context.typed != ""
        if root.completes and len(tokens) and self._pieces[tokens[0]] == unread:
            probability = float(probs[tokens[0]])
            self._skip(search, root, int(tokens[0]), probability, state, len(unread))
            tokens = tokens[1:]
        self._add_tokens(search, root, probs, self._by_kind(tokens), state, len(unread))

    def _paths(self, unread: str) -> list[list[int]]:
        """Return the ids that spell the unread text, and those of its tokens if it has several."""
        letters = [int(self._tokenizer.encode(letter)[0]) for letter in unread]
        paths = [[BEGIN_SPELLING, *letters]]
        tokens = list(tokens_of(unread, self._rules))
        if len(tokens) > 1:
            # Paths in which a token has to be spelled are left out.
            own = [self._tokenizer.encode(token).tolist() for token in tokens]
            if all(len(ids) == 1 for ids in own):
                paths.append([ids[0] for ids in own])
        return paths

    def _follow(
        self, starts: Sequence[tuple[Doubles, State, list[int]]], step: Step
    ) -> list[tuple[float, State]]:
        """Return the probability of each path, and the state before its last id.

        Args:
            starts: for each path, the probabilities and the state before its first id, and its ids.
            step: reads tokens.
        """
        probs = [float(first[path[0]]) for first, _, path in starts]
        states = [state for _, state, _ in starts]
        for position in range(1, max((len(path) for _, _, path in starts), default=0)):
            rows = [row for row, (_, _, path) in enumerate(starts) if len(path) > position]
            ids = np.array([starts[row][2][position - 1] for row in rows])
            logits, after = step(ids, joined([states[row] for row in rows]))
            for index, row in enumerate(rows):
                path, states[row] = starts[row][2], after.row(index)
                values = logits[index : index + 1]
                if path[0] != BEGIN_SPELLING:
                    probs[row] *= float(self._probabilities(values)[0, path[position]])
                    continue
                letters = self._spelled_probabilities(values)[0]
                column = int(np.searchsorted(self._letters, path[position]))
                # A spelled word has at least one letter, so it can't end at the first position.
                possible = 1 - float(letters[-1]) * (position == 1)
                probs[row] *= float(letters[column]) / possible if possible > 0 else 0.0
        return list(zip(probs, states, strict=True))

    def expand(
        self, items: Sequence[tuple[BestFirstSearch, Node]], logits: Floats, states: State
    ) -> None:
        """Extend paths by a token, or by a letter of a spelled word."""
        phases = np.array([node.phase for _, node in items])
        for row, probs in rows_of(phases == _TOKEN, logits, self._probabilities):
            search, node = items[row]
            self._extend(search, node, probs, states.row(row))
        for row, probs in rows_of(phases == _CLUSTER, logits, self._probabilities):
            search, node = items[row]
            self._continue_cluster(search, node, probs, states.row(row))
        for row, probs in rows_of(phases == _SPELLING, logits, self._spelled_probabilities):
            search, node = items[row]
            self._spell(search, node, probs, states.row(row))

    def _continue_cluster(
        self, search: BestFirstSearch, node: Node, probs: Doubles, state: State
    ) -> None:
        """Extend a path within its last visible character, and add the candidate without that."""
        joining = self._joining(node.text)
        probs = probs * node.probability
        ended = node.probability - float(np.add.reduce(probs[joining]))
        text = node.text.removeprefix(" ")
        search.ended += ended
        if self._is_whole(search, node.completes, text, node.append):
            search.add(node.completes, text, node.append, ended, node)
        self._join(search, node, probs, joining, state)

    def _join(
        self, search: BestFirstSearch, node: Node, probs: Doubles, joining: Mask, state: State
    ) -> None:
        """Extend a path by tokens that continue its last visible character."""
        for token_id in np.flatnonzero(joining & (probs > search.bar)).tolist():
            probability, piece = float(probs[token_id]), self._pieces[token_id]
            text, append = node.text + piece, node.append + piece
            child = Node(probability, _CLUSTER, text, append, node.completes, token_id, state)
            search.push(child, probability)

    def _extend(self, search: BestFirstSearch, node: Node, probs: Doubles, state: State) -> None:
        """Extend a path by a token that does not merge with the last one."""
        if len(merging := self._merging.with_text(node.text)):
            probs[merging] = 0.0
            probs = normalized(probs)
        probs *= node.probability
        search.ended += float(probs[END_OF_DOCUMENT])
        search.add(False, "", "", float(probs[END_OF_DOCUMENT]))
        self._add_tokens(search, node, probs, self._all, state, 0)
        probability = float(probs[BEGIN_SPELLING])
        spelled = Node(probability, _SPELLING, "", node.append, False, BEGIN_SPELLING, state)
        search.push(spelled, probability)

    def _add_tokens(
        self,
        search: BestFirstSearch,
        node: Node,
        probs: Doubles,
        tokens: tuple[Ids, Ids, Ids],
        state: State,
        skipped: int,
    ) -> None:
        """Add the most likely of some tokens, whose first ``skipped`` characters were typed.

        Args:
            search: the search of the path.
            node: the end of the path.
            probs: the probabilities of all tokens after the path, float64 [V].
            tokens: the tokens, as returned by ``_by_kind``.
            state: the state after the path.
            skipped: the number of typed characters at the start of each token.
        """
        if node.completes and search.target is Target.NEXT:
            return
        blank, words, others = tokens
        within = self._may_continue[others]
        search.ended += float(np.add.reduce(probs[others[~within]]))
        for token_id in blank.tolist():
            self._skip(search, node, token_id, float(probs[token_id]), state, skipped)
        candidates = words if search.words_only else others
        candidates = candidates[probs[candidates] > search.bar / SHARED]
        for token_id in likeliest_of(probs, candidates, 4 * search.count + 32).tolist():
            probability, piece = float(probs[token_id]), self._pieces[token_id]
            append = node.append + piece[skipped:]
            path = Node(probability, _TOKEN, "", append, node.completes, token_id, state)
            if self._begins_within[token_id]:
                continue
            if self._may_continue[token_id]:
                path.phase, path.text = _CLUSTER, piece
                search.push(path, probability)
                continue
            search.add(node.completes, piece.removeprefix(" "), append, probability, path)

    def _by_kind(self, tokens: Ids) -> tuple[Ids, Ids, Ids]:
        """Return the tokens that are white space, words or numbers, and not white space."""
        blank, word = self._is_blank[tokens], self._is_word[tokens]
        return tokens[blank], tokens[word], tokens[~blank]

    def _skip(
        self,
        search: BestFirstSearch,
        node: Node,
        token_id: int,
        probability: float,
        state: State,
        skipped: int,
    ) -> None:
        """Extend a path by a token that is not yet the next word."""
        if search.target is Target.COMPLETIONS and node.completes:
            return
        piece = self._pieces[token_id]
        append = node.append + piece[skipped:]
        child = Node(probability, _TOKEN, piece, append, False, token_id, state)
        search.push(child, SHARED * probability)

    def _spell(self, search: BestFirstSearch, node: Node, probs: Doubles, state: State) -> None:
        """Extend a path by a letter of a spelled word or, if it has a letter, by its end."""
        if not node.text:
            probs = normalized(probs[:-1])
        probs = probs * node.probability
        if node.completes and search.target is Target.NEXT:
            probs[:-1] = 0.0
        for column in np.flatnonzero(probs > search.bar / SHARED).tolist():
            token_id, probability = int(self._spelled[column]), float(probs[column])
            letter = self._pieces[token_id]
            child = Node(
                probability,
                _SPELLING,
                node.text + letter,
                node.append + letter,
                node.completes,
                token_id,
                state,
            )
            if token_id != END_SPELLING:
                search.push(child, probability)
                continue
            child.phase = _TOKEN
            if not node.text.strip() or (node.completes and not node.append):
                child.completes = False
                if not (search.target is Target.COMPLETIONS and node.completes):
                    search.push(child, SHARED * probability)
            else:
                search.ended += probability
                text = node.text.removeprefix(" ")
                if self._is_whole(search, node.completes, text, node.append):
                    search.add(node.completes, text, node.append, probability, child)

    def _beginning_with(self, text: str) -> Ids:
        """Return the tokens that begin with a text, in the order of their pieces."""
        low = bisect_left(self._sorted, text)
        return self._order[low : bisect_left(self._sorted, text + _LAST_CODE)]

    def _probabilities(self, logits: Floats) -> Doubles:
        """Return the probabilities outside spelled words, float64 [R, V]."""
        return softmax(logits, self._illegal)

    def _spelled_probabilities(self, logits: Floats) -> Doubles:
        """Return the probabilities of letters and the end within a spelled word, [R, L + 1]."""
        return probabilities(logits, self._spelled)
