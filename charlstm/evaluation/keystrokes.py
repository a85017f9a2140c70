"""Next-word accuracy and keystrokes saved for given words.

This module simulates the keyboard of a phone. Before each character, it suggests the most likely
words that are longer than the typed characters. A tap on a suggestion writes the rest of the word
and the space after it. The user taps as soon as the word is suggested, and otherwise types the word
and the space.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from charlstm.arrays import AnyIds
from charlstm.engine.inference import MAX_ROWS, Engine
from charlstm.engine.state import joined
from charlstm.prediction.best_first_search import BestFirstSearch, Target
from charlstm.prediction.grammar import Context
from charlstm.prediction.predictor import Predictor, grammar_of
from charlstm.results import Result
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of

RANKS = (1, 3, 5)  # of next-word accuracy
SUGGESTIONS = 3  # shown by the keyboard
WARM = 256  # the minimum number of tokens read before a word, if the document has that many
_AT_ONCE = 512  # words at a time, which limits the memory for states and logits
_FRESH = 512  # the maximum length of a window after its warm-up, in tokens
# The paths that a search extends in one engine step, its maximum number of steps, and the minimum
# probability of a word. Twice the paths and steps and a tenth of the probability found the same.
_WIDTH = 4
_ROUNDS = 32
_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class WordQuery:
    """A word to predict.

    Attributes:
        word: the word as written in the text.
        after: the number of token ids before it in its document or window.
        unread: text before it that these ids don't include: the space, if tokens begin with one.
    """

    word: str
    after: int
    unread: str = ""

    @property
    def keystrokes(self) -> int:
        """The keystrokes without suggestions: one for each character and one for a space.

        No space follows a character of a script without spaces.
        """
        return len(self.word) + (kind_of(self.word[0]) is not Kind.ALONE)


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """A part of a document that starts at its beginning or ``WARM`` tokens before the first word.

    Attributes:
        ids: token ids, integers [T].
        queries: the words to predict, in order; at least one.
    """

    ids: AnyIds
    queries: tuple[WordQuery, ...]


@dataclass(frozen=True, slots=True)
class WordResult:
    """How well one word was predicted.

    Attributes:
        rank: its rank among the predicted words, from 1; 0 if it is beyond ``max(RANKS)``.
        unaided: keystrokes without suggestions.
        keystrokes: keystrokes with suggestions.
    """

    rank: int
    unaided: int
    keystrokes: int


@dataclass(frozen=True)
class WordFigures(Result):
    """How well a sample of words was predicted.

    Attributes:
        sample: the number of words.
        accuracy: for each rank of ``RANKS``, the share of words predicted at this rank or better.
        accuracy_errors: their standard errors, treating the words as independent.
        keystrokes_saved: 1 - keystrokes with suggestions / keystrokes without, over all words.
        keystrokes_saved_error: its standard error; NaN for a single word.
    """

    sample: int
    accuracy: dict[int, float]
    accuracy_errors: dict[int, float]
    keystrokes_saved: float
    keystrokes_saved_error: float

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by the names that ``--json`` prints."""
        return {
            "next_word_accuracy": with_errors(self.accuracy, self.accuracy_errors),
            "keystrokes_saved": self.keystrokes_saved,
            "keystrokes_saved_standard_error": self.keystrokes_saved_error,
            "sample": self.sample,
        }


def word_figures(results: Sequence[WordResult]) -> WordFigures:
    """Return the figures of one or more words."""
    count = len(results)
    accuracy, errors = accuracy_of([result.rank for result in results])
    unaided = np.array([result.unaided for result in results], np.float64)
    aided = np.array([result.keystrokes for result in results], np.float64)
    ratio = float(aided.sum() / unaided.sum())
    # The standard error of a ratio of two sums, linearized (Cochran 1977, chapter 6).
    residues = aided - ratio * unaided
    spread = math.sqrt(float((residues**2).sum()) * count / (count - 1)) if count > 1 else math.nan
    return WordFigures(count, accuracy, errors, 1 - ratio, spread / float(unaided.sum()))


def with_errors(accuracy: dict[int, float], errors: dict[int, float]) -> dict[str, Any]:
    """Return accuracies by rank, and their standard errors, as JSON has them."""
    shares: dict[str, Any] = {str(rank): share for rank, share in accuracy.items()}
    return shares | {"standard_error": {str(rank): error for rank, error in errors.items()}}


def accuracy_of(ranks: Sequence[int]) -> tuple[dict[int, float], dict[int, float]]:
    """Return how often words were found at each rank of ``RANKS`` or better, and standard errors.

    Args:
        ranks: the rank of each word, 0 for one that was not found; one word or more.
    """
    found = np.array(ranks)
    accuracy = {rank: float(((found > 0) & (found <= rank)).mean()) for rank in RANKS}
    errors = {n: math.sqrt(share * (1 - share) / len(found)) for n, share in accuracy.items()}
    return accuracy, errors


def windows_of(ids: AnyIds, queries: Iterable[WordQuery]) -> Iterator[ContextWindow]:
    """Divide the token ids of a document into windows, without reading much more than needed.

    Args:
        ids: the ids of the whole document, END_OF_DOCUMENT first.
        queries: the words to predict, in order.
    """
    group: list[WordQuery] = []
    for query in queries:
        is_far = group and query.after - group[-1].after > WARM
        if is_far or (group and query.after - group[0].after > _FRESH):
            yield _window(ids, group)
            group = []
        group.append(query)
    if group:
        yield _window(ids, group)


