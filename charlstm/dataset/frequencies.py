"""How frequent each token is: where training begins, and what a model has to beat.

Token ids go in, log-probabilities and nats per token come out. This module does not know text or
models.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlstm.dataset.store import StoredIds, token_counts

_DIGITS = 9  # after the point


def log_frequencies(train: StoredIds, vocab_size: int) -> NDArray[np.float64]:
    """Return the log-probability of each token by its frequency, in nats, [vocab_size].

    Counts are raised by one, so that a token that does not occur is not impossible (Laplace).

    Args:
        train: the training text, [N].
        vocab_size: the number of ids.
    """
    smoothed = token_counts(train, vocab_size) + 1
    found: NDArray[np.float64] = np.log(smoothed) - np.log(smoothed.sum())
    return found


def frequency_loss(train: StoredIds, text: StoredIds, vocab_size: int) -> float | None:
    """Return the loss of predicting each token by its frequency in the training text.

    Args:
        train: the training text, [N].
        text: the text to predict, [M]; its first token is only context.
        vocab_size: the number of ids.

    Returns:
        The mean in nats per token, rounded so that processors which sum in another order agree,
        or ``None`` if there is nothing to predict.
    """
    if text.size < 2:
        return None
    counts = token_counts(text[1:], vocab_size)
    loss = float(counts @ -log_frequencies(train, vocab_size)) / (text.size - 1)
    return round(loss, _DIGITS)
