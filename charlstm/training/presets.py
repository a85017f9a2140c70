"""Sizes, budgets and defaults of training, as tables (measured: see benchmarks/recipe.md)."""

from __future__ import annotations

import math
from typing import NamedTuple

from charlstm.config import Level, Optimizer


class Size(NamedTuple):
    """A preset: number of LSTM layers, units per layer, embedding width of character models."""

    layers: int
    units: int
    embedding: int


SIZES: dict[str, Size] = {
    "tiny": Size(1, 128, 64),
    "small": Size(2, 256, 128),
    "medium": Size(2, 512, 128),
    "large": Size(3, 1024, 256),
}


class SizeThreshold(NamedTuple):
    """The shortest training text and the shortest budget in minutes at which a size pays off."""

    length: int
    minutes: float


# Minutes are measured at ``SIZING_SPEED``. A size that can't finish one or two epochs within the
# budget learns less than a smaller one. A word carries more information than a character, and takes
# longer.
_OF_CHARACTERS = {
    "large": SizeThreshold(50_000_000, 240.0),
    "medium": SizeThreshold(500_000, 2.5),
    "small": SizeThreshold(40_000, 0.2),
    "tiny": SizeThreshold(0, 0.0),
}
SIZE_THRESHOLDS: dict[Level, dict[str, SizeThreshold]] = {
    "char": _OF_CHARACTERS,
    "subword": _OF_CHARACTERS,
    "word": {
        "large": SizeThreshold(20_000_000, 600.0),
        "medium": SizeThreshold(200_000, 6.0),
        "small": SizeThreshold(40_000, 0.2),
        "tiny": SizeThreshold(0, 0.0),
    },
}

# Batch sizes for the automatic choice; short texts get smaller ones. Steps of about 1,500 tokens
# learn most in a given time, and many streams run faster than long sequences. A word carries more
# information than a character, so its steps can be smaller.
STREAMS = (48, 32, 16, 8, 4)
MOST_STREAMS: dict[Level, int] = {"char": 48, "subword": 48, "word": 16}
LONGEST_SEQUENCE, SHORTEST_SEQUENCE = 32, 16

# Fine-tuning gets at least this many steps per epoch, unless that takes fewer than this many
# streams.
FINE_TUNING_STEPS, LEAST_FINE_TUNING_STREAMS = 200, 8

# In the same minutes, subword-level models learn more than character-level models from texts of at
# least PIECES_PAY_OFF characters, and less from texts of fewer than PIECES_COST (see
# benchmarks/recipe.md).
PIECES_PAY_OFF, PIECES_COST = 3_000_000, 1_000_000


class OptimizerDefaults(NamedTuple):
    """The peak learning rate at 48 streams and 512 units, and the gradient norm to clip to."""

    rate: float
    clip_norm: float


OPTIMIZER_DEFAULTS: dict[Optimizer, OptimizerDefaults] = {
    "adamw": OptimizerDefaults(8e-3, 1.0),
    "adam": OptimizerDefaults(8e-3, 1.0),
    "lion": OptimizerDefaults(8e-4, 1.0),
    "rmsprop": OptimizerDefaults(3e-3, 1.0),
    "sgd": OptimizerDefaults(7.0, 0.25),
}

# Decay rates of Adam's first and second moments. In a run of minutes, shorter averages than the
# usual (0.9, 0.999) learn more.
BETAS = (0.8, 0.95)

# AR and TAR (Merity et al. 2017): the mean square of the last layer's outputs, and of their change
# from token to token, is added to the loss, which keeps the outputs from saturating. The weight is
# proportionally lower in narrower networks, where each output has to carry more information.
FULLY_PENALIZED_UNITS = 256

# Most words are rare. Adaptive optimizers scale the step of each weight individually, so the
# weights of rare words move as much as the others, and the model generalizes worse.
OPTIMIZER: dict[Level, Optimizer] = {"char": "adamw", "subword": "adamw", "word": "sgd"}

# Upper limit of the factor by which large batches and narrow networks raise the learning rate.
MOST_SCALED = 1.5

