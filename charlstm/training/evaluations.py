"""Decides how much of the validation text an evaluation reads, and when a run evaluates.

Evaluations together take at most ``EVALUATION_SHARE`` of a run. A long validation text is therefore
sampled, and a short run on it evaluates less often. If even one evaluation takes longer, only the
last one happens. Nothing here depends on measured speed, so that runs are reproducible.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from charlstm.dataset.excerpts import MAX_STREAMS, WARM, in_whole_batches, tokens_read
from charlstm.training.presets import (
    EVALUATION_SHARE,
    EVALUATION_SPEED,
    EVALUATIONS,
    FIRST_EVALUATION,
    FIRST_EVALUATION_STEP,
    LEAST_VALIDATED,
    MOST_VALIDATED,
)

# The largest number of steps or evaluations that a configuration allows.
LARGEST = 2**31 - 1


class EvaluationTimes(NamedTuple):
    """When a run evaluates.

    Attributes:
        even: number of evaluations at equal intervals, including the last one.
        is_early: whether there is time for one more, soon after the start.
    """

    even: int
    is_early: bool


def evaluation_times(length: float, cost: float, most: int = EVALUATIONS) -> EvaluationTimes:
    """Return when a run evaluates.

    Args:
        length: length of the run, in tokens or seconds.
        cost: cost of an evaluation, in the same unit.
        most: number of evaluations at equal intervals if there is time for all of them.
    """
    share = EVALUATION_SHARE * length
    fitting = most + 1 if (most + 1) * cost <= share else int(share / cost)
    return EvaluationTimes(max(1, fitting - 1), fitting > 1)


def early_step(steps: int, eval_every: int) -> int | None:
    """Return the step of the early evaluation; ``None`` if the first regular one is as early."""
    step = max(FIRST_EVALUATION_STEP, round(FIRST_EVALUATION * steps))
    return step if 2 * step <= eval_every else None


def validated_tokens(valid_tokens: int, trained: float, evaluations: int) -> int | None:
    """Return how many tokens evaluations count; ``None`` for all.

    Args:
        valid_tokens: tokens of the validation text.
        trained: planned number of training tokens of the run.
        evaluations: planned number of evaluations.
    """
    if valid_tokens <= MOST_VALIDATED:
        return None
    read = EVALUATION_SHARE * trained * EVALUATION_SPEED / evaluations
    # Some tokens only warm up the state (see ``excerpts``): at most a third of them.
    counted = max(read - MAX_STREAMS * WARM, read * 2 / 3)
    return in_whole_batches(int(min(MOST_VALIDATED, max(LEAST_VALIDATED, counted))))


def evaluation_cost(
    valid_tokens: int, validated: int | None, speed: float = EVALUATION_SPEED
) -> float:
    """Return how many training tokens take as long as an evaluation.

    Args:
        valid_tokens: tokens of the validation text.
        validated: how many of them count; ``None`` for all.
        speed: speed of an evaluation relative to training.
    """
    return tokens_read(valid_tokens, validated) / speed


def planned_evaluations(
    length: float, steps: int, per_epoch: int, cost: float
) -> dict[str, int | None]:
    """Return how often a run evaluates, by field name of ``TrainConfig``.

    Args:
        length: number of training tokens of the run.
        steps: number of steps of the run.
        per_epoch: steps per epoch; a run with enough time evaluates at least once per epoch.
        cost: cost of an evaluation in training tokens.
    """
    most = math.ceil(steps / max(1, min(per_epoch, steps // EVALUATIONS)))
    even, is_early = evaluation_times(length, cost, most)
    every = min(LARGEST, math.ceil(steps / even))
    return {"eval_every": every, "first_evaluation": early_step(steps, every) if is_early else None}
