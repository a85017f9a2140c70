"""The states of a network in training: named tensors with one row per stream.

    h_0, c_0, h_1, ...  hidden and cell state of each layer, float32 [rows, units]
    outputs, filled     the window of the attention, if there is one (see ``attention.Window``)

Other modules handle rows, whatever the states consist of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from charlstm.config import ModelConfig
from charlstm.network.backend import tf

States: TypeAlias = dict[str, tf.Tensor]


def zero_states(config: ModelConfig, rows: int) -> States:
    """Return the states before the first token of a text."""
    zeros = tf.zeros([rows, config.units])
    states = {f"{kind}_{layer}": zeros for layer in range(config.layers) for kind in "hc"}
    if config.attention:
        states["outputs"] = tf.zeros([rows, config.attention, config.units])
        states["filled"] = tf.zeros([rows, 1])
    return states


def rows_of(states: States, rows: slice) -> States:
    """Return the states of some rows."""
    return {name: state[rows] for name, state in states.items()}


def joined(parts: Sequence[States]) -> States:
    """Concatenate the rows of several states."""
    return {name: tf.concat([part[name] for part in parts], 0) for name in parts[0]}


def chosen(condition: tf.Tensor, first: States, second: States) -> States:
    """Return the rows of ``first`` where a condition is true, and of ``second`` elsewhere.

    Args:
        condition: bool [rows].
        first: states of as many rows.
        second: states of as many rows.
    """
    return {
        name: tf.where(_aligned(condition, state), state, second[name])
        for name, state in first.items()
    }


def kept(states: States, keep: tf.Tensor) -> States:
    """Return states of some rows, with zeros where ``keep``, float32 [rows, 1], is 0."""
    return {name: state * _aligned(keep[:, 0], state) for name, state in states.items()}


def _aligned(values: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
    """Return values [rows] with as many axes as a state, all but the first of length 1."""
    return tf.reshape(values, [-1] + [1] * (len(state.shape) - 1))
