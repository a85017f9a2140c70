"""The Keras optimizers, with fused updates, for gradients that are already summed over replicas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from charlstm.config import ModelConfig, TrainConfig
from charlstm.errors import TrainingError
from charlstm.network.backend import keras, tf
from charlstm.version import __version__

# The first method that a Keras optimizer calls, with (gradient, variable) pairs.
SUMS_GRADIENTS = "_all_reduce_sum_gradients"

# The method that returns the index of a variable and its slots, and the attributes with the lists.
VARIABLE_INDEX = "_get_variable_index"
VARIABLES = "_trainable_variables"
ADAM_SLOTS = ("_momentums", "_velocities")
MOMENTUM_SLOTS = ("momentums",)

# The learning rate of the attention's output matrix, times its width, as a share of the rate of the
# other weights. Nothing limits what the matrix adds to the outputs, and a step changes each of its
# sums by up to width x rate, so that the full rate disturbs the network (benchmarks/recipe.md).
_ATTENDING_RATE = 25.6
# The same for networks of format 10, of any width, so that their runs go on as they began.
_ATTENDING_RATE_BEFORE = 0.1

# Momentum of stochastic gradient descent.
MOMENTUM = 0.9


def make_optimizer(config: TrainConfig, model: ModelConfig) -> keras.optimizers.Optimizer:
    """Return the Keras optimizer of a network; weight decay doesn't apply to biases."""
    kinds, share = keras.optimizers, attending_rate(model)
    options: dict[str, Any] = {"learning_rate": 0.0, "global_clipnorm": config.clip_norm}
    betas = {"beta_1": config.beta_1, "beta_2": config.beta_2}
    builders: dict[str, Callable[[], Any]] = {
        "adamw": lambda: _slowed(FusedAdamW, share)(
            weight_decay=config.weight_decay, **betas, **options
        ),
        "adam": lambda: _slowed(kinds.Adam, share)(**betas, **options),
        "lion": lambda: _slowed(kinds.Lion, share)(weight_decay=config.weight_decay, **options),
        "rmsprop": lambda: _slowed(kinds.RMSprop, share)(**options),
        "sgd": lambda: _slowed(FusedSGD, share)(momentum=MOMENTUM, **options),
    }
    optimizer = builders[config.optimizer]()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def attending_rate(model: ModelConfig) -> float:
    """Return the rate of the attention's output matrix, as a share of that of other weights."""
    return min(1.0, _ATTENDING_RATE / model.units) if model.shifted_keys else _ATTENDING_RATE_BEFORE


def _slowed(
    kind: type[keras.optimizers.Optimizer], share: float
) -> type[keras.optimizers.Optimizer]:
    """Return a kind of optimizer that updates the attention's output at a share of the rate."""

    class Slowed(kind):
        def update_step(
            self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
        ) -> None:
            own = share if _is_slow(self, variable) else 1.0
            super().update_step(gradient, variable, own * learning_rate)

    return Slowed


def _is_slow(optimizer: keras.optimizers.Optimizer, variable: tf.Variable) -> bool:
    """Return whether a variable is the output matrix of the attention, by its path in the model.

    Returns ``False`` if this version of Keras has no such list, since the names are private.
    """
    index_of = getattr(optimizer, VARIABLE_INDEX, None)
    known = getattr(optimizer, VARIABLES, None)
    if index_of is None or not isinstance(known, list):
        return False
    return "attention/output" in known[index_of(variable)].path


def leave_gradients_alone(optimizer: keras.optimizers.Optimizer) -> None:
    """Stop Keras from summing gradients over replicas; they are summed already, before clipping.

    Raises:
        TrainingError: if this version of Keras sums them elsewhere.
    """
    if not hasattr(optimizer, SUMS_GRADIENTS):
        raise TrainingError(
            f"Keras {keras.__version__} sums gradients over devices in a way that charlstm "
            f"{__version__} doesn't support. Install an older Keras, or train on one device "
            f"without TF_CONFIG."
        )
    setattr(optimizer, SUMS_GRADIENTS, list)


def _slots_of(
    optimizer: keras.optimizers.Optimizer, variable: tf.Variable, *names: str
) -> list[keras.Variable] | None:
    """Return the slots of a variable, one from each named list.

    Returns ``None`` if this version of Keras has no such lists, since some names are private. The
    update of Keras works all the same.
    """
    index_of = getattr(optimizer, VARIABLE_INDEX, None)
    lists = [getattr(optimizer, name, None) for name in names]
    if index_of is None or not all(isinstance(slots, list) for slots in lists):
        return None
    index = index_of(variable)
    return [slots[index] for slots in lists if slots is not None]


class FusedAdamW(keras.optimizers.AdamW):
    """The AdamW of Keras with an update that reads and writes each number once.

    Source: Loshchilov and Hutter 2019. Arithmetic and slots are those of Keras.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Update one variable and its two moments; the gradient is dense float32."""
        slots = _slots_of(self, variable, *ADAM_SLOTS)
        if slots is None:
            super().update_step(gradient, variable, learning_rate)
            return
        first, second = slots
        steps = tf.cast(self.iterations, tf.float32) + 1.0
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.value.handle,
            v=second.value.handle,
            beta1_power=self.beta_1**steps,
            beta2_power=self.beta_2**steps,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


class FusedSGD(keras.optimizers.SGD):
    """The SGD of Keras, with momentum, with an update in one pass."""

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Update one variable and its momentum; the gradient is dense float32."""
        slots = _slots_of(self, variable, *MOMENTUM_SLOTS)
        if slots is None:
            super().update_step(gradient, variable, learning_rate)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=slots[0].value.handle,
            lr=tf.cast(learning_rate, tf.float32),
            grad=gradient,
            momentum=self.momentum,
        )
