"""What a run takes over from a trained model: weights, and what validated.

A checkpoint goes in; initial weights, with rows for new tokens, and the division of the text come
out. A text that the model was trained on has to be divided as it was then: else lines that the
model has learned would validate, and the figures would be too good. Knows no files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import FILES, CorpusConfig
from charlstm.corpus.division import OPTIONS
from charlstm.errors import UsageError

# The share of the usual peak learning rate: the lower one where the weights are good already, the
# whole where they are not. Between them it rises with a power of how strange the text is (measured:
# see benchmarks/recipe.md).
LEAST_RATE, MOST_RATE = 0.25, 1.0
FAMILIAR, POWER = 1.1, 1.5


def rate_share(strangeness: float | None) -> float:
    """Return the share of the usual peak learning rate that fine-tuning takes.

    Args:
        strangeness: of the text to the model (see ``familiarity``), if it is known.
    """
    share = LEAST_RATE * ((strangeness or FAMILIAR) / FAMILIAR) ** POWER
    return float(f"{min(MOST_RATE, max(LEAST_RATE, share)):.2g}")


def grown_weights(
    parent: Checkpoint, log_shares: NDArray[np.float64], seed: int
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the weights of a parent, extended for new tokens, which start near the average.

    Args:
        parent: the trained model.
        log_shares: log-probability of each id of the extended tokenizer by its frequency in the
            new text, in nats, [vocab_size]; the parent's ids come first.
        seed: of the noise that tells new tokens apart.

    Returns:
        Weights by name, float32, in the shapes of a network with ``vocab_size`` ids.
    """
    generator = np.random.default_rng(seed)
    weights = dict(parent.weights)
    added = log_shares.size - parent.config.model.vocab_size
    table = weights["embedding/embeddings"]
    noise = generator.normal(0.0, table.std(), (added, table.shape[1]))
    weights["embedding/embeddings"] = np.concatenate(
        [table, (table.mean(0) + noise).astype(np.float32)]
    )
    if "output/kernel" in weights:
        kernel = weights["output/kernel"]
        columns = np.repeat(kernel.mean(1, keepdims=True), added, axis=1)
        weights["output/kernel"] = np.concatenate([kernel, columns], axis=1)
    bias = weights["output/bias"]
    # As likely, before anything is read, as the new tokens are frequent.
    new = log_shares[bias.size :] + np.logaddexp.reduce(bias.astype(np.float64))
    weights["output/bias"] = np.concatenate([bias, new.astype(np.float32)])
    return weights


def knows_text(parent: Checkpoint, sha256: str) -> bool:
    """Whether a model was trained on a text.

    Args:
        parent: the model.
        sha256: of the text, divided as it was then (see ``prepare.hash_of_text``).
    """
    return _training_part(parent.config.provenance.corpus_sha256) == _training_part(sha256)


def corpus_for(corpus: CorpusConfig, parent: Checkpoint) -> CorpusConfig:
    """Return how to read any text for a model: in its form, with lines drawn by its seed.

    Lines that a model was not trained on are then not trained on in a longer text either.
    """
    then = parent.config.corpus
    return corpus.replace(normalize=then.normalize, seed=then.seed)


def divided_as_then(corpus: CorpusConfig, parent: Checkpoint) -> CorpusConfig:
    """Return how to read a text so that its hash is the parent's if its text is."""
    return corpus.replace(division=parent.config.corpus.division)


def corpus_as_trained(corpus: CorpusConfig, parent: Checkpoint) -> CorpusConfig:
    """Return how to read the text that a model was trained on: what validated validates again.

    Args:
        corpus: as the user asked for; what is the default there is taken from the model.
        parent: the model.

    Raises:
        UsageError: if the user asked for another division.
    """
    then, name = parent.config.corpus, parent.folder
    text = f"the text is what {name} was trained on, "
    if corpus.valid:
        return corpus
    if then.valid:
        raise UsageError(
            f"{text}validated by {', '.join(then.valid)}: add --valid with that text, or another "
            f"that {name} has not seen"
        )
    if corpus.division not in (FILES, then.division):
        option = OPTIONS.get(then.division.unit)
        raise UsageError(
            f"{text}divided {f'with {option}' if option else 'into files'}: divide it likewise, so "
            f"that nothing validates that {name} has learned"
        )
    default = CorpusConfig().valid_fraction
    if corpus.valid_fraction not in (0, default, then.valid_fraction):
        raise UsageError(
            f"{text}with --valid-fraction {then.valid_fraction:g}: leave --valid-fraction "
            f"{corpus.valid_fraction:g} out, so that nothing validates that {name} has learned"
        )
    fraction = then.valid_fraction if corpus.valid_fraction else 0.0
    return corpus.replace(division=then.division, valid_fraction=fraction)


def _training_part(sha256: str) -> str:
    return sha256.partition("+")[0]
