"""Engines of random networks, for tests of graphs and sessions."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from charlstm.config import ModelConfig
from charlstm.engine import graph
from charlstm.engine.inference import build_engine
from charlstm.engine.state import State
from tests.models import random_weights

PRECISIONS = ("float32", "int8")
# How an int8 graph computes the input of layer 0, and the limits in ``graph`` that select it.
INPUTS = {
    "table": {},
    "table of 16 bits": {"_LARGEST_FLOAT32_TABLE": 0},
    "product": {"MAX_TABLE": 0},
}
CONFIGS = (
    ModelConfig(vocab_size=7, embedding=3, units=5, layers=2),
    ModelConfig(vocab_size=65, embedding=33, units=33, layers=1, tied=True),
    ModelConfig(vocab_size=65, embedding=16, units=100, layers=3),
    ModelConfig(vocab_size=100, embedding=1, units=1, layers=2),
    ModelConfig(vocab_size=33, embedding=64, units=64, layers=2, tied=True),
    ModelConfig(vocab_size=7, embedding=3, units=5, layers=2, attention=4),
    ModelConfig(vocab_size=33, embedding=64, units=80, layers=1, attention=20),
    ModelConfig(vocab_size=9, embedding=8, units=12, layers=1, attention=6, shifted_keys=False),
)


@cache
def engine(config, precision, threads, inputs="table"):
    """Return an engine that computes the input of layer 0 as named in ``INPUTS``."""
    with pytest.MonkeyPatch.context() as patch:
        for limit, value in INPUTS[inputs].items():
            patch.setattr(graph, limit, value)
        return build_engine(config, random_weights(config), precision=precision, threads=threads)


def variants(config):
    """Yield an engine with one thread and one with two, for each kind of graph."""
    for precision, inputs in (("float32", "table"), *(("int8", name) for name in INPUTS)):
        yield [engine(config, precision, threads, inputs) for threads in (1, 2)]


def random_input(config, batch, length, seed):
    """Return ids [batch, length] and a state for a float32 graph."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, config.vocab_size, (batch, length))
    state = rng.uniform(-1, 1, (2 * config.layers, batch, config.units)).astype(np.float32)
    if not config.attention:
        return ids, State(state)
    window = rng.uniform(-1, 1, (batch, config.attention, config.units)).astype(np.float32)
    filled = rng.integers(0, config.attention + 1, (batch, 1)).astype(np.float32)
    return ids, State(state, window, filled)


def suited(state, each):
    """Return a state of a float32 graph as an engine needs it."""
    if each.precision == "float32" or len(state.parts) == 1:
        return state
    cells, window, filled = state.parts
    return State(cells, np.rint(127 * window + 128).astype(np.uint8), filled)
