"""The initial weights of fine-tuning: those of a trained model, with rows for new tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.schema import Checkpoint

# The share of the usual peak learning rate, because the weights are good already.
FINE_TUNING_RATE = 0.25


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
