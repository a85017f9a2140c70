"""The loss of plain token frequencies: what a model has to beat to have learned anything.

Token ids go in, nats per token come out. This module does not know text or models.
"""

from __future__ import annotations

import numpy as np

from charlstm.dataset.store import StoredIds, token_counts


def frequency_loss(train: StoredIds, text: StoredIds, vocab_size: int) -> float | None:
    """Return the loss of predicting each token by its frequency in the training text.

    Counts are raised by one, so that a token that does not occur is not impossible (Laplace).

    Args:
        train: the training text, [N].
        text: the text to predict, [M]; its first token is only context.
        vocab_size: the number of ids.

    Returns:
        The mean in nats per token, or ``None`` if there is nothing to predict.
    """
    if text.size < 2:
        return None
    smoothed = token_counts(train, vocab_size) + 1
    surprises = np.log(smoothed.sum()) - np.log(smoothed)
    return float(token_counts(text[1:], vocab_size) @ surprises) / (text.size - 1)
