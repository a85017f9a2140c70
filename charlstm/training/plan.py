"""Chooses every setting of a run that the user left open, before TensorFlow is loaded.

Sizes, regularization, batches and budget depend only on the size of the text, so a run without
options is reproducible. A budget also determines dropout. A budget in minutes also determines the
size, scaled by the speed of the machine. Without a budget, training takes at most about
``LONGEST_MINUTES`` on two typical cores. The rules are pure functions of numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from charlstm.config import (
    ADAMS,
    BUDGETS,
    DECAYING,
    Level,
    ModelConfig,
    Optimizer,
    TrainConfig,
)
from charlstm.errors import ConfigError
from charlstm.system.hardware import ProductType
from charlstm.training.evaluations import (
    LARGEST,
    evaluation_cost,
    planned_evaluations,
    validated_tokens,
)
from charlstm.training.memory import memory_needed
from charlstm.training.presets import (
    BETAS,
    DROPOUT_OF_WORDS,
    DROPOUT_RAMP,
    DROPOUTS,
    DROPOUTS_OF_PIECES,
    DROPOUTS_OF_SHORT_TEXTS,
    EFFICIENCY,
    EVALUATIONS,
    FINE_TUNING_STEPS,
    FULLY_PENALIZED_UNITS,
    LEAST_FINE_TUNING_STREAMS,
    LONGEST_MINUTES,
    LONGEST_SEQUENCE,
    MIN_ROWS,
    MOST_SCALED,
    MOST_STREAMS,
    NOMINAL_SPEED,
    OPTIMIZER,
    OPTIMIZER_DEFAULTS,
    SHORT,
    SHORTEST_SEQUENCE,
    SIZES,
    SIZING_SPEED,
    START_SECONDS,
    STREAMS,
    Size,
    choose_size,
)
from charlstm.training.text_facts import TextFacts, check_length

TRAIN_FIELDS = frozenset(TrainConfig.__struct_fields__)


@dataclass(frozen=True)
class Plan:
    """A run with every setting chosen.

    Attributes:
        size: name of the preset; ``custom`` if the user chose the sizes; ``given`` if the network
            was given.
        model: the network.
        train: the training settings.
        steps: total number of steps; an estimate if the budget is in minutes.
        steps_per_epoch: steps in an epoch.
        tokens_per_second: rough estimate of the speed on this machine. Two networks are half as
            fast as one.
        minutes: expected duration; the budget itself if it is in minutes.
        memory: rough estimate of the peak memory in bytes.
        unbounded_epochs: default number of epochs for a text of this length, if the plan has fewer
            because they would take too long.
    """

    size: str
    model: ModelConfig
    train: TrainConfig
    steps: int
    steps_per_epoch: int
    tokens_per_second: float
    minutes: float
    memory: float
    unbounded_epochs: float | None = None


class Start(NamedTuple):
    """What a run starts from, if not from random weights.

    Attributes:
        model: the network.
        rate_share: share of the usual peak learning rate, for fine-tuning.
        epochs: how many epochs the network has been trained on this text before.
        continues: whether the run continues on the parent's own text.
    """

    model: ModelConfig
    rate_share: float = 1.0
    epochs: float = 0.0
    continues: bool = False


def make_plan(
    text: TextFacts,
    *,
    speed: float,
    size: str = "auto",
    start: Start | None = None,
    product_type: ProductType = "float32",
    processors: int = 1,
    is_shared: bool = False,
    choices: dict[str, Any] | None = None,
) -> Plan:
    """Choose every setting that the user left open.

    Args:
        text: the size of the text.
        speed: float32 matmul speed of one core in FLOP/s.
        size: name of a preset, or ``auto``.
        start: the network to start from; it overrides ``size``.
        product_type: dtype of the matrix multiplications, float32 or bfloat16.
        processors: number of cores that a step may use at once.
        is_shared: whether other machines make the same plan, so that it must not depend on speed.
        choices: the user's choices, by field name of ``ModelConfig`` and ``TrainConfig``.

    Raises:
        CorpusError: if the text is too short for one batch.
        ConfigError: if choices contradict each other.
    """
    chosen = {name: value for name, value in (choices or {}).items() if value is not None}
    _check_choices(chosen, size)
    rate = speed * processors * EFFICIENCY[product_type]
    if start:
        name, model = "given", start.model
    else:
        share = 1.0 if is_shared else min(1.0, rate / SIZING_SPEED)
        name, model = _chosen_network(text, size, share, chosen)
    is_tuned = start is not None and not start.continues
    batches = _batches(text.train_tokens, text.level, fine_tuning=is_tuned)
    batches |= selected(chosen, "streams", "sequence_length")
    check_length(text, _batches(0, text.level) | selected(chosen, *batches), **batches)
    per_step = batches["streams"] * batches["sequence_length"]
    per_epoch = max(1, math.ceil(text.train_tokens / per_step))
    tokens_per_second = rate / _operations(model)
    epochs, bounded = default_epochs(text.train_length, text.level), bounded_epochs(text, model)
    budget = selected(chosen, *BUDGETS) or {"epochs": bounded}
    steps = _steps(budget, per_epoch, tokens_per_second / per_step)
    trained = _trained_tokens(budget, steps * per_step, model)
    planned_epochs = trained / text.train_tokens if is_shared else steps / per_epoch
    share, before = (start.rate_share, start.epochs) if start else (1.0, 0.0)
    settings = _learning(text, chosen, batches["streams"], model.units, share)
    settings |= _dropout(text, chosen, planned_epochs, before)
    settings["shards"] = shards_for(processors, batches["streams"])
    settings["warmup_steps"] = _warmup(budget, steps)
    settings |= _evaluation(text.valid_tokens, trained, per_step, per_epoch, chosen)
    settings |= {key: value for key, value in chosen.items() if key in TRAIN_FIELDS}
    settings["precision"] = product_type
    train = TrainConfig(**batches | budget | settings)
    expected = train.minutes or _seconds(train, text.valid_tokens, steps, tokens_per_second) / 60
    memory = memory_needed(model, train.streams * train.sequence_length, product_type)
    longer = epochs if bounded < epochs and chosen.keys().isdisjoint(BUDGETS) else None
    return Plan(name, model, train, steps, per_epoch, tokens_per_second, expected, memory, longer)


def _check_choices(chosen: dict[str, Any], size: str) -> None:
    """Raise ``ConfigError`` for values out of range, before anything is computed with them."""
    if size not in ("auto", *SIZES):
        *others, last = map(repr, ("auto", *SIZES))
        raise ConfigError(f"`size` is {size!r}: expected {', '.join(others)} or {last}.")
    budget: dict[str, Any] = {} if set(BUDGETS) & chosen.keys() else {"steps": 1}
    TrainConfig(**budget, **selected(chosen, *TRAIN_FIELDS))


def _check_decay(chosen: dict[str, Any], optimizer: Optimizer) -> None:
    if chosen.get("weight_decay") and optimizer not in DECAYING:
        raise ConfigError(
            f"`weight_decay` has no effect with `optimizer` {optimizer}. Use `optimizer` "
            f"{' or '.join(DECAYING)}."
        )


def _evaluation(
    valid_tokens: int, trained: float, per_step: int, per_epoch: int, chosen: dict[str, Any]
) -> dict[str, int | None]:
    """Choose when and on how much to evaluate, when to sample, and when to stop early.

    Args:
        valid_tokens: tokens of the validation text.
        trained: planned number of training tokens of the run.
        per_step: tokens in a step.
        per_epoch: steps in an epoch.
        chosen: the user's choices.
    """
    eval_every = chosen.get("eval_every")
    steps = max(1, round(trained / per_step))
    expected = EVALUATIONS + 1 if eval_every is None else math.ceil(steps / eval_every)
    settings = {"validated": validated_tokens(valid_tokens, trained, expected)}
    if eval_every is None and "minutes" not in chosen:
        cost = evaluation_cost(valid_tokens, chosen.get("validated", settings["validated"]))
        settings |= planned_evaluations(trained, steps, per_epoch, cost)
        eval_every = settings["eval_every"]
    evaluations = EVALUATIONS if eval_every is None else steps // eval_every
    return settings | {
        "patience": min(LARGEST, max(5, evaluations // 5)),
        "sample_every": min(LARGEST, max(1, evaluations // 5)),
    }


def _trained_tokens(budget: dict[str, Any], tokens: int, model: ModelConfig) -> float:
    """Return the training tokens of a run, at the nominal speed if the budget is in minutes."""
    if "minutes" not in budget:
        return tokens
    return 60 * float(budget["minutes"]) * NOMINAL_SPEED / _operations(model)


def _seconds(train: TrainConfig, valid_tokens: int, steps: int, tokens_per_second: float) -> float:
    """Return the expected duration of a run in seconds."""
    evaluations = math.ceil(steps / (train.eval_every or steps))
    evaluations += train.first_evaluation is not None
    evaluated = evaluations * evaluation_cost(valid_tokens, train.validated)
    read = steps * train.streams * train.sequence_length + evaluated
    return START_SECONDS + read / tokens_per_second


def shards_for(processors: int, streams: int) -> int:
    """Return the number of shards of a step: one for each core, if there are enough rows."""
    return max(1, min(processors, streams // MIN_ROWS))


def default_epochs(train_length: float, level: Level) -> float:
    """Return the default number of epochs: 8 for a million tokens, fewer for more, at most 70.

    It grows with the power 0.75 of 1 / length for character-level models on shorter texts, which
    have a high dropout, and with the power 0.5 otherwise.
    """
    ratio = 1e6 / train_length
    power = 0.75 if level == "char" and ratio > 1 else 0.5
    return round(min(70.0, max(1.0, 8 * float(ratio**power))), 1)


def bounded_epochs(text: TextFacts, model: ModelConfig) -> float:
    """Return the default number of epochs, limited to what takes ``LONGEST_MINUTES``."""
    most = 60 * LONGEST_MINUTES * NOMINAL_SPEED / (_operations(model) * text.train_tokens)
    return min(default_epochs(text.train_length, text.level), float(f"{most:.2g}"))


def selected(chosen: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return those of the named choices that were made."""
    return {name: chosen[name] for name in names if name in chosen}


