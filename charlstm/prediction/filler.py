"""Words for a gap in a line, from the text on both sides of it.

The words that may follow the left side are the candidates and, with a backward network, those that
may precede the right side. Each is scored by the probability of the whole line with it, under one
or both networks. The candidates of a gap run as one batch, from the state after the left side (in a
backward network after the right side), and are dropped as they fall behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from charlstm.arrays import Doubles, Mask
from charlstm.engine.inference import Engine
from charlstm.generation.word_edges import WordEdges
from charlstm.prediction.gaps import GAP, split_at_gaps
from charlstm.prediction.line_reading import LineReading, common_length
from charlstm.prediction.preceding_words import PrecedingWords
from charlstm.prediction.predictor import Predictor
from charlstm.prediction.prompt_cache import PromptCache
from charlstm.results import Result
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.segmentation import partial_word

# Four times as many find the hidden word of a novel as often, and take 2.5 times as long.
CANDIDATES = 64
_LEAST_SHARE = 1e-9  # a less likely word is not worth returning
# A candidate this many nats behind the best one, at the same point of the right side, is dropped.
# With a larger margin, the best words of novels were the same.
_MARGIN = 7.0
# The words that a backward network proposes, in addition to those that follow the left side. Twice
# as many find no more hidden words of a novel.
PRECEDING = 16
# The tokens before the gap that a backward network predicts. The word hardly changes the
# probability of those before them.
_FARTHEST = 256


@dataclass(frozen=True, slots=True)
class Filling(Result):
    """A word that may fill a gap.

    Attributes:
        text: the word or number, including letters before the gap that it completes.
        probability: its share of the probability of all candidates examined.
        insert: the text to put in place of the gap.
    """

    text: str
    probability: float
    insert: str


@dataclass(frozen=True, slots=True)
class FilledText(Result):
    """A text with gaps, and words for them.

    Attributes:
        text: the text as given.
        filled: the text with the best word in each gap. A gap stays if no word was found for it.
        gaps: for each gap in order, the words that fit best, the best first.
    """

    text: str
    filled: str
    gaps: tuple[tuple[Filling, ...], ...]


class Filler:
    """Fills gaps with one model. Threads can't share it.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        predictor: proposes words after the left side.
        normalized: brings a text into the Unicode form of the model.
        ends: whether the model has learned where a line ends, so that the end is scored too.
        backward: the network of the model that reads texts from their end, if it has one.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        predictor: Predictor,
        normalized: Callable[[str], str] = str,
        *,
        ends: bool,
        backward: Engine | None = None,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._predictor = predictor
        self._normalized = normalized
        self._ends = ends
        self._backward = Backward(backward, tokenizer) if backward else None

    def fill_text(self, text: str, *, gap: str = GAP, top: int = 5) -> FilledText:
        """Fill the gaps of a text in order, each with the best word for the one before in place.

        Text after the next gap is ignored.

        Args:
            text: a text with gaps, or without any.
            gap: what marks a gap, as for ``split_at_gaps``.
            top: the maximum number of words for each gap, 1 or more.

        Raises:
            ConfigError: if ``gap`` is empty.
        """
        filled, *rest = split_at_gaps(text, gap)
        gaps = []
        for number, right in enumerate(rest, 1):
            found = self.fill(filled, right, top, is_end=number == len(rest))
            filled += (found[0].insert if found else gap) + right
            gaps.append(tuple(found))
        return FilledText(text, filled, tuple(gaps))

    def fill(
        self, left: str, right: str, top: int = 5, *, is_begin: bool = True, is_end: bool = True
    ) -> list[Filling]:
        """Return the words that fit best between two texts, the best first.

        Args:
            left: the text before the gap.
            right: the text after it.
            top: the maximum number of words, 1 or more.
            is_begin: whether the document begins with the left side.
            is_end: whether it ends with the right side.
        """
        left, right = self._normalized(left), self._normalized(right)
        before, typed, space = partial_word(left, self._tokenizer.segmentation)
        found = self._predictor.predict(left, max(top, CANDIDATES), words_only=True)
        if typed:
            found = [each for each in found if each.kind == "completes"]
        ends, begins = self._ends and is_end, self._ends and is_begin
        has_right = bool(right) or ends
        words = {each.append: each.text for each in found if each.text}
        if self._backward and has_right:
            words = self._backward.words.find(left, right, PRECEDING) | words
        if not left or left[-1].isspace():  # no space belongs between them and a word
            words = {insert.removeprefix(" "): word for insert, word in words.items()}
        # A line break would put the word into another line.
        inserts = [insert for insert in words if not {"\n", "\r"} & {*insert}]
        if not inserts:
            return []
        if has_right:
            lines, first = [left + insert + right for insert in inserts], not (before or space)
            totals = self.totals(lines, keep=top, ends=ends, begins=begins, first=first)
        else:  # nothing shows where the word ends, so the beginning of a word would win
            chances = {each.text: each.probability for each in found}
            totals = np.log([chances[words[insert]] for insert in inserts])
        order = np.argsort(-totals, kind="stable")[:top]
        shares = np.exp(totals - np.logaddexp.reduce(totals))
        return [
            Filling(words[inserts[index]], float(shares[index]), inserts[index])
            for index in order.tolist()
            if shares[index] > _LEAST_SHARE
        ]

    def totals(
        self,
        lines: Sequence[str],
        *,
        keep: int,
        ends: bool = False,
        begins: bool = False,
        first: bool = False,
    ) -> Doubles:
        """Return the log-probability of each line, apart from a summand that all lines share.

        With a backward network, that is the mean of both networks' log-probabilities. It is -inf
        for a line that falls behind; float64 [C].

        Args:
            lines: C >= 1 lines that differ in one place.
            keep: the number of best lines that are never dropped.
            ends: whether the document ends with the lines, so that the end is scored too.
            begins: whether it begins with them, so that a backward network scores that too.
            first: whether the lines differ in their first word. A backward network then scores
                that the word begins where the line does.
        """
        encoded = [self._tokenizer.encode(line).astype(np.int64) for line in lines]
        readings = [LineReading(self._engine, self._predictor.prompts, encoded, ends=ends)]
        if self._backward:
            engine, prompts = self._backward.engine, self._backward.prompts
            closing = self._backward.outside if first else None
            cut = max(0, common_length(encoded) - _FARTHEST)
            from_end = [ids[cut:][::-1] for ids in encoded]
            begins = begins and not cut
            readings.append(LineReading(engine, prompts, from_end, ends=begins, closing=closing))
        result, rows = np.full(len(lines), -np.inf), np.arange(len(lines))
        totals = np.zeros(len(lines))
        while sum(reading.advance() for reading in readings):
            totals = np.add.reduce([reading.totals for reading in readings]) / len(readings)
            kept = _leaders(totals, keep)
            rows, totals = rows[kept], totals[kept]
            for reading in readings:
                reading.keep(kept)
        result[rows] = totals
        return result


class Backward:
    """A network that reads texts from their end, as a filler uses it.

    Args:
        engine: the network.
        tokenizer: its tokenizer.

    Attributes:
        engine: the network.
        prompts: its states after recent texts.
        words: proposes words before a text.
        outside: the tokens before which a word can begin, bool [V]; ``None`` at word level, where
            each word is whole.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer) -> None:
        self.engine = engine
        self.prompts = PromptCache(engine, spells=False)
        self.words = PrecedingWords(engine, tokenizer, self.prompts)
        self.outside = None if tokenizer.spells else ~WordEdges(tokenizer).ends


def _leaders(totals: Doubles, keep: int) -> Mask:
    """Return which lines are within ``_MARGIN`` of the best one, or among the best ``keep``."""
    if len(totals) <= keep:
        return np.ones(len(totals), np.bool_)
    kept: Mask = totals >= min(totals.max() - _MARGIN, np.partition(totals, -keep)[-keep])
    return kept
