"""Weights of the next tokens of a text that must become a match of a pattern.

A match ends where the model ends the document or prefers tokens that the pattern forbids. It ends
at its very beginning or within a word only if it must.
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

_LEAST = 1e-30  # the weight of an end that no token supports
_CACHED_NUMBERS = 2**22


class MatchProgress(NamedTuple):
    """The progress of a text towards a match.

    Attributes:
        constraints: the state of its constraints, including the pattern.
        in_word: whether the text ends within a word.
        has_begun: whether the text is longer than the prompt.
    """

    constraints: ConstraintState
    in_word: bool
    has_begun: bool


class Guidance(NamedTuple):
    """The weights of each token after each of N texts.

    Attributes:
        allowed: whether the token may follow, bool [N, V].
        biases: numbers to add to the logits, float32 [N, V].
        values: the log-probability that a match follows after the token, float32 [N, V]; 0 for the
            end of the text.
        end_weights: the share of the token's probability that counts for an end of the text before
            it, float64 [N, V].
    """

    allowed: Mask
    biases: Floats
    values: Floats
    end_weights: Doubles

    def ends(self, probabilities: Doubles) -> TextEnds:
        """Return the weight of the end of each text.

        Args:
            probabilities: the probabilities of the next token, float64 [N, V].
        """
        weights = np.add.reduce(probabilities * self.end_weights, axis=1)
        logs = np.where(self.allowed[:, END_OF_DOCUMENT], np.log(weights + _LEAST), -np.inf)
        return TextEnds(logs, 2 * probabilities[:, END_OF_DOCUMENT] > weights)


class TextEnds(NamedTuple):
    """The weight of the end of each of N texts.

    Attributes:
        log_weights: logarithms of the weights, float64 [N]; -inf if a text must not end.
        are_of_document: whether most of the weight is the end of the document, bool [N].
    """

    log_weights: Doubles
    are_of_document: Mask


class MatchGuide:
    """Guides the texts of one model to matches of ``config.match``.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        config: the pattern and the length.
        temperature: the temperature of sampling, above 0.
        ends: whether the model has learned to end documents.

    Attributes:
        pattern: the pattern.
        words: where tokens begin and end within words.
        constraints: the constraints of the configuration.
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
        """Return the progress after a prompt.

        Args:
            prompt: the part of the prompt that has been read.
            forced_prefix: the part that must follow.
            ways: the tokens that write a part of ``forced_prefix``.

        Raises:
            UsageError: if no match begins with the prompt, or is short enough.
        """
        state = self.constraints.start(prompt, forced_prefix, ways)
        assert state is not None  # there is a pattern
        return MatchProgress(state, self.words.ends_within(prompt), has_begun=False)

    def after(
        self, texts: Sequence[MatchProgress], token_ids: Sequence[int]
    ) -> list[MatchProgress]:
        """Return the progress of each text after one more token."""
        steps = list(zip(texts, token_ids, strict=True))
        reached = {step: self._after(*step) for step in set(steps)}  # many are equal
        return [reached[step] for step in steps]

    def _after(self, text: MatchProgress, token_id: int) -> MatchProgress:
        state = self.constraints.after(text.constraints, token_id)
        assert state is not None
        in_word = self.words.is_within_after(text.in_word, token_id)
        unread = len(text.constraints.forced_prefix)
        has_begun = text.has_begun or self.words.lengths[token_id] > unread
        return MatchProgress(state, in_word, has_begun)

    def of(self, texts: Sequence[MatchProgress], written: int) -> Guidance:
        """Return the weights of tokens after each text. All texts have ``written`` tokens."""
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        which = [numbers[text] for text in texts]  # many have equal progress
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
                # The probability of the forced prefix belongs to the values, not to the biases.
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
        """The lookahead, which is built when a search starts. Most samples need none."""
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
