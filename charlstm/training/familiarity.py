"""How well a trained model knows the kind of a text before it learns from it.

Token ids and a checkpoint go in, two numbers come out. They decide how fast the model should learn
from the text, and whether starting from it pays off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import AnyIds
from charlstm.checkpoint.schema import Checkpoint
from charlstm.engine.inference import MAX_ROWS, Engine, build_engine
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer

# Characters of the beginning of a text that are enough to know it by, and of the parts that it is
# read in, side by side.
SCORED, PART = 20_000, 1_000

# Starting from a model pays off for texts that are no stranger to it than the first, and does not
# for those that are stranger than the last; from the second on it depends on the minutes. But where
# the pieces of words that the model knows fit, so that they are long in the text too, it pays off
# in any case (see benchmarks/recipe.md).
LITTLE_STRANGE, RATHER_STRANGE, STRANGE, FITTING = 2.0, 2.5, 4.0, 0.6


class Familiarity(NamedTuple):
    """How well a model knows the kind of a text.

    Attributes:
        strangeness: how many times as high as on the model's own validation text its loss is, in
            nats per character; ``None`` if nothing validated it.
        fit: how long its tokens are in the text, relative to its own text; 0 for characters.
    """

    strangeness: float | None
    fit: float

    @property
    def helps(self) -> bool:
        """Whether the text is learned better from the model than from the beginning."""
        strangeness = self.strangeness
        return self.fit >= FITTING or (strangeness is not None and strangeness <= LITTLE_STRANGE)

    @property
    def hinders(self) -> bool:
        """Whether it is learned worse."""
        return self._is_stranger_than(STRANGE)

    @property
    def may_hinder(self) -> bool:
        """Whether it is learned about as well, or worse."""
        return self._is_stranger_than(RATHER_STRANGE)

    def _is_stranger_than(self, strangeness: float) -> bool:
        return (self.strangeness or 0.0) > strangeness and self.fit < FITTING


def familiarity(model: Checkpoint, tokenizer: Tokenizer, ids: AnyIds, *, ends: bool) -> Familiarity:
    """Return how well a model knows the kind of a text, by its beginning.

    Args:
        model: the trained model.
        tokenizer: that of the text.
        ids: the text, [N].
        ends: whether the end of a document counts as a character, as it does where files are
            divided into documents.
    """
    read, characters = [], 0
    for text, is_whole in _parts(tokenizer, ids):
        end = [END_OF_DOCUMENT] * (ends and is_whole)
        read.append(np.concatenate([[END_OF_DOCUMENT], model.tokenizer.encode(text), end]))
        characters += len(text) + len(end)
    own, fit, origin = model.figures.valid_bits_per_character, 0.0, model.config.provenance
    if not characters or not origin.characters:
        return Familiarity(None, fit)
    if model.config.tokenizer.level != "char":
        tokens = sum(sequence.size - 1 for sequence in read)
        fit = characters / tokens * (origin.train_tokens + origin.valid_tokens) / origin.characters
    if own is None or own <= 0:
        return Familiarity(None, fit)
    return Familiarity(_loss(model, read) / characters / (math.log(2) * own), fit)


def _loss(model: Checkpoint, sequences: list[NDArray[np.int64]]) -> float:
    """Return the loss on all tokens of sequences but their first ones, in nats."""
    engine = build_engine(model.config.model, model.weights)
    ordered = sorted(sequences, key=len)
    rows = (ordered[first : first + MAX_ROWS] for first in range(0, len(ordered), MAX_ROWS))
    return -math.fsum(_log_probability(engine, part) for part in rows)


def _log_probability(engine: Engine, sequences: list[NDArray[np.int64]]) -> float:
    """Return the log-probability of all tokens of sequences but their first ones."""
    lengths = np.array([sequence.size - 1 for sequence in sequences])
    padded = np.zeros((len(sequences), 1 + int(lengths.max())), np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : sequence.size] = sequence
    state = engine.initial_state(len(sequences))
    values, _ = engine.log_probabilities(padded[:, :-1], padded[:, 1:], state)
    return float(values[np.arange(values.shape[1]) < lengths[:, None]].sum())


def _parts(tokenizer: Tokenizer, ids: AnyIds) -> Iterator[tuple[str, bool]]:
    """Yield parts of the first documents, and whether a document ends with them."""
    beginning = np.asarray(ids[:SCORED])  # a token has a character or more, and ends are few
    left = SCORED
    for document in np.split(beginning, np.flatnonzero(beginning == END_OF_DOCUMENT)):
        text = tokenizer.decode(document[document != END_OF_DOCUMENT])
        is_whole = len(text) <= left
        for first in range(0, min(left, len(text)), PART):
            last = min(first + PART, left, len(text))
            yield text[first:last], is_whole and last == len(text)
        left -= min(left, len(text))
