"""How strange a text is to a trained model.

Token ids and a checkpoint go in, a number comes out. It decides how fast the model should learn
from the text, and whether starting from it pays off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import AnyIds
from charlstm.checkpoint.schema import Checkpoint
from charlstm.engine.inference import MAX_ROWS, Engine, build_engine
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer

# Characters of the beginning of a text that are enough to know it by, and of the parts that it is
# read in, side by side.
SCORED, PART = 20_000, 1_000

# Starting from a model pays off for texts that are no stranger to it than the one, and does not for
# those that are stranger than the other (see benchmarks/recipe.md).
SUGGESTED, STRANGE = 2.0, 2.5


def strangeness(
    model: Checkpoint, tokenizer: Tokenizer, ids: AnyIds, *, ends: bool
) -> float | None:
    """Return how many times as large a model's loss is as on its own validation text.

    The arguments are those of ``nats_per_character``.

    Returns:
        1 for a text like the model's own; ``None`` if nothing validated the model.
    """
    own = model.figures.valid_bits_per_character
    if not own:
        return None
    return nats_per_character(model, tokenizer, ids, ends=ends) / (math.log(2) * own)


def nats_per_character(
    model: Checkpoint, tokenizer: Tokenizer, ids: AnyIds, *, ends: bool
) -> float:
    """Return the loss of a model on the beginning of a text, in nats per character.

    Args:
        model: the trained model.
        tokenizer: that of the text.
        ids: the text, [N].
        ends: whether the end of a document counts as a character, as it does where files are
            divided into documents.

    Returns:
        The loss on at most ``SCORED`` characters; infinite if there are none.
    """
    read, characters = [], 0
    for text, is_whole in _parts(tokenizer, ids):
        end = [END_OF_DOCUMENT] * (ends and is_whole)
        read.append(np.concatenate([[END_OF_DOCUMENT], model.tokenizer.encode(text), end]))
        characters += len(text) + len(end)
    if not characters:
        return math.inf
    engine = build_engine(model.config.model, model.weights)
    read.sort(key=len)
    rows = (read[first : first + MAX_ROWS] for first in range(0, len(read), MAX_ROWS))
    return -math.fsum(_log_probability(engine, part) for part in rows) / characters


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
