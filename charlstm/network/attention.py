"""Attention over the last outputs of the top LSTM layer, within the current document.

With outputs h, a query matrix Q, a key matrix K, an output matrix O and the last N positions j of
the document, up to and including t (scaled dot product: Vaswani et al. 2017, equation 1):

    a[t] = softmax((h[t] Q) (h[j - 1] K)^T / sqrt(key width))
    y[t] = h[t] + (sum over j of a[t, j] h[j]) O

The key of an output is computed from the output before it, and is zero for the first output of a
document. So a query finds what came next in contexts like the present one, as in the cache of Grave
et al. 2017 (https://arxiv.org/abs/1612.04426). Networks of format 10 use the key of the output
itself, ``h[j] K``, with which half of the trainings did not learn to copy (benchmarks/recipe.md).

The values are the outputs themselves. O starts at zero, so training starts from the plain network.
The window reaches back beyond the start of a batch: the last outputs are carried from batch to
batch. No gradient flows through them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.config import ModelConfig
from charlstm.network.backend import keras, tf
from charlstm.network.lstm import matmul

# Positions that attend at once. The scores of a block take BLOCK x (BLOCK + N) numbers per row.
BLOCK = 64
# Added to the score of a position outside the window, so that its weight is exactly 0.
_OUTSIDE = -1e9


class Window(NamedTuple):
    """The last outputs of each row.

    Attributes:
        outputs: float32 [batch, N, units], the latest last.
        filled: float32 [batch, 1], the number of outputs of the current document, at most N. Those
            before them are not used.
    """

    outputs: tf.Tensor
    filled: tf.Tensor


class Attention(keras.layers.Layer):
    """One head of causal attention over a window of outputs, added to the outputs.

    Weights: ``query`` and ``key`` [units, key width], and ``output`` [units, units].

    Args:
        units: width of the outputs.
        key_width: width of queries and keys.
        reach: number of outputs N in the window.
        shifted_keys: whether the key of an output is computed from the output before it.
        seed: seed of the initial weights.
    """

    def __init__(
        self, units: int, key_width: int, reach: int, *, shifted_keys: bool = True, seed: int
    ) -> None:
        super().__init__(name="attention", autocast=False)  # outputs may be bfloat16
        self.units, self.key_width, self.reach, self.seed = units, key_width, reach, seed
        self.shifted_keys = shifted_keys

    def build(self) -> None:
        """Create the weights."""
        for number, name in enumerate(("query", "key")):
            initializer = keras.initializers.GlorotUniform(seed=self.seed + number)
            shape = (self.units, self.key_width)
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=initializer))
        self.output_kernel = self.add_weight(
            name="output", shape=(self.units, self.units), initializer="zeros"
        )
        self.built = True

    def call(self, outputs: tf.Tensor, keep: tf.Tensor, window: Window) -> tuple[tf.Tensor, Window]:
        """Attend from each output.

        Args:
            outputs: [time, batch, units] of the top LSTM layer, float32 or bfloat16.
            keep: float32 [time, batch, 1], 0 where a document starts, else 1.
            window: the outputs before them.

        Returns:
            The outputs with the attention's results added, [time, batch, units] in their dtype,
            and the window after them.
        """
        rows = tf.transpose(outputs, [1, 0, 2])
        reachable = tf.concat([tf.cast(window.outputs, rows.dtype), rows], 1)
        documents = self._documents(keep, window.filled)
        keys = self._projected(reachable, self.key)
        if self.shifted_keys:
            continued = tf.equal(documents[:, 1:], documents[:, :-1])[:, :, None]
            shifted = tf.where(continued, keys[:, :-1], 0.0)
            keys = tf.concat([tf.zeros_like(keys[:, :1]), shifted], 1)
        queries = self._projected(rows, self.query) / math.sqrt(self.key_width)
        time = range(keep.shape[0])
        blocks = [time[start : start + BLOCK] for start in time[::BLOCK]]
        contexts = [self._attend(queries, keys, reachable, documents, block) for block in blocks]
        context = tf.transpose(tf.concat(contexts, 1), [1, 0, 2])
        kernel = tf.convert_to_tensor(self.output_kernel)
        added = matmul(tf.reshape(context, [-1, self.units]), kernel, outputs.dtype)
        latest = tf.stop_gradient(tf.cast(reachable[:, -self.reach :], tf.float32))
        current = tf.equal(documents[:, -self.reach :], documents[:, -1:])
        filled = tf.reduce_sum(tf.cast(current, tf.float32), 1, keepdims=True)
        return outputs + tf.reshape(added, tf.shape(outputs)), Window(latest, filled)

    def _documents(self, keep: tf.Tensor, filled: tf.Tensor) -> tf.Tensor:
        """Return the number of the document of each position, float32 [batch, N + time].

        The document that is continued from the window has number 0. Empty positions have -1.
        """
        is_empty = tf.range(self.reach, dtype=tf.float32) < self.reach - filled
        starts = 1.0 - tf.transpose(keep[:, :, 0])
        return tf.concat([-tf.cast(is_empty, tf.float32), tf.cumsum(starts, 1)], 1)

    def _projected(self, rows: tf.Tensor, kernel: keras.Variable) -> tf.Tensor:
        """Return rows [batch, time, units] times a kernel, float32 [batch, time, key width]."""
        flat = matmul(tf.reshape(rows, [-1, self.units]), tf.convert_to_tensor(kernel), rows.dtype)
        shape = tf.concat([tf.shape(rows)[:2], [self.key_width]], 0)
        return tf.reshape(tf.cast(flat, tf.float32), shape)

    def _attend(
        self,
        queries: tf.Tensor,
        keys: tf.Tensor,
        values: tf.Tensor,
        documents: tf.Tensor,
        block: range,
    ) -> tf.Tensor:
        """Return the weighted mean of the values for each position of a block.

        Args:
            queries: [batch, time, key width].
            keys: [batch, N + time, key width].
            values: [batch, N + time, units].
            documents: the number of the document of each value, [batch, N + time].
            block: the positions of the queries.
        """
        count = len(block)
        near = slice(block.start, block.stop + self.reach)
        own = queries[:, block.start : block.stop]
        scores = tf.matmul(own, keys[:, near], transpose_b=True)
        # How far each value is behind each query.
        distance = self.reach + tf.range(count)[:, None] - tf.range(self.reach + count)[None, :]
        is_recent = tf.logical_and(distance >= 0, distance < self.reach)
        numbers = documents[:, near]
        is_same = tf.equal(numbers[:, self.reach :, None], numbers[:, None, :])
        scores = tf.where(tf.logical_and(is_recent, is_same), scores, _OUTSIDE)
        weights = tf.cast(tf.nn.softmax(scores), values.dtype)
        return tf.matmul(weights, values[:, near])


def stock_attention(
    config: ModelConfig, tokens: keras.KerasTensor, outputs: keras.KerasTensor
) -> keras.KerasTensor:
    """Add the attention to a functional model, as a stock layer over all outputs with a mask.

    The window is empty at the first token of a call.

    Args:
        config: the sizes.
        tokens: ids [batch, time].
        outputs: [batch, time, units] of the top LSTM layer.

    Returns:
        The outputs with what they attend to, [batch, time, units].
    """
    place = keras.ops.cumsum(keras.ops.ones_like(tokens), axis=1)
    # How far each output, on the last axis, is behind each query.
    distance = keras.ops.expand_dims(place, 2) - keras.ops.expand_dims(place, 1)
    is_near = keras.ops.logical_and(distance >= 0, distance < config.attention)
    keyed = outputs
    if config.shifted_keys:
        later = keras.layers.ZeroPadding1D((1, 0))(outputs)
        keyed = keras.layers.Cropping1D((0, 1))(later)
    attend = keras.layers.MultiHeadAttention(
        num_heads=1,
        key_dim=config.key_width,
        value_dim=config.units,
        output_shape=config.units,
        use_bias=False,
        name="attention",
    )
    added = attend(outputs, outputs, keyed, attention_mask=is_near)
    return keras.layers.Add(name="attended")([outputs, added])


def stock_attention_weights(
    config: ModelConfig, weights: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Return the weights of ``stock_attention``, with an axis for its only head.

    Their names are the last two parts of their paths. The values are the outputs themselves, so the
    stock layer multiplies them by the identity.
    """
    return {
        "query/kernel": weights["attention/query"][:, np.newaxis],
        "key/kernel": weights["attention/key"][:, np.newaxis],
        "value/kernel": np.eye(config.units, dtype=np.float32)[:, np.newaxis],
        "attention_output/kernel": weights["attention/output"][np.newaxis],
    }
