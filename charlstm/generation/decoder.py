"""Prompts -> text: streamed as it is drawn, and in a batch that is kept full.

Every sample starts from the end-of-document symbol, then its prompt, with a zero state, and has its
own random numbers from the seed and its index: sample i is the same whatever is drawn beside it.

This module knows the contracts of the engine, the sampling functions, the constraints and the
tokenizer. It does not know files or the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.config import SampleConfig
from charlstm.engine.session import MAX_ROWS, Engine
from charlstm.generation.batch import Batch, PrefilledPrompt, SampleRng
from charlstm.generation.constraints import Constraints
from charlstm.generation.filters import likeliest, next_limits, sample
from charlstm.generation.penalties import EMPTY, places_needed
from charlstm.generation.stopping import Endings, PendingText, Reason
from charlstm.metrics import log_normalizers
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.tokens import ScoredToken, scored_token, special_token

FinishReason: TypeAlias = Reason | Literal["length", "end"]
TextListener: TypeAlias = Callable[[int, str], None]

# What the penalties take for no repetition: verse, dialogue and lists need their lines.
_LINE_ENDS = ("\n", "\r", "\r\n")


class Symbol(ScoredToken, frozen=True, omit_defaults=True):
    """A symbol as it was drawn, and what was likeliest there."""

    alternatives: tuple[ScoredToken, ...] = ()


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One generated text.

    Attributes:
        index: its number among the samples asked for, from 0.
        prompt: the prompt as given.
        text: what follows the prompt; no stop text, no part of the prompt.
        tokens: how many symbols were drawn, an ending symbol or stop text included.
        seed: the seed it was drawn with.
        finish_reason: ``"length"``, ``"end"`` (of the document), ``"stop"`` (text found) or
            ``"until"`` (the end of a unit).
        mean_log_probability: of the drawn symbols under the model's own distribution, before any
            sampling setting; nats per symbol.
        symbols: all that was drawn, if asked for.
    """

    index: int
    prompt: str
    text: str
    tokens: int
    seed: int | None
    finish_reason: FinishReason
    mean_log_probability: float
    symbols: tuple[Symbol, ...] | None = None


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
) -> Iterator[Sample]:
    """Continue each prompt once.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        prompts: the texts to continue, each of which may be empty; they are taken when there is
            room for them, so they may be without end.
        config: how to draw.
        seed: 0 or more; each sample has random numbers of its own, from the seed and its index.
        first: the index of the first sample.
        on_text: called with a sample's index and the next piece of its text as soon as it is drawn
            and can no longer become part of a stop text.
        alternatives: keep every symbol of a sample, each with so many of the likeliest beside it.
        at_once: how many samples to draw side by side; never more than ``MAX_ROWS``.

    Yields:
        The samples in the order of their index, each as soon as it and those before it are done.

    Raises:
        UsageError: if no text can be what the configuration asks for.
    """
    decoder = _BatchDecoder(engine, tokenizer, config, seed, on_text, alternatives)
    finished: dict[int, Sample] = {}
    due = first
    rows = MAX_ROWS if at_once is None else min(at_once, MAX_ROWS)
    for each in decoder.write(enumerate(prompts, first), rows):
        finished[each.index] = each
        while due in finished:
            yield finished.pop(due)
            due += 1


def split_prompt(tokenizer: Tokenizer, prompt: str) -> tuple[Ids, str]:
    """Return the ids to read, the end of a document first, and what the text must start with."""
    text, forced_prefix = tokenizer.split_prompt(prompt)
    if tokenizer.unknown_characters(forced_prefix):  # what can't be written has to be read
        text, forced_prefix = prompt, ""
    return tokenizer.encode_beginning(text), forced_prefix


