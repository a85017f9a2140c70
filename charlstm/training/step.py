"""The compiled training step and validation.

A step computes the loss, the gradient, clipping and the update. Validation computes the float32
loss over a text, or over excerpts of it. The rows of a batch are split into shards. Each shard has
its own loop over time and its own core, because the small matrix multiplications of that loop
can't keep several cores busy. Dropout masks depend only on the seed and the step number.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from charlstm.config import ModelConfig, TrainConfig
from charlstm.dataset.batches import TrainingBatch, validation_batches
from charlstm.distributed.replicas import ReplicaGroup, check_rows, evenly
from charlstm.network import states as rowwise
from charlstm.network.backend import tf
from charlstm.network.lstm import gpu_visible
from charlstm.network.model import Dropout, LSTMLanguageModel, dropped
from charlstm.network.states import States
from charlstm.system.hardware import product_type
from charlstm.training.observer import Hardware
from charlstm.training.optimizers import leave_gradients_alone, make_optimizer
from charlstm.training.penalty import with_activation_penalty, with_change_penalty

# Maximum number of logits that validation keeps in memory at once.
LOGITS_AT_ONCE = 1 << 23


def use_threads(threads: int, shards: int) -> None:
    """Divide CPU threads among the shards of a step.

    TensorFlow accepts this only before its first operation. In a process that has already trained,
    the numbers of threads stay the same.
    """
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_inter_op_parallelism_threads(min(threads, shards))
        tf.config.threading.set_intra_op_parallelism_threads(max(1, threads // shards))


def hardware_of(config: TrainConfig, replicas: ReplicaGroup) -> Hardware:
    """Return the hardware that a run with these settings trains on."""
    gpus = replicas.count // replicas.group.size if gpu_visible() else 0
    return Hardware(gpus, product_type(config.precision), replicas.group.size)


class StepRunner:
    """The compiled functions of one model: a training step and a validation step.

    Args:
        config: the sizes of the network.
        train: the training settings.
        replicas: the devices that take the steps; each has the states of its own rows.

    Raises:
        UsageError: if there are more devices than rows.
    """

    def __init__(
        self, config: ModelConfig, train: TrainConfig, replicas: ReplicaGroup | None = None
    ) -> None:
        self.replicas = replicas or ReplicaGroup()
        check_rows(self.replicas.count, train.streams)
        self.seed, self.streams = train.seed, train.streams
        self.validated = train.validated
        self.tokens_per_step = float(train.streams * train.sequence_length)
        self.activation_penalty = train.activation_penalty
        # All kinds of dropout follow the same ramp.
        whole = train.dropout or math.inf
        self.token_share = train.token_dropout / whole
        self.recurrent_share = train.recurrent_dropout / whole
        # A GPU is only busy with a whole batch.
        self.shards = max(1 if gpu_visible() else train.shards, self.replicas.count)
        with self.replicas.scope():
            self.model = LSTMLanguageModel(
                config,
                seed=train.seed,
                matmul_dtype=product_type(train.precision),
            )
            self.optimizer = make_optimizer(train, config)
            self.optimizer.build(self.model.trainable_variables)
        if self.replicas.strategy is not None:
            leave_gradients_alone(self.optimizer)
        self._zeros = self.replicas.on_each(
            lambda rows: self.model.zero_states(_length(self._own_shards(rows)))
        )
        self._select_own = self.replicas.on_each(self._own_rows)
        self._train = self.replicas.summed_losses(self._train_step)
        self._validate = self.replicas.summed_losses(self._validate_step)

    # States

    def zero_states(self, rows: int | None = None) -> States:
        """Return zero states for this process's share of ``rows``, by default of a batch."""
        count = self.streams if rows is None else rows
        if self.replicas.strategy is None:
            return self.model.zero_states(count)
        return self._zeros(count)  # type: ignore[no-any-return]

    def whole_states(self, states: States) -> States:
        """Return the states of all rows of a training batch, gathered from all processes."""
        whole = self.replicas.whole(list(states.values()))
        return dict(zip(states, whole, strict=True))

    def own_states(self, states: States) -> States:
        """Return the states of this process's rows, given the states of all rows."""
        return states if self.replicas.strategy is None else self._select_own(states)

    def _own_rows(self, states: States) -> States:
        return rowwise.rows_of(states, _span(self._own_shards(self.streams)))

    def _own_shards(self, rows: int) -> list[tuple[int, slice]]:
        """Return number and rows of each shard that this replica computes."""
        shards = evenly(rows, min(self.shards, rows))
        return list(self.replicas.share(list(enumerate(shards))))

    # Training

    def train(
        self, batch: TrainingBatch, states: States, step: int, rate: float, dropout: float
    ) -> tuple[float, States]:
        """Take one optimizer step.

        Args:
            batch: ids to read and to predict, [streams, time].
            states: the states of this process's rows.
            step: number of the step, from 0; it seeds dropout.
            rate: learning rate.
            dropout: dropout rate.

        Returns:
            The mean loss in nats per token, and the states after the batch.
        """
        self.optimizer.learning_rate.assign(rate)
        seed = tf.constant([self.seed, step], tf.int64)
        tokens = recurrent = None
        if self.token_share:
            tokens = tf.constant(dropout * self.token_share)
        if self.recurrent_share:
            share = tf.constant(dropout * self.recurrent_share)
            # Shards count from 0, so none of them uses this seed.
            recurrent = Dropout(share, tf.random.experimental.stateless_fold_in(seed, -1))
        seeded = Dropout(tf.constant(dropout), seed, tokens, recurrent)
        return self._train(batch.inputs, batch.targets, batch.begins, states, seeded)

    def _train_step(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        begins: tf.Tensor,
        states: States,
        dropout: Dropout,
    ) -> tuple[tf.Tensor, States]:
        """Take a step on independent shards of the rows, which run in parallel on several cores.

        The dropout mask of a shard depends on its number among the shards of all replicas.
        """
        own = self._own_shards(inputs.shape[0])
        shards = [
            self._shard(inputs[rows], targets[rows], part, dropout.part(shard))
            for (shard, rows), part in zip(own, _divided(states, own), strict=True)
        ]
        losses, gradients, after = zip(*shards, strict=True)
        self.optimizer.apply(
            self.replicas.total([tf.add_n(parts) for parts in zip(*gradients, strict=True)]),
            self.model.trainable_variables,
        )
        carried = rowwise.chosen(begins[_span(own)], states, rowwise.joined(after))
        return tf.add_n(losses), carried

    def _shard(
        self, inputs: tf.Tensor, targets: tf.Tensor, states: States, dropout: Dropout
    ) -> tuple[tf.Tensor, list[tf.Tensor], States]:
        """Return a shard's part of the mean loss of the batch, its gradients and new states.

        The two penalties are averaged over tokens and units. They affect the gradients only.
        """
        config = self.model.config
        with tf.GradientTape() as tape:
            outputs, after = self.model.outputs(tf.transpose(inputs), states, dropout)
            penalty = self.activation_penalty / (self.tokens_per_step * config.units)
            if penalty:
                outputs = with_change_penalty(outputs, penalty)
            features = dropped(outputs, dropout.part(config.layers - 1))
            if penalty:
                features = with_activation_penalty(features, penalty)
            logits = self.model.project(tf.reshape(features, [-1, config.units]))
            expected = tf.reshape(tf.transpose(targets), [-1])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(expected, logits)
            loss = tf.reduce_sum(losses) / self.tokens_per_step
        weights = [variable.value for variable in self.model.trainable_variables]
        gradients = tape.gradient(loss, weights)
        return loss, [tf.convert_to_tensor(g) for g in gradients], after

    def validate(
        self, ids: NDArray[np.unsignedinteger], should_stop: Callable[[], bool] = lambda: False
    ) -> float | None:
        """Return the mean loss over the validation text, in nats per token, in float32.

        Args:
            ids: the text, [n], n > 1. The settings may count only excerpts of it.
            should_stop: called before each batch.

        Returns:
            The mean, or ``None`` if ``should_stop`` returned true.
        """
        total, states = 0.0, None
        for batch in validation_batches(ids, self.validated):
            if should_stop():
                return None
            if states is None:
                states = self.zero_states(batch.inputs.shape[0])
            loss, states = self._validate(*batch, states)
            total += loss
        targets = ids.size - 1
        return total / min(targets, self.validated or targets)

    def _validate_step(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        keep: tf.Tensor,
        states: States,
    ) -> tuple[tf.Tensor, States]:
        own = self._own_shards(inputs.shape[0])
        if not own:  # more replicas than rows
            return tf.constant(0.0, tf.float64), states
        states = rowwise.kept(states, keep[_span(own)])
        shards = [
            self._summed_loss(inputs[rows], targets[rows], weights[rows], part)
            for (_, rows), part in zip(own, _divided(states, own), strict=True)
        ]
        losses, after = zip(*shards, strict=True)
        return tf.add_n(losses), rowwise.joined(after)

    def _summed_loss(
        self, inputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, states: States
    ) -> tuple[tf.Tensor, States]:
        """Return the weighted sum of a shard's losses, float64, and its new states.

        The logits are computed in parts of at most ``LOGITS_AT_ONCE``.
        """
        features, after = self.model.features(tf.transpose(inputs), states)
        flat = tf.reshape(features, [-1, self.model.config.units])
        expected, counted = (tf.reshape(tf.transpose(x), [-1]) for x in (targets, weights))
        size = max(1, LOGITS_AT_ONCE // self.model.config.vocab_size)
        total = tf.constant(0.0, tf.float64)
        for start in range(0, expected.shape[0], size):
            part = slice(start, start + size)
            with tf.control_dependencies([total]):  # one part at a time, to limit memory
                logits = self.model.project(flat[part])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(expected[part], logits)
            total += tf.reduce_sum(tf.cast(losses * counted[part], tf.float64))
        return total, after


def _span(shards: Sequence[tuple[int, slice]]) -> slice:
    """Return the rows of neighboring shards as one slice."""
    return slice(shards[0][1].start, shards[-1][1].stop) if shards else slice(0, 0)


def _length(shards: Sequence[tuple[int, slice]]) -> int:
    span: slice = _span(shards)
    return int(span.stop - span.start)


def _divided(states: States, shards: Sequence[tuple[int, slice]]) -> list[States]:
    """Split the states of neighboring shards into those of each shard."""
    first = _span(shards).start
    shares = [slice(rows.start - first, rows.stop - first) for _, rows in shards]
    return [rowwise.rows_of(states, rows) for rows in shares]
