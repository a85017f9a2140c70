"""Prompts to samples: the sampling loop, which keeps a batch full and streams text.

Every sample starts with the end-of-document token and its prompt from a zero state, and has random
numbers of its own, determined by the seed and its index. So a sample is the same in any batch.

    1. Read the prompts as a batch, each different one once (prefill).
    2. Draw one token per row from the logits, as filters, penalties and constraints allow.
    3. Add its text to the sample, and stop where a stop text, the length or the model says so.
    4. Give the rows of finished samples to the next prompts; without any, drop the rows.
    5. Read the drawn tokens with the engine, and go back to 2.

This module knows the engine, the tokenizer, and the contracts of the other modules of generation.
It does not know files or the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.config import SampleConfig
from charlstm.engine.inference import MAX_ROWS, Engine
from charlstm.generation.batch import Batch, PrefilledPrompt, SampleRng
from charlstm.generation.constraints import Constraints
from charlstm.generation.filters import likeliest, next_limits, sample
from charlstm.generation.penalties import EMPTY, window_needed
from charlstm.generation.spelled_prefix import spelled_prefixes
from charlstm.generation.stopping import Endings, EndReason, PendingText
from charlstm.metrics import log_normalizers
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.tokens import ScoredToken, scored_token, special_token

FinishReason: TypeAlias = EndReason | Literal["length", "end"]
TextListener: TypeAlias = Callable[[int, str], None]

# Penalties don't count these as repetitions: verse, dialogue and lists need their lines.
_LINE_ENDS = ("\n", "\r", "\r\n")


class SampledToken(ScoredToken, frozen=True, omit_defaults=True):
    """A token that was drawn, and the likeliest tokens at its position."""

    alternatives: tuple[ScoredToken, ...] = ()


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One generated text.

    Attributes:
        index: its number among the samples asked for, from 0.
        prompt: the prompt as given.
        text: what follows the prompt, without the stop text.
        tokens: how many tokens were drawn, with those of a stop text or the end of the document.
        seed: the seed it was drawn with; ``None`` for beam search.
        finish_reason: ``"length"``, ``"end"`` (of the document), ``"stop"`` (a stop text) or
            ``"until"`` (the end of a line, sentence or paragraph).
        mean_log_probability: nats per token, under the model's own distribution, before penalties,
            filters and temperature.
        symbols: the tokens that were drawn, if asked for.
    """

    index: int
    prompt: str
    text: str
    tokens: int
    seed: int | None
    finish_reason: FinishReason
    mean_log_probability: float
    symbols: tuple[SampledToken, ...] | None = None


def with_prompt(sample: Sample, prompt: str) -> Sample:
    """Return a sample with its prompt as it was given."""
    return sample if sample.prompt == prompt else msgspec.structs.replace(sample, prompt=prompt)


def generate(
    engine: Engine,
    tokenizer: Tokenizer,
    prompts: Iterable[str],
    config: SampleConfig,
    *,
    seed: int,
    first: int = 0,
    on_text: TextListener | None = None,
    alternatives: int | None = None,
    at_once: int | None = None,
    ends: bool = True,
) -> Iterator[Sample]:
    """Continue each prompt once.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        prompts: the texts to continue, which may be empty; taken one by one as rows of the batch
            become free, so there may be infinitely many.
        config: how to draw.
        seed: 0 or more; with a sample's index it determines the sample's random numbers.
        first: the index of the first sample.
        on_text: called with a sample's index and the next piece of its text as soon as that can no
            longer become part of a stop text.
        alternatives: keep every token, with this many of the likeliest tokens at its position.
        at_once: how many samples to draw together, at most ``MAX_ROWS``.
        ends: whether the model has learned to end documents; if not, only a match ends one.

    Yields:
        The samples in the order of their indices, each as soon as it and those before are finished.

    Raises:
        UsageError: if no text satisfies the configuration.
    """
    decoder = _BatchDecoder(engine, tokenizer, config, seed, on_text, alternatives, ends)
    finished: dict[int, Sample] = {}
    due = first
    rows = MAX_ROWS if at_once is None else min(at_once, MAX_ROWS)
    for done in decoder.decode(enumerate(prompts, first), rows):
        finished[done.index] = done
        while due in finished:
            yield finished.pop(due)
            due += 1


def split_prompt(tokenizer: Tokenizer, prompt: str) -> tuple[Ids, str]:
    """Return the ids to read, END_OF_DOCUMENT first, and the prefix that the text must have."""
    text, forced_prefix = tokenizer.split_prompt(prompt)
    if tokenizer.unknown_characters(forced_prefix):  # can be read but not generated
        text, forced_prefix = prompt, ""
    return tokenizer.encode_beginning(text), forced_prefix


def excluded_ids(tokenizer: Tokenizer, config: SampleConfig, *, ends: bool) -> Ids:
    """Return the ids that are never drawn; ``ends`` as for ``generate``."""
    excluded = tokenizer.never_generated.astype(np.int64)
    return excluded if ends or config.match else np.append(excluded, END_OF_DOCUMENT)