class TextStreamer:
    """Streams the text of a sample: tells what can be shown while it is drawn."""

    def __init__(self, endings: Endings, forced_prefix: str) -> None:
        self._endings = endings
        self._to_skip = len(forced_prefix)
        self._pending = PendingText()
        self.parts: list[str] = []

    def add(self, piece: str, *, may_end: bool) -> tuple[str, Reason | None]:
        """Take a symbol's text; return what can be shown now and, if the text ends there, why."""
        if self._to_skip:
            taken = min(len(piece), self._to_skip)
            self._to_skip -= taken
            piece = piece[taken:]
        reason = None
        if piece and self._endings:
            piece, self._pending, reason = self._endings.add(self._pending, piece, may_end=may_end)
        self.parts.append(piece)
        return piece, reason

    def rest(self) -> str:
        """Return what was held back, when nothing more comes."""
        self.parts.append(self._pending.text)
        return self._pending.text


class _Row:
    """A sample being drawn: what is particular to it beside its row of the batch."""

    __slots__ = ("finish_reason", "index", "start", "symbols", "text")

    def __init__(self, index: int, start: PrefilledPrompt, text: TextStreamer | None) -> None:
        self.index = index
        self.start = start
        self.text = text
        self.symbols: list[Symbol] = []
        self.finish_reason: FinishReason | None = None


