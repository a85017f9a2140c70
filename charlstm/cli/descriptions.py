"""Describes a run for people: its plan, hardware, dropout and perplexity.

The functions return text and print nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Figures
    from charlstm.config import Level, ModelConfig, TrainConfig
    from charlstm.training.observer import Hardware
    from charlstm.training.setup import Run

LONG_MINUTES = 180  # times from here on are in hours
_NAMED = 3  # files of a text to name, of which there may be thousands


def describe_names(names: Sequence[str]) -> str:
    """Return the names of a text's files: all of a few, otherwise the first ones."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED:,} more"


def describe_plan(run: Run) -> str:
    """Return the line with the plan: folder, size, parameters, steps and expected minutes."""
    return f"{run.folder}: {describe_training(run)}"


def describe_training(run: Run) -> str:
    """Return the size, parameters, steps and expected minutes of a run."""
    from charlstm.training.presets import SIZES

    plan, train = run.plan, run.config.train
    model = run.config.model
    if train.minutes is not None:
        length = f"{train.minutes:g} min, about {describe_steps(plan.steps)}"
    else:
        length = (
            f"{describe_steps(plan.steps)} ({_epochs(plan.steps / plan.steps_per_epoch)} epochs)"
        )
    size = f"{plan.size}, " if plan.size in SIZES else ""
    if parent := run.config.provenance.parent:
        size = f"from {parent}, "
    batch = f"{train.streams} x {train.sequence_length} tokens"
    expected = "" if train.minutes is not None else f", about {show_minutes(plan.minutes)}"
    return (
        f"{size}{describe_network(model)}; {length} of {batch}{expected}; "
        f"{run.prepared.store.train_tokens:,} training tokens, "
        f"{_validating(run)} validation tokens, vocabulary {model.vocab_size:,}; "
        f"dropout {describe_dropout(train)}, seed {train.seed}"
    )


def describe_network(model: ModelConfig) -> str:
    """Return the sizes of a network; a bidirectional model has two of these."""
    return f"{describe_layers(model)}, {describe_parameters(model)}"


def describe_parameters(model: ModelConfig, stored: str = "") -> str:
    """Return the number of parameters, with a phrase about them."""
    each = " in each direction" if model.bidirectional else ""
    return f"{model.parameters:,} parameters{stored}{each}"


def describe_layers(model: ModelConfig) -> str:
    """Return the layers of a network."""
    attention = f", attention over {describe_window(model)}" if model.attention else ""
    return f"{model.layers} x {model.units} LSTM{attention}"


def describe_window(model: ModelConfig) -> str:
    """Return what the attention of a network reaches."""
    outputs = f"{model.attention} output{'s' * (model.attention != 1)}"
    return outputs if model.shifted_keys else f"{outputs} (keys of format 10)"


def describe_size(model: ModelConfig) -> str:
    """Return the size of a model for a table, with short names of what it has besides layers."""
    more = " attention" * bool(model.attention) + " both ways" * model.bidirectional
    return f"{model.layers} x {model.units}{more}"


def _validating(run: Run) -> str:
    if not run.config.corpus.validates:
        return "no"
    return describe_validated(run.config.train, run.prepared.store.valid_tokens)


def describe_validated(train: TrainConfig, valid_tokens: int) -> str:
    """Return how many tokens evaluations use, and of how many unless they use all."""
    counted = train.tokens_validated(valid_tokens)
    return f"{counted:,}" + (f" of {valid_tokens:,}" if counted < valid_tokens else "")


def describe_steps_taken(run: Run, steps: int) -> str:
    """Return the options that repeat a run in minutes, or how many steps it took if none do."""
    from charlstm.training.presets import SIZES

    train = run.config.train
    if train.drops_more:
        return f"Note: the run took {describe_steps(steps)} in {train.minutes:g} min."
    options, model = [], run.config.model
    if run.plan.size in SIZES:
        options = [f"--size {run.plan.size}"]
    elif run.parent is None and not run.resumes:
        sizes = f"--layers {model.layers} --units {model.units} --embedding {model.embedding}"
        options = [sizes]
    options.append(f"--steps {steps} --warmup-steps {train.warmup_steps}")
    options.append(f"--dropout {train.dropout:g}")
    options += [f"--dropout-ramp {train.dropout_ramp:g}"] if train.dropout_ramp else []
    return f"Note: to repeat this run elsewhere, replace --minutes with: {' '.join(options)}"


def describe_steps(steps: int) -> str:
    """Return a number of steps with its unit."""
    return f"{steps:,} step{'s' * (steps != 1)}"


def _epochs(epochs: float) -> str:
    return f"{epochs:.1f}" if epochs >= 0.1 else f"{epochs:.2g}"


def describe_dropout(train: TrainConfig) -> str:
    """Return the dropout of a run: a number for each kind, or a rise over epochs."""
    others = {"recurrent": train.recurrent_dropout, "tokens": train.token_dropout}
    kinds = {"": train.dropout} | {f"{name} ": rate for name, rate in others.items() if rate}
    rises = bool(train.dropout_ramp) and any(kinds.values())
    listed = ", ".join(f"{name}{'0 to ' * rises}{rate:g}" for name, rate in kinds.items())
    return f"{listed} in {train.dropout_ramp:g} epochs" if rises else listed


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
    if backward := describe_backward(figures):
        parts.append(f"backward {backward}")
    parts.append(f"{figures.seconds:,.0f} s")
    if is_best and figures.valid_loss is not None:
        parts.append("best")
    return "  ".join(parts)


def describe_backward(figures: Figures) -> str:
    """Return the validation loss of the backward network, else its training loss, if any."""
    if figures.backward_valid_loss is not None:
        return f"{figures.backward_valid_loss:.4f} nats"
    loss = figures.backward_train_loss
    return "" if loss is None else f"{loss:.4f} nats in training"


def describe_waiting(train: TrainConfig) -> str:
    """Return for how long early stopping waits for an improvement."""
    return f"in {train.patience:,} evaluation{'s' * (train.patience != 1)} (--patience)"


def describe_hardware(hardware: Hardware) -> str:
    """Return what a run trains on: CPU or GPUs, number type, workers."""
    workers = f", {hardware.workers} workers" if hardware.workers > 1 else ""
    if hardware.gpus:
        gpus = f"{hardware.gpus} GPUs" if hardware.gpus > 1 else "GPU"
        return f"{gpus}, cuDNN (own loop in batches where a document starts){workers}"
    return f"CPU, {hardware.product_type} matrix multiplications{workers}"


def show_minutes(minutes: float) -> str:
    """Return a time in seconds, minutes or hours, as text."""
    if minutes < 1:
        return f"{max(1, round(60 * minutes))} s"
    if minutes >= LONG_MINUTES:
        return f"{minutes / 60:,.0f} hours"
    return f"{minutes:.1f} minutes" if minutes < 10 else f"{minutes:,.0f} minutes"


def show_perplexity(value: float | None) -> str:
    """Return a perplexity as text. ``None``, which JSON has for infinity, is infinite."""
    if value is None or math.isinf(value):
        return "infinite"
    return f"{value:,.1f}" if value < 1e6 else f"{value:.1e}"
