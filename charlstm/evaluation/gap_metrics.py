"""How often a hidden word is found from the text on both sides of it, and from the left side alone.

The context is the line of the word. ``prediction.filler`` fills the gaps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from charlstm.corpus.lines import split_lines
from charlstm.errors import CorpusError
from charlstm.evaluation.keystrokes import RANKS, accuracy_of, rank_of, with_errors
from charlstm.evaluation.text_metrics import Texts
from charlstm.evaluation.word_metrics import WordFinder
from charlstm.prediction.filler import Filler
from charlstm.prediction.predictor import Predictor
from charlstm.results import Result
from charlstm.tokenizer.base import Tokenizer

HIDDEN_WORDS = 300  # by default: each takes many times as long as a prediction


@dataclass(frozen=True)
class GapFigures(Result):
    """How well hidden words were found.

    Attributes:
        sample: the number of words.
        accuracy: for each rank of ``RANKS``, the share of words found at this rank or better.
        accuracy_errors: their standard errors, treating the words as independent.
        left_accuracy: the same shares for predictions from the left side alone.
        left_accuracy_errors: their standard errors.
    """

    sample: int
    accuracy: dict[int, float]
    accuracy_errors: dict[int, float]
    left_accuracy: dict[int, float]
    left_accuracy_errors: dict[int, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by the names that ``--json`` prints."""
        return {
            "sample": self.sample,
            "accuracy": with_errors(self.accuracy, self.accuracy_errors),
            "left_accuracy": with_errors(self.left_accuracy, self.left_accuracy_errors),
        }


def evaluate_gaps(
    tokenizer: Tokenizer,
    predictor: Predictor,
    filler: Filler,
    texts: Texts,
    *,
    sample: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> GapFigures:
    """Hide a random sample of the words of a text one at a time, and look for each.

    A word is as for ``evaluate_words``.

    Args:
        tokenizer: the tokenizer of the model.
        predictor: predicts from the left side.
        filler: fills gaps with the same model.
        texts: the text.
        sample: the number of words to hide. All words are, if there are fewer.
        seed: the seed of the random choice.
        on_progress: called with the number of words looked for since the last call.

    Raises:
        CorpusError: if there are no words, or the text can't be read or decoded.
    """
    total = sum(1 for _ in hidden_words(tokenizer, texts))
    if not total:
        raise CorpusError(f"{texts.name}: there is no word to hide.")
    chosen = set(np.random.default_rng(seed).choice(total, min(sample, total), False).tolist())
    ranks, left_ranks = [], []
    for number, hidden in enumerate(hidden_words(tokenizer, texts)):
        if number not in chosen:
            continue
        line, start, stop = hidden.line, hidden.start, hidden.stop
        left, word, right = line[:start], line[start:stop], line[stop:]
        from_both = filler.fill(
            left, right, max(RANKS), is_begin=hidden.is_begin, is_end=hidden.is_end
        )
        ranks.append(rank_of(word, [each.text for each in from_both]))
        from_left = predictor.predict(left, max(RANKS), words_only=True)[: max(RANKS)]
        left_ranks.append(rank_of(word, [each.text for each in from_left]))
        if on_progress:
            on_progress(1)
    accuracy, errors = accuracy_of(ranks)
    left_accuracy, left_errors = accuracy_of(left_ranks)
    return GapFigures(len(ranks), accuracy, errors, left_accuracy, left_errors)


class HiddenWord(NamedTuple):
    """A word in its line.

    Attributes:
        line: the line, without its end.
        start: the position of the word in the line.
        stop: the position after it.
        is_begin: whether the document begins with the line.
        is_end: whether the document ends with the line.
    """

    line: str
    start: int
    stop: int
    is_begin: bool
    is_end: bool


def hidden_words(tokenizer: Tokenizer, texts: Texts) -> Iterator[HiddenWord]:
    """Yield each word of a text, with its line."""
    for document in texts.documents():
        groups = split_lines(document, texts.name, "which is too long for a context. Break it up.")
        lines = itertools.chain.from_iterable(group for group, _ in groups)
        for number, (line, is_end) in enumerate(_with_last(lines)):
            finder = WordFinder(tokenizer.segmentation)
            for position, token in finder.words(line):
                start = position + len(token) - len(token.removeprefix(" "))
                yield HiddenWord(line, start, position + len(token), number == 0, is_end)


def _with_last(lines: Iterator[str]) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is the last one."""
    before = next(lines, None)
    while before is not None:
        line = next(lines, None)
        yield before, line is None
        before = line
