"""Texts -> log-probabilities: how well a trained model foresees a text, and so how usual it is.

A text starts from the end-of-document symbol and a zero state, as in training. Many texts run as
the rows of a batch, a row's numbers being the same bits whatever stands beside it. A long text is
cut into rows as validation cuts it, each warmed on what stands before it.

This module knows the contracts of the engine, the tokenizer and the validation batches. It does not
know files or the command line.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm import metrics
from charlstm.arrays import AnyIds, Doubles, Floats, Mask
from charlstm.dataset.batches import validation_batches
from charlstm.dataset.store import smallest_dtype
from charlstm.engine.session import MAX_ROWS, Engine
from charlstm.tokenizer.base import END_OF_DOCUMENT, UNKNOWN, Tokenizer
from charlstm.tokenizer.tokens import ScoredToken, scored_token

ProgressListener: TypeAlias = Callable[[float], None]

# Symbols from which one text is read as many rows, warmed on what stands before them, and no longer
# as one. It depends on the text alone, so that its score does.
LONG = 2**14
_LOGITS_AT_ONCE = 2**19  # floats
_VALUES_HELD = 2**16
_LINES_AT_ONCE = 4 * MAX_ROWS  # enough for batches of lines of almost the same length


@dataclass(frozen=True, slots=True)
class Score:
    """How probable a text is.

    Attributes:
        text: the text; empty where it was read as a stream.
        characters: code points scored; in a model of lines, each line end is one.
        tokens: symbols scored; end marks are among them, what is only context is not.
        unknown: how many of them the model never saw.
        log_probability: of the whole text, in nats.
        symbols: each symbol in order, if they were asked for.
        unknown_log_probability: the part of ``log_probability`` that the unknown ones have.
    """

    text: str
    characters: int
    tokens: int
    unknown: int
    log_probability: float
    symbols: tuple[ScoredToken, ...] | None = None
    unknown_log_probability: float = 0.0

    @property
    def bits_per_character(self) -> float:
        """Mean surprise, which compares across tokenizers; NaN of no character."""
        return metrics.bits_per_character(-self.log_probability, self.characters)

    @property
    def nats_per_token(self) -> float:
        """Mean surprise, as training gives its losses; NaN of no token."""
        return -self.log_probability / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        """Perplexity per token, which compares only with the same tokenizer; NaN of no token."""
        return metrics.perplexity(-self.log_probability, self.tokens)


def score_texts(
    engine: Engine,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    ends: bool,
    context: str = "",
    per_token: bool = False,
) -> list[Score]:
    """Score texts, each from a zero state; each as if it were the only one.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        texts: any number, of any length.
        ends: score the end of the document after each too, as one character (a model of lines).
        context: read before each text and not scored, but for its last word at word level, which
            may go on in the text.
        per_token: give the symbols too.

    Returns:
        The scores in the order of the texts.
    """
    before, taken = tokenizer.split_prompt(context) if context else ("", "")
    start = _Start(engine, tokenizer.encode(before))
    mark = np.full(int(ends), END_OF_DOCUMENT, np.uint32)
    sequences = [np.concatenate([tokenizer.encode(taken + text), mark]) for text in texts]
    order = np.argsort([-len(sequence) for sequence in sequences], kind="stable").tolist()
    short = [index for index in order if len(sequences[index]) < LONG]
    values: dict[int, Doubles] = {}
    of_unknown: dict[int, float] = {}
    for at in range(0, len(short), MAX_ROWS):
        batch = short[at : at + MAX_ROWS]
        rows = start.read([sequences[index] for index in batch])
        values.update(zip(batch, rows, strict=True))
        of_unknown |= {index: _of_unknown(sequences[index], values[index]) for index in batch}
    for index in order[: len(order) - len(short)]:
        values[index], of_unknown[index] = start.read_long(sequences[index], per_token)
    extra = len(taken) + int(ends)
    return [
        _score(
            tokenizer,
            text,
            len(text) + extra,
            sequences[index],
            values[index],
            of_unknown[index],
            per_token=per_token,
        )
        for index, text in enumerate(texts)
    ]


def score_lines(
    engine: Engine, tokenizer: Tokenizer, lines: Iterable[str], *, per_token: bool = False
) -> Score:
    """Score lines together, each a document from a zero state, as a model of lines is validated.

    Args:
        engine: a trained model of lines.
        tokenizer: the tokenizer the model was trained with.
        lines: read as they are needed and not held.
        per_token: give the symbols too.
    """
    return add_scores(
        score
        for group in _groups(lines)
        for score in score_texts(engine, tokenizer, group, ends=True, per_token=per_token)
    )


def score_stream(
    engine: Engine,
    tokenizer: Tokenizer,
    texts: Iterable[str],
    *,
    ends: bool,
    per_token: bool = False,
    on_progress: ProgressListener | None = None,
) -> Score:
    """Score texts that in a row are one text, exactly as training finds its validation loss.

    Only the ids are held, in as few bytes as they need.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        texts: the text in pieces, cut where no symbol is.
        ends: score the end of the document too, which is no character here.
        per_token: give the symbols too.
        on_progress: called with the share of the text that has been scored more, which adds up
            to 1.
    """
    dtype = smallest_dtype(engine.vocab_size)
    mark = np.array([END_OF_DOCUMENT], dtype).tobytes()
    held = bytearray(mark)
    characters = unknown = 0
    for text in texts:
        ids = tokenizer.encode(text)
        held += ids.astype(dtype).tobytes()
        characters += len(text)
        unknown += int(np.count_nonzero(ids == UNKNOWN))
    if ends and characters:
        held += mark
    ids = np.frombuffer(held, dtype)
    if per_token:
        values = _join(_windows(engine, ids, on_progress))
        read = ids[1:].astype(np.int64)
        unknown_sum = _of_unknown(read, values)
        return _score(tokenizer, "", characters, read, values, unknown_sum, per_token=per_token)
    totals, of_unknown = [0.0], [0.0]
    for values, _, targets in _windows(engine, ids, on_progress):
        totals.append(float(values.sum()))
        of_unknown.append(_of_unknown(targets, values))
    sums = math.fsum(totals), math.fsum(of_unknown)
    return Score("", characters, ids.size - 1, unknown, sums[0], None, sums[1])


def add_scores(scores: Iterable[Score]) -> Score:
    """Return the score of texts together, as if each began a document of one text."""
    characters = tokens = unknown = 0
    of_unknown = 0.0
    values: list[float] = []
    symbols: list[ScoredToken] | None = None
    for score in scores:
        characters += score.characters
        tokens += score.tokens
        unknown += score.unknown
        of_unknown += score.unknown_log_probability
        values.append(score.log_probability)
        if len(values) == _VALUES_HELD:
            values = [math.fsum(values)]
        if score.symbols is not None:
            symbols = symbols or []
            symbols += score.symbols
    shown = None if symbols is None else tuple(symbols)
    return Score("", characters, tokens, unknown, math.fsum(values), shown, of_unknown)


class StatefulScorer:
    """Scores texts one after the other as one text: it keeps the state between them."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._last = END_OF_DOCUMENT
        self._state = engine.initial_state(1)

    def score(self, text: str, *, per_token: bool = False) -> Score:
        """Score the text that comes next."""
        ids = self._tokenizer.encode(text).astype(np.int64)
        inputs = np.concatenate([[self._last], ids[:-1]])[: len(ids)]
        parts = [np.empty(0)]
        window = _window(self._engine, 1)
        for at in range(0, len(ids), window):
            columns = slice(at, at + window)
            logits, self._state = self._engine.run(inputs[np.newaxis, columns], self._state)
            parts.append(metrics.log_probabilities(logits, ids[np.newaxis, columns])[0])
        if len(ids):
            self._last = int(ids[-1])
        values = np.concatenate(parts)
        of_unknown = _of_unknown(ids, values)
        return _score(
            self._tokenizer, text, len(text), ids, values, of_unknown, per_token=per_token
        )