def _chosen_network(
    text: TextFacts, size: str, share: float, chosen: dict[str, Any]
) -> tuple[str, ModelConfig]:
    """Return the name of the preset, or ``custom`` if the user chose the sizes, and the network.

    Args:
        text: the size of the text.
        size: name of a preset, or ``auto``.
        share: speed of the machine relative to ``SIZING_SPEED``.
        chosen: the user's choices.
    """
    if size == "auto":
        minutes = LONGEST_MINUTES
        if "minutes" in chosen:  # two networks share them
            minutes = share * chosen["minutes"] / (2 if chosen.get("bidirectional") else 1)
        size = choose_size(text.level, text.train_length, minutes)
    model = _network(SIZES[size], text.level, text.vocab_size, chosen)
    is_preset = {"units", "layers", "embedding"}.isdisjoint(chosen)
    return size if is_preset else "custom", model


def _learning(
    text: TextFacts,
    chosen: dict[str, Any],
    streams: int,
    units: int,
    rate_share: float,
) -> dict[str, Any]:
    """Choose the optimizer, the learning rate, and the regularization except for dropout."""
    optimizer: Optimizer = chosen.get("optimizer", OPTIMIZER[text.level])
    _check_decay(chosen, optimizer)
    defaults = OPTIMIZER_DEFAULTS[optimizer]
    settings: dict[str, Any] = {
        "optimizer": optimizer,
        "learning_rate": _scaled(defaults.rate * rate_share, streams, units),
        "clip_norm": defaults.clip_norm,
        "activation_penalty": min(1.0, units / FULLY_PENALIZED_UNITS),
        "averages": True,
    }
    if optimizer in ADAMS:
        settings |= {"beta_1": BETAS[0], "beta_2": BETAS[1]}
    return settings if optimizer in DECAYING else settings | {"weight_decay": 0.0}


