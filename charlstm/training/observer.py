"""What a training run reports, and how it ends.

A run reports only to an ``Observer``, and only an observer can ask it to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from charlstm.arrays import Weights
from charlstm.checkpoint.schema import Figures
from charlstm.results import Result

if TYPE_CHECKING:
    from charlstm.training.setup import Run

StopReason = Literal["budget", "early stopping", "interrupted"]


@dataclass(frozen=True)
class Hardware:
    """The hardware of a run.

    Attributes:
        gpus: number of GPUs of each worker; 0 if it trains on the CPU.
        product_type: dtype of the matrix multiplications, ``"float32"`` or ``"bfloat16"``.
        workers: number of worker processes.
    """

    gpus: int
    product_type: str
    workers: int = 1


class Observer:
    """Watches a run. Subclasses override the methods that they need.

    Methods are called between steps, in the training thread, so slow methods slow the run down.
    """

    def on_reading(self, task: str, done: int, total: int | None) -> None:
        """Called now and then while the text is read, before the run is planned.

        Args:
            task: why the text is being read, one word.
            done: bytes or characters read so far.
            total: approximate number of bytes or characters; ``None`` if unknown.
        """

    def on_plan(self, run: Run) -> None:
        """Called when the run is planned, before anything is written or trained."""

    def on_start(self, hardware: Hardware, step: int, steps: int | None) -> None:
        """Called when training starts or resumes.

        From now on, a run that is asked to stop saves its state.

        Args:
            hardware: the hardware of the run.
            step: steps taken so far.
            steps: total number of steps; ``None`` if the budget is in minutes.
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
            figures: the results.
            is_best: whether these weights are now in the checkpoint, because the validation loss is
                the lowest so far or because there is no validation text.
            weights: returns the evaluated weights.
        """

    def on_overfitting(self, best: Figures, now: Figures) -> None:
        """Called at most once, when the validation loss rose while the training loss fell."""

    def should_stop(self) -> bool:
        """Return whether to save and stop; called between steps and during evaluations."""
        return False


@dataclass(frozen=True)
class TrainingResult(Result):
    """How a run ended.

    Attributes:
        step: training steps taken, including those before the run was resumed.
        epochs: number of passes over the training text.
        tokens: number of training tokens read.
        seconds: duration, without the time between stopping and resuming.
        tokens_per_second: training tokens per second of training steps.
        best: figures of the weights in the checkpoint.
        stop_reason: why the run ended.
    """

    step: int
    epochs: float
    tokens: int
    seconds: float
    tokens_per_second: float
    best: Figures
    stop_reason: StopReason
