"""Parts of a run in words, for people: its plan, hardware, dropout, perplexities.

Returns text and prints nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Figures
    from charlstm.config import Level, TrainConfig
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
        f"{_validating(run)} to validate, {model.vocab_size:,} symbols; "
        f"dropout {describe_dropout(train)}, seed {train.seed}"
    )


def _validating(run: Run) -> str:
    tokens = run.prepared.store.valid_tokens
    return f"{tokens:,}" if run.config.corpus.validates else "none"


def describe_dropout(train: TrainConfig) -> str:
    """Return the dropout of a run: a number, or a ramp over epochs."""
    if not train.dropout or not train.dropout_ramp:
        return f"{train.dropout:g}"
    return f"0 to {train.dropout:g} in {train.dropout_ramp:g} epochs"


def describe_evaluation(figures: Figures, is_best: bool, level: Level) -> str:
    """Return the line of an evaluation: step, losses, perplexities, seconds."""
    parts = [f"step {figures.step:>6,}", f"epoch {figures.epoch:6.2f}"]
    if figures.train_loss is not None:
        parts.append(f"train {figures.train_loss:.4f}")
    if figures.valid_loss is None:
        parts[-1] += " nats"
    else:
        parts.append(f"valid {figures.valid_loss:.4f} nats")
        parts.append(f"{figures.valid_bits_per_character:.4f} bits/char")
    if figures.valid_loss is not None and level == "word":
        words = f"perplexity {show_perplexity(figures.valid_perplexity)} per token"
        if figures.valid_word_perplexity is not None:
            words += f", {show_perplexity(figures.valid_word_perplexity)} per word"
        parts.append(words)
    parts.append(f"{figures.seconds:,.0f} s")
    if is_best and figures.valid_loss is not None:
        parts.append("best")
    return "  ".join(parts)


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