class _Start:
    """What every text of a batch begins with: a symbol that is to be read, and the state then."""

    def __init__(self, engine: Engine, context: AnyIds) -> None:
        self._engine = engine
        self._read = np.concatenate([[END_OF_DOCUMENT], context]).astype(np.int64)
        self._state = engine.initial_state(1)
        if len(context):
            self._state = engine.read([self._read[:-1]])[1]

    def read(self, sequences: Sequence[AnyIds]) -> list[Doubles]:
        """Return the log-probabilities of the symbols of B sequences, longest first."""
        lengths = np.array([len(sequence) for sequence in sequences])
        padded = np.zeros((len(sequences), 1 + int(lengths[0])), np.int64)
        padded[:, 0] = self._read[-1]
        for row, sequence in enumerate(sequences):
            padded[row, 1 : 1 + len(sequence)] = sequence
        values = np.empty((len(sequences), int(lengths[0])))
        state = np.repeat(self._state, len(sequences), axis=1)
        start = 0
        for stop in np.unique(lengths[lengths > 0]).tolist():
            going = int((lengths > start).sum())
            window = _window(self._engine, going)
            for at in range(start, stop, window):
                end = min(at + window, stop)
                logits, state = self._engine.run(padded[:going, at:end], state[:, :going])
                targets = padded[:going, at + 1 : end + 1]
                values[:going, at:end] = metrics.log_probabilities(logits, targets)
            start = stop
        return [row[:length] for row, length in zip(values, lengths.tolist(), strict=True)]

    def read_long(self, sequence: AnyIds, per_token: bool) -> tuple[Doubles, float]:
        """Return the log-probabilities of one long sequence: of its symbols, or of parts of it.

        Beside them comes the sum over the unknown symbols.
        """
        ids = np.concatenate([self._read.astype(np.uint32), sequence], dtype=np.uint32)
        windows = _windows(self._engine, ids)
        if per_token or len(self._read) > 1:
            values = _join(windows)[len(self._read) - 1 :]
            return values, _of_unknown(sequence, values)
        parts = [(values.sum(), _of_unknown(targets, values)) for values, _, targets in windows]
        return np.array([part[0] for part in parts]), math.fsum(part[1] for part in parts)


