"""The likeliest continuation of a prompt, by beam search: no chance, no sampling setting.

Of all beginnings of one length, the likeliest few are kept and go on. This module knows the
contracts of the engine and the tokenizer; it does not know files or the command line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from charlstm.arrays import Doubles, Floats
from charlstm.config import SampleConfig
from charlstm.engine.session import Engine
from charlstm.errors import GenerationError
from charlstm.generation.constraints import Constraints, ConstraintState
from charlstm.generation.decoder import FinishReason, Sample, split_prompt
from charlstm.generation.filters import likeliest
from charlstm.generation.stopping import Endings, PendingText
from charlstm.metrics import log_normalizers
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer


@dataclass(frozen=True, slots=True)
class _Beam:
    """A beginning, or a whole text if it has a reason to be finished.

    Attributes:
        score: its log-probability and the biases that were added.
        log_probability: the model's own.
        tokens: how many symbols it has.
        text: what follows the prompt, but for what is held back.
        pending: the rest, which may be the beginning of an ending.
        constraints: what is asked of what follows.
        finish_reason: why it is over, if it is.
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
) -> list[Sample]:
    """Find likely continuations of a prompt.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        prompt: the text to continue.
        config: length, endings and constraints; what concerns drawing is not looked at.
        beams: how many beginnings go on; 1 is greedy, more find likelier texts.
        count: how many of the texts found to return.

    Returns:
        The likeliest texts first, no text twice, at most ``count``; fewer if there are no more.

    Raises:
        UsageError: if no text can be what the configuration asks for.
        GenerationError: if the length is too short for the word that the prompt ends with.
    """
    found = _Search(engine, tokenizer, config, beams, count).run(prompt)
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
        self, engine: Engine, tokenizer: Tokenizer, config: SampleConfig, beams: int, count: int
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._config = config
        self._beams = beams
        self._count = count
        self._never = tokenizer.never_generated.astype(np.int64)
        self._constraints = Constraints(config, tokenizer)
        self._endings = Endings(config)
        # Without a bias, whatever goes on only becomes less likely.
        self._may_rise = any(value > 0 for _, value in config.bias)

    def run(self, prompt: str) -> list[_Beam]:
        ids, forced_prefix = split_prompt(self._tokenizer, prompt)
        logits, state = self._engine.read([ids])
        constraints = self._constraints.start(prompt.removesuffix(forced_prefix), forced_prefix)
        going = [_Beam(0.0, 0.0, 0, "", PendingText(), constraints)]
        found: dict[str, _Beam] = {}
        while going:
            parents, symbols, going = self._extend(going, logits, found)
            if not self._may_rise and going and len(found) >= self._count:
                best = sorted((beam.score for beam in found.values()), reverse=True)
                if going[0].score <= best[self._count - 1]:
                    break
            if going:
                state = np.ascontiguousarray(state[:, parents])
                logits, state = self._engine.step(np.array(symbols), state)
        if not found:
            raise GenerationError(
                f"{forced_prefix!r}, the end of the prompt, can't be spelled in a length of "
                f"{self._config.length}: raise --length"
            )
        return sorted(found.values(), key=lambda beam: -beam.score)[: self._count]

    def _scores(self, going: list[_Beam], logits: Floats, normalizers: Doubles) -> Doubles:
        """Return the score of every beginning with every symbol more, [beams, V]."""
        scores = logits.astype(np.float64)
        scores += (np.array([beam.score for beam in going]) - normalizers)[:, np.newaxis]
        scores[:, self._never] = -np.inf
        ends = scores[:, END_OF_DOCUMENT].copy()
        for row, beam in enumerate(going):
            if beam.tokens < self._config.min_length:
                scores[row, END_OF_DOCUMENT] = -np.inf
            if beam.constraints is not None:
                scores[row] += self._constraints.adjustment(beam.constraints, beam.tokens)
        stuck = np.isneginf(scores.max(axis=1))
        scores[stuck, END_OF_DOCUMENT] = ends[stuck]  # nothing may follow: the text is over
        return scores

    def _extend(
        self, going: list[_Beam], logits: Floats, found: dict[str, _Beam]
    ) -> tuple[list[int], list[int], list[_Beam]]:
        """Go on from each beam; return parents, symbols and beams of those that are not over."""
        parents: list[int] = []
        symbols: list[int] = []
        beams: list[_Beam] = []
        over: set[str] = set()
        last = going[0].tokens + 1 == self._config.length
        normalizers = log_normalizers(logits)
        scores = self._scores(going, logits, normalizers)
        for row, symbol in self._candidates(scores):
            own = float(logits[row, symbol]) - float(normalizers[row])
            beam = self._longer(going[row], symbol, float(scores[row, symbol]), own)
            if beam is None:
                continue
            if beam.finish_reason:
                over.add(beam.text)
                if beam.text not in found or found[beam.text].score < beam.score:
                    found[beam.text] = beam
                if len(over) == self._count and (last or not self._may_rise):
                    break  # nothing that comes is as good as all of these
            else:
                parents.append(row)
                symbols.append(symbol)
                beams.append(beam)
            if len(beams) == self._beams:
                break
        return parents, symbols, beams

    def _candidates(self, scores: Doubles) -> Iterator[tuple[int, int]]:
        """Yield beams and symbols, the best first, and sort only as many as are asked for."""
        # Each beam can be over in one way by its next symbol, unless texts end it.
        count, seen = 2 * self._beams, 0
        while seen < scores.size:
            best = likeliest(scores.ravel(), count)[seen:]
            for at in best.tolist():
                yield divmod(at, scores.shape[1])
            if len(best) < count - seen or not self._endings:
                return
            count, seen = 8 * count, count

    def _longer(self, beam: _Beam, symbol: int, score: float, own: float) -> _Beam | None:
        """Return a beam with a symbol more, given its score and the symbol's log-probability.

        A beam whose length is over within the word that the prompt ends with is none.
        """
        own += beam.log_probability
        tokens = beam.tokens + 1
        piece = self._tokenizer.pieces[symbol]
        if beam.constraints is not None:
            piece = piece[len(beam.constraints.forced_prefix) :]
        may_end = tokens >= self._config.min_length
        shown, pending, ended = self._endings.add(beam.pending, piece, may_end=may_end)
        text = beam.text + shown
        if ended is not None:
            return _Beam(score, own, tokens, text, pending, None, ended)
        if symbol == END_OF_DOCUMENT:
            return _Beam(score, own, tokens, text + pending.text, PendingText(), None, "end")
        constraints = (
            self._constraints.after(beam.constraints, symbol) if beam.constraints else None
        )
        if tokens == self._config.length:
            if constraints and constraints.forced_prefix:
                return None
            return _Beam(score, own, tokens, text + pending.text, PendingText(), None, "length")
        return _Beam(score, own, tokens, text, pending, constraints)
