"""Detects losses and weights from which training can't recover."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from charlstm.arrays import Weights
from charlstm.errors import TrainingError

# A loss above this multiple of a uniform guess means that the weights have exploded.
EXPLODED = 10.0


@dataclass(frozen=True)
class DivergenceCheck:
    """Checks the losses and the weights of one run.

    Attributes:
        folder: the checkpoint, for messages.
        vocab_size: number of ids, for the loss of a uniform guess.
        learning_rate: the peak learning rate, for messages.
    """

    folder: Path
    vocab_size: int
    learning_rate: float

    def loss(self, which: str, loss: float, step: int) -> None:
        """Check a loss in nats per token.

        Raises:
            TrainingError: if the loss is not finite or has exploded.
        """
        if not math.isfinite(loss):
            raise self._diverged(f"the {which} loss is not finite at step {step}")
        guess = math.log(self.vocab_size)
        if loss > EXPLODED * guess:
            raise self._diverged(
                f"the {which} loss has exploded to {loss:.3g} nats at step {step} "
                f"(a uniform guess has {guess:.3g})"
            )

    def tensors(self, tensors: Weights, step: int) -> None:
        """Check tensors before they are written.

        Raises:
            TrainingError: if a number is not finite.
        """
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            raise self._diverged(f"the weights are not finite after step {step}")

    def _diverged(self, problem: str) -> TrainingError:
        return TrainingError(
            f"{problem}. The last good state is in {self.folder}. Train into another folder with a "
            f"`learning_rate` below {self.learning_rate:g}."
        )
