"""One network in training: its batches, its compiled steps and its state.

A run has one learner, or two if the model is bidirectional. They share nothing but the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Weights
from charlstm.checkpoint.schema import BACKWARD, RunConfig
from charlstm.config import ModelConfig, TrainConfig
from charlstm.dataset.batches import Streams
from charlstm.dataset.frequencies import log_frequencies
from charlstm.dataset.store import TokenStore
from charlstm.distributed.replicas import ReplicaGroup
from charlstm.network.model import set_weights, weights_of
from charlstm.training.resume_tensors import TrainingState
from charlstm.training.step import StepRunner

# The backward network has a seed of its own, so that the initial weights and the dropout masks of
# the two networks are independent.
_OTHER_SEED = 2**30  # far from those that a network derives from its own

Value = TypeVar("Value")


class Learner:
    """Takes the steps of one network.

    Args:
        config: the sizes of the network.
        train: the training settings.
        streams: the training text as batches, in the direction in which the network reads.
        valid: ids of the validation text in the same direction, [N].
        replicas: the devices that train.

    Attributes:
        kind: how messages name its losses: ``"backward "`` or empty.
    """

    def __init__(
        self,
        config: ModelConfig,
        train: TrainConfig,
        streams: Streams,
        valid: NDArray[np.unsignedinteger],
        replicas: ReplicaGroup,
    ) -> None:
        self.streams, self.valid = streams, valid
        self.kind = "backward " if streams.backward else ""
        self.runner = StepRunner(config, train, replicas)
        self.state = TrainingState(self.runner, averages=train.averages)

    def start(self, weights: Weights | None) -> None:
        """Set the weights before the first step.

        Args:
            weights: initial weights by name; by default random, with an output bias that predicts
                each token by its frequency.
        """
        model = self.runner.model
        if weights is not None:
            set_weights(model, weights)
        else:  # so that the first steps don't have to learn token frequencies
            model.output_layer.bias.assign(
                log_frequencies(self.streams.ids, model.config.vocab_size)
            )
        if self.state.average:
            self.state.average.restart()

    def step(self, step: int, rate: float, dropout: float) -> float:
        """Take step number ``step``, from 0, and return its loss in nats per token.

        Args:
            step: number of the step.
            rate: learning rate.
            dropout: dropout rate.
        """
        batch = self.streams.batch(step)
        if batch.first_of_epoch:
            self.state.recurrent = self.runner.zero_states()
        loss, self.state.recurrent = self.runner.train(
            batch, self.state.recurrent, step, rate, dropout
        )
        if self.state.average:
            self.state.average.step_taken(step + 1)
        return loss

    def weights(self) -> Weights:
        """Return copies of the averaged weights, or of the weights if they are not averaged."""
        if self.state.average is None:
            return weights_of(self.runner.model)
        return {name: mean.numpy().copy() for name, mean in self.state.average.named().items()}

    def validate(self, should_stop: Callable[[], bool]) -> float | None:
        """Return the validation loss of ``weights()`` in nats per token.

        Returns ``None`` if ``should_stop``, which is called before each batch, returned true.
        """
        with self.state.averaged():
            return self.runner.validate(self.valid, should_stop)


def learners_of(
    config: RunConfig,
    store: TokenStore,
    rates: NDArray[np.float64],
    ends: NDArray[np.int64] | None,
    replicas: ReplicaGroup,
) -> dict[str, Learner]:
    """Return the learners of a run, by the prefix of their tensors in files.

    The prefix of the forward network is ``""``. Its learner does not depend on the other one.

    Args:
        config: the sizes of the networks, and the training settings.
        store: ids of the training and the validation text.
        rates: as for ``Streams``.
        ends: the ``starts`` of a text that is read from its end; by default none.
        replicas: the devices that train.
    """
    model, train = config.model, config.train
    sizes = train.streams, train.sequence_length
    streams = Streams(store.train, *sizes, train.seed, rates, store.starts)
    learners = {"": Learner(model, train, streams, store.valid, replicas)}
    if model.bidirectional:
        train = train.replace(seed=train.seed ^ _OTHER_SEED)
        starts = np.empty(0, np.int64) if ends is None else ends
        streams = Streams(store.train, *sizes, train.seed, rates, starts, backward=True)
        learners[BACKWARD] = Learner(model, train, streams, store.valid[::-1], replicas)
    return learners


def named(
    learners: Mapping[str, Learner], of: Callable[[Learner], Mapping[str, Value]]
) -> dict[str, Value]:
    """Return values of the tensors of all learners, by their names in files."""
    return {
        prefix + name: value
        for prefix, learner in learners.items()
        for name, value in of(learner).items()
    }
