"""What a training run tells whoever watches it, and how it ends.

An observer is the only way in which a run speaks, and the only way in which it is asked to stop.
This module does not know how anything is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from charlstm.arrays import Weights
from charlstm.checkpoint.schema import Figures

if TYPE_CHECKING:
    from charlstm.training.setup import Run

StopReason = Literal["budget", "early stopping", "interrupted"]


@dataclass(frozen=True)
class Hardware:
    """What a run trains on.

    Attributes:
        gpus: of each worker; 0 if it trains on processors.
        product_type: of matrix products, ``"float32"`` or ``"bfloat16"``.
        workers: how many processes train.
    """

    gpus: int
    product_type: str
    workers: int = 1


class Observer:
    """Watches a run; a subclass overrides what it wants to see.

    Methods are called in the thread that trains, between its steps: what takes long in them delays
    the run.
    """

    def on_plan(self, run: Run) -> None:
        """Everything is decided; nothing is written or trained yet."""

    def on_start(self, hardware: Hardware, step: int, steps: int | None) -> None:
        """Training begins or goes on at ``step``; ``steps`` is the end if it is known.

        From here on there is something to save, and a run that is asked to stop saves it.
        """

    def on_step(self, step: int, done: float, loss: float, tokens_per_second: float) -> None:
        """A step is done; ``done`` is the share of the budget that is used."""

    def on_evaluation(
        self, figures: Figures, is_best: bool, weights: Callable[[], Weights]
    ) -> None:
        """An evaluation is done; ``weights()`` returns the present weights."""

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Validation loss rises while training loss falls; called once a run."""

    def should_stop(self) -> bool:
        """Whether to save and stop now; asked between steps and within evaluations."""
        return False


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended; ``best`` is what the checkpoint keeps.

    ``tokens_per_second`` counts the time of training steps only.
    """

    step: int
    epochs: float
    tokens: int
    seconds: float
    tokens_per_second: float
    best: Figures
    stop_reason: StopReason
