"""The LSTM layer compared with stock Keras, for random shapes and initial states."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.network import lstm
from charlstm.network.backend import keras, tf
from charlstm.network.lstm import CudnnLSTM, FastLSTM, lstm_layer, matmul, stock_settings

shapes = st.tuples(*(st.integers(1, 9) for _ in range(4)))


looped = lstm._loop


def turned(x):
    """Convert batch-major to time-major, or back."""
    return tf.transpose(x, [1, 0, 2])


def run(layer, inputs, states, keep=None, training=True):
    """Call any of the layers batch-major; ours in training mode, with its custom gradient."""
    if not isinstance(layer, FastLSTM):
        return layer(inputs, initial_state=list(states))
    keep = tf.ones(inputs.shape[:2]) if keep is None else keep
    outputs, *last = layer(
        turned(inputs),
        initial_state=list(states),
        keep=turned(keep[:, :, None]),
        training=training,
    )
    return turned(outputs), *last


def results(layer, inputs, states, read=run):
    """Return outputs, last states, and the gradients of a random combination of them."""
    with tf.GradientTape() as tape:
        tape.watch([inputs, *states])
        outputs, hidden, cell = read(layer, inputs, states)
        mixture = tf.reduce_sum(tf.sin(outputs)) + tf.reduce_sum(hidden**2) + tf.reduce_sum(cell**3)
    variables = [variable.value for variable in layer.trainable_variables]
    return [outputs, hidden, cell, *tape.gradient(mixture, [inputs, *states, *variables])]


def pair(shape, seed, dtype="float32"):
    batch, time, features, units = shape
    rng = np.random.default_rng(seed)
    inputs = tf.constant(rng.normal(size=(batch, time, features)), tf.float32)
    states = [tf.constant(rng.normal(size=(batch, units)), tf.float32) for _ in range(2)]
    fast = FastLSTM(units, seed=seed, matmul_dtype=dtype, name="fast")
    stock = keras.layers.LSTM(**stock_settings(units, seed=seed, name="stock"))
    return fast, stock, inputs, states


@settings(max_examples=15, deadline=None)
@given(shapes, st.integers(0, 1000))
def test_outputs_states_and_gradients_equal_stock_keras(shape, seed):
    fast, stock, inputs, states = pair(shape, seed)
    for ours, theirs in zip(
        results(fast, inputs, states), results(stock, inputs, states), strict=True
    ):
        scale = max(1.0, float(tf.reduce_max(tf.abs(theirs))))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)


@settings(max_examples=10, deadline=None)
@given(shapes, st.data())
def test_resetting_states_equals_separate_sequences(shape, data):
    fast, stock, inputs, states = pair(shape, 1)
    cut = data.draw(st.integers(0, shape[1] - 1))

    def apart(layer, inputs, states):
        zeros = [tf.zeros_like(state) for state in states]
        if cut == 0:
            return run(layer, inputs, zeros)
        first, *_ = run(layer, inputs[:, :cut], states)
        second, *last = run(layer, inputs[:, cut:], zeros)
        return tf.concat([first, second], 1), *last

    def together(layer, inputs, states):
        keep = tf.cast(tf.range(shape[1]) != cut, tf.float32)
        return run(layer, inputs, states, keep=tf.tile(keep[None], [shape[0], 1]))

    expected = results(stock, inputs, states, apart)
    for ours, theirs in zip(results(fast, inputs, states, together), expected, strict=True):
        if theirs is None:  # the initial states have no effect
            np.testing.assert_array_equal(ours, tf.zeros_like(ours))
            continue
        scale = max(1.0, float(tf.reduce_max(tf.abs(theirs))))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)


def test_initial_weights_equal_stock_keras():
    fast, stock, inputs, states = pair((2, 3, 5, 7), 3)
    results(fast, inputs, states)
    results(stock, inputs, states)
    for ours, theirs in zip(fast.weights, stock.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert [w.name for w in fast.weights] == ["kernel", "recurrent_kernel", "bias"]


def test_states_carry_from_call_to_call():
    fast, _, inputs, states = pair((3, 8, 4, 6), 5)
    whole, *_ = run(fast, inputs, states)
    first, *between = run(fast, inputs[:, :3], states)
    second, *_ = run(fast, inputs[:, 3:], between)
    np.testing.assert_allclose(tf.concat([first, second], 1), whole, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(shapes, st.integers(1, 12), st.integers(0, 1000))
def test_a_table_with_ids_equals_its_rows(shape, vocab_size, seed):
    batch, time, features, units = shape
    rng = np.random.default_rng(seed)
    table = tf.constant(rng.normal(size=(vocab_size, features)), tf.float32)
    ids = tf.constant(rng.integers(vocab_size, size=(time, batch)), tf.int32)
    states = [tf.constant(rng.normal(size=(batch, units)), tf.float32) for _ in range(2)]
    options = {"initial_state": states, "keep": tf.ones((time, batch, 1)), "training": True}
    layer = FastLSTM(units, seed=seed, matmul_dtype="float32", name="fast")

    def read(table, by_ids):
        if by_ids:
            return layer(table, ids=ids, **options)
        return layer(tf.gather(table, ids), **options)

    found = []
    for by_ids in (True, False):
        with tf.GradientTape() as tape:
            tape.watch(table)
            outputs, *_ = read(table, by_ids)
            mixture = tf.reduce_sum(tf.sin(outputs))
        variables = [variable.value for variable in layer.trainable_variables]
        gradients = tape.gradient(mixture, [table, *variables])
        found.append([outputs, *map(tf.convert_to_tensor, gradients)])
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


def test_inference_computes_the_same_as_training():
    fast, _, inputs, states = pair((3, 8, 4, 6), 5)
    for read, trained in zip(
        run(fast, inputs, states, training=False), run(fast, inputs, states), strict=True
    ):
        np.testing.assert_allclose(read, trained, rtol=1e-6, atol=1e-6)


def test_bfloat16_only_while_training_and_within_its_rounding():
    fast, stock, inputs, states = pair((4, 12, 16, 32), 7, "bfloat16")
    exact, *_ = run(stock, inputs, states)
    rounded, *_ = run(fast, inputs, states)
    assert rounded.dtype == tf.bfloat16
    read, *_ = run(fast, inputs, states, training=False)
    assert read.dtype == tf.float32
    np.testing.assert_allclose(read, exact, atol=1e-5)
    difference = np.abs(tf.cast(rounded, tf.float32) - exact).max()
    assert 1e-5 < difference < 0.05  # bfloat16 has an 8-bit mantissa


def test_every_gradient_in_bfloat16_is_within_its_rounding():
    fast, stock, inputs, states = pair((16, 40, 24, 32), 7, "bfloat16")

    def rounded(layer, inputs, states):
        return [tf.cast(result, tf.float32) for result in run(layer, inputs, states)]

    ours = results(fast, inputs, states, rounded)
    for found, exact in zip(ours, results(stock, inputs, states), strict=True):
        assert found.dtype == tf.float32
        # Relative error of the norm: no sum may lose more precision than its factors did.
        assert tf.norm(found - exact) < 0.02 * tf.norm(exact)


@pytest.mark.parametrize(
    ("transpose_a", "transpose_b"), [(False, False), (True, False), (False, True)]
)
def test_matmul_transposes(transpose_a, transpose_b):
    a, b = tf.random.stateless_normal((3, 4), [1, 2]), tf.random.stateless_normal((4, 5), [3, 4])
    left = tf.transpose(a) if transpose_a else a
    right = tf.transpose(b) if transpose_b else b
    result = matmul(left, right, "float32", transpose_a=transpose_a, transpose_b=transpose_b)
    np.testing.assert_allclose(result, a.numpy() @ b.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("gpu", "kind"), [(True, CudnnLSTM), (False, FastLSTM)])
def test_a_gpu_gets_the_layer_of_cudnn(monkeypatch, gpu, kind):
    monkeypatch.setattr(lstm, "gpu_visible", lambda: gpu)
    layer = lstm_layer(4, seed=1, matmul_dtype="float32", name="lstm_0")
    assert type(layer) is kind
    inputs, states = tf.zeros((2, 3, 5)), [tf.zeros((2, 4))] * 2
    keep = tf.ones((3, 2, 1))
    results = layer(turned(inputs), initial_state=states, keep=keep)
    assert [tuple(result.shape) for result in results] == [(3, 2, 4), (2, 4), (2, 4)]


def test_gpu_visible_asks_tensorflow(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert lstm.gpu_visible()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert not lstm.gpu_visible()


@pytest.mark.parametrize("cut", [None, 0, 1, 4])
def test_the_layer_of_cudnn_resets_states_and_leaves_the_loop_for_later_ones(monkeypatch, cut):
    """Rows in which a document starts with the first token stay in cuDNN."""
    fast, _, inputs, states = pair((3, 5, 4, 6), 2)
    cudnn = CudnnLSTM(**stock_settings(6, seed=2, name="cudnn"))
    rows = np.array([[1.0], [0.0], [1.0]])
    keep = np.ones((3, 5)) if cut is None else np.where(np.arange(5) == cut, rows, 1.0)
    keep = tf.constant(keep, tf.float32)
    loops = []
    monkeypatch.setattr(lstm, "_loop", lambda *a, **k: loops.append(1) or looped(*a, **k))

    def call(layer, inputs, states):
        outputs, *last = layer(
            turned(inputs), initial_state=list(states), keep=turned(keep[:, :, None]), training=True
        )
        return turned(outputs), *last

    found = results(cudnn, inputs, states, call)
    assert len(loops) == (cut not in (None, 0))
    for ours, theirs in zip(found, results(fast, inputs, states, call), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