class TextStreamer:
    """The text of one sample while it is drawn, of which as much as possible is shown at once."""

    def __init__(self, endings: Endings, forced_prefix: str) -> None:
        self._endings = endings
        self._to_skip = len(forced_prefix)
        self._pending = PendingText()
        self.parts: list[str] = []

    def add(self, piece: str, *, may_end: bool) -> tuple[str, EndReason | None]:
        """Add the text of a token; return what can be shown now and, if the text ends, why."""
        if self._to_skip:
            skipped = min(len(piece), self._to_skip)
            self._to_skip -= skipped
            piece = piece[skipped:]
        reason = None
        if piece and self._endings:
            piece, self._pending, reason = self._endings.add(self._pending, piece, may_end=may_end)
        self.parts.append(piece)
        return piece, reason

    def rest(self) -> str:
        """Return what was held back, after the last token."""
        self.parts.append(self._pending.text)
        return self._pending.text


class _Row:
    """A sample being drawn: what the arrays of the batch don't hold of it."""

    __slots__ = ("drawn", "finish_reason", "index", "start", "text")

    def __init__(self, index: int, start: PrefilledPrompt, text: TextStreamer | None) -> None:
        self.index = index
        self.start = start
        self.text = text
        self.drawn: list[SampledToken] = []
        self.finish_reason: FinishReason | None = None