# A shard (see ``step``) with fewer rows loses more than it gains from a core of its own.
MIN_ROWS = 4


class DropoutByEpochs(NamedTuple):
    """Dropout rates for texts trained on for at least this many epochs."""

    epochs: float
    share: float
    of_tokens: float = 0.0
    of_recurrent: float = 0.0


# A model doesn't overfit in a few epochs, and dropout slows learning. Texts of fewer characters
# than SHORT need more dropout, and so do words, which repeat less.
DROPOUTS = (
    DropoutByEpochs(15, 0.3, 0.0, 0.2),
    DropoutByEpochs(9, 0.3),
    DropoutByEpochs(5, 0.15),
    DropoutByEpochs(0, 0.0),
)
DROPOUTS_OF_SHORT_TEXTS = (
    DropoutByEpochs(40, 0.4, 0.1, 0.4),
    DropoutByEpochs(20, 0.4, 0.05, 0.2),
    DropoutByEpochs(9, 0.3, 0.05, 0.1),
    DropoutByEpochs(5, 0.2),
    DropoutByEpochs(0, 0.0),
)
DROPOUTS_OF_PIECES = (
    DropoutByEpochs(12, 0.45),
    DropoutByEpochs(7, 0.3),
    DropoutByEpochs(4.5, 0.15),
    DropoutByEpochs(0, 0.0),
)
DROPOUT_OF_WORDS = 0.5
SHORT = 100_000
DROPOUT_RAMP = 4.0  # epochs until dropout has reached its final rate

# Minimum number of evaluations at equal intervals, if there is time for them.
EVALUATIONS = 10

# All evaluations together take at most this share of a run.
EVALUATION_SHARE = 0.05

# Tokens per second of an evaluation relative to training, by dtype of the training matmuls. They
# predict the duration of an evaluation; the lower one plans the number of evaluations.
EVALUATION_SPEEDS = {"float32": 3.0, "bfloat16": 2.0}
EVALUATION_SPEED = min(EVALUATION_SPEEDS.values())

# The first evaluation comes after this share of a run, so that there is soon a result to show, but
# not before this step.
FIRST_EVALUATION, FIRST_EVALUATION_STEP = 0.025, 20

# Evaluations read a sample of a validation text with more tokens than MOST_VALIDATED. The sample
# has at least LEAST_VALIDATED tokens.
LEAST_VALIDATED, MOST_VALIDATED = 20_480, 200_000

# FLOP/s of training on two typical cores, for plans that must not depend on the machine.
NOMINAL_SPEED = 150e9

# Likewise for the machine on which ``SIZE_THRESHOLDS`` were measured, which has bfloat16 matmuls.
SIZING_SPEED = 260e9

# Longest default plan, in minutes at the nominal speed.
LONGEST_MINUTES = 120.0

# Seconds apart from steps and evaluations: loading TensorFlow, compiling, the last save.
START_SECONDS = 6.0

# Training speed relative to the machine's float32 matmul speed at 64 x 64, by dtype of the matmuls.
EFFICIENCY = {"float32": 0.77, "bfloat16": 1.1}


def better_level(level: Level, characters: int) -> Level | None:
    """Return the level that learns more from a text of this length; ``None`` if it is this one.

    Args:
        level: the chosen level.
        characters: number of characters of the whole text.
    """
    if level == "char" and characters >= PIECES_PAY_OFF:
        return "subword"
    if level == "subword" and characters < PIECES_COST:
        return "char"
    return None


def choose_size(level: Level, length: float, minutes: float = math.inf) -> str:
    """Return the name of the largest preset that pays off (see ``SIZE_THRESHOLDS``).

    Args:
        level: what the tokens are.
        length: length of the training text (see ``TextFacts.train_length``).
        minutes: the budget in minutes at ``SIZING_SPEED``, if it is in minutes.
    """
    return next(
        name
        for name, threshold in SIZE_THRESHOLDS[level].items()
        if length >= threshold.length and minutes >= threshold.minutes
    )
