"""What a training run reports, and how it ends.

A run reports through an ``Observer`` only, and only an observer can ask it to stop. This module
does not know how anything is trained.
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
        gpus: number of GPUs of each worker; 0 if it trains on the CPU.
        product_type: dtype of matrix products, ``"float32"`` or ``"bfloat16"``.
        workers: number of processes that train.
    """

    gpus: int
    product_type: str
    workers: int = 1


class Observer:
    """Watches a run; a subclass overrides what it needs.

    Methods are called between steps, in the thread that trains: slow methods slow the run down.
    """

    def on_reading(self, task: str, done: int, total: int | None) -> None:
        """Called now and then while the text is read, before anything is decided.

        Args:
            task: what this reading of the text is for, one word.
            done: bytes or characters read so far.
            total: all of them, more or less; ``None`` if that is not known.
        """

    def on_plan(self, run: Run) -> None:
        """Called once everything is decided, before anything is written or trained."""

    def on_start(self, hardware: Hardware, step: int, steps: int | None) -> None:
        """Called when training starts or resumes.

        From here on a run that is asked to stop saves its state.

        Args:
            hardware: what the run trains on.
            step: steps taken so far.
            steps: steps in all; ``None`` if the budget is in minutes.
        """

    def on_step(self, step: int, done: float, loss: float, tokens_per_second: float) -> None:
        """Called after each step.

        Args:
            step: steps taken so far.
            done: share of the budget that is used, 0 to 1.
            loss: training loss of the step in nats per token.
            tokens_per_second: speed of the steps so far.
        """

    def on_evaluation(
        self, figures: Figures, is_best: bool, weights: Callable[[], Weights]
    ) -> None:
        """Called after each evaluation.

        Args:
            figures: what was measured.
            is_best: whether the checkpoint now holds these weights: because the validation loss is
                the lowest so far, or because nothing validates.
            weights: returns the weights that were measured.
        """

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Called at most once, when validation loss has risen while training loss fell."""

    def should_stop(self) -> bool:
        """Return whether to save and stop; called between steps and within evaluations."""
        return False


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        step: training steps taken, those before a resumption included.
        epochs: how many times the training text was read.
        tokens: training tokens read.
        seconds: duration, without the time between a stop and a resumption.
        tokens_per_second: training tokens by the time of training steps only.
        best: figures of the weights in the checkpoint.
        stop_reason: why it ended.
    """

    step: int
    epochs: float
    tokens: int
    seconds: float
    tokens_per_second: float
    best: Figures
    stop_reason: StopReason
