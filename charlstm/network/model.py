"""Builds the Keras model: embedding, stacked LSTM layers, attention if any, output projection.

The model maps ids and states to logits and states, and is stateless between calls. States are
reset at each end-of-document token, so a document gets the same logits in the middle of a batch as
on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.config import ModelConfig
from charlstm.network.attention import (
    Attention,
    Window,
    stock_attention,
    stock_attention_weights,
)
from charlstm.network.backend import keras, tf
from charlstm.network.lstm import (
    gpu_visible,
    lstm_layer,
    matmul,
    recurrent_kernel,
    stock_settings,
)
from charlstm.network.states import States, zero_states
from charlstm.system.hardware import ProductType
from charlstm.tokenizer.base import END_OF_DOCUMENT


class Dropout(NamedTuple):
    """The dropout of a training step.

    Attributes:
        rate: float32 scalar, the probability that a number is set to zero.
        seed: int64 [2], which determines the mask.
        tokens: float32 scalar, the probability that the embedding of a token id is set to zero;
            ``None`` for 0.
        recurrent: dropout of the recurrent weights (DropConnect, Merity et al. 2018). Its seed is
            the same in each ``part``, so that the shards of a step share masks. ``None`` for none.
    """

    rate: tf.Tensor
    seed: tf.Tensor
    tokens: tf.Tensor | None = None
    recurrent: Dropout | None = None

    def part(self, number: int) -> Dropout:
        """Return the same rate with a seed derived from ``number``."""
        seed = tf.random.experimental.stateless_fold_in(self.seed, number)
        return self._replace(seed=seed)


class LSTMLanguageModel(keras.Model):
    """The network in training.

    Args:
        config: the sizes.
        seed: seed of the initial weights.
        matmul_dtype: dtype of the matrix multiplications in training, float32 or bfloat16.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        seed: int = 1,
        matmul_dtype: ProductType = "float32",
    ) -> None:
        super().__init__()
        self.config = config
        self.embedding = keras.layers.Embedding(
            config.vocab_size,
            config.embedding,
            embeddings_initializer=keras.initializers.RandomNormal(
                stddev=config.units**-0.5 if config.tied else 1.0, seed=seed
            ),
            name="embedding",
        )
        self.stack = [
            lstm_layer(
                config.units,
                seed=seed + 2 * layer + 1,
                matmul_dtype=matmul_dtype,
                name=f"lstm_{layer}",
            )
            for layer in range(config.layers)
        ]
        self.attention = None
        if config.attention:
            self.attention = Attention(
                *(config.units, config.key_width, config.attention),
                shifted_keys=config.shifted_keys,
                seed=seed + 2000,
            )
        self.output_layer = OutputProjection(config, seed=seed + 1000)
        # Projecting a small table is cheaper than projecting the rows looked up in it.
        self.projects_table = config.vocab_size <= config.embedding and not gpu_visible()
        self._build_layers()

    def _build_layers(self) -> None:
        self.embedding.build((None, None))
        for layer, lstm in enumerate(self.stack):
            lstm.build((None, None, self.config.input_width(layer)))
        if self.attention is not None:
            self.attention.build()
        self.output_layer.build()
        self.built = True

    def zero_states(self, rows: int) -> States:
        """Return the states before the first token of a text."""
        return zero_states(self.config, rows)

    def call(
        self, ids: tf.Tensor, states: States, dropout: Dropout | None = None
    ) -> tuple[tf.Tensor, States]:
        """Return the logits of the next token after each token.

        Args:
            ids: int32 [batch, time].
            states: the states before the first token.
            dropout: dropout of each layer's output in training, where matmuls may be bfloat16.
                With ``None``, nothing is dropped and everything is float32.

        Returns:
            Logits, float32 [batch, time, vocab_size], and the states after the last token.
        """
        features, after = self.features(tf.transpose(ids), states, dropout)
        time, batch, units = tf.unstack(tf.shape(features))
        logits = self.project(tf.reshape(features, [-1, units]))
        logits = tf.reshape(logits, [time, batch, self.config.vocab_size])
        return tf.transpose(logits, [1, 0, 2]), after

    def features(
        self, ids: tf.Tensor, states: States, dropout: Dropout | None = None
    ) -> tuple[tf.Tensor, States]:
        """Return the output of the last layer; like ``call``, but time-major and without logits.

        Args:
            ids: int32 [time, batch].
            states: as for ``call``.
            dropout: as for ``call``.

        Returns:
            Features [time, batch, units] in the dtype of the matmuls, and the states after the last
            token.
        """
        x, after = self.outputs(ids, states, dropout)
        return x if dropout is None else dropped(x, dropout.part(self.config.layers - 1)), after

    def outputs(
        self, ids: tf.Tensor, states: States, dropout: Dropout | None = None
    ) -> tuple[tf.Tensor, States]:
        """Return the output of the last layer, or of the attention, before dropout.

        Otherwise like ``features``.
        """
        x, named = tf.convert_to_tensor(self.embedding.embeddings), {"ids": ids}
        if dropout is not None and dropout.tokens is not None:
            x *= token_mask(self.config.vocab_size, dropout.part(self.config.layers))
        if not self.projects_table:
            x, named = tf.gather(x, ids), {}
        keep = tf.cast(tf.not_equal(ids, END_OF_DOCUMENT), tf.float32)[:, :, None]
        after = {}
        for layer, lstm in enumerate(self.stack):
            hidden, cell = f"h_{layer}", f"c_{layer}"
            options = {"keep": keep, "training": dropout is not None} | named
            if dropout is not None and layer:
                x = dropped(x, dropout.part(layer - 1))
            if dropout is not None and dropout.recurrent is not None:
                own = recurrent_kernel(lstm)
                options["recurrent"] = dropped(own, dropout.recurrent.part(layer))
            before = [states[hidden], states[cell]]
            x, after[hidden], after[cell] = lstm(x, initial_state=before, **options)
            named = {}
        if self.attention is not None:
            window = Window(states["outputs"], states["filled"])
            x, window = self.attention(x, keep, window)
            after |= window._asdict()
        return x, after

    def project(self, features: tf.Tensor) -> tf.Tensor:
        """Return the logits, float32 [n, vocab_size], of features [n, units]."""
        tied = self.config.tied
        matrix = self.embedding.embeddings if tied else self.output_layer.kernel
        matrix = tf.convert_to_tensor(matrix)
        logits = tf.cast(matmul(features, matrix, features.dtype, transpose_b=tied), tf.float32)
        return logits + tf.convert_to_tensor(self.output_layer.bias)


