"""How the learning rate and dropout change while a run goes on.

Both are functions of how far the run has come. This module knows nothing of a network.
"""

from __future__ import annotations

import math

from charlstm.config import TrainConfig


def learning_rate(config: TrainConfig, step: int, done: float) -> float:
    """Return the rate of a step: linear warm-up, then half a cosine down to the final rate.

    Source: Loshchilov and Hutter 2017, one cycle without restarts.

    Args:
        config: peak rate, final rate as a share of it, steps of warm-up.
        step: the step, from 0.
        done: the share of the budget that is used, 0 to 1.
    """
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * warm * (config.final_rate + (1.0 - config.final_rate) * cosine)


def dropout_rate(config: TrainConfig, epoch: float) -> float:
    """Return the dropout rate at some epoch: it rises linearly and then stays.

    A text that is read for the first time can't be overfitted yet, and whatever is dropped slows
    learning. Source of the idea: curriculum dropout, Morerio et al. 2017.
    """
    return config.dropout * (min(1.0, epoch / config.dropout_ramp) if config.dropout_ramp else 1.0)
