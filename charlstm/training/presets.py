"""Sizes, budgets and defaults of training, as tables (measured: see benchmarks/recipe.md)."""

from __future__ import annotations

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
    """The fewest training tokens, and the shortest budget in minutes, at which a size pays off."""

    tokens: int
    minutes: float


# Minutes are counted by two processor cores; a size that can't read its text once or twice in them
# learns less than a smaller one. A word tells more than a character, and takes longer to read.
SIZE_THRESHOLDS: dict[Level, dict[str, SizeThreshold]] = {
    "char": {
        "large": SizeThreshold(50_000_000, 240.0),
        "medium": SizeThreshold(500_000, 2.5),
        "small": SizeThreshold(40_000, 0.5),
        "tiny": SizeThreshold(0, 0.0),
    },
    "word": {
        "large": SizeThreshold(20_000_000, 600.0),
        "medium": SizeThreshold(200_000, 6.0),
        "small": SizeThreshold(40_000, 0.5),
        "tiny": SizeThreshold(0, 0.0),
    },
}

# Batches that the automatic choice takes, the smaller ones for short corpora. Steps that read some
# 1,500 tokens teach most in a given time; many streams multiply faster than long sequences.
# A word tells more than a character, and steps may be smaller.
STREAMS = (48, 32, 16, 8, 4)
MOST_STREAMS: dict[Level, int] = {"char": 48, "word": 16}
LONGEST_SEQUENCE, SHORTEST_SEQUENCE = 32, 16


class OptimizerDefaults(NamedTuple):
    """The peak rate at 48 streams of 512 units, and the norm that gradients are clipped to."""

    rate: float
    clip_norm: float


OPTIMIZER_DEFAULTS: dict[Optimizer, OptimizerDefaults] = {
    "adamw": OptimizerDefaults(8e-3, 1.0),
    "adam": OptimizerDefaults(8e-3, 1.0),
    "lion": OptimizerDefaults(8e-4, 1.0),
    "rmsprop": OptimizerDefaults(3e-3, 1.0),
    "sgd": OptimizerDefaults(7.0, 0.25),
}

# Words are many and most of them rare. Steps that are scaled for each weight by itself move what
# belongs to rare words as far as the rest, and what they learn holds worse for other texts.
OPTIMIZER: dict[Level, Optimizer] = {"char": "adamw", "word": "sgd"}

# By how much the rate grows at most for wide batches and narrow networks.
MOST_SCALED = 1.5

# A shard (see ``optimization``) of fewer rows wastes more than a core of its own gains.
MIN_ROWS = 4

# Over how many readings of the text dropout rises: what is read for the first time can't be
# overfitted.
DROPOUT_RAMP = 4.0

# How often a run evaluates at least.
EVALUATIONS = 10

# What a run takes besides its steps and evaluations: loading TensorFlow, compiling, the last save.
START_SECONDS = 6.0

# What training reaches of the processors' float32 matrix-product rate, by product type.
EFFICIENCY = {"float32": 0.7, "bfloat16": 1.0}
