"""How much of its steps or minutes a run has used, and whether to evaluate or save.

All times come from one clock. Nothing here depends on the network or on files.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from charlstm.checkpoint.resume import Progress
from charlstm.config import TrainConfig
from charlstm.training.evaluations import evaluation_times
from charlstm.training.presets import FIRST_EVALUATION, FIRST_EVALUATION_STEP

# Seconds between saves. They are further apart if they would take more than this share of the time.
SAVE_SECONDS = 60.0
SAVE_SHARE = 0.02


@dataclass(frozen=True)
class Workload:
    """The size of a step, an epoch and an evaluation, in tokens and steps.

    Attributes:
        tokens_per_step: tokens in a training step.
        steps_per_epoch: steps in an epoch.
        evaluation_cost: number of training tokens expected to take as long as an evaluation.
    """

    tokens_per_step: int
    steps_per_epoch: int
    evaluation_cost: float


class Budget:
    """Counts the steps and the time of a run.

    Args:
        settings: the budget, and how often to evaluate and save.
        workload: the size of a step and of an evaluation.
        began: time at which the command started, on the clock ``now``. Minutes count from it.
        now: returns the time in seconds.
    """

    def __init__(
        self,
        settings: TrainConfig,
        workload: Workload,
        *,
        began: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.now = now
        self._settings, self._workload = settings, workload
        self._began = began
        self._saved_at, self._save_seconds = now(), 0.0
        self._evaluated_at = 0.0
        self._step_seconds, self._steps = 0.0, 0
        self.is_compiled = self._has_evaluated = False

    @property
    def last_step(self) -> int | None:
        """The last step of the budget; ``None`` if the budget is in minutes."""
        if self._settings.steps is not None:
            return self._settings.steps
        if self._settings.epochs is not None:
            return max(1, round(self._settings.epochs * self._workload.steps_per_epoch))
        return None

    def resume(self, seconds: float) -> None:
        """Add the seconds that a run took before it was stopped."""
        self._began -= seconds

    def start(self) -> None:
        """Start counting the time to the first evaluation."""
        self._evaluated_at = self.elapsed()

    def elapsed(self) -> float:
        """Return the seconds that the run has taken, including those before it was resumed."""
        return self.now() - self._began

    def used(self, progress: Progress) -> float:
        """Return the share of the budget that is used, 0 to 1.

        For a budget in minutes, the time before the first step doesn't count, because nothing is
        learned in it. Time is set aside for the last evaluation and the last save. The share never
        falls, even if these turn out to be faster than expected.
        """
        if self._settings.minutes is None:
            return progress.step / (self.last_step or 1)
        now, begin = self.elapsed(), progress.first_step_at
        end = 60 * self._settings.minutes - self._evaluation_seconds(progress) - self._save_seconds
        if not progress.step:
            return float(now >= end)
        used = (now - begin) / (end - begin) if now < end else 1.0
        return max(progress.done, used)

    # Steps

    def step_taken(self, seconds: float) -> None:
        """Count a step and its duration."""
        if self._steps == 1 and not self.is_compiled:
            self.is_compiled = True  # the first step includes compiling, so it doesn't count
            self._step_seconds, self._steps = 0.0, 0
        self._step_seconds += seconds
        self._steps += 1

    def tokens_per_second(self) -> float:
        """Return the speed of the steps so far, without the first one once there are others."""
        return self._steps * self._workload.tokens_per_step / max(self._step_seconds, 1e-9)

    # Evaluations

    def evaluation_due(self, progress: Progress) -> bool:
        """Return whether to evaluate now, after the last step."""
        if self._settings.eval_every is not None:
            is_first = progress.step == self._settings.first_evaluation
            return is_first or progress.step % self._settings.eval_every == 0
        budget, seconds = 60 * (self._settings.minutes or 0.0), self._evaluation_seconds(progress)
        now, begin = self.elapsed(), progress.first_step_at
        # The last evaluation always happens. An earlier one must leave enough time for it.
        if not self.is_compiled or now + 3 * seconds >= budget:
            return False
        even, is_early = evaluation_times(budget, seconds)
        if is_early and progress.evaluated == 0:
            is_soon = now - begin >= FIRST_EVALUATION * (budget - begin)
            return is_soon and progress.step >= FIRST_EVALUATION_STEP
        return now - self._evaluated_at >= budget / even

    def evaluated(self, began: float, known: float = 0.0) -> float:
        """Record that an evaluation has just ended; return its duration in seconds.

        The first evaluation of a process includes compiling. Its duration is capped at the known or
        the expected duration, whichever is longer.

        Args:
            began: ``elapsed()`` when the evaluation started.
            known: duration of an earlier evaluation in seconds; 0 if there was none.
        """
        self._evaluated_at = self.elapsed()
        seconds = self._evaluated_at - began
        if not self._has_evaluated and self.is_compiled:
            seconds = min(seconds, max(known, self._expected_evaluation()))
        self._has_evaluated = True
        return seconds

    def _evaluation_seconds(self, progress: Progress) -> float:
        """Return the expected duration of an evaluation: the last one, or an estimate.

        Returns 0 until a step after the first one, which compiles, has been timed.
        """
        if progress.evaluation_seconds or not self.is_compiled:
            return progress.evaluation_seconds
        return self._expected_evaluation()

    def _expected_evaluation(self) -> float:
        return self._workload.evaluation_cost / self.tokens_per_second()

    # Saves

    def save_due(self) -> bool:
        """Return whether to save now."""
        longest = max(SAVE_SECONDS, self._save_seconds / SAVE_SHARE)
        return self.now() - self._saved_at > (self._settings.save_every or longest)

    def saved(self, began: float) -> None:
        """Record that a save has just ended; ``began`` is ``now()`` when it started."""
        self._saved_at = self.now()
        self._save_seconds = self._saved_at - began