class _BatchDecoder:
    """Draws samples as one batch, in which the next sample takes the row of a finished one."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        config: SampleConfig,
        seed: int,
        on_text: TextListener | None,
        alternatives: int | None,
        ends: bool,
    ) -> None:
        config = config.for_level(tokenizer.level)
        self._engine = engine
        self._tokenizer = tokenizer
        self._pieces = tokenizer.pieces
        self._config = config
        self._seed = seed
        self._on_text = on_text
        self._alternatives = alternatives
        self._constraints = Constraints(config, tokenizer)
        self._endings = Endings(config)
        self._listens = on_text is not None or alternatives is not None or bool(self._endings)
        self._rng = SampleRng(seed)
        self._never = excluded_ids(tokenizer, config, ends=ends).tolist()
        self._window = window_needed(config)
        # What the penalties see of each token.
        self._remembered = np.arange(tokenizer.vocab_size)
        line_ends = [i for i, piece in enumerate(tokenizer.pieces) if piece in _LINE_ENDS]
        self._remembered[line_ends] = EMPTY

    def decode(self, prompts: Iterator[tuple[int, str]], at_once: int) -> Iterator[Sample]:
        """Draw a sample for each index and prompt; yield each when it is finished."""
        waiting = self._prefill(prompts)
        rows = list(islice(waiting, at_once))
        if not rows:
            return
        starts = [row.start for row in rows]
        batch = Batch(starts, window=self._window, limit=2 * self._config.mirostat)
        while True:
            ids, log_probabilities = self._draw(batch, rows)
            finished = (ids == END_OF_DOCUMENT) | (batch.tokens == self._config.length)
            if self._listens:
                self._listen(batch, rows, ids, log_probabilities, finished)
            refilled: list[int] = []
            if finished.any():
                for index in np.flatnonzero(finished).tolist():
                    yield self._finish(batch, index, rows[index])
                refilled = _refill(rows, finished, waiting)
                if not rows:
                    return
                if finished.any():
                    batch.keep(~finished)
                    ids = ids[~finished]
            batch.logits, batch.state = self._engine.step(ids, batch.state)
            for index in refilled:
                batch.begin(index, rows[index].start)

    def _prefill(self, prompts: Iterator[tuple[int, str]]) -> Iterator[_Row]:
        """Read prompts, many at a time and equal ones once."""
        starts: dict[str, PrefilledPrompt] = {}
        while chunk := list(islice(prompts, MAX_ROWS)):
            needed = dict.fromkeys(prompt for _, prompt in chunk)
            starts = {prompt: start for prompt, start in starts.items() if prompt in needed}
            starts |= self._read([prompt for prompt in needed if prompt not in starts])
            for index, prompt in chunk:
                start = starts[prompt]
                text = TextStreamer(self._endings, start.forced_prefix) if self._listens else None
                yield _Row(index, start, text)

    def _read(self, prompts: list[str]) -> dict[str, PrefilledPrompt]:
        if not prompts:
            return {}
        split = [split_prompt(self._tokenizer, prompt) for prompt in prompts]
        logits, state = self._engine.read([ids for ids, _ in split])
        prefixes = [forced_prefix for _, forced_prefix in split]
        spelled = spelled_prefixes(self._engine, self._tokenizer, prefixes, state, self._never)
        starts = {}
        for row, (prompt, (ids, forced_prefix)) in enumerate(zip(prompts, split, strict=True)):
            window = self._remembered[ids[1:][-self._window :]] if self._window else ids[:0]
            constraints = self._constraints.start(
                prompt.removesuffix(forced_prefix), forced_prefix, spelled[row]
            )
            starts[prompt] = PrefilledPrompt(
                prompt, logits[row], state[:, row], window, forced_prefix, constraints
            )
        return starts

    def _draw(self, batch: Batch, rows: list[_Row]) -> tuple[Ids, Doubles]:
        """Draw the next token of each row; return ids and log-probabilities, both [B]."""
        config, logits = self._config, batch.logits
        normalizers = log_normalizers(logits)
        for token_id in self._never:
            logits[:, token_id] = -np.inf
        constrained = [row for row, state in enumerate(batch.constraints) if state is not None]
        if constrained or config.min_length:
            logits = logits.copy()  # the batch keeps the model's own
        if config.min_length:
            logits[batch.tokens < config.min_length, END_OF_DOCUMENT] = -np.inf
        if constrained:
            logits[constrained] += self._adjustments(batch, constrained)
            stuck = np.isneginf(logits.max(axis=1))
            logits[stuck, END_OF_DOCUMENT] = 0  # no other token may follow
        uniforms = batch.uniforms([row.index for row in rows], self._rng)
        ids = sample(logits, uniforms, config, batch.recent, batch.limits)
        log_probabilities = batch.logits[batch.numbers, ids] - normalizers
        batch.append(ids, log_probabilities, self._remembered[ids])
        for row in constrained:
            state = batch.constraints[row]
            if state is not None:
                batch.constraints[row] = self._constraints.after(state, int(ids[row]))
        if batch.limits is not None:
            surprises = -log_probabilities / np.log(2)
            batch.limits = next_limits(
                batch.limits, surprises, config.mirostat, config.mirostat_rate
            )
        return ids, log_probabilities

    def _adjustments(self, batch: Batch, rows: list[int]) -> Floats:
        tokens = batch.tokens.tolist()
        states = batch.constraints
        adjustments = [
            self._constraints.adjustment(state, tokens[row])
            for row in rows
            if (state := states[row]) is not None
        ]
        return np.stack(adjustments)

    def _listen(
        self,
        batch: Batch,
        rows: list[_Row],
        ids: Ids,
        log_probabilities: Doubles,
        finished: Mask,
    ) -> None:
        """Add each row's token to its text; mark the rows whose text ends with it as finished."""
        may_end = (batch.tokens >= self._config.min_length).tolist()
        for index, (row, token_id) in enumerate(zip(rows, ids.tolist(), strict=True)):
            if row.text is None:
                continue
            shown, reason = row.text.add(self._pieces[token_id], may_end=may_end[index])
            if reason is not None:
                row.finish_reason = reason
                finished[index] = True
            elif finished[index]:
                shown += row.text.rest()
            if self._on_text and shown:
                self._on_text(row.index, shown)
            if self._alternatives is not None:
                value = float(log_probabilities[index])
                row.drawn.append(self._drawn(token_id, value, batch.logits[index]))

    def _drawn(self, token_id: int, value: float, logits: Floats) -> SampledToken:
        """Return a token of log-probability ``value`` with the likeliest tokens beside it."""
        offset = value - float(logits[token_id])  # from logits to log-probabilities
        alternatives = tuple(
            scored_token(self._tokenizer, other, float(logits[other]) + offset)
            for other in likeliest(logits, self._alternatives or 0).tolist()
        )
        special = special_token(self._tokenizer, token_id)
        return SampledToken(self._pieces[token_id], value, special, alternatives)

    def _finish(self, batch: Batch, index: int, row: _Row) -> Sample:
        history = batch.history(index)
        if row.text is None:
            text = self._tokenizer.decode(history)[len(row.start.forced_prefix) :]
        else:
            text = "".join(row.text.parts)
        return Sample(
            index=row.index,
            prompt=row.start.prompt,
            text=text,
            tokens=len(history),
            seed=self._seed,
            finish_reason=row.finish_reason
            or ("end" if history[-1] == END_OF_DOCUMENT else "length"),
            mean_log_probability=float(batch.sums[index]) / len(history),
            symbols=None if self._alternatives is None else tuple(row.drawn),
        )


def _refill(rows: list[_Row], finished: Mask, waiting: Iterator[_Row]) -> list[int]:
    """Replace finished samples by waiting ones, and remove those for which there is none.

    Args:
        rows: the samples of the batch; changed.
        finished: which of them are finished, bool [B]; changed, true only of those removed.
        waiting: the samples to come.

    Returns:
        The indices of the new samples among the rows that remain.
    """
    refilled = []
    for index in np.flatnonzero(finished).tolist():
        row = next(waiting, None)
        if row is None:
            break
        rows[index] = row
        finished[index] = False
        refilled.append(index)
    kept = ~finished
    rows[:] = [rows[index] for index in np.flatnonzero(kept).tolist()]
    moved: list[int] = (kept.cumsum()[refilled] - 1).tolist()
    return moved
