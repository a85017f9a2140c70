"""Words of a text -> how well they are foreseen: next-word accuracy, and keystrokes saved.

A phone's keyboard is played. Before each character it shows the likeliest words that are longer
than what is typed; a tap on the right one writes the rest of it and the space after it. Whoever
types taps as soon as the word is shown, and otherwise types it and the space.

This module knows the contracts of the engine, the tokenizer and the predictions. It does not know
files, nor which words are asked for.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from charlstm.arrays import AnyIds
from charlstm.engine.session import MAX_ROWS, Engine
from charlstm.prediction.grammar import Context
from charlstm.prediction.predictor import Predictor
from charlstm.prediction.search import BestFirstSearch, Target
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of

RANKS = (1, 3, 5)  # of next-word accuracy
SUGGESTIONS = 3  # that the keyboard shows
WARM = 256  # symbols before a word that are read at least, if there are as many
_AT_ONCE = 512  # words: bounds the states and logits held
_FRESH = 512  # symbols of a window after its warm-up, from which on it is cut
# Paths that a search follows in one engine step, steps at most, and the least probability of a
# word. Twice the paths and steps and a tenth of the probability found the same words.
_WIDTH = 4
_ROUNDS = 32
_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class WordQuery:
    """A word that is to be foreseen.

    Attributes:
        word: as it stands in the text.
        after: how many of the ids of its document, or window, stand before it.
        unread: what stands before it and is not among them: at word level the space that belongs
            to its token.
    """

    word: str
    after: int
    unread: str = ""

    @property
    def keystrokes(self) -> int:
        """How many it takes without suggestions: its characters, and the space after it.

        No space follows a character of a script without spaces.
        """
        return len(self.word) + (kind_of(self.word[0]) is not Kind.ALONE)


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """A stretch of a document, from its beginning or from ``WARM`` ids before the first word.

    Attributes:
        ids: integers [T].
        queries: one word or more, in order.
    """

    ids: AnyIds
    queries: tuple[WordQuery, ...]


@dataclass(frozen=True, slots=True)
class WordResult:
    """What became of one word.

    Attributes:
        rank: among the likeliest next words, from 1; 0 if it is none of ``max(RANKS)``.
        unaided: keystrokes without suggestions.
        keystrokes: with them.
    """

    rank: int
    unaided: int
    keystrokes: int


@dataclass(frozen=True)
class WordFigures:
    """How well the words of a sample were foreseen.

    Attributes:
        sample: how many words were asked for.
        accuracy: the share that was among the likeliest 1, 3 and 5.
        accuracy_errors: standard errors of these, as of a sample of independent words.
        keystrokes_saved: 1 - with / without suggestions, over all of them.
        keystrokes_saved_error: its standard error; NaN of one word.
    """

    sample: int
    accuracy: dict[int, float]
    accuracy_errors: dict[int, float]
    keystrokes_saved: float
    keystrokes_saved_error: float


def word_figures(results: Sequence[WordResult]) -> WordFigures:
    """Return the figures of one word or more."""
    count = len(results)
    ranks = np.array([result.rank for result in results])
    accuracy = {rank: float(((ranks > 0) & (ranks <= rank)).mean()) for rank in RANKS}
    errors = {rank: math.sqrt(share * (1 - share) / count) for rank, share in accuracy.items()}
    unaided = np.array([result.unaided for result in results], np.float64)
    aided = np.array([result.keystrokes for result in results], np.float64)
    ratio = float(aided.sum() / unaided.sum())
    # A ratio of two sums, linearized (Cochran 1977, chapter 6).
    residues = aided - ratio * unaided
    spread = math.sqrt(float((residues**2).sum()) * count / (count - 1)) if count > 1 else math.nan
    return WordFigures(count, accuracy, errors, 1 - ratio, spread / float(unaided.sum()))


def windows_of(ids: AnyIds, queries: Iterable[WordQuery]) -> Iterator[ContextWindow]:
    """Cut a document's ids into windows, which together read little more than need be.

    Args:
        ids: of the whole document, END_OF_DOCUMENT first.
        queries: its words, in order.
    """
    group: list[WordQuery] = []
    for one in queries:
        far = group and one.after - group[-1].after > WARM
        if far or (group and one.after - group[0].after > _FRESH):
            yield _window(ids, group)
            group = []
        group.append(one)
    if group:
        yield _window(ids, group)


def _window(ids: AnyIds, queries: Sequence[WordQuery]) -> ContextWindow:
    start = max(0, queries[0].after - WARM)
    moved = tuple(replace(one, after=one.after - start) for one in queries)
    return ContextWindow(ids[start : queries[-1].after], moved)


class Keyboard:
    """Plays the keyboard with one model.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer it was trained with.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._predictor = Predictor(engine, tokenizer)
        self._writable = frozenset(
            map(tokenizer.pieces.__getitem__, tokenizer.character_ids.tolist())
        )
        self._read = 0

    @property
    def rows(self) -> int:
        """How many rows the engine has read so far."""
        return self._read + self._predictor.rows

    def ask(self, windows: Iterable[ContextWindow]) -> Iterator[list[WordResult]]:
        """Yield what becomes of the words, some at a time, in order."""
        group: list[ContextWindow] = []
        for window in windows:
            group.append(window)
            if sum(len(one.queries) for one in group) >= _AT_ONCE:
                yield self._play(group)
                group = []
        if group:
            yield self._play(group)

    def _play(self, windows: Sequence[ContextWindow]) -> list[WordResult]:
        queries = [one for window in windows for one in window.queries]
        contexts = self._contexts(windows)
        shown = self._likeliest(contexts, max(RANKS), Target.ALL)
        keystrokes = self._keystrokes(queries, contexts, shown)
        return [
            WordResult(_rank(one.word, words), one.keystrokes, taken)
            for one, words, taken in zip(queries, shown, keystrokes, strict=True)
        ]

    def _keystrokes(
        self,
        queries: Sequence[WordQuery],
        contexts: Sequence[Context],
        likeliest: Sequence[list[str]],
    ) -> list[int]:
        """Type the words, all at once, given what is likeliest before their first character."""
        taken = [one.keystrokes for one in queries]
        shown = dict(enumerate(likeliest))
        going = dict(enumerate(contexts))
        for place, one in enumerate(queries):
            if not self._writable.issuperset(one.word):  # it is never shown
                del going[place]
        typed = 0
        while going:
            for place in list(going):
                word = queries[place].word
                if word in shown[place][:SUGGESTIONS]:
                    taken[place] = typed + 1
                    del going[place]
                elif typed + 1 == len(word):
                    del going[place]
            if going:
                going = self._type({place: queries[place].word[typed] for place in going}, going)
                words = self._likeliest(list(going.values()), SUGGESTIONS, Target.COMPLETIONS)
                shown = dict(zip(going, words, strict=True))
            typed += 1
        return taken

    def _contexts(self, windows: Sequence[ContextWindow]) -> list[Context]:
        """Return where each word begins, in the order of the windows and their words."""
        found: dict[tuple[int, int], Context] = {}
        order = sorted(range(len(windows)), key=lambda index: -len(windows[index].ids))
        for start in range(0, len(order), MAX_ROWS):
            batch = order[start : start + MAX_ROWS]
            for row, after, context in self._read_windows([windows[index] for index in batch]):
                found[batch[row], after] = context
        return [
            replace(found[index, one.after], unread=one.unread)
            for index, window in enumerate(windows)
            for one in window.queries
        ]

    def _read_windows(self, windows: Sequence[ContextWindow]) -> Iterator[tuple[int, int, Context]]:
        """Read windows, longest first; yield row, ids read and context where a word begins."""
        lengths = np.array([len(window.ids) for window in windows])
        padded = np.zeros((len(windows), int(lengths[0])), np.int64)
        due: dict[int, set[int]] = defaultdict(set)
        for row, window in enumerate(windows):
            padded[row, : lengths[row]] = window.ids
            for one in window.queries:
                due[one.after].add(row)
        state = self._engine.initial_state(len(windows))
        for read in range(1, int(lengths[0]) + 1):
            going = int((lengths >= read).sum())
            self._read += going
            logits, state = self._engine.step(padded[:going, read - 1], state[:, :going])
            for row in sorted(due.get(read, ())):
                yield row, read, Context(logits[row].copy(), state[:, row].copy())

    def _type(self, keys: dict[int, str], contexts: dict[int, Context]) -> dict[int, Context]:
        """Return the contexts after one more character each."""
        if self._tokenizer.spells:  # a word that is being typed is read when it is over
            return {
                place: replace(
                    context,
                    typed=context.typed + keys[place],
                    unread=context.unread + keys[place],
                )
                for place, context in contexts.items()
            }
        ids = self._tokenizer.encode("".join(keys[place] for place in contexts)).astype(np.int64)
        states = np.stack([context.state for context in contexts.values()], axis=1)
        logits, states = self._engine.step(ids, states)
        self._read += len(ids)
        return {
            place: Context(logits[row], states[:, row], context.typed + keys[place])
            for row, (place, context) in enumerate(contexts.items())
        }

    def _likeliest(
        self, contexts: Sequence[Context], count: int, target: Target
    ) -> list[list[str]]:
        found = [BestFirstSearch(count, target, words_only=True, least=_LEAST) for _ in contexts]
        self._predictor.search(found, contexts, _WIDTH, _ROUNDS)
        return [[candidate.text for candidate in search.best()] for search in found]


def _rank(word: str, likeliest: Sequence[str]) -> int:
    return likeliest.index(word) + 1 if word in likeliest else 0
