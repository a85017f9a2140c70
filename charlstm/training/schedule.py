"""Learning rate and dropout as functions of the progress of a run."""

from __future__ import annotations

import math

from charlstm.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, done: float) -> float:
    """Return the learning rate of a step: linear warm-up times half a cosine to the final rate.

    Source: Loshchilov and Hutter 2017, one cycle without restarts.

    Args:
        config: peak rate, final rate as a share of the peak, number of warm-up steps.
        step: number of the step, from 0.
        done: share of the budget that is used, 0 to 1.
    """
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * warm * (config.final_rate + (1.0 - config.final_rate) * cosine)


def dropout_rate(config: TrainConfig, epoch: float) -> float:
    """Return the dropout rate at a fractional epoch: it rises linearly, then stays constant.

    A model can't overfit during the first epoch, and dropout slows learning. The idea is that of
    curriculum dropout (Morerio et al. 2017).
    """
    return config.dropout * (min(1.0, epoch / config.dropout_ramp) if config.dropout_ramp else 1.0)
