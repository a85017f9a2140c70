"""Parts of a run in words, for people: its plan, hardware, dropout, perplexities.

Returns text and prints nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.config import TrainConfig
    from charlstm.training.observer import Hardware
    from charlstm.training.setup import Run


def describe_plan(run: Run) -> str:
    """Return the plan line: size, parameters, steps and expected minutes."""
    from charlstm.training.presets import SIZES

    plan, train = run.plan, run.config.train
    model = run.config.model
    if train.minutes is not None:
        length = f"{train.minutes:g} min, about {plan.steps:,} steps"
    else:
        length = f"{plan.steps:,} steps ({plan.steps / plan.steps_per_epoch:.1f} epochs)"
    size = f"{plan.size}, " if plan.size in SIZES else ""
    batch = f"{train.streams} x {train.sequence_length} tokens"
    expected = "" if train.minutes is not None else f", about {_minutes(plan.minutes)}"
    return (
        f"{run.folder}: {size}{model.layers} x {model.units} LSTM, "
        f"{model.parameters:,} parameters; {length} of {batch}{expected}; "
        f"{run.prepared.store.train_tokens:,} tokens to train and "
        f"{run.prepared.store.valid_tokens:,} to validate, {model.vocab_size:,} symbols; "
        f"dropout {describe_dropout(train)}, seed {train.seed}"
    )


def describe_dropout(train: TrainConfig) -> str:
    """Return the dropout of a run: a number, or a ramp over epochs."""
    if not train.dropout or not train.dropout_ramp:
        return f"{train.dropout:g}"
    return f"0 to {train.dropout:g} in {train.dropout_ramp:g} epochs"


def describe_hardware(hardware: Hardware) -> str:
    """Return what training runs on: processor or GPUs, number type, workers."""
    workers = f", {hardware.workers} workers" if hardware.workers > 1 else ""
    if hardware.gpus:
        gpus = f"{hardware.gpus} GPUs" if hardware.gpus > 1 else "GPU"
        return f"{gpus}, cuDNN (own loop in batches where a document begins){workers}"
    return f"CPU, {hardware.product_type} matrix products{workers}"


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{max(1, round(60 * minutes))} s"
    return f"{minutes:.1f} minutes" if minutes < 10 else f"{minutes:,.0f} minutes"


def show_perplexity(value: float | None) -> str:
    """Return a perplexity as text; None, as JSON stores an infinite one, is infinite too."""
    if value is None or math.isinf(value):
        return "infinite"
    return f"{value:,.1f}" if value < 1e6 else f"{value:.1e}"
