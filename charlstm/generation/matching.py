"""Samples that match a pattern.

Each sample is first generated freely, without the pattern, up to ``FREE_DRAWS`` times. The first
match is the result. If there is none, a match is searched for with many texts (see ``particles``),
or by beam search at temperature 0. The more often the model writes matches freely, the closer the
distribution of samples is to that of the model. The seed and the index of a sample determine it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np

from charlstm.config import SampleConfig
from charlstm.engine.inference import MAX_ROWS, Engine
from charlstm.generation.batch import PrefilledPrompt
from charlstm.generation.decoder import BatchDecoder, excluded_ids, remembered_ids
from charlstm.generation.match_guide import MatchGuide, MatchProgress
from charlstm.generation.match_reader import MatchReader
from charlstm.generation.particles import COLDEST, FoundMatch, ParticleSearch
from charlstm.generation.samples import Sample, SampledToken, TextListener, in_order
from charlstm.metrics import log_normalizers
from charlstm.tokenizer.base import Tokenizer

FREE_DRAWS = 20  # free attempts for each sample
_WAVES = (1, 4, 15)  # attempts in each batch
# Attempts are numbered so that the first one equals the same sample without a pattern.
_DRAW = 2**64


def generate_matching(
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
    """Continue each prompt once, so that the whole text matches ``config.match``.

    Arguments, results and errors are those of ``decoder.generate``, but ``on_text`` is called with
    whole texts.
    """
    matcher = _Matcher(engine, tokenizer, config, seed, alternatives, ends)
    numbered = enumerate(prompts, first)
    rows = MAX_ROWS if at_once is None else min(at_once, MAX_ROWS)
    while chunk := dict(islice(numbered, rows)):
        for sample in matcher.run(chunk):
            if on_text and sample.text:
                on_text(sample.index, sample.text)
            yield sample


class _Start(NamedTuple):
    """A prompt that has been read, and its progress towards a match."""

    prompt: PrefilledPrompt
    progress: MatchProgress


class _Matcher:
    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        config: SampleConfig,
        seed: int,
        alternatives: int | None,
        ends: bool,
    ) -> None:
        assert config.match is not None
        config = config.for_level(tokenizer.level)
        self._engine = engine
        self._tokenizer = tokenizer
        self._config = config
        self._seed = seed
        self._alternatives = alternatives
        self._ends = ends
        self._guide = MatchGuide(
            engine, tokenizer, config, temperature=max(COLDEST, config.temperature), ends=ends
        )
        self._starts: dict[str, _Start] = {}
        self._free = BatchDecoder(
            engine,
            tokenizer,
            config.replace(match=None),
            seed,
            alternatives=alternatives,
            ends=ends,
            reader_of=self._reader,
        )

    def run(self, prompts: dict[int, str]) -> Iterator[Sample]:
        """Yield a sample for each index and prompt, in order."""
        self._read(prompts.values())
        return in_order(self._samples(prompts), prompts)

    def _samples(self, prompts: dict[int, str]) -> Iterator[Sample]:
        """Yield the samples as they are found."""
        left, drawn = dict(prompts), 0
        for more in _WAVES if self._config.temperature else (1,):
            draws = range(drawn, drawn + more)
            matches = self._draw_freely(left, draws)
            yield from matches.values()
            left = {index: prompt for index, prompt in left.items() if index not in matches}
            drawn += more
        if not left:
            return
        if self._config.temperature:
            starts = [(index, *self._starts[prompt]) for index, prompt in left.items()]
            for match in self._search.run(starts):
                yield self._sample(match, prompts[match.index])
        else:
            yield from self._likeliest(left)

    def _read(self, prompts: Iterable[str]) -> None:
        """Read prompts, and check that a match can begin with each."""
        needed = dict.fromkeys(prompts)
        self._starts = {p: start for p, start in self._starts.items() if p in needed}
        read = self._free.read([prompt for prompt in needed if prompt not in self._starts])
        for prompt, start in read.items():
            before = prompt.removesuffix(start.forced_prefix)
            ways = start.constraints.ways if start.constraints else None
            progress = self._guide.start(before, start.forced_prefix, ways)
            self._starts[prompt] = _Start(start, progress)

    def _reader(self, start: PrefilledPrompt) -> MatchReader:
        progress = self._starts[start.prompt].progress
        return MatchReader(
            self._guide.pattern,
            self._guide.words,
            progress.constraints.pattern_state,
            in_word=progress.in_word,
            unread=len(start.forced_prefix),
            length=self._config.length,
        )

    def _draw_freely(self, prompts: dict[int, str], draws: range) -> dict[int, Sample]:
        """Return the first match among some attempts for each sample, by index."""
        numbered = (
            (index + draw * _DRAW, self._starts[prompt].prompt)
            for index, prompt in prompts.items()
            for draw in draws
        )
        firsts: dict[int, tuple[int, Sample]] = {}
        for number, sample in self._free.decode(numbered, MAX_ROWS):
            draw, index = divmod(number, _DRAW)
            if sample and (index not in firsts or draw < firsts[index][0]):
                firsts[index] = draw, replace(sample, index=index)
        return {index: sample for index, (_, sample) in firsts.items()}

    @cached_property
    def _search(self) -> ParticleSearch:
        never = excluded_ids(self._tokenizer, ends=self._ends).tolist()
        remembered = remembered_ids(self._tokenizer)
        return ParticleSearch(
            self._engine, self._guide, self._config, never, remembered, self._seed
        )

    def _likeliest(self, prompts: dict[int, str]) -> Iterator[Sample]:
        """Yield the best match that beam search finds. Samples of a prompt share it."""
        from charlstm.generation.beam import best_match

        known: dict[str, Sample] = {}
        for index, prompt in prompts.items():
            if prompt not in known:
                ids, total, is_cut = best_match(
                    self._engine, self._tokenizer, prompt, self._config, ends=self._ends
                )
                match = FoundMatch(index, tuple(ids), total, is_cut)
                known[prompt] = self._sample(match, prompt)
            yield replace(known[prompt], index=index)

    def _sample(self, match: FoundMatch, prompt: str) -> Sample:
        start = self._starts[prompt].prompt
        return Sample(
            index=match.index,
            prompt=prompt,
            text=self._tokenizer.decode(match.ids)[len(start.forced_prefix) :],
            tokens=len(match.ids),
            seed=self._seed,
            finish_reason="length" if match.is_cut else "end",
            mean_log_probability=match.log_probability / max(1, len(match.ids)),
            per_token=None if self._alternatives is None else self._per_token(match, start),
        )

    def _per_token(self, match: FoundMatch, start: PrefilledPrompt) -> tuple[SampledToken, ...]:
        """Read a match again, to find the alternatives to its tokens."""
        logits, state = start.logits[np.newaxis], start.state
        tokens = []
        for token_id in match.ids:
            value = float(logits[0, token_id]) - float(log_normalizers(logits)[0])
            tokens.append(self._free.drawn(token_id, value, logits[0]))
            logits, state = self._engine.step(np.array([token_id]), state)
        return tuple(tokens)
