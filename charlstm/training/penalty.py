"""Activation regularization (AR) and temporal activation regularization (TAR), Merity et al. 2017.

Only their gradients are computed. No reported loss includes the penalties.
"""

from __future__ import annotations

from collections.abc import Callable

from charlstm.network.backend import tf


def with_activation_penalty(x: tf.Tensor, weight: float) -> tf.Tensor:
    """Return ``x``; its gradient gets that of ``weight * sum(x**2)`` added."""

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        factor = tf.constant(2 * weight, x.dtype)
        return tf.identity(x), lambda upstream: upstream + factor * x

    return run(x)


def with_change_penalty(x: tf.Tensor, weight: float) -> tf.Tensor:
    """Return ``x`` [time, batch, units]; its gradient gets that of a penalty on changes added.

    The penalty is ``weight * sum((x[t + 1] - x[t])**2)``.
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