def _network(size: Size, level: Level, vocab_size: int, chosen: dict[str, Any]) -> ModelConfig:
    units = chosen.get("units", size.units)
    tied = chosen.get("tied")
    if tied is None:
        tied = level == "word" and chosen.get("embedding", units) == units
    embedding = chosen.get("embedding", units if tied else size.embedding)
    if tied and embedding != units:
        raise ConfigError(
            f"`tie` needs an embedding as wide as the layers, but `embedding` is {embedding} and "
            f"`units` is {units}."
        )
    return ModelConfig(
        vocab_size=vocab_size,
        embedding=embedding,
        units=units,
        layers=chosen.get("layers", size.layers),
        tied=tied,
        attention=chosen.get("attention", 0),
        bidirectional=chosen.get("bidirectional", False),
    )


def _multiplied(model: ModelConfig) -> int:
    """Return the number of weights that a token is multiplied by: all but an embedding table."""
    looked_up = 0 if model.tied else model.vocab_size * model.embedding
    return model.parameters - looked_up


def _operations(model: ModelConfig) -> int:
    """Return the floating-point operations of training on one token.

    A network takes 2 for each weight to predict, and 4 for the gradient.
    """
    return 6 * model.networks * _multiplied(model)


def _batches(train_tokens: int, level: Level, *, fine_tuning: bool = False) -> dict[str, int]:
    """Choose streams and sequence length so that an epoch has about fifty batches or more.

    Fine-tuning uses fewer streams, because a trained network learns more from more steps.
    """
    sequence = LONGEST_SEQUENCE if train_tokens >= 200 * LONGEST_SEQUENCE else SHORTEST_SEQUENCE
    fitting = train_tokens // (50 * sequence)
    most = MOST_STREAMS[level]
    streams = _most_streams(min(fitting, most))
    if fine_tuning:
        fitting = train_tokens // (FINE_TUNING_STEPS * sequence)
        streams = min(streams, max(LEAST_FINE_TUNING_STREAMS, _most_streams(fitting)))
    return {"streams": streams, "sequence_length": sequence}


