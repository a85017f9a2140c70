"""Dynamic evaluation: a trained model goes on learning from the text that it is scored on.

The text is read in segments. Each is scored first, and then one step of gradient descent is taken
on it, with a decay towards the trained weights (Krause et al. 2018), so no symbol is scored by
weights that have seen it. Theirs are scaled by gradient statistics of the training text, which need
not be at hand any more; scaled by those of text that the model writes, steps gained less here than
plain ones.

This is the one use after training that needs gradients, and so TensorFlow. This module knows the
network; it does not know text or files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import AnyIds, Floats
from charlstm.config import Level, ModelConfig
from charlstm.network.backend import tf
from charlstm.network.model import Dropout, LSTMLanguageModel, set_weights
from charlstm.tokenizer.base import END_OF_DOCUMENT


@dataclass(frozen=True)
class DynamicSettings:
    """How a model adapts.

    Attributes:
        rate: of one step, times the gradient of the mean loss of a segment.
        decay: the share of the way back to the trained weights that each step takes.
        segment: tokens that are scored before each step.
    """

    rate: float
    decay: float
    segment: int


# Tuned on texts of the kind the models were trained on, on other parts than are reported.
DEFAULTS: Mapping[Level, DynamicSettings] = {
    "char": DynamicSettings(rate=0.25, decay=0.002, segment=50),
    "word": DynamicSettings(rate=1.0, decay=0.002, segment=20),
}
CLIP_NORM = 1.0  # of a gradient, as in training: a strange segment does not ruin the weights


class SegmentScore(NamedTuple):
    """One segment: how many tokens count, and their log-probability in nats."""

    tokens: int
    log_probability: float


class DynamicEvaluator:
    """A network that learns from what it has scored.

    Args:
        config: the network's sizes.
        weights: what it begins with and decays to.
        adaptation: how it adapts.
    """

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, Floats], adaptation: DynamicSettings
    ) -> None:
        self._adaptation = adaptation
        self._model = LSTMLanguageModel(config)
        set_weights(self._model, weights)
        self._trained = [tf.identity(v.value) for v in self._model.trainable_variables]
        self._learn = tf.function(self._learning_step)
        self._states = self._model.zero_states(1)

    def score(self, documents: Iterable[Iterable[AnyIds]], *, ends: bool) -> Iterator[SegmentScore]:
        """Score documents as one stream of segments, and learn from each after it is scored.

        The states are carried along and restart at every document; the weights go on.

        Args:
            documents: the ids of each, in pieces.
            ends: whether the end of each document is scored.
        """
        for inputs, targets in _segments(documents, self._adaptation.segment, ends=ends):
            missing = self._adaptation.segment - len(inputs)
            counted = np.ones(len(inputs), np.float32)
            nats, self._states = self._learn(
                np.pad(inputs, (0, missing)),
                np.pad(targets, (0, missing)),
                np.pad(counted, (0, missing)),
                self._states,
            )
            yield SegmentScore(len(inputs), -float(nats))

    def _learning_step(
        self, inputs: tf.Tensor, targets: tf.Tensor, counted: tf.Tensor, states: list[Any]
    ) -> tuple[tf.Tensor, list[Any]]:
        """Score a segment [T] and take one step on it; return its nats and the states after."""
        # Nothing is dropped: the way that is taken in training is the one that has a gradient.
        nothing = Dropout(tf.constant(0.0), tf.constant([0, 0], tf.int64))
        with tf.GradientTape() as tape:
            features, after = self._model.features(inputs[:, None], states, nothing)
            logits = self._model.project(features[:, 0])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
            loss = tf.reduce_sum(losses * counted) / tf.reduce_sum(counted)
        nats = tf.reduce_sum(tf.cast(losses * counted, tf.float64))
        weights = [variable.value for variable in self._model.trainable_variables]
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, weights)]
        clipped, _ = tf.clip_by_global_norm(gradients, CLIP_NORM)
        rate, decay = self._adaptation.rate, self._adaptation.decay
        for weight, gradient, trained in zip(weights, clipped, self._trained, strict=True):
            weight.assign(weight - rate * gradient + decay * (trained - weight))
        return nats, after


def _segments(
    documents: Iterable[Iterable[AnyIds]], length: int, *, ends: bool
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Yield what is read and what is to follow it, so many ids at a time; the last may be fewer."""
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
