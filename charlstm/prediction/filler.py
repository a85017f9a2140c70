"""Words for a gap in a line, from the text on both sides of it.

The words that may follow the left side are the candidates. Each is scored by the probability of the
whole line with it. The candidates of a gap run as one batch, from the state after the left side,
and are dropped as they fall behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids
from charlstm.engine.inference import Engine
from charlstm.engine.state import State, joined
from charlstm.metrics import log_probabilities
from charlstm.prediction.gaps import GAP, split_at_gaps
from charlstm.prediction.predictor import Predictor
from charlstm.prediction.prompt_cache import PromptCache
from charlstm.results import Result
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.segmentation import partial_word

# Four times as many find the hidden word of a novel as often, and take 2.5 times as long.
CANDIDATES = 64
# A candidate this many nats behind the best one, at the same point of the right side, is dropped.
_MARGIN = 10.0
_WINDOW = 8  # tokens of the right side between two looks at who has fallen behind


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
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        predictor: Predictor,
        normalized: Callable[[str], str] = str,
        *,
        ends: bool,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._predictor = predictor
        self._prompts = PromptCache(engine, spells=tokenizer.spells)
        self._normalized = normalized
        self._ends = ends

    def fill_text(self, text: str, *, gap: str = GAP, top: int = 5) -> FilledText:
        """Fill the gaps of a text in order, each with the best word for the one before in place.

        What follows the next gap is not looked at.

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

    def fill(self, left: str, right: str, top: int = 5, *, is_end: bool = True) -> list[Filling]:
        """Return the words that fit best between two texts, the best first.

        Args:
            left: the text before the gap.
            right: the text after it.
            top: the maximum number of words, 1 or more.
            is_end: whether the line ends after the right side.
        """
        left, right = self._normalized(left), self._normalized(right)
        found = self._predictor.predict(left, max(top, CANDIDATES), words_only=True)
        if partial_word(left, self._tokenizer.segmentation).typed:
            found = [each for each in found if each.kind == "completes"]
        # A line break would put the word into another line.
        candidates = {e.append: e for e in found if e.text and not {"\n", "\r"} & {*e.append}}
        if not candidates:
            return []
        inserts, ends = list(candidates), self._ends and is_end
        if right or ends:
            lines = [left + insert + right for insert in inserts]
            totals = self.totals(lines, keep=top, ends=ends)
        else:  # nothing shows where the word ends, so the beginning of a word would win
            totals = np.log([candidates[insert].probability for insert in inserts])
        order = np.argsort(-totals, kind="stable")[:top]
        shares = np.exp(totals - np.logaddexp.reduce(totals))
        return [
            Filling(candidates[inserts[index]].text, float(shares[index]), inserts[index])
            for index in order.tolist()
            if shares[index] > 0
        ]

    def totals(self, lines: Sequence[str], *, keep: int, ends: bool = False) -> Doubles:
        """Return the log-probability of each line after the beginning that all lines share.

        It is -inf for a line that falls behind; float64 [C].

        Args:
            lines: C >= 1 lines that differ in one place.
            keep: the number of best lines that are never dropped.
            ends: whether to score the end of the line too.
        """
        encoded = [self._tokenizer.encode(line).astype(np.int64) for line in lines]
        before = min(_common(encoded), *(len(ids) - 1 for ids in encoded))
        middles = [ids[before:] for ids in encoded]
        after = min(_common([ids[::-1] for ids in middles]), *(len(ids) - 1 for ids in middles))
        prefix = np.concatenate([[END_OF_DOCUMENT], encoded[0][:before]]).astype(np.int64)
        logits, state = self._prompts.read(prefix)
        suffix = middles[0][len(middles[0]) - after :]
        suffix = np.append(suffix, END_OF_DOCUMENT) if ends else suffix
        own = [ids[: len(ids) - after] for ids in middles]
        totals, states = self._read_own(own, logits, state, suffix)
        return self._read_suffix(suffix, totals, states, keep)

    def _read_own(
        self, own: Sequence[Ids], logits: Floats, state: State, suffix: Ids
    ) -> tuple[Doubles, State]:
        """Read the tokens in which the lines differ, at least one of each.

        Returns:
            The log-probability of these tokens and of the first token of the suffix, if there is
            one, float64 [C], and the states after them, C rows.
        """
        order = sorted(range(len(own)), key=lambda index: -len(own[index]))
        lengths = np.array([len(own[index]) for index in order])
        padded = np.zeros((len(own), int(lengths[0]) + 1), np.int64)
        for row, index in enumerate(order):
            padded[row, : lengths[row]] = own[index]
            padded[row, lengths[row]] = suffix[0] if len(suffix) else END_OF_DOCUMENT
        firsts = np.tile(logits, (len(own), 1))
        sums = log_probabilities(firsts, padded[:, 0])
        states, ended = state.repeated(len(own)), []
        for column in range(int(lengths[0])):
            rows = int((lengths > column).sum())
            ended.append(states[rows:])
            targets = padded[:rows, column + 1 : column + 2]
            values, states = self._engine.log_probabilities(
                padded[:rows, column : column + 1], targets, states[:rows]
            )
            counts = (lengths[:rows] > column + 1) | (len(suffix) > 0)
            sums[:rows] += np.where(counts, values[:, 0], 0.0)
        states = joined([states, *reversed(ended)])
        totals = np.empty(len(own))
        totals[order] = sums
        return totals, states[np.argsort(order)]

    def _read_suffix(self, suffix: Ids, totals: Doubles, states: State, keep: int) -> Doubles:
        """Read the tokens that all lines end with, and drop lines that fall behind."""
        result = np.full(len(totals), -np.inf)
        rows = np.arange(len(totals))
        for start in range(0, len(suffix) - 1, _WINDOW):
            rows, totals, states = _leaders(rows, totals, states, keep)
            part = suffix[start : start + _WINDOW + 1]
            inputs, targets = (np.tile(each, (len(rows), 1)) for each in (part[:-1], part[1:]))
            values, states = self._engine.log_probabilities(inputs, targets, states)
            totals = totals + values.sum(axis=1)
        rows, totals, _ = _leaders(rows, totals, states, keep)
        result[rows] = totals
        return result


def _leaders(rows: Ids, totals: Doubles, states: State, keep: int) -> tuple[Ids, Doubles, State]:
    """Return the lines within ``_MARGIN`` of the best one, and at least the best ``keep``."""
    if len(totals) <= keep:
        return rows, totals, states
    kept = totals >= min(totals.max() - _MARGIN, np.partition(totals, -keep)[-keep])
    return rows[kept], totals[kept], states[kept]


def _common(sequences: Sequence[Ids]) -> int:
    """Return the length of the longest common beginning of sequences."""
    shortest = min(map(len, sequences))
    stacked = np.stack([ids[:shortest] for ids in sequences])
    differs = (stacked != stacked[0]).any(axis=0)
    return int(differs.argmax()) if differs.any() else shortest