class _BatchDecoder:
    """Decodes samples as one batch, in which the next sample takes the row of a finished one."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        config: SampleConfig,
        seed: int,
        on_text: TextListener | None,
        alternatives: int | None,
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
        self._uniforms = SampleRng(seed)
        self._never = tokenizer.never_generated.tolist()
        self._window = places_needed(config)
        self._remembered = np.arange(tokenizer.vocab_size)
        ends = [index for index, piece in enumerate(tokenizer.pieces) if piece in _LINE_ENDS]
        self._remembered[ends] = EMPTY

    def write(self, prompts: Iterator[tuple[int, str]], at_once: int) -> Iterator[Sample]:
        """Draw until every sample is finished; yield each when it is."""
        coming = self._read(prompts)
        rows = list(islice(coming, at_once))
        if not rows:
            return
        starts = [row.start for row in rows]
        batch = Batch(starts, window=self._window, limit=2 * self._config.mirostat)
        while True:
            ids, log_probabilities = self._draw(batch, rows)
            finished = (ids == END_OF_DOCUMENT) | (batch.tokens == self._config.length)
            if self._listens:
                self._listen(batch, rows, ids, log_probabilities, finished)
            begun: list[int] = []
            if finished.any():
                for place in np.flatnonzero(finished).tolist():
                    yield self._finish(batch, place, rows[place])
                begun = _refill(rows, finished, coming)
                if not rows:
                    return
                if finished.any():
                    batch.keep(~finished)
                    ids = ids[~finished]
            batch.logits, batch.state = self._engine.step(ids, batch.state)
            for place in begun:
                batch.begin(place, rows[place].start)

    def _read(self, prompts: Iterator[tuple[int, str]]) -> Iterator[_Row]:
        """Read prompts, many at a time; one that comes again is read once."""
        starts: dict[str, PrefilledPrompt] = {}
        while chunk := list(islice(prompts, MAX_ROWS)):
            wanted = dict.fromkeys(prompt for _, prompt in chunk)
            starts = {prompt: start for prompt, start in starts.items() if prompt in wanted}
            starts |= self._starts([prompt for prompt in wanted if prompt not in starts])
            for index, prompt in chunk:
                start = starts[prompt]
                text = TextStreamer(self._endings, start.forced_prefix) if self._listens else None
                yield _Row(index, start, text)

    def _starts(self, prompts: list[str]) -> dict[str, PrefilledPrompt]:
        if not prompts:
            return {}
        divided = [split_prompt(self._tokenizer, prompt) for prompt in prompts]
        logits, state = self._engine.read([ids for ids, _ in divided])
        starts = {}
        for row, (prompt, (ids, forced_prefix)) in enumerate(zip(prompts, divided, strict=True)):
            window = self._remembered[ids[1:][-self._window :]] if self._window else ids[:0]
            constraints = self._constraints.start(prompt.removesuffix(forced_prefix), forced_prefix)
            starts[prompt] = PrefilledPrompt(
                prompt, logits[row], state[:, row], window, forced_prefix, constraints
            )
        return starts

    def _draw(self, batch: Batch, rows: list[_Row]) -> tuple[Ids, Doubles]:
        """Draw one symbol for each row, with its log-probability, and let the batch take it."""
        config, logits = self._config, batch.logits
        normalizers = log_normalizers(logits)
        for symbol in self._never:
            logits[:, symbol] = -np.inf
        asked = [row for row, state in enumerate(batch.constraints) if state is not None]
        if asked or config.min_length:
            logits = logits.copy()  # the batch keeps what the model said
        if config.min_length:
            logits[batch.tokens < config.min_length, END_OF_DOCUMENT] = -np.inf
        if asked:
            logits[asked] += self._adjustments(batch, asked)
            stuck = np.isneginf(logits.max(axis=1))
            logits[stuck, END_OF_DOCUMENT] = 0  # nothing may follow: the text is over
        uniforms = batch.uniforms([row.index for row in rows], self._uniforms)
        ids = sample(logits, uniforms, config, batch.recent, batch.limits)
        log_probabilities = batch.logits[batch.numbers, ids] - normalizers
        batch.append(ids, log_probabilities, self._remembered[ids])
        for row in asked:
            state = batch.constraints[row]
            if state is not None:
                batch.constraints[row] = self._constraints.after(state, int(ids[row]))
        if batch.limits is not None:
            surprises = -log_probabilities / np.log(2)
            batch.limits = next_limits(
                batch.limits, surprises, config.mirostat, config.mirostat_rate
            )
        return ids, log_probabilities

    def _adjustments(self, batch: Batch, asked: list[int]) -> Floats:
        tokens = batch.tokens.tolist()
        states = batch.constraints
        added = [
            self._constraints.adjustment(state, tokens[row])
            for row in asked
            if (state := states[row]) is not None
        ]
        return np.stack(added)

    def _listen(
        self,
        batch: Batch,
        rows: list[_Row],
        ids: Ids,
        log_probabilities: Doubles,
        finished: Mask,
    ) -> None:
        """Let each row's text take its symbol; mark the rows whose text ends there."""
        may_end = (batch.tokens >= self._config.min_length).tolist()
        for place, (row, symbol) in enumerate(zip(rows, ids.tolist(), strict=True)):
            if row.text is None:
                continue
            shown, reason = row.text.add(self._pieces[symbol], may_end=may_end[place])
            if reason is not None:
                row.finish_reason = reason
                finished[place] = True
            elif finished[place]:
                shown += row.text.rest()
            if self._on_text and shown:
                self._on_text(row.index, shown)
            if self._alternatives is not None:
                value, logits = float(log_probabilities[place]), batch.logits[place]
                beside = self._beside(logits, value - float(logits[symbol]))
                special = special_token(self._tokenizer, symbol)
                row.symbols.append(Symbol(self._pieces[symbol], value, special, beside))

    def _beside(self, logits: Floats, shift: float) -> tuple[ScoredToken, ...]:
        """Return the likeliest symbols; the shift makes log-probabilities of logits."""
        return tuple(
            scored_token(self._tokenizer, symbol, float(logits[symbol]) + shift)
            for symbol in likeliest(logits, self._alternatives or 0).tolist()
        )

    def _finish(self, batch: Batch, place: int, row: _Row) -> Sample:
        history = batch.history(place)
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
            mean_log_probability=float(batch.sums[place]) / len(history),
            symbols=None if self._alternatives is None else tuple(row.symbols),
        )


def _refill(rows: list[_Row], finished: Mask, coming: Iterator[_Row]) -> list[int]:
    """Let samples that come take the places of finished ones, and close the gaps that are left.

    Args:
        rows: the samples at work; changed.
        finished: which of them are finished, bool [B]; left true where nothing took their place.
        coming: the samples to come.

    Returns:
        The places, once gaps are closed, of the samples that begin.
    """
    begun = []
    for place in np.flatnonzero(finished).tolist():
        row = next(coming, None)
        if row is None:
            break
        rows[place] = row
        finished[place] = False
        begun.append(place)
    going = ~finished
    rows[:] = [rows[place] for place in np.flatnonzero(going).tolist()]
    closed: list[int] = (going.cumsum()[begun] - 1).tolist()
    return closed
