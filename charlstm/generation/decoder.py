"""The sampling loop, which keeps a batch full and streams text.

Every sample starts with the end-of-document token and its prompt from a zero state. The seed and
the index of a sample determine its random numbers. So a sample is the same in any batch.

    1. Read the prompts as a batch, each different prompt once (prefill).
    2. Sample one token per row from the logits, according to filters, penalties and constraints.
    3. Add its text to the sample. Finish at a stop text, the length or the end of the document.
    4. Give the rows of finished samples to the next prompts. If there are none, drop the rows.
    5. Read the sampled tokens with the engine, and continue with step 2.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import count, islice, starmap
from typing import TYPE_CHECKING

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.config import SampleConfig
from charlstm.engine.inference import MAX_ROWS, Engine
from charlstm.generation.batch import Batch, PrefilledPrompt, SampleRng
from charlstm.generation.constraints import Constraints
from charlstm.generation.filters import likeliest, next_limits, sample
from charlstm.generation.penalties import EMPTY, window_needed
from charlstm.generation.samples import FinishReason, Sample, SampledToken, TextListener, in_order
from charlstm.generation.stopping import Endings, EndReason
from charlstm.generation.unread import unread_ways
from charlstm.generation.visible import LastCharacter
from charlstm.metrics import log_normalizers
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.long_prompts import read_tokens
from charlstm.tokenizer.tokens import scored_token

if TYPE_CHECKING:
    from charlstm.generation.match_reader import MatchReader, Verdict


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
        tokenizer: the tokenizer that the model was trained with.
        prompts: the texts to continue, which may be empty. They are read as rows of the batch
            become free, so there may be infinitely many.
        config: the sampling settings, without a pattern (see ``matching``).
        seed: 0 or more. The seed and the index of a sample determine its random numbers.
        first: the index of the first sample.
        on_text: called with the index of a sample and the next piece of its text, as soon as the
            piece can no longer become part of a stop text.
        alternatives: record every token, with this many of the most likely ones at its position.
        at_once: the number of samples in a batch, at most ``MAX_ROWS``.
        ends: whether the model has learned to end documents. If not, it does not end them.

    Returns:
        An iterator over the samples in the order of their indices, each as soon as it and those
        before are finished.

    Raises:
        UsageError: if no text can satisfy the configuration.
    """
    assert config.match is None  # matching.generate_matching is for patterns
    decoder = BatchDecoder(
        engine, tokenizer, config, seed, on_text=on_text, alternatives=alternatives, ends=ends
    )
    rows = MAX_ROWS if at_once is None else min(at_once, MAX_ROWS)
    drawn = decoder.decode(decoder.prefill(enumerate(prompts, first)), rows)
    # Without a match reader, every text is a sample.
    return in_order((sample for _, sample in drawn if sample), count(first))


def split_prompt(tokenizer: Tokenizer, prompt: str) -> tuple[Ids, str]:
    """Return the ids of a prompt, END_OF_DOCUMENT first, and the prefix that the text must have.

    Only the last ids of a long prompt are read (see ``read_tokens``), but constraints see them all.
    """
    text, forced_prefix = tokenizer.split_prompt(prompt)
    if tokenizer.unknown_characters(forced_prefix):  # these can be read but not generated
        text, forced_prefix = prompt, ""
    return tokenizer.encode_beginning(text), forced_prefix


def excluded_ids(tokenizer: Tokenizer, *, ends: bool) -> Ids:
    """Return the ids that are never sampled. ``ends`` is as for ``generate``."""
    excluded = tokenizer.never_generated.astype(np.int64)
    return excluded if ends else np.append(excluded, END_OF_DOCUMENT)


def remembered_ids(tokenizer: Tokenizer) -> Ids:
    """Return the id of each token as the penalties see it, int64 [V].

    They ignore line ends, because verse, dialogue and lists repeat them.
    """
    ends = [i for i, piece in enumerate(tokenizer.pieces) if piece in ("\n", "\r", "\r\n")]
    remembered = np.arange(tokenizer.vocab_size)
    remembered[ends] = EMPTY
    return remembered


class TextStreamer:
    """The text of a sample in progress, which is shown as early as possible."""

    def __init__(self, endings: Endings, prompt: str, forced_prefix: str) -> None:
        self._endings = endings
        self._to_skip = len(forced_prefix)
        self._pending = endings.start(prompt)
        self.parts: list[str] = []

    def add(self, piece: str, *, may_end: bool) -> tuple[str, EndReason | None]:
        """Add the text of a token. Return the text to show now and, if the sample ends, why."""
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
        """Return the text that was held back, after the last token."""
        self.parts.append(self._pending.text)
        return self._pending.text


