"""How a run ended, or how far it has come.

Everything follows from the files of a checkpoint of any format: its configuration, its history and,
as long as it can be resumed, its resume file. What an old checkpoint doesn't record is ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from charlstm.checkpoint.listing import RunState, state_of
from charlstm.checkpoint.reader import read_config, read_figures, read_history
from charlstm.checkpoint.resume import Progress, read_progress
from charlstm.checkpoint.schema import MODEL, Figures, RunConfig
from charlstm.errors import CheckpointError
from charlstm.training.observer import StopReason

# Nats above the best validation loss that count as overfitting. Seeds differ by less.
OVERFITTING_MARGIN = 0.01

# The most steps to compute with: what a hostile file names must not overflow.
_MOST_STEPS = 1e15

# A run in minutes that used at least this share of them has not stopped early. Apart from the last
# one, no evaluation ends as late.
_WHOLE = 0.97


@dataclass(frozen=True)
class Outcome:
    """How a run ended, or how far it has come.

    Attributes:
        state: ``training`` as long as a process trains it.
        can_resume: whether ``charlstm train --resume`` can continue it.
        stop_reason: why it stopped; ``None`` during the run, or if that is unknown.
        step: steps taken, for an unfinished run until its last save.
        planned_steps: steps of the budget; ``None`` if it is in minutes.
        epochs: number of passes over the training text.
        seconds: duration, without the time between stopping and resuming.
        planned_minutes: minutes of the budget; ``None`` if it is in steps or epochs.
        best: figures of the weights in the checkpoint, which are the best ones or, without
            validation, the last ones.
        last: the last evaluation.
        overfits: whether the model got worse on the validation text while it got better on the
            training text, from the best evaluation to the last one (see ``is_overfitting``).
    """

    state: RunState
    can_resume: bool
    stop_reason: StopReason | None
    step: int | None
    planned_steps: int | None
    epochs: float | None
    seconds: float | None
    planned_minutes: float | None
    best: Figures | None
    last: Figures | None
    overfits: bool | None


def read_outcome(folder: Path) -> Outcome:
    """Return how the run of a checkpoint ended, or how far it has come.

    Raises:
        CheckpointMissing: if there is no checkpoint.
        CheckpointDamaged: if a file other than the resume file is truncated or altered.
        CheckpointTooNew: if the format is later than this version reads.
    """
    config, history = read_config(folder), read_history(folder)
    figures = read_figures(folder) if (folder / MODEL).exists() else None
    try:
        progress = read_progress(folder, config)
    except CheckpointError:  # damaged, not readable, or removed by the run meanwhile
        progress = None
    return outcome_of(config, history, figures, progress, state_of(folder))


def outcome_of(
    config: RunConfig,
    history: Sequence[Figures],
    figures: Figures | None,
    progress: Progress | None,
    state: RunState,
) -> Outcome:
    """Return how a run ended, or how far it has come.

    Args:
        config: the configuration of the run.
        history: the evaluations of the run, oldest first.
        figures: figures of the weights in the checkpoint; ``None`` if there are none yet.
        progress: the progress at the last save; ``None`` without a resume file.
        state: the state of the run.
    """
    evaluations = [*history, *([figures] if figures else [])]
    per_epoch = _steps_per_epoch(config, evaluations)
    planned = _planned_steps(config, per_epoch)
    last = history[-1] if history else None
    # Without validation, the weights in the checkpoint are the last ones.
    ended = last if last or config.corpus.validates else figures
    step, seconds = (ended.step, ended.seconds) if ended else (None, None)
    if progress is not None:
        step, seconds = max(step or 0, progress.step), max(seconds or 0.0, progress.seconds)
    return Outcome(
        state=state,
        can_resume=progress is not None and state == "unfinished",
        stop_reason=_stop_reason(config, history, state, planned),
        step=step,
        planned_steps=planned,
        epochs=None if step is None else step / per_epoch,
        seconds=seconds,
        planned_minutes=config.train.minutes,
        best=figures,
        last=last,
        overfits=is_overfitting(history, figures) if figures and config.corpus.validates else None,
    )


def is_overfitting(history: Sequence[Figures], best: Figures) -> bool | None:
    """Return whether training lowers the training loss and raises the validation loss.

    The training loss fell from the best evaluation to the last one and is below the validation
    loss. Meanwhile, the validation loss rose by more than ``OVERFITTING_MARGIN``. Early in a run,
    or with high dropout, the training loss is above the validation loss.

    Args:
        history: the evaluations of a run, oldest first.
        best: the evaluation with the lowest validation loss.

    Returns:
        ``None`` without validation losses.
    """
    last = history[-1] if history else None
    if last is None or last.valid_loss is None or best.valid_loss is None:
        return None
    # A parent, evaluated at step 0, has no training loss: use that of the first evaluation.
    first = next((each.train_loss for each in history if each.train_loss), 0.0)
    before, after = best.train_loss or first, last.train_loss or math.inf
    is_learned = after < min(before, last.valid_loss)
    return is_learned and last.valid_loss > best.valid_loss + OVERFITTING_MARGIN


def evaluations_without_improvement(history: Sequence[Figures]) -> int:
    """Return the number of evaluations since the last improvement, as early stopping counts them.

    The loss of a parent at step 0 is hard to beat before the learning rate has decayed, so an
    evaluation that is better than all others since the start counts as an improvement.
    """
    waited, lowest = 0, math.inf
    for figures in history:
        loss = figures.valid_loss
        waited = 0 if loss is None or loss < lowest else waited + 1
        if figures.step and loss is not None:
            lowest = min(lowest, loss)
    return waited


def _steps_per_epoch(config: RunConfig, evaluations: Sequence[Figures]) -> int:
    """Return the number of steps in an epoch: as evaluated or, before that, as planned."""
    train, tokens = config.train, config.provenance.train_tokens
    known = (each.step / each.epoch for each in evaluations if each.step and each.epoch > 0)
    planned = math.ceil(tokens / (train.streams * train.sequence_length))
    return max(1, round(min(_MOST_STEPS, next(known, planned))))


def _planned_steps(config: RunConfig, per_epoch: int) -> int | None:
    """Return the steps of the budget; ``None`` if it is in minutes."""
    train = config.train
    if train.epochs is None:
        return train.steps
    return max(1, round(min(_MOST_STEPS, train.epochs * per_epoch)))


def _stop_reason(
    config: RunConfig, history: Sequence[Figures], state: RunState, planned: int | None
) -> StopReason | None:
    if state == "training":
        return None
    if state == "unfinished":
        return "interrupted"
    if not history:
        return None
    train, last = config.train, history[-1]
    is_late = planned is not None and last.step >= planned
    if train.minutes is not None:
        is_late = last.seconds >= _WHOLE * 60 * train.minutes
    has_waited = evaluations_without_improvement(history) >= train.patience
    return "early stopping" if has_waited and not is_late else "budget"
