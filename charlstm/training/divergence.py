"""Rejects losses and weights from which training can't recover."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charlstm.arrays import Weights
from charlstm.errors import TrainingError

# A loss this many times that of a uniform guess means that the weights have exploded.
EXPLODED = 10.0


@dataclass(frozen=True)
class DivergenceCheck:
    """Checks the numbers of one run.

    Attributes:
        folder: its checkpoint, for messages.
        vocab_size: number of ids that a uniform guess chooses from.
        learning_rate: the peak rate, for messages.
    """

    folder: Path
    vocab_size: int
    learning_rate: float

    def loss(self, which: str, loss: float, step: int) -> None:
        """Check a loss in nats per token.

        Raises:
            TrainingError: if it is not finite or has exploded.
        """
        if not math.isfinite(loss):
            raise self._diverged(f"the {which} loss is not finite at step {step}")
        guess = math.log(self.vocab_size)
        if loss > EXPLODED * guess:
            raise self._diverged(
                f"the {which} loss has exploded to {loss:.3g} nats at step {step}, where a "
                f"uniform guess has {guess:.3g}"
            )

    def tensors(self, tensors: Weights, step: int) -> None:
        """Check tensors that are about to be written.

        Raises:
            TrainingError: if one is not finite.
        """
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise self._diverged(f"the weights are not finite after step {step}")

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what}: the last good state is in {self.folder}; train again into another folder "
            f"with a lower --learning-rate than {self.learning_rate:g}"
        )
