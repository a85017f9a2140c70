"""The network of dynamic evaluation, which continues to learn from the text that it is scored on.

The text is read in segments. Each segment is scored first. Then the network takes one step of
gradient descent on it, with a decay towards the trained weights (Krause et al. 2018). No token is
scored by weights that have seen it. Krause et al. scale the steps by gradient statistics of the
training text, which may not be available. Scaling by statistics of generated text gained less than
plain steps.

This is the only module after training that needs gradients, and so TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import AnyIds, Weights
from charlstm.config import Level, ModelConfig
from charlstm.network.backend import tf
from charlstm.network.model import Dropout, LSTMLanguageModel, set_weights
from charlstm.network.states import States
from charlstm.tokenizer.base import END_OF_DOCUMENT


@dataclass(frozen=True)
class DynamicSettings:
    """How a model learns from the text.

    Attributes:
        rate: the learning rate, which multiplies the gradient of a segment's mean loss.
        decay: how far each step moves back to the trained weights, from 0 to 1.
        segment: the number of tokens scored before each step.
    """

    rate: float
    decay: float
    segment: int

    def with_given(self, rate: float | None, decay: float | None) -> DynamicSettings:
        """Return the settings with a rate and a decay, where they are given."""
        return DynamicSettings(
            self.rate if rate is None else rate,
            self.decay if decay is None else decay,
            self.segment,
        )


# Tuned on texts like the training texts, but not on the texts that results are reported for.
DEFAULTS: Mapping[Level, DynamicSettings] = {
    "char": DynamicSettings(rate=0.25, decay=0.002, segment=50),
    "subword": DynamicSettings(rate=0.25, decay=0.002, segment=25),
    "word": DynamicSettings(rate=1.0, decay=0.002, segment=20),
}
# The maximum norm of a gradient, as in training. One unusual segment can't ruin the weights.
CLIP_NORM = 1.0


class SegmentScore(NamedTuple):
    """The number of tokens of a segment, and their log-probability in nats."""

    tokens: int
    log_probability: float


class DynamicEvaluator:
    """A network that learns from the text that it has scored.

    Args:
        config: the sizes of the network.
        weights: the trained weights, from which it starts and to which it decays.
        settings: how it learns.
    """

    def __init__(self, config: ModelConfig, weights: Weights, settings: DynamicSettings) -> None:
        self._settings = settings
        self._model = LSTMLanguageModel(config)
        set_weights(self._model, weights)
        self._trained = [tf.identity(v.value) for v in self._model.trainable_variables]
        self._learn = tf.function(self._learning_step, autograph=False)
        self._states = self._model.zero_states(1)

    def score(self, documents: Iterable[Iterable[AnyIds]], *, ends: bool) -> Iterator[SegmentScore]:
        """Score documents as one stream of segments, and learn from each segment after scoring it.

        The state is carried across segments and restarts at every document. The weights are not
        reset.

        Args:
            documents: the token ids of each document, in pieces.
            ends: whether to score the end of each document.

        Yields:
            The score of each segment.
        """
        for inputs, targets in _segments(documents, self._settings.segment, ends=ends):
            missing = self._settings.segment - len(inputs)
            counted = np.ones(len(inputs), np.float32)
            nats, self._states = self._learn(
                np.pad(inputs, (0, missing)),
                np.pad(targets, (0, missing)),
                np.pad(counted, (0, missing)),
                self._states,
            )
            yield SegmentScore(len(inputs), -float(nats))

    def _learning_step(
        self, inputs: tf.Tensor, targets: tf.Tensor, counted: tf.Tensor, states: States
    ) -> tuple[tf.Tensor, States]:
        """Score a segment [T] and take one step on it. Return its nats and the states after it."""
        # The rates are 0, but only the training mode of the network has a gradient.
        no_dropout = Dropout(tf.constant(0.0), tf.constant([0, 0], tf.int64))
        with tf.GradientTape() as tape:
            features, after = self._model.features(inputs[:, None], states, no_dropout)
            logits = self._model.project(features[:, 0])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_sum(losses * counted) / tf.reduce_sum(counted)
        nats = tf.reduce_sum(tf.cast(losses * counted, tf.float64))
        weights = [variable.value for variable in self._model.trainable_variables]
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)]
        clipped, _ = tf.clip_by_global_norm(gradients, CLIP_NORM)
        rate, decay = self._settings.rate, self._settings.decay
        for weight, gradient, trained in zip(weights, clipped, self._trained, strict=True):
            weight.assign(weight - rate * gradient + decay * (trained - weight))
        return nats, after


def _segments(
    documents: Iterable[Iterable[AnyIds]], length: int, *, ends: bool
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Yield inputs and targets, ``length`` ids at a time. The last segment may be shorter."""
    inputs: list[int] = []
    targets: list[int] = []
    for document in documents:
        last = END_OF_DOCUMENT
        for ids in _with_end(document, ends=ends):
            if len(ids):
                targets += ids.tolist()
                inputs += [last, *ids[:-1].tolist()]
                last = int(ids[-1])
            whole = len(targets) // length * length
            for start in range(0, whole, length):
                part = slice(start, start + length)
                yield np.array(inputs[part], np.int32), np.array(targets[part], np.int32)
            del inputs[:whole], targets[:whole]
    if targets:
        yield np.array(inputs, np.int32), np.array(targets, np.int32)


def _with_end(document: Iterable[AnyIds], *, ends: bool) -> Iterator[AnyIds]:
    yield from document
    if ends:
        yield np.array([END_OF_DOCUMENT])
