"""Oracle: TensorFlow's own gradient of the penalties, written as sums."""

import numpy as np
import pytest

from charlstm.network.backend import tf
from charlstm.training.penalty import with_activation_penalty, with_change_penalty


def sum_of_squares(x):
    return tf.reduce_sum(tf.square(x))


PENALTIES = {
    "small": (with_activation_penalty, sum_of_squares),
    "steady": (with_change_penalty, lambda x: sum_of_squares(x[1:] - x[:-1])),
}


@pytest.mark.parametrize("time", [1, 2, 3, 7])
@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_is_that_of_the_penalty_and_values_are_unchanged(name, time):
    layer, penalty = PENALTIES[name]
    rng = np.random.default_rng(time)
    x, slope = (tf.constant(rng.normal(size=(time, 3, 4)), tf.float64) for _ in range(2))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        kept = layer(x, 0.3)
        loss = tf.reduce_sum(kept * slope)
        objective = tf.reduce_sum(x * slope) + 0.3 * penalty(x)
    np.testing.assert_array_equal(kept, x)
    np.testing.assert_allclose(tape.gradient(loss, x), tape.gradient(objective, x), rtol=1e-12)


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_has_the_dtype_of_the_matmuls(name):
    x = tf.cast(np.random.default_rng(0).normal(size=(5, 3, 4)), tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(PENALTIES[name][0](x, 0.3))
    assert tape.gradient(loss, x).dtype == tf.bfloat16
