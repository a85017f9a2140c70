"""Sizes, budgets and defaults of training, as tables (measured: see benchmarks/recipe.md)."""

from __future__ import annotations

import math
from typing import NamedTuple

from charlstm.config import Level, Optimizer


class Size(NamedTuple):
    """A preset: how many LSTM layers, how wide, and the embedding's width at character level."""

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
    """The shortest training text and the shortest budget in minutes for which a size pays off."""

    length: int
    minutes: float


# Minutes are those at ``SIZING_SPEED``. A size that can't read its text once or twice within the
# budget learns less than a smaller one. A word carries more than a character, and takes longer.
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

# Batch sizes for the automatic choice, smaller for short texts. Steps of some 1,500 tokens learn
# most in a given time, and many streams compute faster than long sequences. A word carries more
# than a character, so its steps may be smaller.
STREAMS = (48, 32, 16, 8, 4)
MOST_STREAMS: dict[Level, int] = {"char": 48, "subword": 48, "word": 16}
LONGEST_SEQUENCE, SHORTEST_SEQUENCE = 32, 16

# Fine-tuning takes so many steps or more to read its text once, but on no fewer streams than these.
FINE_TUNING_STEPS, LEAST_FINE_TUNING_STREAMS = 200, 8

# In the same minutes, pieces of words learn more than characters from texts of so many characters
# or more, and less from texts of fewer than the other (see benchmarks/recipe.md).
PIECES_PAY_OFF, PIECES_COST = 3_000_000, 1_000_000


class OptimizerDefaults(NamedTuple):
    """The peak rate for 48 streams and 512 units, and the norm that gradients are clipped to."""

    rate: float
    clip_norm: float


OPTIMIZER_DEFAULTS: dict[Optimizer, OptimizerDefaults] = {
    "adamw": OptimizerDefaults(8e-3, 1.0),
    "adam": OptimizerDefaults(8e-3, 1.0),
    "lion": OptimizerDefaults(8e-4, 1.0),
    "rmsprop": OptimizerDefaults(3e-3, 1.0),
    "sgd": OptimizerDefaults(7.0, 0.25),
}

# Decay rates of Adam's moments, of the gradient and its square. In a run of minutes, shorter
# memories than the usual (0.9, 0.999) learn more.
BETAS = (0.8, 0.95)

# The mean square of the last layer's outputs, and of their change from token to token, is added to
# the loss (Merity et al. 2017), which keeps the outputs from saturating. In networks narrower than
# this it weighs less, because each output has to say more.
FULLY_PENALIZED_UNITS = 256

# Most words are rare. Adaptive optimizers scale the step of each weight by itself, so the weights
# of rare words move as far as the rest, and the model generalizes worse.
OPTIMIZER: dict[Level, Optimizer] = {"char": "adamw", "subword": "adamw", "word": "sgd"}

# Largest factor by which wide batches and narrow networks raise the rate.
MOST_SCALED = 1.5

# A shard (see ``step``) of fewer rows loses more than it gains by a core of its own.
MIN_ROWS = 4


class DropoutByReadings(NamedTuple):
    """The dropout of texts that are read so many times or more, of tokens and recurrent weights."""

    readings: float
    share: float
    of_tokens: float = 0.0
    of_recurrent: float = 0.0


# What is read a few times is not overfitted, and dropout slows learning. Texts of fewer characters
# than SHORT need more of it, and words, which repeat less.
DROPOUTS = (
    DropoutByReadings(15, 0.3, 0.0, 0.2),
    DropoutByReadings(9, 0.3),
    DropoutByReadings(5, 0.15),
    DropoutByReadings(0, 0.0),
)
DROPOUTS_OF_SHORT_TEXTS = (
    DropoutByReadings(40, 0.4, 0.1, 0.4),
    DropoutByReadings(20, 0.4, 0.05, 0.2),
    DropoutByReadings(9, 0.3, 0.05, 0.1),
    DropoutByReadings(5, 0.2),
    DropoutByReadings(0, 0.0),
)
DROPOUTS_OF_PIECES = (
    DropoutByReadings(12, 0.45),
    DropoutByReadings(7, 0.3),
    DropoutByReadings(4.5, 0.15),
    DropoutByReadings(0, 0.0),
)
DROPOUT_OF_WORDS = 0.5
SHORT = 100_000
DROPOUT_RAMP = 4.0  # the epochs over which it rises

# Evaluations of a run at equal intervals, at least, if there is time for them.
EVALUATIONS = 10

# All evaluations together take at most this share of a run.
EVALUATION_SHARE = 0.05

# Speed of an evaluation relative to training, in tokens, by the product type of training: to expect
# how long one takes, and (the lower one) to plan how many there are.
EVALUATION_SPEEDS = {"float32": 3.0, "bfloat16": 2.0}
EVALUATION_SPEED = min(EVALUATION_SPEEDS.values())

# The first evaluation comes after this share of a run, so that there soon is something to show, but
# not before this step.
FIRST_EVALUATION, FIRST_EVALUATION_STEP = 0.025, 20

# Validation texts of more tokens than the upper bound are represented by a part of them, of at
# least as many tokens as the lower one.
LEAST_VALIDATED, MOST_VALIDATED = 20_480, 200_000

# FLOP/s of training on two typical cores. What must not depend on the machine is planned with it.
NOMINAL_SPEED = 150e9

# The same of the machine on which ``SIZE_THRESHOLDS`` were measured, which multiplies bfloat16.
SIZING_SPEED = 260e9

# The longest plan without a budget, in minutes at the nominal speed.
LONGEST_MINUTES = 120.0

# Seconds besides steps and evaluations: loading TensorFlow, compiling, the last save.
START_SECONDS = 6.0

# Training's speed by product type, for each FLOP/s of the processors' float32 products of 64 x 64.
EFFICIENCY = {"float32": 0.77, "bfloat16": 1.1}


def better_level(level: Level, characters: int) -> Level | None:
    """Return the level that learns more from a text of this length, if that is another one.

    Args:
        level: the one that was chosen.
        characters: of the whole text.
    """
    if level == "char" and characters >= PIECES_PAY_OFF:
        return "subword"
    if level == "subword" and characters < PIECES_COST:
        return "char"
    return None


def choose_size(level: Level, length: float, minutes: float = math.inf) -> str:
    """Return the name of the largest preset that pays off (see ``SIZE_THRESHOLDS``).

    Args:
        level: of what the tokens are.
        length: of the training text (see ``TextFacts.train_length``).
        minutes: the budget, if it is in minutes, at ``SIZING_SPEED``.
    """
    return next(
        name
        for name, threshold in SIZE_THRESHOLDS[level].items()
        if length >= threshold.length and minutes >= threshold.minutes
    )
