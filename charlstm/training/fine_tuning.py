"""What fine-tuning begins with: the weights of a trained model, with room for new tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from charlstm.checkpoint.schema import Checkpoint

# Fine-tuning starts from weights that are already good: a quarter of the usual peak rate.
FINE_TUNING_RATE = 0.25


def grown_weights(
    parent: Checkpoint, vocab_size: int, seed: int
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the parent's weights with room for new tokens, which start near the average."""
    generator = np.random.default_rng(seed)
    weights = dict(parent.weights)
    added = vocab_size - parent.config.model.vocab_size
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
    weights["output/bias"] = np.concatenate([bias, np.full(added, bias.min(), np.float32)])
    return weights