def _most_streams(fitting: int) -> int:
    return next((n for n in STREAMS if n <= fitting), STREAMS[-1])


def _steps(budget: dict[str, Any], per_epoch: int, steps_per_second: float) -> int:
    if "steps" in budget:
        return int(budget["steps"])
    if "minutes" in budget:
        return max(1, int((60 * budget["minutes"] - START_SECONDS) * steps_per_second))
    epochs: float = budget["epochs"]
    return max(1, round(epochs * per_epoch))


def _warmup(budget: dict[str, Any], steps: int) -> int:
    """Choose the number of warm-up steps, at most 100 and independent of measured speed.

    It is a tenth of the run if the number of steps is known, else 50 per minute.
    """
    if "minutes" in budget:
        return min(100, round(50 * float(budget["minutes"])))
    return min(100, steps // 10)


def _dropout(
    text: TextFacts, chosen: dict[str, Any], epochs: float, before: float
) -> dict[str, float]:
    """Choose dropout and its ramp by the number of epochs, including those ``before`` the run."""
    if "dropout" in chosen:
        return {"dropout_ramp": 0.0}
    if text.level == "word":
        return {"dropout": DROPOUT_OF_WORDS, "dropout_ramp": DROPOUT_RAMP}
    table = DROPOUTS if text.train_tokens >= SHORT else DROPOUTS_OF_SHORT_TEXTS
    if text.level == "subword":
        table = DROPOUTS_OF_PIECES
    chosen_row = next(row for row in table if before + epochs >= row.epochs)
    ramp = DROPOUT_RAMP if chosen_row.share and not before else 0.0
    return {
        "dropout": chosen_row.share,
        "dropout_ramp": ramp,
        "token_dropout": chosen_row.of_tokens,
        "recurrent_dropout": chosen_row.of_recurrent,
    }


def _scaled(rate: float, streams: int, units: int) -> float:
    """Scale a peak learning rate by the square roots of batch size and 1 / network width."""
    factor = math.sqrt(streams / 48 * 512 / max(units, 256))
    return float(f"{rate * min(MOST_SCALED, factor):.2g}")
