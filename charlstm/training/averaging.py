"""A moving average of the weights over the last part of a run, which predicts better than they do.

The weights of a run jump about the place that they approach, the more the higher the learning rate.
Their average is near it long before the rate has fallen. Knows no loss and no schedule.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from charlstm.network.backend import keras, tf
from charlstm.network.model import weight_name

# The average weighs an update less, the older it is: with the power DECAY of the share of the run
# that had passed then. It reaches back over some 1 / (DECAY + 1) of the run, whatever its length
# (polynomial decay; Shamir and Zhang 2013, section 4).
DECAY = 32.0

# Steps between two updates of the average, which then cost next to nothing.
EVERY = 4


class WeightAverage:
    """The average of some variables, all float32.

    Args:
        variables: what is averaged.
    """

    def __init__(self, variables: Sequence[keras.Variable]) -> None:
        self._variables = list(variables)
        self._averages = [tf.Variable(v.numpy(), trainable=False) for v in self._variables]
        # Compiled, since the variables then take several cores.
        self._move = tf.function(self._moved, autograph=False)

    def named(self) -> dict[str, tf.Variable]:
        """Return the averages by the names of the weights."""
        pairs = zip(self._variables, self._averages, strict=True)
        return {weight_name(variable): average for variable, average in pairs}

    def restart(self) -> None:
        """Begin anew with the present weights."""
        for variable, average in zip(self._variables, self._averages, strict=True):
            average.assign(variable.numpy())

    def step_taken(self, steps: int) -> None:
        """Take the present weights into the average.

        Args:
            steps: the number of steps taken so far.
        """
        if steps < EVERY:
            self.restart()
        elif steps % EVERY == 0:
            share = (DECAY + 1) / (DECAY + steps // EVERY)
            self._move(tf.constant(share, tf.float32))

    def _moved(self, share: tf.Tensor) -> None:
        """Move the averages by a share of their distance to the present weights, in one pass."""
        for variable, average in zip(self._variables, self._averages, strict=True):
            # The operation of gradient descent multiplies and subtracts at once.
            tf.raw_ops.ResourceApplyGradientDescent(
                var=average.handle, alpha=share, delta=average - variable.value
            )

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Give the variables their average values within the body."""
        own = [variable.numpy() for variable in self._variables]
        try:
            for variable, average in zip(self._variables, self._averages, strict=True):
                variable.assign(average.numpy())
            yield
        finally:
            for variable, value in zip(self._variables, own, strict=True):
                variable.assign(value)