def _window(ids: AnyIds, queries: Sequence[WordQuery]) -> ContextWindow:
    start = max(0, queries[0].after - WARM)
    moved = tuple(replace(query, after=query.after - start) for query in queries)
    return ContextWindow(ids[start : queries[-1].after], moved)


class Keyboard:
    """A keyboard with the suggestions of one model.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        # A word to predict is a token. In scripts without spaces, a token may be a part of a
        # visible character.
        self._predictor = Predictor(engine, tokenizer, grammar_of(tokenizer, clusters=False))
        self._writable = frozenset(
            map(tokenizer.pieces.__getitem__, tokenizer.character_ids.tolist())
        )
        self._rows = 0

    @property
    def rows(self) -> int:
        """The number of rows that the engine has computed so far."""
        return self._rows + self._predictor.rows

    def ask(self, windows: Iterable[ContextWindow]) -> Iterator[list[WordResult]]:
        """Yield the results of the words in order, in groups."""
        group: list[ContextWindow] = []
        count = 0
        for window in windows:
            group.append(window)
            count += len(window.queries)
            if count >= _AT_ONCE:
                yield self._results(group)
                group, count = [], 0
        if group:
            yield self._results(group)

    def _results(self, windows: Sequence[ContextWindow]) -> list[WordResult]:
        queries = [query for window in windows for query in window.queries]
        contexts = self._contexts(windows)
        likeliest = self._likeliest(contexts, max(RANKS), Target.ALL)
        keystrokes = self._keystrokes(queries, contexts, likeliest)
        return [
            WordResult(rank_of(query.word, words), query.keystrokes, aided)
            for query, words, aided in zip(queries, likeliest, keystrokes, strict=True)
        ]

    def _keystrokes(
        self,
        queries: Sequence[WordQuery],
        contexts: Sequence[Context],
        likeliest: Sequence[list[str]],
    ) -> list[int]:
        """Return the keystrokes of each word, given the suggestions before its first character.

        All words are typed at the same time, character by character.
        """
        keystrokes = [query.keystrokes for query in queries]
        suggested = dict(enumerate(likeliest))
        active = dict(enumerate(contexts))
        for number, query in enumerate(queries):
            if not self._writable.issuperset(query.word):  # it is never suggested
                del active[number]
        typed = 0
        while active:
            for number in list(active):
                word = queries[number].word
                if word in suggested[number][:SUGGESTIONS]:
                    keystrokes[number] = typed + 1
                    del active[number]
                elif typed + 1 == len(word):
                    del active[number]
            if active:
                keys = {number: queries[number].word[typed] for number in active}
                active = self._type(keys, active)
                words = self._likeliest(list(active.values()), SUGGESTIONS, Target.COMPLETIONS)
                suggested = dict(zip(active, words, strict=True))
            typed += 1
        return keystrokes

    def _contexts(self, windows: Sequence[ContextWindow]) -> list[Context]:
        """Return the context of each word, in the order of the windows and their words."""
        found: dict[tuple[int, int], Context] = {}
        order = sorted(range(len(windows)), key=lambda index: -len(windows[index].ids))
        for start in range(0, len(order), MAX_ROWS):
            batch = order[start : start + MAX_ROWS]
            for row, after, context in self._read_windows([windows[index] for index in batch]):
                found[batch[row], after] = context
        return [
            replace(found[index, query.after], unread=query.unread)
            for index, window in enumerate(windows)
            for query in window.queries
        ]

    def _read_windows(self, windows: Sequence[ContextWindow]) -> Iterator[tuple[int, int, Context]]:
        """Read windows, longest first, and yield the row, ``after`` and context of each word."""
        lengths = np.array([len(window.ids) for window in windows])
        padded = np.zeros((len(windows), int(lengths[0])), np.int64)
        due: dict[int, set[int]] = defaultdict(set)
        for row, window in enumerate(windows):
            padded[row, : lengths[row]] = window.ids
            for query in window.queries:
                due[query.after].add(row)
        state = self._engine.initial_state(len(windows))
        for read in range(1, int(lengths[0]) + 1):
            rows = int((lengths >= read).sum())
            self._rows += rows
            logits, state = self._engine.step(padded[:rows, read - 1], state[:rows])
            for row in sorted(due.get(read, ())):
                yield row, read, Context(logits[row].copy(), state.row(row).copy())

    def _type(self, keys: dict[int, str], contexts: dict[int, Context]) -> dict[int, Context]:
        """Return the contexts after one more character each."""
        if self._tokenizer.joins_spaces:  # a word is only read when it is complete
            return {
                number: replace(
                    context,
                    typed=context.typed + keys[number],
                    unread=context.unread + keys[number],
                )
                for number, context in contexts.items()
            }
        ids = self._tokenizer.encode("".join(keys[number] for number in contexts)).astype(np.int64)
        states = joined([context.state for context in contexts.values()])
        logits, states = self._engine.step(ids, states)
        self._rows += len(ids)
        return {
            number: Context(logits[row], states.row(row), context.typed + keys[number])
            for row, (number, context) in enumerate(contexts.items())
        }

    def _likeliest(
        self, contexts: Sequence[Context], count: int, target: Target
    ) -> list[list[str]]:
        found = [BestFirstSearch(count, target, words_only=True, least=_LEAST) for _ in contexts]
        self._predictor.search(found, contexts, _WIDTH, _ROUNDS)
        return [[candidate.text for candidate in search.best()] for search in found]


def rank_of(word: str, likeliest: Sequence[str]) -> int:
    """Return the rank of a word from 1; 0 if it is not in the list."""
    return likeliest.index(word) + 1 if word in likeliest else 0
