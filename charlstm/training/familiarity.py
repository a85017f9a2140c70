"""How well a trained model predicts the start of a text before it is trained on it.

The two numbers decide how fast the model should learn from the text, and whether fine-tuning it
pays off.
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

# Number of characters at the start of a text that are scored, and the length of the parts in which
# they are scored as a batch.
SCORED, PART = 20_000, 1_000

# Thresholds of ``Familiarity.strangeness``. Fine-tuning pays off up to the first and doesn't above
# the last. Above the second it depends on the minutes. If the model's pieces fit the text
# (``fit`` of at least FITTING), fine-tuning always pays off (see benchmarks/recipe.md).
LITTLE_STRANGE, RATHER_STRANGE, STRANGE, FITTING = 2.0, 2.5, 4.0, 0.6


class Familiarity(NamedTuple):
    """How well a model knows the kind of a text.

    Attributes:
        strangeness: loss on the text divided by the loss on the model's own validation text, both
            in nats per character; ``None`` if the model has no validation loss.
        fit: characters per token in the text divided by characters per token in the model's own
            text; 0 for character-level models.
    """

    strangeness: float | None
    fit: float

    @property
    def helps(self) -> bool:
        """Whether fine-tuning the model learns the text better than training from scratch."""
        strangeness = self.strangeness
        return self.fit >= FITTING or (strangeness is not None and strangeness <= LITTLE_STRANGE)

    @property
    def hinders(self) -> bool:
        """Whether fine-tuning the model learns the text worse than training from scratch."""
        return self._is_stranger_than(STRANGE)

    @property
    def may_hinder(self) -> bool:
        """Whether fine-tuning the model learns the text no better, or worse."""
        return self._is_stranger_than(RATHER_STRANGE)

    def _is_stranger_than(self, strangeness: float) -> bool:
        return (self.strangeness or 0.0) > strangeness and self.fit < FITTING


def familiarity(model: Checkpoint, tokenizer: Tokenizer, ids: AnyIds, *, ends: bool) -> Familiarity:
    """Return how well a model knows the kind of a text, judged by the start of the text.

    Args:
        model: the trained model.
        tokenizer: the tokenizer of ``ids``.
        ids: the text, [N].
        ends: whether the end of a document counts as a character, as it does if files are divided
            into documents.
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
    """Return the loss on all tokens of the sequences except the first of each, in nats."""
    engine = build_engine(model.config.model, model.weights)
    ordered = sorted(sequences, key=len)
    rows = (ordered[first : first + MAX_ROWS] for first in range(0, len(ordered), MAX_ROWS))
    return -math.fsum(_log_probability(engine, part) for part in rows)


def _log_probability(engine: Engine, sequences: list[NDArray[np.int64]]) -> float:
    """Return the summed log-probability of all tokens except the first of each sequence."""
    lengths = np.array([sequence.size - 1 for sequence in sequences])
    padded = np.zeros((len(sequences), 1 + int(lengths.max())), np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : sequence.size] = sequence
    state = engine.initial_state(len(sequences))
    values, _ = engine.log_probabilities(padded[:, :-1], padded[:, 1:], state)
    return float(values[np.arange(values.shape[1]) < lengths[:, None]].sum())


def _parts(tokenizer: Tokenizer, ids: AnyIds) -> Iterator[tuple[str, bool]]:
    """Yield parts of the first documents, and whether a document ends with the part."""
    # Enough ids: a token has at least one character, and document ends are few.
    beginning = np.asarray(ids[:SCORED])
    left = SCORED
    for document in np.split(beginning, np.flatnonzero(beginning == END_OF_DOCUMENT)):
        text = tokenizer.decode(document[document != END_OF_DOCUMENT])
        is_whole = len(text) <= left
        for first in range(0, min(left, len(text)), PART):
            last = min(first + PART, left, len(text))
            yield text[first:last], is_whole and last == len(text)
        left -= min(left, len(text))
