"""The most likely continuations of a prompt, by beam search.

Among all beginnings with the same number of tokens, the most likely few (the beams) are extended.
With a pattern, the beams are those from which a match is most likely to follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from charlstm.arrays import Doubles, Floats, Mask
from charlstm.config import SampleConfig
from charlstm.engine.inference import Engine
from charlstm.engine.state import State
from charlstm.errors import GenerationError
from charlstm.generation.constraints import Constraints, ConstraintState
from charlstm.generation.decoder import excluded_ids, split_prompt
from charlstm.generation.filters import likeliest
from charlstm.generation.match_guide import MatchGuide, MatchProgress
from charlstm.generation.samples import FinishReason, Sample
from charlstm.generation.stopping import Endings, PendingText
from charlstm.generation.unread import unread_ways
from charlstm.generation.visible import MOST_EXTRA, LastCharacter
from charlstm.metrics import log_normalizers
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.long_prompts import read_tokens

MATCH_BEAMS = 96  # beams of the search for the best match


@dataclass(frozen=True, slots=True)
class _Beam:
    """The beginning of a text, or a whole text if it has a finish reason.

    Attributes:
        score: its log-probability plus the biases of its tokens.
        log_probability: its log-probability under the model, without biases, in nats.
        tokens: its number of tokens.
        text: the text after the prompt, without ``pending``.
        pending: the end of the text that may become part of an ending.
        constraints: the state of the constraints; ``None`` without any.
        progress: the progress towards a match; ``None`` without a pattern.
        path: its last token, linked to those before.
        begun: whether its last token is ``BEGIN_SPELLING``.
        finish_reason: why it is finished; ``None`` if it is not.
    """

    score: float
    log_probability: float
    tokens: int
    text: str
    pending: PendingText
    constraints: ConstraintState | None
    progress: MatchProgress | None = None
    path: _Path | None = None
    begun: bool = False
    finish_reason: FinishReason | None = None


class _Path(NamedTuple):
    """The tokens of a beam, the last one first."""

    token_id: int
    before: _Path | None


class _Extensions(NamedTuple):
    """Every beam extended by every token.

    Attributes:
        scores: the scores of the new beams, float64 [beams, V].
        ranks: the scores plus the log-probability that a match follows, float64 [beams, V].
        ends_document: whether a beam that ends here ends the document, bool [beams]. If not, it
            ends because the next token is one that the pattern forbids.
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
    """Return the most likely continuations of a prompt that a beam search finds.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        prompt: the text to continue.
        config: the length, stop conditions and constraints. Sampling settings are ignored.
        beams: the number of beams. 1 is greedy, more beams find more likely texts.
        count: the maximum number of texts to return.
        ends: whether the model has learned to end documents. If not, it does not end them.

    Returns:
        Different texts, most likely first.

    Raises:
        UsageError: if no text can satisfy the configuration.
        GenerationError: if the length is too short for the word at the end of the prompt, or if
            ``finished`` is set and no text finishes.
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


def best_match(
    engine: Engine, tokenizer: Tokenizer, prompt: str, config: SampleConfig, *, ends: bool
) -> tuple[list[int], float, bool]:
    """Return the most likely match of ``config.match``, found with ``MATCH_BEAMS`` beams.

    The arguments and errors are those of ``beam_search``.

    Returns:
        Its ids, their log-probability under the model in nats, and whether it was cut at the
        length.
    """
    (beam,) = _Search(engine, tokenizer, config, MATCH_BEAMS, 1, ends).run(prompt)
    ids, path = [], beam.path
    while path:
        ids.append(path.token_id)
        path = path.before
    return ids[::-1], beam.log_probability, beam.finish_reason == "length"


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
        self._guide: MatchGuide | None = None
        if config.match is not None:
            self._guide = MatchGuide(engine, tokenizer, config, temperature=1.0, ends=ends)
            self._constraints = self._guide.constraints
        else:
            self._constraints = Constraints(config, tokenizer)
        self._endings = Endings(config)
        self._last_character = LastCharacter(config, tokenizer)
        # Without positive biases, a longer text never has a higher score.
        self._may_rise = any(value > 0 for _, value in config.bias)
        self._is_ordered = not self._may_rise and self._guide is None

    def run(self, prompt: str) -> list[_Beam]:
        ids, forced_prefix = split_prompt(self._tokenizer, prompt)
        logits, state = self._engine.read([read_tokens(ids, spells=self._tokenizer.spells)])
        before = prompt.removesuffix(forced_prefix)
        (ways,) = unread_ways(
            self._engine, self._tokenizer, [forced_prefix], logits, state, self._never.tolist()
        )
        progress = self._guide.start(before, forced_prefix, ways) if self._guide else None
        constraints = (
            progress.constraints
            if progress
            else self._constraints.start(before, forced_prefix, ways)
        )
        beams = [_Beam(0.0, 0.0, 0, "", self._endings.start(prompt), constraints, progress)]
        found: dict[str, _Beam] = {}
        while beams:
            parents, token_ids, beams = self._extend(beams, logits, found)
            if not beams:
                break
            is_over = beams[0].tokens == self._config.length
            if not is_over and not self._may_rise and len(found) >= self._count:
                best = sorted((beam.score for beam in found.values()), reverse=True)
                if max(beam.score for beam in beams) <= best[self._count - 1]:
                    break
            logits, state = self._engine.step(np.array(token_ids), state[np.array(parents)])
            if is_over:
                self._complete(prompt, beams, logits, state, found)
                break
        if self._config.finished:
            found = {text: beam for text, beam in found.items() if beam.finish_reason != "length"}
            if not found:
                raise GenerationError(
                    "no text that beam search finds ends within `length` "
                    f"{self._config.length:,}. Raise `length`, or use more beams."
                )
        if not found:
            raise GenerationError(
                f"`length` is {self._config.length:,}: too short for {forced_prefix!r}, the end of "
                "the prompt."
            )
        return sorted(found.values(), key=lambda beam: -beam.score)[: self._count]

    def _extensions(self, beams: list[_Beam], logits: Floats, normalizers: Doubles) -> _Extensions:
        own = logits - normalizers[:, np.newaxis]
        before = np.array([beam.score for beam in beams])
        end = before + own[:, END_OF_DOCUMENT]
        own[:, self._never] = -np.inf
        begun = np.array([beam.begun for beam in beams])
        if begun.any():
            own[np.ix_(begun, self._tokenizer.no_characters)] = -np.inf
        scores = own + before[:, np.newaxis]
        if self._guide:
            texts = [beam.progress for beam in beams if beam.progress]
            guidance = self._guide.of(texts, beams[0].tokens)
            scores = np.where(guidance.allowed, scores + guidance.biases, -np.inf)
            ends = guidance.ends(np.exp(own))
            scores[:, END_OF_DOCUMENT] = before + ends.log_weights
            return _Extensions(scores, scores + guidance.values, ends.are_of_document)
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
            The rows, the ids of the last tokens, and the new beams, of all that are not finished
            and of those at the length whose last visible character may continue.
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
                else _over(replace(beams[row], score=score), "end")
            )
            if beam is None:
                continue
            if is_last and not beam.finish_reason:
                if self._last_character:
                    parents.append(row)
                    token_ids.append(token_id)
                    longer.append(beam)
                beam = _over(beam, "length")
            if beam.finish_reason:
                finished.add(beam.text)
                if beam.text not in found or found[beam.text].score < beam.score:
                    found[beam.text] = beam
                if len(finished) == self._count and (is_last or self._is_ordered):
                    break  # all others are less likely
            else:
                parents.append(row)
                token_ids.append(token_id)
                longer.append(beam)
            if len(longer) == self._beams and not is_last:
                break
        return parents, token_ids, longer

    def _complete(
        self,
        prompt: str,
        beams: list[_Beam],
        logits: Floats,
        state: State,
        found: dict[str, _Beam],
    ) -> None:
        """Continue texts at the length while the most likely token completes their last character.

        Args:
            prompt: the prompt of the texts.
            beams: the texts, which are in ``found`` too.
            logits: the logits after them, float32 [beams, V].
            state: the state after them.
            found: the finished texts. Continued texts are replaced.
        """
        for _ in range(MOST_EXTRA):
            normalizers = log_normalizers(logits)
            scores = self._extensions(beams, logits, normalizers).scores
            likely = scores.argmax(axis=1).tolist()
            rows, longer = [], []
            for row, (beam, token_id) in enumerate(zip(beams, likely, strict=True)):
                before = _over(beam, "length")
                if not self._last_character.continues(prompt + before.text, token_id):
                    continue
                own = float(logits[row, token_id]) - float(normalizers[row])
                more = self._longer(beam, token_id, float(scores[row, token_id]), own)
                if more is None:
                    continue
                if found.get(before.text) == before:
                    del found[before.text]
                after = more if more.finish_reason else _over(more, "length")
                if after.text not in found or found[after.text].score < after.score:
                    found[after.text] = after
                if not more.finish_reason:
                    rows.append(row)
                    longer.append(more)
            if not rows:
                return
            logits, state = self._engine.step(np.array(likely)[rows], state[np.array(rows)])
            beams = longer

    def _candidates(self, ranks: Doubles) -> Iterator[tuple[int, int]]:
        """Yield rows and token ids, best first, sorting not many more than are taken."""
        # Without stop conditions, only one token can finish a beam.
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
            score: the score of the new beam.
            own: the log-probability of the token under the model.

        Returns:
            The new beam; ``None`` if it reaches the length within the word at the end of the
            prompt.
        """
        own += beam.log_probability
        tokens = beam.tokens + 1
        path = _Path(token_id, beam.path)
        piece = self._tokenizer.pieces[token_id]
        if beam.constraints is not None:
            piece = piece[len(beam.constraints.forced_prefix) :]
        may_end = tokens >= self._config.min_length
        shown, pending, ended = self._endings.add(beam.pending, piece, may_end=may_end)
        text = beam.text + shown
        if ended is not None:
            return _Beam(score, own, tokens, text, pending, None, finish_reason=ended)
        if token_id == END_OF_DOCUMENT:
            whole = _Beam(score, own, tokens, text, pending, None, path=path)
            return _over(whole, "end")
        progress = None
        if self._guide and beam.progress:
            (progress,) = self._guide.after([beam.progress], [token_id])
            constraints: ConstraintState | None = progress.constraints
        else:
            constraints = (
                self._constraints.after(beam.constraints, token_id) if beam.constraints else None
            )
        if tokens == self._config.length and constraints and constraints.forced_prefix:
            return None
        begun = self._tokenizer.spells and token_id == BEGIN_SPELLING
        return _Beam(score, own, tokens, text, pending, constraints, progress, path, begun)


def _over(beam: _Beam, reason: FinishReason) -> _Beam:
    """Return a beam as finished, with its present text."""
    text = beam.text + beam.pending.text
    return replace(beam, text=text, pending=PendingText(), constraints=None, finish_reason=reason)
