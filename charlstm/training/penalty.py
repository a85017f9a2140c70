"""The penalty on activations and on their change from token to token (Merity et al. 2017).

It only has a gradient: no loss includes it, so its value is never computed. Knows no network.
"""

from __future__ import annotations

from collections.abc import Callable

from charlstm.network.backend import tf


def kept_small(x: tf.Tensor, weight: float) -> tf.Tensor:
    """Return ``x``, with the gradient of ``weight`` times its sum of squares added to its own."""

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        factor = tf.constant(2 * weight, x.dtype)
        return tf.identity(x), lambda upstream: upstream + factor * x

    return run(x)


def kept_steady(x: tf.Tensor, weight: float) -> tf.Tensor:
    """Return ``x`` [time, batch, units], with the gradient of a penalty added to its own.

    The penalty is ``weight`` times the sum of squares of the changes from one time to the next.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        factor = tf.constant(2 * weight, x.dtype)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            changes = factor * (x[1:] - x[:-1])
            to_here = tf.pad(changes, [[1, 0], [0, 0], [0, 0]])
            from_here = tf.pad(changes, [[0, 1], [0, 0], [0, 0]])
            return upstream + (to_here - from_here)

        return tf.identity(x), gradient

    return run(x)
