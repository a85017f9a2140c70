"""The attention and its gradient, compared with a plain float64 implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.network.attention import BLOCK, Attention, Window
from charlstm.network.backend import tf
from tests.oracles import attended

NAMES = ("query", "key", "output")


def layer_of(rng, units, key_width, reach, *, shifted=True):
    layer = Attention(units, key_width, reach, shifted_keys=shifted, seed=1)
    layer.build()
    layer.output_kernel.assign(rng.normal(size=(units, units)))
    return layer


def weights_of(layer):
    values = (v.numpy().astype(np.float64) for v in (layer.query, layer.key, layer.output_kernel))
    return {f"attention/{name}": value for name, value in zip(NAMES, values, strict=True)}


def random_case(rng, time, batch, units, reach):
    """Return outputs, ``keep`` and a window, in which some documents end and some begin."""
    outputs = rng.uniform(-1, 1, (time, batch, units)).astype(np.float32)
    keep = (rng.random((time, batch, 1)) > 0.15).astype(np.float32)
    before = rng.uniform(-1, 1, (batch, reach, units)).astype(np.float32)
    filled = rng.integers(0, reach + 1, (batch, 1)).astype(np.float32)
    return outputs, keep, Window(before, filled)


def oracle(weights, outputs, keep, window, reach, *, shifted=True):
    """Attend from each output of each row, one after the other; return results and windows."""
    results, windows = np.empty(outputs.shape), []
    for row in range(outputs.shape[1]):
        seen = list(window.outputs[row, reach - int(window.filled[row, 0]) :].astype(np.float64))
        for time, output in enumerate(outputs[:, row].astype(np.float64)):
            seen = seen if keep[time, row, 0] else []
            results[time, row] = attended(weights, seen, output, reach, shifted=shifted)
            seen = [*seen, output][-reach:]
        windows.append(seen)
    return results, windows


shapes = {
    "time": st.integers(1, 12) | st.just(BLOCK + 7),
    "batch": st.integers(1, 4),
    "units": st.integers(1, 9),
    "key_width": st.integers(1, 5),
    "reach": st.integers(1, 8) | st.just(BLOCK + 3),
    "shifted": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
}


@settings(max_examples=40, deadline=None)
@given(**shapes)
def test_the_attention_is_that_of_the_oracle(time, batch, units, key_width, reach, shifted, seed):
    rng = np.random.default_rng(seed)
    layer = layer_of(rng, units, key_width, reach, shifted=shifted)
    outputs, keep, window = random_case(rng, time, batch, units, reach)
    found, after = layer(outputs, keep, Window(*map(tf.constant, window)))
    expected, windows = oracle(weights_of(layer), outputs, keep, window, reach, shifted=shifted)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    for row, seen in enumerate(windows):
        assert after.filled[row, 0] == len(seen)
        np.testing.assert_allclose(after.outputs[row, reach - len(seen) :], seen, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(**shapes)
def test_gradients_are_those_of_the_oracle(time, batch, units, key_width, reach, shifted, seed):
    """The gradient along a random direction equals the difference quotient of the oracle."""
    rng = np.random.default_rng(seed)
    layer = layer_of(rng, units, key_width, reach, shifted=shifted)
    outputs, keep, window = random_case(rng, time, batch, units, reach)
    upstream = rng.normal(size=outputs.shape)
    variables = [v.value for v in (layer.query, layer.key, layer.output_kernel)]
    with tf.GradientTape() as tape:
        given_outputs = tf.constant(outputs)
        tape.watch(given_outputs)
        found, _ = layer(given_outputs, keep, Window(*map(tf.constant, window)))
        total = tf.reduce_sum(found * upstream.astype(np.float32))
    gradients = [np.asarray(g) for g in tape.gradient(total, [given_outputs, *variables])]
    weights = weights_of(layer)
    points = [outputs.astype(np.float64), *weights.values()]
    directions = [rng.normal(size=point.shape) for point in points]

    def value(step):
        own, *others = [p + step * d for p, d in zip(points, directions, strict=True)]
        moved = dict(zip(weights, others, strict=True))
        results, _ = oracle(moved, own, keep, window, reach, shifted=shifted)
        return float((results * upstream).sum())

    quotient = (value(1e-5) - value(-1e-5)) / 2e-5
    slopes = [float((g * d).sum()) for g, d in zip(gradients, directions, strict=True)]
    size = sum(float(np.abs(g * d).sum()) for g, d in zip(gradients, directions, strict=True))
    assert sum(slopes) == pytest.approx(quotient, rel=1e-3, abs=1e-4 * max(1.0, size))


def test_no_gradient_flows_through_what_is_carried():
    rng = np.random.default_rng(1)
    layer = layer_of(rng, 4, 3, 5)
    outputs, keep, window = random_case(rng, 6, 2, 4, 5)
    with tf.GradientTape() as tape:
        first = tf.constant(outputs)
        tape.watch(first)
        _, after = layer(first, keep, Window(*map(tf.constant, window)))
        second, _ = layer(outputs, np.ones_like(keep), after)
        total = tf.reduce_sum(second)
    assert tape.gradient(total, first) is None


def test_a_new_layer_changes_nothing():
    rng = np.random.default_rng(2)
    layer = Attention(6, 4, 5, seed=1)
    layer.build()
    outputs, keep, window = random_case(rng, 9, 3, 6, 5)
    found, _ = layer(outputs, keep, Window(*map(tf.constant, window)))
    np.testing.assert_array_equal(found, outputs)


def test_the_outputs_may_be_rounded():
    rng = np.random.default_rng(3)
    layer = layer_of(rng, 8, 4, 6)
    outputs, keep, window = random_case(rng, 20, 3, 8, 6)
    rounded, _ = layer(tf.cast(outputs, tf.bfloat16), keep, Window(*map(tf.constant, window)))
    assert rounded.dtype == tf.bfloat16
    expected, _ = oracle(weights_of(layer), outputs, keep, window, 6)
    assert np.abs(tf.cast(rounded, tf.float32) - expected).mean() < 0.05
