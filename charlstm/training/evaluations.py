"""Decides how much of a validation text an evaluation reads, and when a run evaluates.

Evaluations together take at most ``EVALUATION_SHARE`` of a run: a long text is represented by a
part of it, and a run with little time for the text evaluates less often. Where even one evaluation
takes more, the one at the end is the only one. Numbers go in and come out. This module does not
know measured speed, so that runs can be repeated.
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

# The largest number of steps or evaluations that a configuration can hold.
LARGEST = 2**31 - 1


class Occasions(NamedTuple):
    """When a run evaluates.

    Attributes:
        even: how often at equal intervals, the evaluation at the end included.
        is_early: whether there is time for one more, soon after the beginning.
    """

    even: int
    is_early: bool


def occasions(length: float, cost: float, most: int = EVALUATIONS) -> Occasions:
    """Return when a run evaluates.

    Args:
        length: of the run, in tokens or seconds.
        cost: of an evaluation, in the same unit.
        most: evaluations at equal intervals, if there is time for all of them.
    """
    share = EVALUATION_SHARE * length
    fitting = most + 1 if (most + 1) * cost <= share else int(share / cost)
    return Occasions(max(1, fitting - 1), fitting > 1)


def early_step(steps: int, eval_every: int) -> int | None:
    """Return the step of the early evaluation; ``None`` if the first even one is about as early."""
    step = max(FIRST_EVALUATION_STEP, round(FIRST_EVALUATION * steps))
    return step if 2 * step <= eval_every else None


def validated_tokens(valid_tokens: int, trained: float, evaluations: int) -> int | None:
    """Return how many tokens evaluations count; ``None`` if all.

    Args:
        valid_tokens: those of the validation text.
        trained: the tokens that the run trains on, as planned.
        evaluations: how many there are to be.
    """
    if valid_tokens <= MOST_VALIDATED:
        return None
    read = EVALUATION_SHARE * trained * EVALUATION_SPEED / evaluations
    # Some of these only warm up (see ``excerpts``): a third, or less if there are most streams.
    counted = max(read - MAX_STREAMS * WARM, read * 2 / 3)
    return in_whole_batches(int(min(MOST_VALIDATED, max(LEAST_VALIDATED, counted))))


def evaluation_cost(
    valid_tokens: int, validated: int | None, speed: float = EVALUATION_SPEED
) -> float:
    """Return the training tokens that take as long as an evaluation.

    Args:
        valid_tokens: those of the validation text.
        validated: how many of them count; ``None`` for all.
        speed: of an evaluation, relative to training.
    """
    return tokens_read(valid_tokens, validated) / speed


def planned_evaluations(
    length: float, steps: int, per_epoch: int, cost: float
) -> dict[str, int | None]:
    """Return how often a run of so many steps evaluates, by field name of ``TrainConfig``.

    Args:
        length: the tokens that the run trains on.
        steps: the steps in all.
        per_epoch: steps that read the training text once, between two evaluations at most.
        cost: of an evaluation, in training tokens.
    """
    most = math.ceil(steps / max(1, min(per_epoch, steps // EVALUATIONS)))
    even, is_early = occasions(length, cost, most)
    every = min(LARGEST, math.ceil(steps / even))
    return {"eval_every": every, "first_evaluation": early_step(steps, every) if is_early else None}
