"""The grammar of character-level and subword-level models, whose tokens are parts of words.

``word_rules`` says what a character does after each kind of text. The effect of a piece follows
from its characters. At subword level, a half-typed word has not been read. A search then starts
with the pieces that cover it (see ``coverings``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.engine.state import State, joined
from charlstm.generation.coverings import Covering, CoveringSearch, PieceIndex
from charlstm.prediction.best_first_search import LEAST_SHARE, SHARED, BestFirstSearch, Node, Target
from charlstm.prediction.grammar import Context, Grammar, Step, probabilities
from charlstm.prediction.word_rules import Effect, Shape, end_shape, shape_of, word_rules
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.segmentation import partial_word
from charlstm.unicode_text import visible_characters


class Pieces(Grammar):
    """Each token is a character or a piece of a word."""

    def __init__(self, tokenizer: Tokenizer, *, ends: bool = True, clusters: bool = True) -> None:
        super().__init__(tokenizer, ends=ends, clusters=clusters)
        self._columns = np.delete(np.arange(tokenizer.vocab_size), self._never)
        self._token_ids: list[int] = self._columns.tolist()
        pieces = [self._pieces[token_id] for token_id in self._token_ids]
        # If no piece crosses the border of a word, none ends within a visible character.
        self._divided = visible_characters if tokenizer.joins_spaces else list[str]
        shapes = [self._shape(piece) for piece in pieces]
        repeating = [self._shape(piece, piece[:1]) for piece in pieces]
        self._distinct: list[Shape] = list(dict.fromkeys((*shapes, *repeating)))
        numbers = {shape: number for number, shape in enumerate(self._distinct)}
        self._shapes = [numbers[shape] for shape in shapes]
        self._repeating = [numbers[shape] for shape in repeating]
        self._suffixes: dict[tuple[str, str], Shape] = {}
        # The columns by the first character of their pieces.
        self._beginning: dict[str, list[int]] = {}
        for column, piece in enumerate(pieces):
            self._beginning.setdefault(piece[:1], []).append(column)

    @cached_property
    def _marks(self) -> Ids:
        """The columns of pieces that can only continue a visible character."""
        within = self._clusters.begins_within if self._clusters else str
        return np.array([c for c, i in enumerate(self._token_ids) if within(self._pieces[i])], int)

    @cached_property
    def _effects(self) -> list[list[Effect]]:
        """What each shape does after each tail, [tails][shapes]."""
        rules = word_rules()
        return [
            [rules.follow(tail, shape) for shape in self._distinct] for tail in range(rules.tails)
        ]

    @cached_property
    def _tables(self) -> tuple[Doubles, Doubles, Doubles, Mask]:
        """The effects as arrays: weights and ends by target, completes, and may_complete."""
        weights = np.array([[effect.weights for effect in row] for row in self._effects])
        ends = np.array([[effect.ends for effect in row] for row in self._effects])
        completes = np.array([[float(effect.completes) for effect in row] for row in self._effects])
        undecided = np.array([[effect.may_complete for effect in row] for row in self._effects])
        return weights.transpose(2, 0, 1), ends.transpose(2, 0, 1), completes, undecided

    @cached_property
    def _of_columns(self) -> tuple[Doubles, Doubles]:
        """The weights and ends of each column of the probabilities, [targets, tails, columns]."""
        weights, ends, _, _ = self._tables
        return weights[:, :, self._shapes], ends[:, :, self._shapes]

    @cached_property
    def _coverings(self) -> CoveringSearch:
        def all_ids(logits: Floats) -> Doubles:
            found = np.zeros(logits.shape)
            found[:, self._columns] = probabilities(logits, self._columns)
            return found

        return CoveringSearch(PieceIndex(self._pieces), self._pieces, all_ids)

    def split(self, prompt: str) -> tuple[Ids, str, str, bool]:
        """Return the ids to read, and the word or visible character at the end of the prompt."""
        read, unread = self._tokenizer.split_prompt(prompt)
        if self._tokenizer.unknown_characters(unread):  # these can be read but not written
            return self._tokenizer.encode_beginning(prompt), "", "", False
        ids = self._tokenizer.encode_beginning(read)
        if unread:
            return ids, unread.removeprefix(" "), unread, False
        typed = partial_word(prompt, self._tokenizer.segmentation).typed
        cluster = "" if typed else self._last_cluster(prompt)
        return ids, typed or cluster, "", cluster != ""

    def _phase_of(self, context: Context) -> int:
        rules = word_rules()
        return rules.after_cluster if context.cluster else rules.number_of(context.typed)

    def _joining(self, text: str) -> Mask | None:
        """Return which columns belong to the visible character that a text ends with."""
        if self._clusters is None:
            return None
        return self._clusters.joining(self._clusters.last(text))[self._columns]

    # The probability that the word continues

    def shares(self, context: Context, step: Step) -> tuple[float, float]:
        """Look at the next piece, and at one more where that is undecided."""
        if not context.unread:
            return self._shares_after(context, context.logits, context.state, step)
        completes = follows = 0.0
        rules, tail = word_rules(), self._phase_of(context)
        undecided: list[tuple[float, int, Covering, int]] = []
        for covering, token_id, share, suffix in self._started(context, step):
            effect = rules.follow(tail, self._shape_of(suffix, context.typed)) if suffix else None
            if effect is None or effect.may_complete:
                undecided.append((share, token_id, covering, effect.tail if effect else tail))
            else:
                completes += share * effect.completes
                follows += share * (not effect.completes)
        if undecided:
            ids = np.array([token_id for _, token_id, _, _ in undecided])
            states = joined([covering.state for _, _, covering, _ in undecided])
            logits, after = step(ids, states)
            for row, (share, _, _, reached) in enumerate(undecided):
                if reached == tail:
                    shares = self._shares_after(context, logits[row], after.row(row), step)
                else:
                    longer = self._completing(logits[row], reached)
                    shares = longer, 1 - longer
                completes += share * shares[0]
                follows += share * shares[1]
        return completes, follows

    def _completing(self, logits: Floats, tail: int) -> float:
        """Return the probability that the next piece continues the typed word, after a tail."""
        _, _, completing, _ = self._tables
        probs = probabilities(logits[np.newaxis], self._columns)[0]
        return float(probs @ completing[tail, self._shapes])

    def _shares_after(
        self, context: Context, logits: Floats, state: State, step: Step
    ) -> tuple[float, float]:
        """Return the shares if the typed word has been read."""
        tail, joining = self._phase_of(context), self._joining(context.typed)
        _, _, completing, may_complete = self._tables
        probs = probabilities(logits[np.newaxis], self._columns)[0]
        continues = completing[tail, self._shapes]
        if joining is not None:
            continues = np.maximum(continues, joining)
        completes = float(probs @ continues)
        undecided = may_complete[tail, self._shapes]
        follows = float(probs[~undecided].sum()) - completes
        columns = np.flatnonzero(undecided & (probs >= LEAST_SHARE))
        if len(columns):
            states = state.repeated(len(columns))
            logits, _ = step(self._columns[columns], states)
            for row, column in enumerate(columns.tolist()):
                reached = self._effects[tail][self._shapes[column]].tail
                longer = self._completing(logits[row], reached)
                completes += float(probs[column]) * longer
                follows += float(probs[column]) * (1 - longer)
        return completes, follows

    # The search

    def begin(self, items: Sequence[tuple[BestFirstSearch, Context]], step: Step) -> None:
        """Start after the typed word, or with the pieces that cover it if it has not been read."""
        nodes = []
        for search, context in items:
            if context.unread:
                self._cover(search, context, step)
                continue
            typed, tail = context.typed, self._phase_of(context)
            last = int(self._tokenizer.encode(typed[-1:])[0]) if typed else END_OF_DOCUMENT
            root = Node(1.0, tail, typed, "", False, last, context.state)
            nodes.append((search, root, context.logits))
        if nodes:
            logits = np.stack([after for _, _, after in nodes])
            states = joined([node.state for _, node, _ in nodes])
            self.expand([(search, node) for search, node, _ in nodes], logits, states)

    def _started(self, context: Context, step: Step) -> list[tuple[Covering, int, float, str]]:
        """Return the coverings of the unread text: last id, share of all, and additional text."""
        search = self._coverings
        coverings = search.run(context.unread, context.logits, context.state, step)
        total = float(np.logaddexp.reduce([search.log_total(each) for each in coverings]))
        if total == -np.inf:
            return []
        started = []
        for covering in coverings:
            ids = search.index.beginning_with(covering.rest)
            with np.errstate(divide="ignore"):  # a probability can be 0
                logs = covering.log_probability + np.log(covering.probabilities[ids]) - total
            for token_id, share in zip(ids.tolist(), np.exp(logs).tolist(), strict=True):
                suffix = self._pieces[token_id][len(covering.rest) :]
                started.append((covering, token_id, share, suffix))
        return started

    def _cover(self, search: BestFirstSearch, context: Context, step: Step) -> None:
        """Start one search with the pieces that cover the unread text, most likely first."""
        rules, tail = word_rules(), self._phase_of(context)
        started = sorted(self._started(context, step), key=lambda each: -each[2])
        for covering, token_id, share, suffix in started:
            if SHARED * share <= search.bar:
                break
            root = Node(share, tail, context.typed, "", False, token_id, covering.state)
            if not suffix:
                search.push(root, SHARED * share)
                continue
            effect = rules.follow(tail, self._shape_of(suffix, context.typed))
            if effect.ends[search.target]:
                search.ended += share
                if context.typed:  # the typed word is complete
                    self._end(search, root, share)
            elif effect.weights[search.target]:
                weight = effect.weights[search.target] * share
                self._extend(search, root, token_id, suffix, effect, share, covering.state, weight)

    def _shape_of(self, suffix: str, typed: str) -> Shape:
        """Return the shape of the text that a piece adds to the typed word. Cached."""
        key = suffix, typed[-1:]
        if key not in self._suffixes:
            self._suffixes[key] = self._shape(*key)
        return self._suffixes[key]

    def _shape(self, piece: str, after: str = "") -> Shape:
        return shape_of(self._divided(piece), after) if piece else end_shape()

    def expand(
        self, items: Sequence[tuple[BestFirstSearch, Node]], logits: Floats, states: State
    ) -> None:
        """Extend paths by one piece."""
        probs = probabilities(logits, self._columns)
        probs *= np.array([node.probability for _, node in items])[:, np.newaxis]
        target = np.array([search.target for search, _ in items])
        tails = np.array([node.phase for _, node in items])
        weights_of, ends_of = self._of_columns
        weights, ends = weights_of[target, tails], ends_of[target, tails]
        repeated = [self._repeat(*items[row], weights[row], ends[row]) for row in range(len(items))]
        joining = [self._join(*items[row], weights[row], ends[row]) for row in range(len(items))]
        ended = np.add.reduce(probs * ends, axis=1).tolist()
        for (search, node), probability in zip(items, ended, strict=True):
            if probability:
                search.ended += probability
                self._end(search, node, probability)
        weights *= probs
        bars = np.array([search.bar for search, _ in items])
        rows, columns = np.nonzero(weights > bars[:, np.newaxis])
        state_of = [states.row(row) for row in range(len(items))]
        for row, column, probability, weight in zip(
            rows.tolist(),
            columns.tolist(),
            probs[rows, columns].tolist(),
            weights[rows, columns].tolist(),
            strict=True,
        ):
            search, node = items[row]
            joins = joining[row]
            shapes = self._repeating if column in repeated[row] else self._shapes
            effect = self._effects[node.phase][shapes[column]]
            if joins is not None and joins[column]:
                effect = word_rules().joined(completes=node.completes or not node.append)
            token_id = self._token_ids[column]
            piece = self._pieces[token_id]
            self._extend(search, node, token_id, piece, effect, probability, state_of[row], weight)

    def _repeat(
        self, search: BestFirstSearch, node: Node, weights: Doubles, ends: Doubles
    ) -> Collection[int]:
        """Correct one row of both arrays for pieces that continue a run of one mark.

        Returns:
            The columns that begin with the last character of the path, if that matters.
        """
        if not word_rules().is_run[node.phase]:
            return ()
        columns = self._beginning.get((node.text + node.append)[-1:], [])
        for column in columns:
            effect = self._effects[node.phase][self._repeating[column]]
            weights[column] = effect.weights[search.target]
            ends[column] = effect.ends[search.target]
        return columns

    def _join(
        self, search: BestFirstSearch, node: Node, weights: Doubles, ends: Doubles
    ) -> Mask | None:
        """Correct one row of both arrays so that no word begins or ends within a visible character.

        Returns:
            Which columns continue the visible character at the end of the path although the rules
            of words say otherwise; ``None`` if no token of the model can.
        """
        if self._clusters is None:
            return None
        joins = self._joining(node.text + node.append)
        begins = node.append.isspace() or not (node.append or node.text)
        if begins:
            weights[self._marks] = 0.0
        if joins is None or not joins.any():
            return joins
        if not node.append:
            _, _, completing, _ = self._tables
            joins &= ~(completing[node.phase, self._shapes] > 0)
            wanted = search.target is not Target.NEXT
        elif begins or word_rules().spare[node.phase]:
            joins[:] = False
            wanted = False
        else:
            joins &= ends > 0
            wanted = True
        weights[joins] = float(wanted)
        ends[joins] = 0.0
        return joins

    def _end(self, search: BestFirstSearch, node: Node, probability: float) -> None:
        """Add the candidate that ends before the next piece."""
        rules = word_rules()
        append = node.append[: len(node.append) - rules.spare[node.phase]]
        path = node if rules.is_certain[node.phase] else None
        text = _text_of(node, append)
        if self._is_whole(search, node.completes, text, append):
            search.add(node.completes, text, append, probability, path)

    def _extend(
        self,
        search: BestFirstSearch,
        node: Node,
        token_id: int,
        piece: str,
        effect: Effect,
        probability: float,
        state: State,
        weight: float,
    ) -> None:
        """Extend a path by a piece, or add the candidate that ends within or after it.

        Args:
            search: the search of the path.
            node: the end of the path.
            token_id: the id of the piece.
            piece: the text of the piece that was not typed.
            effect: what the piece does to the word.
            probability: the probability of the path with the piece.
            state: the state before the piece.
            weight: the priority of the path with the piece.
        """
        rules = word_rules()
        completes = node.completes or effect.completes
        append = node.append + piece
        child = Node(probability, effect.tail, node.text, append, completes, token_id, state)
        is_end = token_id == END_OF_DOCUMENT
        if effect.length is None:
            search.push(child, weight)
        elif self._clusters is not None and not is_end and effect.length == len(piece):
            child.phase = rules.within  # until it is certain that the visible character is complete
            search.push(child, weight)
        elif is_end:
            search.ended += probability
            search.add(False, "", "", probability)
        else:
            search.ended += probability
            append = append[: len(append) - (len(piece) - effect.length)]
            path = child if effect.length == len(piece) else None
            text = _text_of(child, append)
            if self._is_whole(search, completes, text, append):
                search.add(completes, text, append, probability, path)


def _text_of(node: Node, append: str) -> str:
    """Return the candidate that a path ends in, without the white space before it."""
    return node.text + append if node.completes else append.lstrip()
