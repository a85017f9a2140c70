"""One step of training and of validation, compiled.

A step is loss, gradient, clipping and optimizer; validation is the loss in float32 over a whole
text. The rows of a batch are split into chains, each with a loop over time of its own and a core
to run on, because the small products of that loop don't fill several cores. What a step draws at
random follows from the seed and the step number. This module does not know budgets, files or when
anything is evaluated.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm import __version__
from charlstm.backend import keras, tf
from charlstm.config import ModelConfig, TrainConfig
from charlstm.dataset import Batch, validation_batches
from charlstm.distribution import Crew, check_rows, evenly
from charlstm.errors import TrainingError
from charlstm.layers import States, gpu_visible
from charlstm.model import Dropout, LSTMLanguageModel
from charlstm.processor import product_type

# Logits that validation holds at a time, in numbers.
LOGITS_AT_ONCE = 1 << 23

# What an optimizer of Keras calls with pairs of gradient and variable before it uses them.
SUMS_GRADIENTS = "_all_reduce_sum_gradients"

# How an optimizer of Keras finds the place of a variable's slots, and what it calls their lists.
VARIABLE_INDEX = "_get_variable_index"
ADAM_SLOTS = ("_momentums", "_velocities")
MOMENTUM_SLOTS = ("momentums",)

# Of plain gradient descent.
MOMENTUM = 0.9


def use_threads(threads: int, chains: int) -> None:
    """Divide the processor among the chains of a step.

    TensorFlow takes this before its first operation only; in a process that has trained before,
    the division stays as it is.
    """
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_inter_op_parallelism_threads(min(threads, chains))
        tf.config.threading.set_intra_op_parallelism_threads(max(1, threads // chains))


def describe_path(config: TrainConfig, crew: Crew | None = None) -> str:
    """Say in a few words what training runs on."""
    crew = crew or Crew()
    workers = f", {crew.party.size} workers" if crew.party.size > 1 else ""
    if gpu_visible():
        count = crew.replicas // crew.party.size
        gpus = f"{count} GPUs" if count > 1 else "GPU"
        return f"{gpus}, cuDNN (own loop in batches where a document begins){workers}"
    return f"CPU, {product_type(config.precision)} matrix products{workers}"


def learning_rate(config: TrainConfig, step: int, done: float) -> float:
    """Return the rate of a step: linear warm-up, then half a cosine down to the final rate.

    Source: Loshchilov and Hutter 2017, one cycle without restarts.

    Args:
        config: peak rate, final rate as a share of it, steps of warm-up.
        step: the step, from 0.
        done: the share of the budget that is used, 0 to 1.
    """
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * warm * (config.final_rate + (1.0 - config.final_rate) * cosine)


def dropout_rate(config: TrainConfig, epoch: float) -> float:
    """Return the dropout rate at some epoch: it rises linearly and then stays.

    A text that is read for the first time can't be overfitted yet, and whatever is dropped slows
    learning. Source of the idea: curriculum dropout, Morerio et al. 2017.
    """
    return config.dropout * (min(1.0, epoch / config.dropout_ramp) if config.dropout_ramp else 1.0)


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """Return the Keras optimizer; weight decay leaves the biases alone."""
    kinds = keras.optimizers
    options: dict[str, Any] = {"learning_rate": 0.0, "global_clipnorm": config.clip_norm}
    builders: dict[str, Callable[[], Any]] = {
        "adamw": lambda: FusedAdamW(weight_decay=config.weight_decay, **options),
        "adam": lambda: kinds.Adam(**options),
        "lion": lambda: kinds.Lion(weight_decay=config.weight_decay, **options),
        "rmsprop": lambda: kinds.RMSprop(**options),
        "sgd": lambda: FusedSGD(momentum=MOMENTUM, **options),
    }
    optimizer = builders[config.optimizer]()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def _leave_gradients_alone(optimizer: keras.optimizers.Optimizer) -> None:
    """Keep Keras from summing gradients over replicas after clipping; ours are summed before.

    Raises:
        TrainingError: if this Keras does so in a way that is not known here.
    """
    if not hasattr(optimizer, SUMS_GRADIENTS):
        raise TrainingError(
            f"Keras {keras.__version__} sums gradients over devices in a way that charlstm "
            f"{__version__} does not know: install an older Keras, or train on one device without "
            f"TF_CONFIG"
        )
    setattr(optimizer, SUMS_GRADIENTS, list)


def _slots_of(
    optimizer: keras.optimizers.Optimizer, variable: tf.Variable, *names: str
) -> list[keras.Variable] | None:
    """Return what an optimizer keeps for one variable, under each of some names.

    None if this Keras has other names for it, which are not all public; its own update works then.
    """
    index_of = getattr(optimizer, VARIABLE_INDEX, None)
    kept = [getattr(optimizer, name, None) for name in names]
    if index_of is None or not all(isinstance(slots, list) for slots in kept):
        return None
    place = index_of(variable)
    return [slots[place] for slots in kept if slots is not None]


class FusedAdamW(keras.optimizers.AdamW):
    """Keras's AdamW with an update that reads and writes every number once.

    Source: Loshchilov and Hutter 2019; the arithmetic and the slots are those of Keras.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Update one variable and its two moments by its gradient, dense float32."""
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
    """Keras's gradient descent with momentum, with an update in one pass as well."""

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Update one variable and its momentum by its gradient, dense float32."""
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


class Steps:
    """The compiled functions of one model: a training step and a validation step.

    Args:
        config: the sizes.
        train: how the weights are found.
        crew: the devices that take the steps; each has the states of the rows that it reads.

    Raises:
        UsageError: if there are more devices than rows.
    """

    def __init__(self, config: ModelConfig, train: TrainConfig, crew: Crew | None = None) -> None:
        self.crew = crew or Crew()
        check_rows(self.crew.replicas, train.streams)
        self.seed, self.streams = train.seed, train.streams
        self.tokens_per_step = float(train.streams * train.sequence_length)
        # A GPU is filled by the whole batch.
        self.chains = max(1 if gpu_visible() else train.chains, self.crew.replicas)
        with self.crew.scope():
            self.model = LSTMLanguageModel(
                config,
                seed=train.seed,
                dtype_of_products=product_type(train.precision),
            )
            self.optimizer = make_optimizer(train)
            self.optimizer.build(self.model.trainable_variables)
        if self.crew.strategy is not None:
            _leave_gradients_alone(self.optimizer)
        self._zeros = self.crew.on_each(
            lambda rows: self.model.zero_states(_length(self._own(rows)))
        )
        self._part = self.crew.on_each(self._own_rows)
        self._train = self.crew.summed_losses(self._train_step)
        self._validate = self.crew.summed_losses(self._validate_step)

    # States

    def zero_states(self, rows: int | None = None) -> list[States]:
        """Return the states of the rows of this process, all zero; of a training batch's rows."""
        count = self.streams if rows is None else rows
        if self.crew.strategy is None:
            return self.model.zero_states(count)
        return self._zeros(count)  # type: ignore[no-any-return]

    def whole_states(self, states: list[States]) -> list[States]:
        """Return the states of all rows of a training batch, wherever they are."""
        flat = self.crew.whole([part for pair in states for part in pair])
        return list(zip(flat[::2], flat[1::2], strict=True))

    def own_states(self, states: list[States]) -> list[States]:
        """Return of the states of all rows those that this process needs."""
        return states if self.crew.strategy is None else self._part(states)

    def _own_rows(self, states: list[States]) -> list[States]:
        rows = _span(self._own(self.streams))
        return [(h[rows], c[rows]) for h, c in states]

    def _own(self, rows: int) -> list[tuple[int, slice]]:
        """Return the chains, by number, that this replica computes, and the rows of each."""
        chains = evenly(rows, min(self.chains, rows))
        return list(self.crew.share(list(enumerate(chains))))

    # Training

    def train(
        self, batch: Batch, states: list[States], step: int, rate: float, dropout: float
    ) -> tuple[float, list[States]]:
        """Take one optimizer step.

        Args:
            batch: what to read.
            states: to begin with.
            step: the number of the step, from 0, which decides what is drawn at random.
            rate: the learning rate.
            dropout: the rate of dropout.

        Returns:
            The mean loss in nats per token and the states after.
        """
        self.optimizer.learning_rate.assign(rate)
        drawn = Dropout(tf.constant(dropout), tf.constant([self.seed, step], tf.int64))
        return self._train(batch.inputs, batch.targets, states, drawn)

    def _train_step(
        self, inputs: tf.Tensor, targets: tf.Tensor, states: list[States], dropout: Dropout
    ) -> tuple[tf.Tensor, list[States]]:
        """Split the rows into independent chains, which the processor's cores run side by side.

        What a chain drops depends on its number among those of all replicas.
        """
        own = self._own(inputs.shape[0])
        chains = [
            self._chain(inputs[rows], targets[rows], part, dropout.part(chain))
            for (chain, rows), part in zip(own, _divided(states, own), strict=True)
        ]
        losses, gradients, after = zip(*chains, strict=True)
        self.optimizer.apply(
            self.crew.total([tf.add_n(parts) for parts in zip(*gradients, strict=True)]),
            self.model.trainable_variables,
        )
        return tf.add_n(losses), _joined(after)

    def _chain(
        self, inputs: tf.Tensor, targets: tf.Tensor, states: list[States], dropout: Dropout
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[States]]:
        """Return loss and gradients of some rows, as their share of the batch's mean."""
        with tf.GradientTape() as tape:
            features, after = self.model.features(tf.transpose(inputs), states, dropout)
            logits = self.model.project(tf.reshape(features, [-1, self.model.config.units]))
            expected = tf.reshape(tf.transpose(targets), [-1])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(expected, logits)
            loss = tf.reduce_sum(losses) / self.tokens_per_step
        weights = [variable.value for variable in self.model.trainable_variables]
        gradients = tape.gradient(loss, weights)
        return loss, [tf.convert_to_tensor(g) for g in gradients], after

    def validate(
        self, ids: NDArray[np.unsignedinteger], should_stop: Callable[[], bool] = lambda: False
    ) -> float | None:
        """Return the mean loss in nats per token over a whole text, in float32.

        Args:
            ids: the text, [N], N > 1.
            should_stop: asked before every batch; if it agrees, there is no mean, and None is
                returned.
        """
        total, states = 0.0, None
        for batch in validation_batches(ids):
            if should_stop():
                return None
            if states is None:
                states = self.zero_states(batch.inputs.shape[0])
            loss, states = self._validate(*batch, states)
            total += loss
        return total / (ids.size - 1)

    def _validate_step(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        keep: tf.Tensor,
        states: list[States],
    ) -> tuple[tf.Tensor, list[States]]:
        own = self._own(inputs.shape[0])
        if not own:  # there are more replicas than rows
            return tf.constant(0.0, tf.float64), states
        kept = keep[_span(own)]
        states = [(h * kept, c * kept) for h, c in states]
        chains = [
            self._summed_loss(inputs[rows], targets[rows], weights[rows], part)
            for (_, rows), part in zip(own, _divided(states, own), strict=True)
        ]
        losses, after = zip(*chains, strict=True)
        return tf.add_n(losses), _joined(after)

    def _summed_loss(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, states: list[States]
    ) -> tuple[tf.Tensor, list[States]]:
        """Return the weighted sum of the losses of some rows, with few logits at a time."""
        features, after = self.model.features(tf.transpose(inputs), states)
        flat = tf.reshape(features, [-1, self.model.config.units])
        expected, counted = (tf.reshape(tf.transpose(x), [-1]) for x in (targets, weights))
        size = max(1, LOGITS_AT_ONCE // self.model.config.vocab_size)
        total = tf.constant(0.0, tf.float64)
        for start in range(0, expected.shape[0], size):
            part = slice(start, start + size)
            with tf.control_dependencies([total]):  # one part after the other
                logits = self.model.project(flat[part])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(expected[part], logits)
            total += tf.reduce_sum(tf.cast(losses * counted[part], tf.float64))
        return total, after


def _span(chains: Sequence[tuple[int, slice]]) -> slice:
    """Return the rows of neighbouring chains as one."""
    return slice(chains[0][1].start, chains[-1][1].stop) if chains else slice(0, 0)


def _length(chains: Sequence[tuple[int, slice]]) -> int:
    span: slice = _span(chains)
    return int(span.stop - span.start)


def _divided(states: list[States], chains: Sequence[tuple[int, slice]]) -> list[list[States]]:
    """Return the states of each of some neighbouring chains, whose rows ``states`` holds."""
    first = _span(chains).start
    shares = [slice(rows.start - first, rows.stop - first) for _, rows in chains]
    return [[(h[rows], c[rows]) for h, c in states] for rows in shares]


def _joined(chains: Sequence[list[States]]) -> list[States]:
    """Put the rows of the chains' states together again."""
    return [
        tuple(tf.concat(parts, 0) for parts in zip(*layer, strict=True))
        for layer in zip(*chains, strict=True)
    ]
