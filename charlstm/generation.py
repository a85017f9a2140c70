"""Prompts -> text: streamed as it is drawn, and batched when several samples are asked for.

Every sample starts from the end-of-document symbol, then the prompt, with a zero state, and has its
own random numbers from the seed and its index: sample i is the same whatever is drawn beside it.

This module knows the contracts of the engine, the sampling functions and the tokenizer. It does not
know files or the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.config import SampleConfig
from charlstm.engine import Engine
from charlstm.errors import UsageError
from charlstm.pattern import Mask, Pattern
from charlstm.penalties import EMPTY, places_needed
from charlstm.sampling import next_limits, sample
from charlstm.tokenizer import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, Tokenizer

FinishReason: TypeAlias = Literal["length", "end", "stop"]
TextListener: TypeAlias = Callable[[int, str], None]
Floats: TypeAlias = NDArray[np.float32]
Ids: TypeAlias = NDArray[np.int64]

MAX_ROWS = 128  # of one batch; more would hold more memory and run hardly faster
_PROMPT_CHUNK = 64  # symbols of a prompt read in one call: bounds the logits held at once
_UNIFORMS_AHEAD = 256


@dataclass(frozen=True, slots=True)
class Sample:
    """One generated text.

    Attributes:
        index: its number among the samples asked for, from 0.
        prompt: the prompt as given.
        text: what follows the prompt; no stop text, no part of the prompt.
        tokens: how many symbols were drawn, an ending symbol or stop text included.
        seed: the seed it was drawn with.
        finish_reason: ``"length"``, ``"end"`` (of the document) or ``"stop"`` (text found).
        mean_log_probability: of the drawn symbols under the model's own distribution, before any
            sampling setting; nats per symbol.
    """

    index: int
    prompt: str
    text: str
    tokens: int
    seed: int
    finish_reason: FinishReason
    mean_log_probability: float


def generate(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: str,
    config: SampleConfig,
    *,
    count: int = 1,
    seed: int,
    on_text: TextListener | None = None,
) -> Iterator[Sample]:
    """Continue a prompt ``count`` times.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        prompt: the text to continue; may be empty.
        config: how to draw.
        count: number of samples; up to ``MAX_ROWS`` of them run as one batch.
        seed: 0 or more; sample i draws from ``np.random.default_rng([seed, i])``.
        on_text: called with a sample's index and the next piece of its text as soon as it is drawn
            and can no longer become part of a stop text.

    Yields:
        The samples in the order of their index, each as soon as it and those before it are done.
    """
    pattern = None if config.match is None else _pattern_for(config, tokenizer, prompt)
    ids, required = _split_prompt(tokenizer, prompt)
    logits, state = _read(engine, ids)
    writer = _Writer(engine, tokenizer, config, pattern, on_text)
    place = pattern.read(prompt.removesuffix(required)) if pattern else 0
    places = places_needed(config)
    window = ids[1:][-places:] if places else ids[:0]
    for start in range(0, count, MAX_ROWS):
        rows = [
            _Row(index, prompt, seed, required, place, np.random.default_rng([seed, index]))
            for index in range(start, min(start + MAX_ROWS, count))
        ]
        finished: dict[int, Sample] = {}
        due = start
        for row in writer.write(rows, logits, state, window):
            finished[row.index] = row.to_sample()
            while due in finished:
                yield finished.pop(due)
                due += 1


@dataclass(slots=True)
class _Row:
    """A sample being drawn."""

    index: int
    prompt: str
    seed: int
    required: str  # what the next symbols must spell; shown with the prompt, so not again
    place: int  # in the pattern, if there is one
    rng: np.random.Generator
    spelling: bool = False
    pending: str = ""  # drawn, and perhaps the beginning of a stop text
    parts: list[str] = field(default_factory=list)
    tokens: int = 0
    log_probability: float = 0.0
    surprise: float = 0.0  # of the last symbol, in nats
    finish_reason: FinishReason | None = None

    def take_required(self, piece: str) -> str:
        """Take what is required off a piece and return what is left of it to show."""
        taken = min(len(piece), len(self.required))
        self.required = self.required[taken:]
        return piece[taken:]

    def to_sample(self) -> Sample:
        return Sample(
            index=self.index,
            prompt=self.prompt,
            text="".join(self.parts),
            tokens=self.tokens,
            seed=self.seed,
            finish_reason=self.finish_reason or "length",
            mean_log_probability=self.log_probability / self.tokens,
        )


class _Writer:
    """Draws the symbols of a batch of rows, one step after the other."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        config: SampleConfig,
        pattern: Pattern | None,
        on_text: TextListener | None,
    ) -> None:
        self._engine = engine
        self._pieces = tokenizer.pieces
        self._spells = tokenizer.spells
        self._never = tokenizer.never_generated.astype(np.int64)
        self._config = config
        self._pattern = pattern
        self._on_text = on_text
        self._masks: dict[tuple[str, bool], Mask] = {}
        self._any = np.ones(tokenizer.vocab_size, np.bool_)

    def write(self, rows: list[_Row], logits: Floats, state: Floats, window: Ids) -> Iterator[_Row]:
        """Draw until every row is finished; yield each row when it is.

        Args:
            rows: B rows.
            logits: of the first symbol of every row, float32 [1, V].
            state: after the prompt, float32 [2 * layers, 1, units].
            window: the prompt's last ids, for the repetition penalty.
        """
        logits = np.repeat(logits, len(rows), axis=0)
        state = np.repeat(state, len(rows), axis=1)
        recent = self._recent(len(rows), window)
        limits = np.full(len(rows), 2 * self._config.mirostat) if self._config.mirostat else None
        for step in range(self._config.length):
            ahead = step % _UNIFORMS_AHEAD
            if ahead == 0:
                uniforms = np.array([row.rng.random(_UNIFORMS_AHEAD) for row in rows])
            ids = self._draw(rows, logits, uniforms[:, ahead], recent, limits)
            if recent is not None:
                recent = np.concatenate([recent[:, 1:], ids[:, np.newaxis]], axis=1)
            if limits is not None:
                limits = self._moved(limits, rows)
            finished = [row for row in rows if row.finish_reason]
            yield from finished
            if len(finished) == len(rows):
                return
            if finished:
                going = np.array([row.finish_reason is None for row in rows])
                rows = [row for row in rows if row.finish_reason is None]
                ids, state, uniforms = ids[going], state[:, going], uniforms[going]
                recent = None if recent is None else recent[going]
                limits = None if limits is None else limits[going]
            logits, state = self._engine.step(ids, state)

    def _recent(self, rows: int, window: Ids) -> Ids | None:
        """Return the last ids of each row [B, W], oldest first, or None where nothing needs it."""
        places = min(places_needed(self._config), len(window) + self._config.length)
        if not places:
            return None
        recent = np.full((rows, places), EMPTY, np.int64)
        recent[:, places - len(window) :] = window
        return recent

    def _moved(self, limits: NDArray[np.float64], rows: list[_Row]) -> NDArray[np.float64]:
        """Return Mirostat's limits after the symbols that were just drawn."""
        surprises = np.array([row.surprise for row in rows]) / np.log(2)
        return next_limits(limits, surprises, self._config.mirostat, self._config.mirostat_rate)

    def _draw(
        self,
        rows: list[_Row],
        logits: Floats,
        uniforms: NDArray[np.float64],
        recent: Ids | None,
        limits: NDArray[np.float64] | None,
    ) -> Ids:
        """Draw one symbol for each row and let the rows take it; writes into ``logits``."""
        normalisers = _log_sum_exp(logits)
        logits[:, self._never] = -np.inf
        if self._pattern or any(row.required for row in rows):
            for row, values in zip(rows, logits, strict=True):
                values[~self._allowed(row)] = -np.inf
        ids = sample(logits, uniforms, self._config, recent, limits)
        log_probabilities = logits[np.arange(len(rows)), ids] - normalisers
        for row, symbol, value in zip(rows, ids.tolist(), log_probabilities.tolist(), strict=True):
            self._accept(row, symbol, value)
        return ids

    def _accept(self, row: _Row, symbol: int, log_probability: float) -> None:
        """Let a row take its next symbol: text, finish, and what can be shown of it."""
        row.tokens += 1
        if self._spells and symbol in (BEGIN_SPELLING, END_SPELLING):
            row.spelling = symbol == BEGIN_SPELLING
        if self._pattern:
            row.place = int(self._pattern.after(row.place)[symbol])
        row.log_probability += log_probability
        row.surprise = -log_probability
        piece = self._pieces[symbol]
        row.pending += row.take_required(piece) if row.required else piece
        if symbol == END_OF_DOCUMENT:
            row.finish_reason = "end"
        elif row.tokens == self._config.length:
            row.finish_reason = "length"
        shown = len(row.pending)
        if self._config.stop:
            shown = self._look_for_stop(row)
        if shown:
            self._show(row, shown)

    def _look_for_stop(self, row: _Row) -> int:
        """End a row whose text holds a stop text; return how much of the text is to be shown."""
        found = find_stop(row.pending, self._config.stop)
        if found is not None:
            row.finish_reason = "stop"
            return found
        if row.finish_reason:
            return len(row.pending)
        return len(row.pending) - held_back(row.pending, self._config.stop)

    def _show(self, row: _Row, length: int) -> None:
        text, row.pending = row.pending[:length], row.pending[length:]
        row.parts.append(text)
        if self._on_text:
            self._on_text(row.index, text)

    def _allowed(self, row: _Row) -> Mask:
        """Return which symbols [V] a row may take next."""
        if self._pattern is None:
            return self._leading(row)
        left = self._config.length - row.tokens
        matching = self._pattern.allowed(row.place, left, spelling=row.spelling)
        both = matching & self._leading(row)
        return both if both.any() else matching

    def _leading(self, row: _Row) -> Mask:
        """Return which symbols [V] lead to the text that a row still requires."""
        if not row.required:
            return self._any
        key = row.required, row.spelling
        if key not in self._masks:
            leads = _leads_to_letter if row.spelling else _leads_to
            allowed = [leads(piece, row.required) for piece in self._pieces]
            if not row.spelling and self._spells:
                allowed[BEGIN_SPELLING] = True
            self._masks[key] = np.array(allowed)
        return self._masks[key]


