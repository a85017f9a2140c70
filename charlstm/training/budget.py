"""How much of its steps or minutes a run has used, and whether an evaluation or a save is due.

All times come from one clock. This module knows numbers only: no network, no files.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from charlstm.checkpoint.schema import Progress
from charlstm.config import TrainConfig
from charlstm.training.presets import EVALUATIONS

# Evaluations of a run with a budget in minutes take at most this share of its time.
EVALUATION_SHARE = 0.05

# How many times faster than training an evaluation is taken to be until one has been measured.
EVALUATION_SPEED = 2.0

# A run saves every so many seconds, or less often if saves would take more than this share of it.
SAVE_SECONDS = 60.0
SAVE_SHARE = 0.02


@dataclass(frozen=True)
class Workload:
    """What a step and an evaluation read.

    Attributes:
        tokens_per_step: tokens that a training step reads.
        steps_per_epoch: steps in which the training text is read once.
        valid_tokens: tokens of the validation text.
    """

    tokens_per_step: int
    steps_per_epoch: int
    valid_tokens: int


class Budget:
    """Counts the steps and the time of a run.

    Args:
        settings: the budget, and how often to evaluate and to save.
        workload: what a step and an evaluation read.
        began: when the command began, by ``now``; minutes count from there.
        now: the clock, in seconds.
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
        self.is_compiled = False

    @property
    def last_step(self) -> int | None:
        """The step the budget ends at; ``None`` if it is in minutes."""
        if self._settings.steps is not None:
            return self._settings.steps
        if self._settings.epochs is not None:
            return max(1, round(self._settings.epochs * self._workload.steps_per_epoch))
        return None

    def resume(self, seconds: float) -> None:
        """Count on from a run that had taken so many seconds when it was stopped."""
        self._began -= seconds

    def start(self) -> None:
        """Begin to wait for the first evaluation."""
        self._evaluated_at = self.elapsed()

    def elapsed(self) -> float:
        """Return the seconds since the command began, over all its resumptions."""
        return self.now() - self._began

    def used(self, progress: Progress) -> float:
        """Return the share of the budget that is used, 0 to 1.

        Of minutes, those before the first step don't count: nothing was learned in them. The share
        never falls, even if the evaluation at the end is expected to be shorter than before.
        """
        if self._settings.minutes is None:
            return progress.step / (self.last_step or 1)
        now, begin = self.elapsed(), progress.first_step_at
        end = 60 * self._settings.minutes - self._evaluation_seconds(progress)
        used = (now - begin) / (end - begin) if now < end else 1.0
        return max(progress.done, used)

    # Steps

    def step_taken(self, seconds: float) -> None:
        """Count a step that took so long."""
        if self._steps == 1 and not self.is_compiled:
            self.is_compiled = True  # the first step compiled and says nothing about the others
            self._step_seconds, self._steps = 0.0, 0
        self._step_seconds += seconds
        self._steps += 1

    def tokens_per_second(self) -> float:
        """Return the speed of the steps so far; of the first one while there is no other."""
        return self._steps * self._workload.tokens_per_step / max(self._step_seconds, 1e-9)

    # Evaluations

    def evaluation_due(self, progress: Progress) -> bool:
        """Whether to evaluate after the last step, if that has not been done."""
        if self._settings.eval_every is not None:
            return progress.step % self._settings.eval_every == 0
        budget, seconds = 60 * (self._settings.minutes or 0.0), self._evaluation_seconds(progress)
        wait = max(budget / EVALUATIONS, seconds / EVALUATION_SHARE)
        # The evaluation at the end comes anyway, and one before must leave time for it.
        fits = self.is_compiled and self.elapsed() + 3 * seconds < budget
        return fits and self.elapsed() - self._evaluated_at >= wait

    def evaluated(self, began: float) -> float:
        """Take note of an evaluation that has just ended; return how many seconds it took.

        Args:
            began: what ``elapsed`` returned when the evaluation began.
        """
        self._evaluated_at = self.elapsed()
        return self._evaluated_at - began

    def _evaluation_seconds(self, progress: Progress) -> float:
        """Return how long an evaluation takes: as the last one did, else by the steps' speed.

        Until a step has been timed that did not compile, nothing is known, and 0 is returned.
        """
        if progress.evaluation_seconds or not self.is_compiled:
            return progress.evaluation_seconds
        return self._workload.valid_tokens / (EVALUATION_SPEED * self.tokens_per_second())

    # Saves

    def save_due(self) -> bool:
        """Whether the last save is long enough ago."""
        longest = max(SAVE_SECONDS, self._save_seconds / SAVE_SHARE)
        return self.now() - self._saved_at > (self._settings.save_every or longest)

    def saved(self, began: float) -> None:
        """Take note of a save that has just ended and began at that time by ``now``."""
        self._saved_at = self.now()
        self._save_seconds = self._saved_at - began
