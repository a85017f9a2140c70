"""Log-probabilities of texts: how well a trained model predicts a text.

A text starts after the end-of-document token with a zero state, as in training. Many texts run as
the rows of a batch. The result of a row is the same, bit for bit, in any batch. A long text is
divided into rows as in validation. Each row first reads some of the text before it (its warm-up).
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
from charlstm.arrays import AnyIds, Doubles, Ids, Mask
from charlstm.dataset.batches import validation_batches
from charlstm.dataset.store import smallest_dtype
from charlstm.engine.inference import MAX_ROWS, Engine
from charlstm.engine.state import State
from charlstm.results import Result
from charlstm.tokenizer.base import END_OF_DOCUMENT, UNKNOWN, Tokenizer
from charlstm.tokenizer.long_prompts import read_tokens
from charlstm.tokenizer.tokens import ScoredToken, scored_token

ProgressListener: TypeAlias = Callable[[float], None]

# A text of at least this many tokens is read as many rows, a shorter text as one row. This depends
# only on the text, and so does its score.
LONG = 2**14
_WINDOW = 128  # tokens of a row in one call of the engine
_VALUES_HELD = 2**16  # in memory before they are summed
_LINES_AT_ONCE = 4 * MAX_ROWS  # enough for batches of lines with almost equal lengths


@dataclass(frozen=True, slots=True)
class Score(Result):
    """The probability of a text under a model.

    Attributes:
        text: the text; empty if it was read as a stream.
        characters: the number of code points scored. If the model was trained on parts of files,
            such as lines, the end of each counts as one.
        tokens: the number of tokens scored, including ends of documents but not the context.
        unknown: the number of scored tokens that are not in the vocabulary.
        log_probability: the log-probability of the whole text, in nats.
        per_token: the scored tokens in order, if requested.
        unknown_log_probability: the part of ``log_probability`` from unknown tokens.
    """

    FACTS = (
        *("text", "characters", "tokens", "unknown", "log_probability", "bits_per_character"),
        *("nats_per_token", "perplexity", "per_token"),
    )

    text: str
    characters: int
    tokens: int
    unknown: int
    log_probability: float
    per_token: tuple[ScoredToken, ...] | None = None
    unknown_log_probability: float = 0.0

    @property
    def bits_per_character(self) -> float:
        """Mean surprisal per character in bits; NaN without characters.

        It is comparable across tokenizers.
        """
        return metrics.bits_per_character(-self.log_probability, self.characters)

    @property
    def nats_per_token(self) -> float:
        """Mean surprisal per token in nats, like the losses of training; NaN without tokens."""
        return -self.log_probability / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        """Perplexity per token; NaN without tokens. Comparable only with the same tokenizer."""
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
    """Score texts, each from a zero state and independently of the others.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        texts: any number of texts, of any length.
        ends: whether to score the end of the document after each text too, as one character. For
            models trained on parts of files, such as lines.
        context: text that is read before each text but not scored. Only the last tokens of a long
            context are read. Its last word is scored by word-level and subword-level models,
            because it may continue in the text.
        per_token: whether to return the tokens too.

    Returns:
        The scores in the order of the texts.
    """
    before, rescored = tokenizer.split_prompt(context) if context else ("", "")
    read = read_tokens(tokenizer.encode_beginning(before), spells=tokenizer.spells)
    start = _Context(engine, read)
    end = np.full(int(ends), END_OF_DOCUMENT, np.uint32)
    sequences = [np.concatenate([tokenizer.encode(rescored + text), end]) for text in texts]
    order = np.argsort([-len(sequence) for sequence in sequences], kind="stable").tolist()
    short = [index for index in order if len(sequences[index]) < LONG]
    values: dict[int, Doubles] = {}
    unknown: dict[int, float] = {}
    for first in range(0, len(short), MAX_ROWS):
        batch = short[first : first + MAX_ROWS]
        rows = start.read([sequences[index] for index in batch])
        values.update(zip(batch, rows, strict=True))
        unknown |= {index: _sum_unknown(sequences[index], values[index]) for index in batch}
    for index in order[: len(order) - len(short)]:
        values[index], unknown[index] = start.read_long(sequences[index], per_token)
    extra = len(rescored) + int(ends)
    return [
        _score(
            tokenizer,
            text,
            len(text) + extra,
            sequences[index],
            values[index],
            unknown[index],
            per_token=per_token,
        )
        for index, text in enumerate(texts)
    ]


def score_whole_documents(
    engine: Engine,
    tokenizer: Tokenizer,
    documents: Iterable[str],
    *,
    ends: bool = True,
    per_token: bool = False,
) -> Score:
    """Return one score for all documents, such as lines, each from a zero state as in validation.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        documents: the documents, read lazily and a few at a time.
        ends: whether to score the end of each document too, as one character. For models trained on
            parts of files.
        per_token: whether to return the tokens too.
    """
    return add_scores(
        score
        for group in _groups(documents)
        for score in score_texts(engine, tokenizer, group, ends=ends, per_token=per_token)
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
    """Score a text given in pieces, exactly as training computes its validation loss.

    Only the token ids are in memory, in as few bytes as possible.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        texts: the text in pieces, divided between tokens.
        ends: whether to score the end of the document too. It does not count as a character here.
        per_token: whether to return the tokens too.
        on_progress: called with the share of the text scored since the last call. The shares add up
            to 1.
    """
    dtype = smallest_dtype(engine.vocab_size)
    end = np.array([END_OF_DOCUMENT], dtype).tobytes()
    held = bytearray(end)
    characters = unknown = 0
    for text in texts:
        ids = tokenizer.encode(text)
        held += ids.astype(dtype).tobytes()
        characters += len(text)
        unknown += int(np.count_nonzero(ids == UNKNOWN))
    if ends and characters:
        held += end
    ids = np.frombuffer(held, dtype)
    if per_token:
        values = _join(_windows(engine, ids, on_progress))
        scored = ids[1:].astype(np.int64)
        unknown_sum = _sum_unknown(scored, values)
        return _score(tokenizer, "", characters, scored, values, unknown_sum, per_token=per_token)
    sums, unknown_sums = [0.0], [0.0]
    for values, _, targets in _windows(engine, ids, on_progress):
        sums.append(float(values.sum()))
        unknown_sums.append(_sum_unknown(targets, values))
    total, unknown_total = math.fsum(sums), math.fsum(unknown_sums)
    return Score("", characters, ids.size - 1, unknown, total, None, unknown_total)


def add_scores(scores: Iterable[Score]) -> Score:
    """Return one score for a text, given the scores of its documents."""
    characters = tokens = unknown = 0
    unknown_sum = 0.0
    values: list[float] = []
    scored: list[ScoredToken] | None = None
    for score in scores:
        characters += score.characters
        tokens += score.tokens
        unknown += score.unknown
        unknown_sum += score.unknown_log_probability
        values.append(score.log_probability)
        if len(values) == _VALUES_HELD:
            values = [math.fsum(values)]
        if score.per_token is not None:
            scored = scored or []
            scored += score.per_token
    total = math.fsum(values)
    per_token = None if scored is None else tuple(scored)
    return Score("", characters, tokens, unknown, total, per_token, unknown_sum)


class StatefulScorer:
    """Scores pieces of one text as they arrive, and carries the state from one to the next."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._last = END_OF_DOCUMENT
        self._state = engine.initial_state(1)

    def score(self, text: str, *, per_token: bool = False) -> Score:
        """Score the next piece of text. Pieces are divided between tokens."""
        ids = self._tokenizer.encode(text).astype(np.int64)
        inputs = np.concatenate([[self._last], ids[:-1]])[: len(ids)]
        parts = [np.empty(0)]
        for start in range(0, len(ids), _WINDOW):
            part = np.newaxis, slice(start, start + _WINDOW)
            values, self._state = self._engine.log_probabilities(
                inputs[part], ids[part], self._state
            )
            parts.append(values[0])
        if len(ids):
            self._last = int(ids[-1])
        values = np.concatenate(parts)
        unknown_sum = _sum_unknown(ids, values)
        return _score(
            self._tokenizer, text, len(text), ids, values, unknown_sum, per_token=per_token
        )