def find_stop(text: str, stops: tuple[str, ...]) -> int | None:
    """Return where the stop text begins that is complete first; of several, the longest."""
    places = [(start + len(stop), start) for stop in stops if (start := text.find(stop)) >= 0]
    return min(places)[1] if places else None


def held_back(text: str, stops: tuple[str, ...]) -> int:
    """Return how many characters at the end of a text may be the beginning of a stop text."""
    return max((_overlap(text, stop) for stop in stops), default=0)


def _overlap(text: str, stop: str) -> int:
    lengths = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((length for length in lengths if text.endswith(stop[:length])), 0)


def _leads_to(piece: str, required: str) -> bool:
    return piece != "" and (piece.startswith(required) or required.startswith(piece))


def _leads_to_letter(piece: str, required: str) -> bool:
    return piece == required[0]


def _split_prompt(tokenizer: Tokenizer, prompt: str) -> tuple[Ids, str]:
    """Return the ids to read, the end of a document first, and what the text must start with."""
    text, required = tokenizer.split_prompt(prompt)
    if not set(required) <= set(tokenizer.pieces):  # what can't be written has to be read
        text, required = prompt, ""
    ids = np.concatenate([[END_OF_DOCUMENT], tokenizer.encode(text)]).astype(np.int64)
    return ids, required


