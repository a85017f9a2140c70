"""The network of the textbook in plain float64, which others are compared with."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def network(config, weights, ids, state):
    """Run the network: ids [B,T], state [2L,B,u] -> logits [B,T,V], state."""
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    embeddings = weights["embedding/embeddings"]
    kernel = embeddings.T if config.tied else weights["output/kernel"]
    hidden, cells = np.split(state.astype(np.float64), 2)
    logits = []
    for column in ids.T:
        x = embeddings[column]
        for layer in range(config.layers):
            z = (
                x @ weights[f"lstm_{layer}/kernel"]
                + hidden[layer] @ weights[f"lstm_{layer}/recurrent_kernel"]
                + weights[f"lstm_{layer}/bias"]
            )
            i, f, c, o = np.split(z, 4, axis=1)
            cells[layer] = sigmoid(f) * cells[layer] + sigmoid(i) * np.tanh(c)
            hidden[layer] = x = sigmoid(o) * np.tanh(cells[layer])
        logits.append(x @ kernel + weights["output/bias"])
    return np.stack(logits, axis=1), np.concatenate([hidden, cells])