class _Context:
    """The context that is read before every text: its last token and the state before it."""

    def __init__(self, engine: Engine, ids: Ids) -> None:
        self._engine = engine
        self._ids = ids  # END_OF_DOCUMENT first
        self._state = engine.initial_state(1)
        if len(ids) > 1:
            self._state = engine.read([self._ids[:-1]])[1]

    def read(self, sequences: Sequence[AnyIds]) -> list[Doubles]:
        """Return the log-probabilities of the tokens of sequences, which are longest first."""
        lengths = np.array([len(sequence) for sequence in sequences])
        padded = np.zeros((len(sequences), 1 + int(lengths[0])), np.int64)
        padded[:, 0] = self._ids[-1]
        for row, sequence in enumerate(sequences):
            padded[row, 1 : 1 + len(sequence)] = sequence
        values = np.empty((len(sequences), int(lengths[0])))
        state = self._state.repeated(len(sequences))
        start = 0
        for stop in np.unique(lengths[lengths > 0]).tolist():
            rows = int((lengths > start).sum())
            for first in range(start, stop, _WINDOW):
                end = min(first + _WINDOW, stop)
                ids, targets = padded[:rows, first:end], padded[:rows, first + 1 : end + 1]
                found, state = self._engine.log_probabilities(ids, targets, state[:rows])
                values[:rows, first:end] = found
            start = stop
        return [row[:length] for row, length in zip(values, lengths.tolist(), strict=True)]

    def read_long(self, sequence: AnyIds, per_token: bool) -> tuple[Doubles, float]:
        """Return the log-probabilities of one long sequence, and their sum over unknown tokens.

        Without ``per_token``, they may be sums over parts of the sequence.
        """
        ids = np.concatenate([self._ids.astype(np.uint32), sequence], dtype=np.uint32)
        windows = _windows(self._engine, ids)
        if per_token or len(self._ids) > 1:
            values = _join(windows)[len(self._ids) - 1 :]
            return values, _sum_unknown(sequence, values)
        parts = [(values.sum(), _sum_unknown(targets, values)) for values, _, targets in windows]
        return np.array([part[0] for part in parts]), math.fsum(part[1] for part in parts)