def _pattern_for(config: SampleConfig, tokenizer: Tokenizer, prompt: str) -> Pattern:
    """Return the pattern of a configuration; refuse what can't come to a match."""
    if config.stop:
        raise UsageError("a stop text would cut off what has to match: leave --stop or --match out")
    pattern = Pattern(config.match or "", tokenizer)
    place = pattern.read(prompt)
    if not pattern.is_alive(place):
        raise UsageError(
            f"no match of the pattern {config.match!r} begins with the prompt {prompt!r}: the "
            "pattern is for the whole text, the prompt included"
        )
    if pattern.shortest(place) > config.length:
        raise UsageError(
            f"a match of the pattern {config.match!r} needs {pattern.shortest(place):,} symbols or "
            f"more, and the length is {config.length:,}: raise --length"
        )
    return pattern


def _read(engine: Engine, ids: Ids) -> tuple[Floats, Floats]:
    """Return the logits [1, V] and the state after the ids, from a zero state."""
    state = engine.initial_state(1)
    for start in range(0, len(ids), _PROMPT_CHUNK):
        logits, state = engine.run(ids[np.newaxis, start : start + _PROMPT_CHUNK], state)
    return logits[:, -1], state


def _log_sum_exp(logits: Floats) -> Floats:
    """Return the normaliser of each row's log-probabilities, [B]."""
    highest = np.maximum.reduce(logits, axis=1)
    sums = np.add.reduce(np.exp(logits - highest[:, np.newaxis]), axis=1)
    normalisers: Floats = highest + np.log(sums)
    return normalisers
