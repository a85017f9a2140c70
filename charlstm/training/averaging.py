"""A moving average of the weights over the last part of a run, which predicts better than they do.

The weights of a run scatter around a point, the more so the higher the learning rate. Their average
is close to that point long before the learning rate has decayed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from charlstm.network.backend import keras, tf
from charlstm.network.model import weight_name

# Polynomial decay (Shamir and Zhang 2013, section 4): an update made after a share s of the steps
# so far is weighted by s**DECAY. The average therefore covers about the last 1 / (DECAY + 1) of the
# run, whatever its length.
DECAY = 32.0

# Steps between two updates of the average, which then cost next to nothing.
EVERY = 4


class WeightAverage:
    """The moving average of some variables, all float32.

    Args:
        variables: the variables to average.
    """

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self._variables = list(variables)
        self._averages = [tf.Variable(v.numpy(), trainable=False) for v in self._variables]
        # Compiled, so that several cores share the variables.
        self._move = tf.function(self._moved, autograph=False)

    def named(self) -> dict[str, tf.Variable]:
        """Return the averages by weight name."""
        pairs = zip(self._variables, self._averages, strict=True)
        return {weight_name(variable): average for variable, average in pairs}

    def restart(self) -> None:
        """Set the average to the current weights."""
        for variable, average in zip(self._variables, self._averages, strict=True):
            average.assign(variable.numpy())

    def step_taken(self, steps: int) -> None:
        """Update the average with the current weights.

        Args:
            steps: number of steps taken so far.
        """
        if steps < EVERY:
            self.restart()
        elif steps % EVERY == 0:
            share = (DECAY + 1) / (DECAY + steps // EVERY)
            self._move(tf.constant(share, tf.float32))

    def _moved(self, share: tf.Tensor) -> None:
        """Move each average by ``share`` of its distance to the current weights, in one pass."""
        for variable, average in zip(self._variables, self._averages, strict=True):
            # The gradient descent op multiplies and subtracts in one pass.
            tf.raw_ops.ResourceApplyGradientDescent(
                var=average.handle, alpha=share, delta=average - variable.value
            )

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Replace the variables by their averages within the ``with`` block."""
        own = [variable.numpy() for variable in self._variables]
        try:
            for variable, average in zip(self._variables, self._averages, strict=True):
                variable.assign(average.numpy())
            yield
        finally:
            for variable, value in zip(self._variables, own, strict=True):
                variable.assign(value)
