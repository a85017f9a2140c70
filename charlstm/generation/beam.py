"""The likeliest continuations of a prompt, by beam search, without sampling.

Of all beginnings of one length in tokens, the likeliest few (the beams) are extended. This module
knows the engine and the tokenizer. It does not know files or the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from charlstm.arrays import Doubles, Floats
from charlstm.config import SampleConfig
from charlstm.engine.inference import Engine
from charlstm.errors import GenerationError
from charlstm.generation.constraints import Constraints, ConstraintState
from charlstm.generation.decoder import FinishReason, Sample, excluded_ids, split_prompt
from charlstm.generation.filters import likeliest
from charlstm.generation.spelled_prefix import spelled_prefixes
from charlstm.generation.stopping import Endings, PendingText
from charlstm.metrics import log_normalizers
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer


@dataclass(frozen=True, slots=True)
class _Beam:
    """The beginning of a text, or a whole text if it has a finish reason.

    Attributes:
        score: its log-probability plus the biases of its tokens.
        log_probability: under the model's own distribution, in nats.
        tokens: how many tokens it has.
        text: what follows the prompt, without ``pending``.
        pending: its end, which may become part of an ending.
        constraints: of what follows; ``None`` without any.
        finish_reason: why it is finished; ``None`` of a beginning.
    """

    score: float
    log_probability: float
    tokens: int
    text: str
    pending: PendingText
    constraints: ConstraintState | None
    finish_reason: FinishReason | None = None


def beam_search(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: str,
    config: SampleConfig,
    *,
    beams: int,
    count: int = 1,
    ends: bool = True,
) -> list[Sample]:
    """Return the likeliest continuations of a prompt that a beam search finds.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        prompt: the text to continue.
        config: length, stop conditions and constraints; sampling settings are ignored.
        beams: the width of the search; 1 is greedy, more find likelier texts.
        count: how many texts to return at most.
        ends: whether the model has learned to end documents; if not, only a match ends one.

    Returns:
        Different texts, the likeliest first.

    Raises:
        UsageError: if no text satisfies the configuration.
        GenerationError: if the length is too short for the word that the prompt ends with.
    """
    found = _Search(engine, tokenizer, config, beams, count, ends).run(prompt)
    return [
        Sample(
            index=index,
            prompt=prompt,
            text=beam.text,
            tokens=beam.tokens,
            seed=None,
            finish_reason=beam.finish_reason or "length",
            mean_log_probability=beam.log_probability / beam.tokens,
        )
        for index, beam in enumerate(found)
    ]


class _Search:
    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        config: SampleConfig,
        beams: int,
        count: int,
        ends: bool,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._config = config
        self._beams = beams
        self._count = count
        self._never = excluded_ids(tokenizer, config, ends=ends)
        self._constraints = Constraints(config, tokenizer)
        self._endings = Endings(config)
        # Without a positive bias, a longer text never has a higher score.
        self._may_rise = any(value > 0 for _, value in config.bias)

    def run(self, prompt: str) -> list[_Beam]:
        ids, forced_prefix = split_prompt(self._tokenizer, prompt)
        logits, state = self._engine.read([ids])
        (spelled,) = spelled_prefixes(
            self._engine, self._tokenizer, [forced_prefix], state, self._never.tolist()
        )
        constraints = self._constraints.start(
            prompt.removesuffix(forced_prefix), forced_prefix, spelled
        )
        beams = [_Beam(0.0, 0.0, 0, "", PendingText(), constraints)]
        found: dict[str, _Beam] = {}
        while beams:
            parents, token_ids, beams = self._extend(beams, logits, found)
            if not self._may_rise and beams and len(found) >= self._count:
                best = sorted((beam.score for beam in found.values()), reverse=True)
                if beams[0].score <= best[self._count - 1]:
                    break
            if beams:
                state = np.ascontiguousarray(state[:, parents])
                logits, state = self._engine.step(np.array(token_ids), state)
        if not found:
            raise GenerationError(
                f"{forced_prefix!r}, the end of the prompt, can't be spelled in a length of "
                f"{self._config.length}: raise --length"
            )
        return sorted(found.values(), key=lambda beam: -beam.score)[: self._count]

    def _scores(self, beams: list[_Beam], logits: Floats, normalizers: Doubles) -> Doubles:
        """Return the score of every beam extended by every token, float64 [beams, V]."""
        scores = logits.astype(np.float64)
        scores += (np.array([beam.score for beam in beams]) - normalizers)[:, np.newaxis]
        scores[:, self._never] = -np.inf
        ends = scores[:, END_OF_DOCUMENT].copy()
        for row, beam in enumerate(beams):
            if beam.tokens < self._config.min_length:
                scores[row, END_OF_DOCUMENT] = -np.inf
            if beam.constraints is not None:
                if beam.constraints.spelling and beam.constraints.forced_prefix:
                    scores[row] = beam.score  # which has the probability of these letters
                scores[row] += self._constraints.adjustment(beam.constraints, beam.tokens)
        stuck = np.isneginf(scores.max(axis=1))
        scores[stuck, END_OF_DOCUMENT] = ends[stuck]  # no other token may follow
        return scores

    def _extend(
        self, beams: list[_Beam], logits: Floats, found: dict[str, _Beam]
    ) -> tuple[list[int], list[int], list[_Beam]]:
        """Extend beams by a token, and add those that are finished to ``found``.

        Returns:
            Of the others, the rows they extend, the ids of their last tokens, and the beams.
        """
        parents: list[int] = []
        token_ids: list[int] = []
        longer: list[_Beam] = []
        finished: set[str] = set()
        is_last = beams[0].tokens + 1 == self._config.length
        normalizers = log_normalizers(logits)
        scores = self._scores(beams, logits, normalizers)
        for row, token_id in self._candidates(scores):
            own = float(logits[row, token_id]) - float(normalizers[row])
            beam = self._longer(beams[row], token_id, float(scores[row, token_id]), own)
            if beam is None:
                continue
            if beam.finish_reason:
                finished.add(beam.text)
                if beam.text not in found or found[beam.text].score < beam.score:
                    found[beam.text] = beam
                if len(finished) == self._count and (is_last or not self._may_rise):
                    break  # all further ones are less likely than these
            else:
                parents.append(row)
                token_ids.append(token_id)
                longer.append(beam)
            if len(longer) == self._beams:
                break
        return parents, token_ids, longer

    def _candidates(self, scores: Doubles) -> Iterator[tuple[int, int]]:
        """Yield rows and token ids, the best first, sorting only as many as are taken."""
        # Unless texts end them, each beam can be finished by one token only.
        count, seen = 2 * self._beams, 0
        while seen < scores.size:
            best = likeliest(scores.ravel(), count)[seen:]
            for index in best.tolist():
                yield divmod(index, scores.shape[1])
            if len(best) < count - seen or not self._endings:
                return
            count, seen = 8 * count, count

    def _longer(self, beam: _Beam, token_id: int, score: float, own: float) -> _Beam | None:
        """Return a beam with one more token.

        Args:
            beam: the beam to extend.
            token_id: the token.
            score: of the new beam.
            own: the log-probability of the token under the model's own distribution.

        Returns:
            ``None`` if the length is reached within the word that the prompt ends with.
        """
        own += beam.log_probability
        tokens = beam.tokens + 1
        piece = self._tokenizer.pieces[token_id]
        if beam.constraints is not None:
            piece = piece[len(beam.constraints.forced_prefix) :]
        may_end = tokens >= self._config.min_length
        shown, pending, ended = self._endings.add(beam.pending, piece, may_end=may_end)
        text = beam.text + shown
        if ended is not None:
            return _Beam(score, own, tokens, text, pending, None, ended)
        if token_id == END_OF_DOCUMENT:
            return _Beam(score, own, tokens, text + pending.text, PendingText(), None, "end")
        constraints = (
            self._constraints.after(beam.constraints, token_id) if beam.constraints else None
        )
        if tokens == self._config.length:
            if constraints and constraints.forced_prefix:
                return None
            return _Beam(score, own, tokens, text + pending.text, PendingText(), None, "length")
        return _Beam(score, own, tokens, text, pending, constraints)
