"""The likeliest continuations of a prompt, by beam search, without sampling.

Of all beginnings of one length in tokens, the likeliest few (the beams) are extended; where the
text is to match a pattern, those from which a match is likeliest to follow. This module
knows the engine and the tokenizer. It does not know files or the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from charlstm.arrays import Doubles, Floats, Mask
from charlstm.config import SampleConfig
from charlstm.engine.inference import Engine
from charlstm.errors import GenerationError
from charlstm.generation.constraints import Constraints, ConstraintState
from charlstm.generation.decoder import FinishReason, Sample, excluded_ids, split_prompt
from charlstm.generation.filters import likeliest
from charlstm.generation.match_guide import MatchGuide, MatchProgress
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
        in_word: whether the text ends within a word, if it is to match a pattern.
        finish_reason: why it is finished; ``None`` of a beginning.
    """

    score: float
    log_probability: float
    tokens: int
    text: str
    pending: PendingText
    constraints: ConstraintState | None
    in_word: bool = False
    finish_reason: FinishReason | None = None


class _Extensions(NamedTuple):
    """Every beam extended by every token.

    Attributes:
        scores: of the new beams, float64 [beams, V].
        ranks: the scores, less what a match is yet to cost, float64 [beams, V].
        ends_document: whether the end of a beam is that of the document, bool [beams]; if not, the
            model wants what the pattern forbids.
    """

    scores: Doubles
    ranks: Doubles
    ends_document: Mask


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
        ends: whether the model has learned to end documents; if not, it ends none.

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
            mean_log_probability=beam.log_probability / max(1, beam.tokens),
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
        self._never = excluded_ids(tokenizer, ends=ends)
        self._constraints = Constraints(config, tokenizer)
        self._guide: MatchGuide | None = None
        if config.match is not None:
            self._guide = MatchGuide(engine, tokenizer, config, temperature=1.0, ends=ends)
        self._endings = Endings(config)
        # Without a positive bias, a longer text never has a higher score.
        self._may_rise = any(value > 0 for _, value in config.bias)
        self._is_ordered = not self._may_rise and self._guide is None

    def run(self, prompt: str) -> list[_Beam]:
        ids, forced_prefix = split_prompt(self._tokenizer, prompt)
        logits, state = self._engine.read([ids])
        before = prompt.removesuffix(forced_prefix)
        constraints = self._constraints.start(before, forced_prefix)
        in_word = self._guide is not None and self._guide.words.ends_within(before)
        beams = [_Beam(0.0, 0.0, 0, "", PendingText(), constraints, in_word)]
        found: dict[str, _Beam] = {}
        while beams:
            parents, token_ids, beams = self._extend(beams, logits, found)
            if not self._may_rise and beams and len(found) >= self._count:
                best = sorted((beam.score for beam in found.values()), reverse=True)
                if max(beam.score for beam in beams) <= best[self._count - 1]:
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

    def _extensions(self, beams: list[_Beam], logits: Floats, normalizers: Doubles) -> _Extensions:
        own = logits - normalizers[:, np.newaxis]
        own[:, self._never] = -np.inf
        before = np.array([beam.score for beam in beams])
        scores = own + before[:, np.newaxis]
        if self._guide:
            states = [(beam.constraints, beam.in_word) for beam in beams]
            texts = [MatchProgress(state, in_word) for state, in_word in states if state]
            guidance = self._guide.of(texts, beams[0].tokens)
            scores += guidance.adjustment
            ends = guidance.ends(np.exp(own))
            scores[:, END_OF_DOCUMENT] = before + ends.log_weights
            return _Extensions(scores, scores + guidance.values, ends.are_of_document)
        end = scores[:, END_OF_DOCUMENT].copy()
        for row, beam in enumerate(beams):
            if beam.tokens < self._config.min_length:
                scores[row, END_OF_DOCUMENT] = -np.inf
            if beam.constraints is not None:
                scores[row] += self._constraints.adjustment(beam.constraints, beam.tokens)
        stuck = np.isneginf(scores.max(axis=1))
        scores[stuck, END_OF_DOCUMENT] = end[stuck]  # no other token may follow
        return _Extensions(scores, scores, np.ones(len(beams), np.bool_))

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
        extensions = self._extensions(beams, logits, normalizers)
        for row, token_id in self._candidates(extensions.ranks):
            score = float(extensions.scores[row, token_id])
            own = float(logits[row, token_id]) - float(normalizers[row])
            beam = (
                self._longer(beams[row], token_id, score, own)
                if token_id != END_OF_DOCUMENT or extensions.ends_document[row]
                else self._cut(beams[row], score)
            )
            if beam is None:
                continue
            if beam.finish_reason:
                finished.add(beam.text)
                if beam.text not in found or found[beam.text].score < beam.score:
                    found[beam.text] = beam
                if len(finished) == self._count and (is_last or self._is_ordered):
                    break  # all further ones are less likely than these
            else:
                parents.append(row)
                token_ids.append(token_id)
                longer.append(beam)
            if len(longer) == self._beams:
                break
        return parents, token_ids, longer

    def _candidates(self, ranks: Doubles) -> Iterator[tuple[int, int]]:
        """Yield rows and token ids, the best first, sorting only as many as are taken."""
        # Unless texts end them, each beam can be finished by one token only.
        count, seen = 2 * self._beams, 0
        while seen < ranks.size:
            best = likeliest(ranks.ravel(), count)[seen:]
            for index in best.tolist():
                yield divmod(index, ranks.shape[1])
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
            return _Beam(score, own, tokens, text, pending, None, finish_reason=ended)
        if token_id == END_OF_DOCUMENT:
            return _over(score, own, tokens, text + pending.text, "end")
        constraints = (
            self._constraints.after(beam.constraints, token_id) if beam.constraints else None
        )
        if tokens == self._config.length:
            if constraints and constraints.forced_prefix:
                return None
            return _over(score, own, tokens, text + pending.text, "length")
        in_word = self._guide is not None and self._guide.words.is_within_after(
            beam.in_word, token_id
        )
        return _Beam(score, own, tokens, text, pending, constraints, in_word)

    def _cut(self, beam: _Beam, score: float) -> _Beam:
        """Return a beam that ends here, without a token."""
        return _over(score, beam.log_probability, beam.tokens, beam.text + beam.pending.text, "end")


def _over(
    score: float, log_probability: float, tokens: int, text: str, reason: FinishReason
) -> _Beam:
    return _Beam(score, log_probability, tokens, text, PendingText(), None, finish_reason=reason)
