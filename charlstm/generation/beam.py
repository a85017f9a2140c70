"""The likeliest continuations of a prompt, by beam search, without sampling.

Of all beginnings of one length in tokens, the likeliest few (the beams) are extended; where the
text is to match a pattern, those from which a match is likeliest to follow. This module
knows the engine and the tokenizer. It does not know files or the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from charlstm.arrays import Doubles, Floats, Mask
from charlstm.config import SampleConfig
from charlstm.engine.inference import Engine
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

MATCH_BEAMS = 96  # for the best match


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
        progress: how far it has come to a match; ``None`` without a pattern.
        path: its last token, and those before.
        begun: whether its last token is ``BEGIN_SPELLING``.
        finish_reason: why it is finished; ``None`` of a beginning.
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
        GenerationError: if the length is too short for the word that the prompt ends with, or for
            any text that is finished.
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
    """Return the likeliest match of ``config.match`` that a search ``MATCH_BEAMS`` wide finds.

    The arguments and errors are those of ``beam_search``.

    Returns:
        Its ids; their log-probability under the model's own distribution, in nats; and whether it
        ends because the length is reached.
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
        # Without a positive bias, a longer text never has a higher score.
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
            state = np.ascontiguousarray(state[:, parents])
            logits, state = self._engine.step(np.array(token_ids), state)
            if is_over:
                self._complete(prompt, beams, logits, state, found)
                break
        if self._config.finished:
            found = {text: beam for text, beam in found.items() if beam.finish_reason != "length"}
            if not found:
                raise GenerationError(
                    f"no text that a search {self._beams:,} wide finds ends within a length of "
                    f"{self._config.length:,}: raise --length or --beam"
                )
        if not found:
            raise GenerationError(
                f"{forced_prefix!r}, the end of the prompt, can't be written in a length of "
                f"{self._config.length}: raise --length"
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
            Of the others, and of those that end at the length within what may be a visible
            character, the rows they extend, the ids of their last tokens, and the beams.
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
                    break  # all further ones are less likely than these
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
        state: Floats,
        found: dict[str, _Beam],
    ) -> None:
        """Let texts at the length go on while the likeliest token continues their last character.

        Args:
            prompt: what they follow.
            beams: the texts, which stand in ``found``, too.
            logits: of the tokens after them, float32 [beams, V].
            state: after them.
            found: the finished texts; a text that goes on is replaced.
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
            logits, state = self._engine.step(
                np.array(likely)[rows], np.ascontiguousarray(state[:, rows])
            )
            beams = longer

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
            ``None`` if the length is reached within the word that the prompt ends with, or before
            the end of a text that is to be finished.
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
    """Return a beam that ends with the text it has."""
    text = beam.text + beam.pending.text
    return replace(beam, text=text, pending=PendingText(), constraints=None, finish_reason=reason)
