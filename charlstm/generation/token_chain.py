"""A Markov chain over the tokens of a model, a cheap approximation of the model for lookahead.

The model generates text for a while, and its probabilities after each token are averaged. A state
of the chain (a context) is the last token, if it is one of the most likely tokens. All other tokens
share a context. In word-level models, all tokens outside spelled words share a context.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from charlstm.arrays import Doubles, Ids
from charlstm.engine.inference import Engine
from charlstm.engine.state import State
from charlstm.metrics import log_softmax
from charlstm.tokenizer.base import (
    BEGIN_SPELLING,
    END_OF_DOCUMENT,
    END_SPELLING,
    UNKNOWN,
    Tokenizer,
)

MOST_CONTEXTS = 256
_ROWS, _STEPS = 64, 128  # the number of texts to generate, and of tokens in each
_RANKING_STEPS = 16  # steps that find the most likely tokens of a large vocabulary
_NUMBERS = 2**24  # the maximum number of probabilities to average
_SEED = 0
_KEPT = 4  # cached chains of a model, for different temperatures
_PRIOR = 1.0  # the weight, in tokens, of the average over all contexts


@dataclass(frozen=True, eq=False)
class TokenChain:
    """Probabilities of the next token in each of K contexts.

    Attributes:
        probabilities: float64 [K, V].
        after: the context after each token outside spelled words, int64 [V].
        after_spelled: the same within a spelled word; equal to ``after`` at character level.
        spelling: the first context within a spelled word, K if there is none.
    """

    probabilities: Doubles
    after: Ids
    after_spelled: Ids
    spelling: int


_chains: WeakKeyDictionary[Engine, dict[tuple[float, bool], TokenChain]] = WeakKeyDictionary()


def token_chain(
    engine: Engine, tokenizer: Tokenizer, temperature: float, *, ends: bool
) -> TokenChain:
    """Return the chain of a model. It is always the same, and cached.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        temperature: the divisor of the logits, above 0.
        ends: whether the model has learned to end documents.
    """
    chains = _chains.setdefault(engine, {})
    chain = chains.get((temperature, ends))
    if chain is None:
        if len(chains) == _KEPT:
            chains.clear()
        chain = chains[temperature, ends] = _Estimate(engine, tokenizer, temperature, ends).run()
    return chain


class _Estimate:
    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, temperature: float, ends: bool
    ) -> None:
        self._engine = engine
        self._factor = np.float32(1 / temperature)
        self._never = [UNKNOWN] if ends else [UNKNOWN, END_OF_DOCUMENT]
        self._vocabulary = np.arange(tokenizer.vocab_size)
        self._spells = tokenizer.spells
        self._letters = tokenizer.character_ids.astype(np.int64)
        self._rng = np.random.default_rng(_SEED)
        fitting = _NUMBERS // (_ROWS * tokenizer.vocab_size)
        self._steps = max(2 * _RANKING_STEPS, min(_STEPS, fitting))
        # Half of the texts consist of spelled words, because these are rare otherwise.
        self._spellers = np.arange(_ROWS) >= (_ROWS // 2 if self._spells else _ROWS)

    def run(self) -> TokenChain:
        after, after_spelled, contexts, spelling = self._contexts()
        ids, state = self._begin()
        context = after[ids]
        sums = np.zeros((contexts, len(after)))
        counts = np.zeros(contexts)
        overall = np.zeros(len(after))
        for _ in range(self._steps):
            probabilities, ids, state = self._write(ids, state)
            np.add.at(sums, context, probabilities)
            np.add.at(counts, context, 1)
            overall += probabilities[~self._spellers].sum(axis=0)
            context = np.where(context >= spelling, after_spelled[ids], after[ids])
        prior = np.tile(overall / overall.sum(), (contexts, 1))
        if self._spells:
            spelled = sums[spelling:].sum(axis=0) + 1e-9
            prior[spelling:] = spelled / spelled.sum()
        smoothed = (sums + _PRIOR * prior) / (counts + _PRIOR)[:, np.newaxis]
        return TokenChain(smoothed, after, after_spelled, spelling)

    def _contexts(self) -> tuple[Ids, Ids, int, int]:
        """Return ``after`` and ``after_spelled``, the number of contexts, and ``spelling``."""
        size = len(self._vocabulary)
        if self._spells:
            after = np.zeros(size, np.int64)
            after[BEGIN_SPELLING] = 1
            letters = self._letters[: MOST_CONTEXTS - 2]
            after_spelled = np.ones(size, np.int64)
            after_spelled[letters] = np.arange(2, 2 + len(letters))
            after_spelled[END_SPELLING] = 0
            return after, after_spelled, 2 + len(letters), 1
        if size <= MOST_CONTEXTS:
            return self._vocabulary, self._vocabulary, size, size
        ids, state = self._begin()
        seen = np.zeros(size)
        for _ in range(_RANKING_STEPS):
            probabilities, ids, state = self._write(ids, state)
            seen += probabilities.sum(axis=0)
        after = np.zeros(size, np.int64)
        after[np.argsort(-seen, kind="stable")[: MOST_CONTEXTS - 1]] = np.arange(1, MOST_CONTEXTS)
        return after, after, MOST_CONTEXTS, MOST_CONTEXTS

    def _begin(self) -> tuple[Ids, State]:
        return np.full(_ROWS, END_OF_DOCUMENT), self._engine.initial_state(_ROWS)

    def _write(self, ids: Ids, state: State) -> tuple[Doubles, Ids, State]:
        """Read a token of each text. Return the probabilities, the sampled tokens and the state."""
        goes_on = (ids != END_OF_DOCUMENT).astype(np.float32)
        logits, state = self._engine.step(ids, state.kept(goes_on[:, np.newaxis]))
        logits[:, self._never] = -np.inf
        probabilities = np.exp(log_softmax(logits * self._factor))
        cumulative = probabilities.cumsum(axis=1)
        goal = self._rng.random((_ROWS, 1)) * cumulative[:, -1:]
        drawn = (cumulative > goal).argmax(axis=1)
        if self._spells:
            begins = self._spellers & ((ids == END_OF_DOCUMENT) | (ids == END_SPELLING))
            drawn[begins] = BEGIN_SPELLING
        return probabilities, drawn, state
