"""A search for matches that free sampling almost never finds, with many texts at the same time.

Each sample has a number of beginnings of texts (particles), which are extended token by token. The
probability of a token is its probability under the model times the probability that a match
follows, as estimated by ``lookahead``. The weight of a particle corrects for the difference: after
each token, it is the probability of the text under the model, divided by the probability with which
it was sampled. If few particles have almost all the weight, they replace the others. At the end,
one particle is chosen with probabilities proportional to the weights. So samples come close to
those of the model with all texts rejected that don't match (twisted sequential Monte Carlo: Doucet
and Johansen 2011; Lew et al. 2023; Zhao et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.config import SampleConfig
from charlstm.engine.inference import Engine
from charlstm.generation.batch import Batch, PrefilledPrompt
from charlstm.generation.filters import sample
from charlstm.generation.match_guide import MatchGuide, MatchProgress
from charlstm.generation.penalties import penalize, window_needed
from charlstm.metrics import log_normalizers, log_softmax
from charlstm.tokenizer.base import END_OF_DOCUMENT

PARTICLES = 96  # of a sample
_SAMPLES_AT_ONCE = 4
_NUMBERS = 2**22  # logits at a time, which limits the memory
COLDEST = 0.5  # the lowest temperature of a search; below it, lookahead would have little effect
_FEW = 0.5  # particles are resampled if their effective number is below this share
_NOTHING = 1e-3  # unfinished particles with less than this share of the weight are given up


@dataclass(frozen=True, slots=True)
class FoundMatch:
    """A text that matches.

    Attributes:
        index: the index of the sample.
        ids: its tokens, including the end of the document if the text ends there.
        log_probability: the log-probability of the tokens under the model, in nats.
        is_cut: whether it was cut at the length.
    """

    index: int
    ids: tuple[int, ...]
    log_probability: float
    is_cut: bool


@dataclass(frozen=True, slots=True)
class _Choices:
    """The possible next tokens of R rows.

    Attributes:
        weights: logarithms of their weights, float64 [R, V]. The end of the text is
            END_OF_DOCUMENT.
        values: the part of the weights that comes from the lookahead, float32 [R, V].
        ends_document: whether an end of the text ends the document, bool [R].
    """

    weights: Doubles
    values: Floats
    ends_document: Mask


class ParticleSearch:
    """Finds matches.

    Args:
        engine: a trained model.
        guide: the guide to the matches, for the same temperature.
        config: the sampling settings. The temperature is at least ``COLDEST``. Mirostat is not
            applied.
        never: the ids that are never sampled.
        remembered: the id of each token as the penalties see it, int64 [V].
        seed: the seed. With the index of a sample, it determines the random numbers.
    """

    def __init__(
        self,
        engine: Engine,
        guide: MatchGuide,
        config: SampleConfig,
        never: Sequence[int],
        remembered: Ids,
        seed: int,
    ) -> None:
        self.engine = engine
        self.guide = guide
        self.length = config.length
        self.window = window_needed(config)
        self.remembered = remembered
        self.seed = seed
        self._config = config
        self._temperature = max(COLDEST, config.temperature)
        self._filters = config.replace(temperature=1.0, mirostat=0.0)
        self._never = list(never)

    def run(
        self, starts: Sequence[tuple[int, PrefilledPrompt, MatchProgress]]
    ) -> Iterator[FoundMatch]:
        """Yield a match for each index and prompt, in any order."""
        fitting = _NUMBERS // (PARTICLES * self.engine.vocab_size)
        at_once = max(1, min(_SAMPLES_AT_ONCE, fitting))
        for first in range(0, len(starts), at_once):
            yield from _Swarm(self, starts[first : first + at_once]).run()

    def choices(self, batch: Batch, texts: Sequence[MatchProgress]) -> _Choices:
        """Return the weights of the possible next tokens of each row.

        Args:
            batch: the rows, which all have the same number of tokens.
            texts: the progress of each.
        """
        logits = batch.logits.copy()
        logits[:, self._never] = -np.inf
        if batch.recent is not None:
            logits = penalize(logits, batch.recent, self._config)
        guidance = self.guide.of(texts, int(batch.tokens[0]))
        own = log_softmax((logits + guidance.biases) * np.float32(1 / self._temperature))
        weights = np.where(guidance.allowed, own + guidance.values, -np.inf)
        ends = guidance.ends(np.exp(own))
        weights[:, END_OF_DOCUMENT] = ends.log_weights
        return _Choices(weights, guidance.values, ends.are_of_document)

    def draw(self, weights: Doubles, uniforms: Doubles) -> Ids:
        """Sample the next id of each row, int64 [R]."""
        return sample(weights.astype(np.float32), uniforms, self._filters)


class _Swarm:
    """The particles of some samples, which advance together.

    Each sample has ``PARTICLES`` places, one for each particle. A particle that is not finished has
    a row of the batch too. Rows are in the order of places.
    """

    def __init__(
        self, search: ParticleSearch, starts: Sequence[tuple[int, PrefilledPrompt, MatchProgress]]
    ) -> None:
        self._search = search
        self._indices = [index for index, _, _ in starts]
        self._waiting = set(range(len(starts)))  # the numbers of the unfinished samples
        self._rngs = [_rng(search.seed, index) for index in self._indices]
        rows = [start for _, start, _ in starts for _ in range(PARTICLES)]
        self._batch = Batch(rows, window=search.window, limit=0.0)
        self._texts = [text for _, _, text in starts for _ in range(PARTICLES)]
        self._places = np.arange(len(rows))  # of the rows
        self._weights = np.zeros(len(rows))  # logarithms
        self._looked_ahead = np.zeros(len(rows))  # the part of the weights from the lookahead
        self._finished: list[FoundMatch | None] = [None] * len(rows)

    def run(self) -> Iterator[FoundMatch]:
        """Yield the match of each sample."""
        batch = self._batch
        while True:
            choices = self._search.choices(batch, self._texts)
            self._weights[self._places] += log_normalizers(choices.weights)
            self._weights[self._places] -= self._looked_ahead[self._places]
            uniforms = np.stack([rng.random(PARTICLES + 1) for rng in self._rngs])
            choices = self._resample(choices, uniforms[:, 0])
            ids = self._extend(choices, uniforms[:, 1:].ravel()[self._places])
            for number in sorted(self._waiting):
                if found := self._chosen(number):
                    yield found
            if not self._waiting:
                return
            kept = np.flatnonzero(np.isin(self._places // PARTICLES, [*self._waiting]))
            self._take(kept)
            batch.logits, batch.state = self._search.engine.step(ids[kept], batch.state)

    def _extend(self, choices: _Choices, uniforms: Doubles) -> Ids:
        """Sample a token for each row, and remove rows that end. Return the ids of the others."""
        batch, search = self._batch, self._search
        if not len(uniforms):  # all particles may be finished after resampling
            return np.empty(0, np.int64)
        ids = search.draw(choices.weights, uniforms)
        own = batch.logits[batch.numbers, ids] - log_normalizers(batch.logits)
        ends = ids == END_OF_DOCUMENT
        for row in np.flatnonzero(ends).tolist():
            last = (END_OF_DOCUMENT,) if choices.ends_document[row] else ()
            total = float(batch.sums[row]) + (float(own[row]) if last else 0.0)
            self._finish(row, (*batch.history(row).tolist(), *last), total, is_cut=False)
        kept = np.flatnonzero(~ends)
        ids = ids[kept]
        self._take(kept)
        if not len(ids):
            return ids
        self._looked_ahead[self._places] = choices.values[kept, ids]
        batch.append(ids, own[kept], search.remembered[ids])
        self._texts = search.guide.after(self._texts, ids.tolist())
        if batch.tokens[0] == search.length:
            for row, total in enumerate(batch.sums.tolist()):
                self._finish(row, tuple(batch.history(row).tolist()), total, is_cut=True)
            self._take(ids[:0])
        return ids

    def _finish(self, row: int, ids: tuple[int, ...], total: float, *, is_cut: bool) -> None:
        place = int(self._places[row])
        self._looked_ahead[place] = 0
        index = self._indices[place // PARTICLES]
        self._finished[place] = FoundMatch(index, ids, total, is_cut)

    def _chosen(self, number: int) -> FoundMatch | None:
        """Return the match of a sample if its unfinished particles have almost no weight."""
        here = slice(number * PARTICLES, (number + 1) * PARTICLES)
        finished = self._finished[here]
        weights = self._weights[here]
        shares = np.exp(weights - weights.max())
        done = shares * np.array([each is not None for each in finished])
        if done.sum() < (1 - _NOTHING) * shares.sum():
            return None
        self._waiting.remove(number)
        goal = self._rngs[number].random() * done.sum()
        return finished[int((done.cumsum() > goal).argmax())]

    def _resample(self, choices: _Choices, uniforms: Doubles) -> _Choices:
        """Replace particles of low weight by those of high weight (systematic resampling)."""
        source = np.arange(len(self._weights))
        for number in sorted(self._waiting):
            here = slice(number * PARTICLES, (number + 1) * PARTICLES)
            weights = self._weights[here]
            shares = np.exp(weights - weights.max())
            total = shares.sum()
            if total**2 >= _FEW * PARTICLES * (shares**2).sum():
                continue
            goals = (uniforms[number] + np.arange(PARTICLES)) / PARTICLES * total
            drawn = np.searchsorted(shares.cumsum(), goals, side="right")
            source[here] = here.start + drawn.clip(max=PARTICLES - 1)
            self._weights[here] = weights.max() + np.log(total / PARTICLES)
        if (source[:-1] < source[1:]).all():
            return choices
        rows = np.full(len(source), -1)
        rows[self._places] = np.arange(len(self._places))
        taken = rows[source]
        taken = taken[taken >= 0]
        places = np.flatnonzero(rows[source] >= 0)
        self._looked_ahead = self._looked_ahead[source]
        self._finished = [self._finished[place] for place in source.tolist()]
        self._take(taken)
        self._places = places
        return _Choices(choices.weights[taken], choices.values[taken], choices.ends_document[taken])

    def _take(self, rows: Ids) -> None:
        if np.array_equal(rows, self._batch.numbers):
            return
        self._batch.take(rows)
        self._places = self._places[rows]
        self._texts = [self._texts[row] for row in rows.tolist()]


def _rng(seed: int, index: int) -> np.random.Generator:
    """Return the random generator of a sample, which differs from that of ``SampleRng``."""
    return np.random.default_rng([seed, index % 2**32, index >> 32, 0, 0, 1])
