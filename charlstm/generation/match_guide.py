"""What speaks for each token where a text is to become a match of a pattern.

A match ends where the model ends the document or wants what the pattern forbids, though at once or
within a word only if it must. This module does not know a model or how tokens are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from charlstm.arrays import Doubles, Floats, Mask
from charlstm.config import SampleConfig
from charlstm.engine.inference import Engine
from charlstm.generation.constraints import Constraints, ConstraintState, pattern_of
from charlstm.generation.lookahead import WITHIN_WORD, Lookahead
from charlstm.generation.token_chain import token_chain
from charlstm.generation.unread import Ways
from charlstm.generation.word_edges import WordEdges
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer

_LEAST = 1e-30  # of an end that nothing speaks for
_CACHED_NUMBERS = 2**22


class MatchProgress(NamedTuple):
    """How far a text has come on the way to a match.

    Attributes:
        constraints: the state of its constraints, the pattern among them.
        in_word: whether it ends within a word.
        has_begun: whether it is more than the prompt.
    """

    constraints: ConstraintState
    in_word: bool
    has_begun: bool


class Guidance(NamedTuple):
    """What speaks for each token after each of N texts.

    Attributes:
        allowed: whether each may follow, bool [N, V].
        biases: added to the logits, float32 [N, V].
        values: the logarithm of how likely a match is to follow after each, float32 [N, V]; 0 for
            the end of the text.
        end_weights: how much the probability of each counts as an end here, float64 [N, V].
    """

    allowed: Mask
    biases: Floats
    values: Floats
    end_weights: Doubles

    def ends(self, probabilities: Doubles) -> TextEnds:
        """Return what speaks for the end of each text.

        Args:
            probabilities: of the next token, float64 [N, V].
        """
        weights = np.add.reduce(probabilities * self.end_weights, axis=1)
        logs = np.where(self.allowed[:, END_OF_DOCUMENT], np.log(weights + _LEAST), -np.inf)
        return TextEnds(logs, 2 * probabilities[:, END_OF_DOCUMENT] > weights)


class TextEnds(NamedTuple):
    """What speaks for the end of each of N texts.

    Attributes:
        log_weights: how much, float64 [N]; -inf where a text may not end.
        are_of_document: whether most of that is the end of the document, bool [N].
    """

    log_weights: Doubles
    are_of_document: Mask


class MatchGuide:
    """Guides the texts of one model to matches of ``config.match``.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        config: the pattern and the length.
        temperature: at which the model writes, above 0.
        ends: whether the model has learned to end documents.

    Attributes:
        pattern: the pattern.
        words: where the tokens begin and end within words.
        constraints: those of the configuration.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        config: SampleConfig,
        *,
        temperature: float,
        ends: bool,
    ) -> None:
        assert config.match is not None
        self.pattern = pattern_of(config.match, tokenizer)
        self.words = WordEdges(tokenizer)
        self.constraints = Constraints(config, tokenizer, self.pattern)
        self._length = config.length
        self._chain = partial(token_chain, engine, tokenizer, temperature, ends=ends)
        self._end_weights: dict[tuple[int, bool, bool], Doubles] = {}

    def start(self, prompt: str, forced_prefix: str, ways: Ways | None) -> MatchProgress:
        """Return how far a prompt comes that has been read but for a prefix of what follows.

        Args:
            prompt: what has been read.
            forced_prefix: what must follow.
            ways: the tokens that write a part of it.

        Raises:
            UsageError: if no match begins with both, or is short enough.
        """
        state = self.constraints.start(prompt, forced_prefix, ways)
        assert state is not None  # there is a pattern
        return MatchProgress(state, self.words.ends_within(prompt), has_begun=False)

    def after(
        self, texts: Sequence[MatchProgress], token_ids: Sequence[int]
    ) -> list[MatchProgress]:
        """Return how far each text has come after one more token."""
        steps = list(zip(texts, token_ids, strict=True))
        reached = {step: self._after(*step) for step in set(steps)}  # many are the same
        return [reached[step] for step in steps]

    def _after(self, text: MatchProgress, token_id: int) -> MatchProgress:
        state = self.constraints.after(text.constraints, token_id)
        assert state is not None
        in_word = self.words.is_within_after(text.in_word, token_id)
        unread = len(text.constraints.forced_prefix)
        has_begun = text.has_begun or self.words.lengths[token_id] > unread
        return MatchProgress(state, in_word, has_begun)

    def of(self, texts: Sequence[MatchProgress], written: int) -> Guidance:
        """Return what speaks for each token after so many were written, of each text."""
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        which = [numbers[text] for text in texts]  # many have come equally far
        states = [text.constraints for text in numbers]
        left = self._length - written - 1
        values = [
            self._lookahead.logs(state.pattern_state, left, spelling=bool(state.spelling))
            for state in states
        ]
        added = np.stack([self.constraints.adjustment(state, written) for state in states])
        looked_ahead = np.stack(values)
        looked_ahead[:, END_OF_DOCUMENT] = 0
        for row, state in enumerate(states):
            if state.ways:
                # How likely the tokens are that must follow is no bias: each is weighed, too.
                added[row] += np.float32(state.ways.value)
                for token_id, ways in state.ways.after.items():
                    looked_ahead[row, token_id] += ways.value
                    added[row, token_id] -= ways.value
        allowed = added > -np.inf
        biases = np.where(allowed, added, np.float32(0))
        ends = np.stack([self._end_weight(text) for text in numbers])
        return Guidance(allowed[which], biases[which], looked_ahead[which], ends[which])

    @cached_property
    def _lookahead(self) -> Lookahead:
        """Made when a search begins: most samples need none."""
        return Lookahead(self.pattern, self._chain(), self.words, self._length)

    def _end_weight(self, text: MatchProgress) -> Doubles:
        key = text.constraints.pattern_state, text.in_word, text.has_begun
        weight = self._end_weights.get(key)
        if weight is None:
            alive = self.pattern.are_alive(self.pattern.after(key[0]))
            forbidden = (np.array(self.words.lengths) > 0) & ~alive
            weight = forbidden.astype(np.float64)
            at_once = not text.has_begun
            weight[forbidden & (self.words.begins & text.in_word | at_once)] = WITHIN_WORD
            weight[END_OF_DOCUMENT] = 1.0
            if (len(self._end_weights) + 1) * len(weight) > _CACHED_NUMBERS:
                self._end_weights.clear()
            self._end_weights[key] = weight
        return weight