def _sum_unknown(ids: AnyIds, values: Doubles) -> float:
    """Return the sum of the log-probabilities of the unknown tokens."""
    return float(values[ids == UNKNOWN].sum())


def _windows(
    engine: Engine, ids: NDArray[np.unsignedinteger], on_progress: ProgressListener | None = None
) -> Iterator[tuple[Doubles, Mask, AnyIds]]:
    """Read a text [N] as R parallel rows, window by window.

    Yields:
        Log-probabilities float64 [R, T], a mask of the positions that count (the others are 0), and
        their ids [R, T]. Row by row, the positions that count are the tokens after the first one.
    """
    if ids.size < 2:
        return
    state: State | None = None
    for batch in validation_batches(ids, max_streams=MAX_ROWS):
        state = engine.initial_state(len(batch.inputs)) if state is None else state.kept(batch.keep)
        values, state = engine.log_probabilities(batch.inputs, batch.targets, state)
        counted = batch.weights > 0
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


def _score(
    tokenizer: Tokenizer,
    text: str,
    characters: int,
    ids: AnyIds,
    values: Doubles,
    unknown_sum: float,
    *,
    per_token: bool,
) -> Score:
    scored = None
    if per_token:
        token_of = functools.partial(scored_token, tokenizer)
        scored = tuple(map(token_of, ids.tolist(), values.tolist()))
    unknown = int(np.count_nonzero(ids == UNKNOWN))
    return Score(text, characters, len(ids), unknown, float(values.sum()), scored, unknown_sum)


def _groups(documents: Iterable[str]) -> Iterator[list[str]]:
    """Group documents for one call: many, but not many long ones."""
    group: list[str] = []
    characters = 0
    for document in documents:
        group.append(document)
        characters += len(document)
        if len(group) == _LINES_AT_ONCE or characters >= LONG * MAX_ROWS:
            yield group
            group, characters = [], 0
    if group:
        yield group