class _Row:
    """The parts of a sample in progress that are not in the arrays of the batch."""

    __slots__ = ("drawn", "finish_reason", "index", "reader", "start", "text", "verdict")

    def __init__(
        self,
        index: int,
        start: PrefilledPrompt,
        text: TextStreamer | None,
        reader: MatchReader | None,
    ) -> None:
        self.index = index
        self.start = start
        self.text = text
        self.reader = reader
        self.drawn: list[SampledToken] = []
        self.finish_reason: FinishReason | None = None
        self.verdict: Verdict | None = None


class BatchDecoder:
    """Generates samples as one batch, in which the next sample takes the row of a finished one.

    The arguments are those of ``generate``, and:

    Args:
        reader_of: returns the match reader of a sample, which can end the sample.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        config: SampleConfig,
        seed: int,
        *,
        on_text: TextListener | None = None,
        alternatives: int | None = None,
        ends: bool = True,
        reader_of: Callable[[PrefilledPrompt], MatchReader] | None = None,
    ) -> None:
        config = config.for_level(tokenizer.level)
        self._engine = engine
        self._tokenizer = tokenizer
        self._config = config
        self._seed = seed
        self._on_text = on_text
        self._alternatives = alternatives
        self._reader_of = reader_of
        self._constraints = Constraints(config, tokenizer)
        self._endings = Endings(config)
        # A match is never longer than the length.
        self._last_character = None if reader_of else LastCharacter(config, tokenizer)
        self._listens = on_text is not None or alternatives is not None or bool(self._endings)
        self._rng = SampleRng(seed)
        self._never = excluded_ids(tokenizer, ends=ends).tolist()
        self._window = window_needed(config)
        self._remembered = remembered_ids(tokenizer)

    def decode(
        self, starts: Iterator[tuple[int, PrefilledPrompt]], at_once: int
    ) -> Iterator[tuple[int, Sample | None]]:
        """Generate a sample for each index and prompt.

        Yields:
            The index and the sample, as soon as it is finished; ``None`` if it is not a match.
        """
        waiting = starmap(self._row, starts)
        rows = list(islice(waiting, at_once))
        if not rows:
            return
        first = [row.start for row in rows]
        batch = Batch(first, window=self._window, limit=2 * self._config.mirostat)
        while True:
            ids, log_probabilities = self._draw(batch, rows)
            finished = (ids == END_OF_DOCUMENT) | (batch.tokens >= self._config.length)
            dropped: Collection[int] = ()
            if self._last_character:
                dropped = self._last_character.extend(batch, rows, ids, finished)
            if self._listens:
                self._listen(batch, rows, ids, log_probabilities, finished, dropped)
            if self._reader_of:
                _judge(rows, ids, finished)
            refilled: list[int] = []
            if finished.any():
                for index in np.flatnonzero(finished).tolist():
                    last = float(log_probabilities[index])
                    yield rows[index].index, self._finish(batch, index, rows[index], last)
                refilled = _refill(rows, finished, waiting)
                if not rows:
                    return
                if finished.any():
                    batch.take(np.flatnonzero(~finished))
                    ids = ids[~finished]
            batch.logits, batch.state = self._engine.step(ids, batch.state)
            for index in refilled:
                batch.begin(index, rows[index].start)

    def prefill(self, prompts: Iterator[tuple[int, str]]) -> Iterator[tuple[int, PrefilledPrompt]]:
        """Read prompts, many at a time and equal prompts once."""
        starts: dict[str, PrefilledPrompt] = {}
        while chunk := list(islice(prompts, MAX_ROWS)):
            needed = dict.fromkeys(prompt for _, prompt in chunk)
            starts = {prompt: start for prompt, start in starts.items() if prompt in needed}
            starts |= self.read([prompt for prompt in needed if prompt not in starts])
            yield from ((index, starts[prompt]) for index, prompt in chunk)

    def _row(self, index: int, start: PrefilledPrompt) -> _Row:
        text = None
        if self._listens:
            text = TextStreamer(self._endings, start.prompt, start.forced_prefix)
        return _Row(index, start, text, self._reader_of(start) if self._reader_of else None)

    def read(self, prompts: Sequence[str]) -> dict[str, PrefilledPrompt]:
        """Read different prompts as one batch."""
        if not prompts:
            return {}
        split = [split_prompt(self._tokenizer, prompt) for prompt in prompts]
        spells = self._tokenizer.spells
        logits, state = self._engine.read([read_tokens(ids, spells=spells) for ids, _ in split])
        words = [forced_prefix for _, forced_prefix in split]
        ways = unread_ways(self._engine, self._tokenizer, words, logits, state, self._never)
        starts = {}
        for row, (prompt, (ids, forced_prefix)) in enumerate(zip(prompts, split, strict=True)):
            window = self._remembered[ids[1:][-self._window :]] if self._window else ids[:0]
            before = prompt.removesuffix(forced_prefix)
            constraints = self._constraints.start(before, forced_prefix, ways[row])
            starts[prompt] = PrefilledPrompt(
                prompt, logits[row], state.row(row), window, forced_prefix, constraints
            )
        return starts

    def _draw(self, batch: Batch, rows: list[_Row]) -> tuple[Ids, Doubles]:
        """Sample the next token of each row. Return ids and log-probabilities, both [B]."""
        config, logits = self._config, batch.logits
        normalizers = log_normalizers(logits)
        constrained = [row for row, state in enumerate(batch.constraints) if state is not None]
        ends = logits[:, END_OF_DOCUMENT].copy() if constrained else None
        for token_id in self._never:
            logits[:, token_id] = -np.inf
        if constrained or config.min_length or batch.begun is not None:
            logits = logits.copy()  # the batch needs the logits of the model
        if config.min_length:
            logits[batch.tokens < config.min_length, END_OF_DOCUMENT] = -np.inf
        if batch.begun is not None:
            logits[np.ix_(batch.begun, self._tokenizer.no_characters)] = -np.inf
        if ends is not None:
            logits[constrained] += self._adjustments(batch, constrained)
            stuck = np.isneginf(logits.max(axis=1))
            logits[stuck, END_OF_DOCUMENT] = 0  # no other token may follow
            batch.logits[stuck, END_OF_DOCUMENT] = ends[stuck]
        uniforms = batch.uniforms([row.index for row in rows], self._rng)
        ids = sample(logits, uniforms, config, batch.recent, batch.limits)
        log_probabilities = batch.logits[batch.numbers, ids] - normalizers
        batch.append(ids, log_probabilities, self._remembered[ids])
        if self._tokenizer.spells:
            batch.begun = ids == BEGIN_SPELLING if BEGIN_SPELLING in ids.tolist() else None
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
        dropped: Collection[int],
    ) -> None:
        """Add the token of each row to its text, unless it is dropped, and mark finished rows."""
        may_end = (batch.tokens >= self._config.min_length).tolist()
        for index, (row, token_id) in enumerate(zip(rows, ids.tolist(), strict=True)):
            if row.text is None:
                continue
            piece = "" if index in dropped else self._tokenizer.pieces[token_id]
            shown, reason = row.text.add(piece, may_end=may_end[index])
            if reason is not None:
                row.finish_reason = reason
                finished[index] = True
            elif finished[index]:
                shown += row.text.rest()
            if self._on_text and shown:
                self._on_text(row.index, shown)
            if self._alternatives is not None and index not in dropped:
                value = float(log_probabilities[index])
                row.drawn.append(self.drawn(token_id, value, batch.logits[index]))

    def drawn(self, token_id: int, value: float, logits: Floats) -> SampledToken:
        """Return a token with log-probability ``value`` and the most likely alternatives."""
        scored = partial(scored_token, self._tokenizer)
        offset = value - float(logits[token_id])  # from logits to log-probabilities
        others = likeliest(logits, self._alternatives or 0).tolist()
        alternatives = tuple(scored(other, float(logits[other]) + offset) for other in others)
        found = scored(token_id, value)
        return SampledToken(found.text, value, found.special, alternatives)

    def _finish(self, batch: Batch, index: int, row: _Row, last: float) -> Sample | None:
        """Return the sample of a row, given the log-probability of its last token."""
        history, total = batch.history(index), float(batch.sums[index])
        if row.verdict == "no match":
            return None
        if row.verdict == "match before":
            history, total = history[:-1], total - last
            del row.drawn[-1:]
        if row.text is None or row.verdict:
            text = self._tokenizer.decode(history)[len(row.start.forced_prefix) :]
        else:
            text = "".join(row.text.parts)
        reason: FinishReason = "end" if row.verdict == "match before" else "length"
        if len(history) and history[-1] == END_OF_DOCUMENT:
            reason = "end"
        return Sample(
            index=row.index,
            prompt=row.start.prompt,
            text=text,
            tokens=len(history),
            seed=self._seed,
            finish_reason=row.finish_reason or reason,
            mean_log_probability=total / max(1, len(history)),
            per_token=None if self._alternatives is None else tuple(row.drawn),
        )


def _judge(rows: list[_Row], ids: Ids, finished: Mask) -> None:
    """Pass the token of each row to its match reader, and mark rows as finished if it says so."""
    for index, (row, token_id) in enumerate(zip(rows, ids.tolist(), strict=True)):
        if row.reader and (verdict := row.reader.add(token_id)):
            row.verdict = verdict
            finished[index] = True


def _refill(rows: list[_Row], finished: Mask, waiting: Iterator[_Row]) -> list[int]:
    """Replace finished samples by waiting ones, and remove the others.

    Args:
        rows: the samples of the batch. Changed in place.
        finished: which samples are finished, bool [B]. Changed in place to those that are removed.
        waiting: the samples that have not started.

    Returns:
        The indices of the new samples among the remaining rows.
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
