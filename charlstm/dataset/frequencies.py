"""Token frequencies, which initialize a model, and the loss of predicting by them, its baseline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlstm.dataset.store import StoredIds, token_counts

_DIGITS = 9  # after the point


def log_frequencies(train: StoredIds, vocab_size: int) -> NDArray[np.float64]:
    """Return the log of the frequency of each token, in nats, float64 [vocab_size].

    One is added to each count (Laplace smoothing), so no token is impossible.

    Args:
        train: the training text, [N].
        vocab_size: the number of ids.
    """
    return _smoothed(token_counts(train, vocab_size))


def frequency_loss(train: StoredIds, text: StoredIds, vocab_size: int) -> float | None:
    """Return the loss of predicting each token by its frequency in the training text.

    Args:
        train: the training text, [N].
        text: the text to predict, [M]; its first token is only context.
        vocab_size: the number of ids.

    Returns:
        The mean in nats per token, rounded so that CPUs that sum in another order agree, or
        ``None`` if there is nothing to predict.
    """
    if text.size < 2:
        return None
    learned = token_counts(train, vocab_size)
    counts = learned.copy() if text is train else token_counts(text, vocab_size)
    counts[text[0]] -= 1
    return round(float(counts @ -_smoothed(learned)) / (text.size - 1), _DIGITS)


def _smoothed(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.log(counts + 1) - np.log(np.sum(counts + 1))
    return found