class OutputProjection(keras.layers.Layer):
    """The weights of the output projection: a bias, and a kernel unless the embedding is tied.

    With a tied embedding, the bias learns token frequencies so that the table doesn't have to.
    """

    def __init__(self, config: ModelConfig, *, seed: int) -> None:
        super().__init__(name="output")
        self.config, self.seed = config, seed

    def build(self) -> None:
        """Create the weights, initialized like those of a stock ``Dense``."""
        if not self.config.tied:
            self.kernel = self.add_weight(
                name="kernel",
                shape=(self.config.units, self.config.vocab_size),
                initializer=keras.initializers.GlorotUniform(seed=self.seed),
            )
        self.bias = self.add_weight(
            name="bias", shape=(self.config.vocab_size,), initializer="zeros"
        )
        self.built = True


def dropped(x: tf.Tensor, dropout: Dropout) -> tf.Tensor:
    """Set random numbers to zero and scale up the others (Srivastava et al. 2014).

    Each number uses one random byte, so the rate is rounded to a multiple of 1/256.
    """
    zeros = tf.minimum(255.0, tf.round(256.0 * dropout.rate))
    count = tf.size(x)
    words = tf.random.stateless_uniform(
        [(count + 7) // 8], dropout.seed, minval=None, maxval=None, dtype=tf.uint64, alg="philox"
    )
    drawn = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:count]
    mask = tf.reshape(drawn >= tf.cast(zeros, tf.uint8), tf.shape(x))
    return x * (tf.cast(mask, x.dtype) * tf.cast(256.0 / (256.0 - zeros), x.dtype))


def token_mask(vocab_size: int, dropout: Dropout) -> tf.Tensor:
    """Return factors [vocab_size, 1]: 0 for dropped ids and 1 / (1 - rate) for the others.

    An id is dropped at all its positions in a step (Gal and Ghahramani 2016).
    """
    drawn = tf.random.stateless_uniform([vocab_size, 1], dropout.seed, alg="philox")
    return tf.cast(drawn >= dropout.tokens, tf.float32) / tf.subtract(1.0, dropout.tokens)


def weights_of(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Return the weights by name, ``layer/weight``, as copies."""
    return {weight_name(v): v.numpy().copy() for v in model.trainable_variables}


def weight_name(variable: keras.Variable) -> str:
    """Return ``layer/weight``, without the ``lstm_cell`` that stock Keras inserts."""
    first, *_, last = (
        variable.path.split("/")[-3:]
        if "lstm_cell" in variable.path
        else (variable.path.split("/")[-2:])
    )
    return f"{first}/{last}"


def set_weights(model: keras.Model, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Assign weights by name (see ``weights_of``)."""
    for variable in model.trainable_variables:
        variable.assign(weights[weight_name(variable)])


def plain_keras_model(
    config: ModelConfig, weights: Mapping[str, NDArray[np.float32]]
) -> keras.Model:
    """Return a trained network as a functional model of stock Keras layers.

    A tied table is stored twice, because no stock layer shares a table and has a bias. The model
    doesn't reset its states: start each document with zero states. The window of the attention is
    not among them. It is empty at the start of each call, so a call must contain a whole document.

    Args:
        config: the sizes.
        weights: weights by name, as returned by ``weights_of``.
    """
    layers = keras.layers
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    states = [
        [keras.Input((config.units,), name=f"{kind}_{layer}") for kind in "hc"]
        for layer in range(config.layers)
    ]
    x = layers.Embedding(config.vocab_size, config.embedding, name="embedding")(tokens)
    after = []
    for layer, state in enumerate(states):
        lstm = layers.LSTM(**stock_settings(config.units, seed=0, name=f"lstm_{layer}"))
        x, h, c = lstm(x, initial_state=state)
        after += [h, c]
    stock = {"output/kernel": weights["embedding/embeddings"].T} | dict(weights)
    if config.attention:
        x = stock_attention(config, tokens, x)
        stock |= stock_attention_weights(config, weights)
    logits = layers.Dense(config.vocab_size, name="output")(x)
    flat_states = [state for pair in states for state in pair]
    model = keras.Model([tokens, *flat_states], [logits, *after], name="charlstm")
    set_weights(model, stock)
    return model