def _of_unknown(ids: AnyIds, values: Doubles) -> float:
    """Return the sum of the log-probabilities of the unknown symbols."""
    return float(values[ids == UNKNOWN].sum())


def _windows(
    engine: Engine, ids: NDArray[np.unsignedinteger], on_progress: ProgressListener | None = None
) -> Iterator[tuple[Doubles, Mask, AnyIds]]:
    """Read a text [N] as rows that together equal one; yield windows of log-probabilities [R, T].

    With each comes which of them count (the others are 0) and of which ids they are. Row by row,
    those that count are the symbols after the first in order.
    """
    if ids.size < 2:
        return
    state: Floats | None = None
    for batch in validation_batches(ids, max_streams=MAX_ROWS):
        rows, length = batch.inputs.shape
        state = engine.initial_state(rows) if state is None else state * batch.keep
        counted = batch.weights > 0
        values = np.zeros(batch.inputs.shape)
        window = _window(engine, rows)
        for at in range(0, length, window):
            columns = slice(at, at + window)
            logits, state = engine.run(batch.inputs[:, columns], state)
            if counted[:, columns].any():
                values[:, columns] = metrics.log_probabilities(logits, batch.targets[:, columns])
        values[~counted] = 0
        if on_progress:
            on_progress(int(counted.sum()) / (ids.size - 1))
        yield values, counted, batch.targets


def _join(windows: Iterable[tuple[Doubles, Mask, AnyIds]]) -> Doubles:
    """Return the log-probabilities of ``_windows`` in the order of the text."""
    parts = list(windows)
    if not parts:
        return np.empty(0)
    values = np.concatenate([part[0] for part in parts], axis=1)
    counted = np.concatenate([part[1] for part in parts], axis=1)
    joined: Doubles = values[counted]
    return joined


def _window(engine: Engine, rows: int) -> int:
    """Return how many steps of so many rows may be read at once: it bounds the logits held."""
    return max(1, min(128, _LOGITS_AT_ONCE // (rows * engine.vocab_size)))


def _score(
    tokenizer: Tokenizer,
    text: str,
    characters: int,
    ids: AnyIds,
    values: Doubles,
    of_unknown: float,
    *,
    per_token: bool,
) -> Score:
    symbols = None
    if per_token:
        scored = functools.partial(scored_token, tokenizer)
        symbols = tuple(map(scored, ids.tolist(), values.tolist()))
    unknown = int(np.count_nonzero(ids == UNKNOWN))
    return Score(text, characters, len(ids), unknown, float(values.sum()), symbols, of_unknown)


def _groups(lines: Iterable[str]) -> Iterator[list[str]]:
    """Gather lines for one call: many, but not many long ones."""
    group: list[str] = []
    characters = 0
    for line in lines:
        group.append(line)
        characters += len(line)
        if len(group) == _LINES_AT_ONCE or characters >= LONG * MAX_ROWS:
            yield group
            group, characters = [], 0
    if group:
        yield group
