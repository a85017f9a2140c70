"""From a configuration to a Keras model: embedding, stacked LSTM layers, output projection.

The model maps tokens and states to logits and states; nothing is kept between calls. At every
end-of-document symbol the states restart, so that a document is read in training as it is when it
stands alone. This module does not know text, data or how the model is trained.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from charlstm.backend import keras, tf
from charlstm.config import ModelConfig
from charlstm.layers import States, lstm_layer, product, stock_settings
from charlstm.processor import ProductType
from charlstm.tokenizer import END_OF_DOCUMENT


class LSTMLanguageModel(keras.Model):
    """The network that is trained.

    Args:
        config: the sizes.
        seed: seed of the initial weights.
        dropout: rate on each layer's output while training.
        dtype_of_products: float32 or bfloat16.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        seed: int = 1,
        dropout: float = 0.0,
        dtype_of_products: ProductType = "float32",
    ) -> None:
        super().__init__()
        self.config = config
        self.dtype_of_products = dtype_of_products
        self.dropout = dropout
        self.dropout_seed = keras.random.SeedGenerator(seed)
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
                dtype_of_products=dtype_of_products,
                name=f"lstm_{layer}",
            )
            for layer in range(config.layers)
        ]
        self.output_layer = None if config.tied else _output_layer(config, seed)
        self._build_layers()

    def _build_layers(self) -> None:
        self.embedding.build((None, None))
        for layer, lstm in enumerate(self.stack):
            lstm.build((None, None, self.config.input_width(layer)))
        if self.output_layer is not None:
            self.output_layer.build((None, self.config.units))
        self.built = True

    def zero_states(self, rows: int) -> list[States]:
        """Return the states every text starts from: (h, c) of each layer, zeros [rows, units]."""
        zeros = tf.zeros([rows, self.config.units])
        return [(zeros, zeros)] * self.config.layers

    def call(
        self, tokens: tf.Tensor, states: list[States], training: bool = False
    ) -> tuple[tf.Tensor, list[States]]:
        """Predict what follows each token.

        Args:
            tokens: int32 [batch, time].
            states: (h, c) of each layer, float32 [batch, units].
            training: whether dropout is on and products may be bfloat16.

        Returns:
            Logits float32 [batch, time, vocab_size] and the states after the last token.
        """
        features, after = self.features(tokens, states, training)
        batch, time = tf.unstack(tf.shape(tokens))
        logits = self.project(tf.reshape(features, [-1, self.config.units]), training)
        return tf.reshape(logits, [batch, time, self.config.vocab_size]), after

    def features(
        self, tokens: tf.Tensor, states: list[States], training: bool = False
    ) -> tuple[tf.Tensor, list[States]]:
        """Return the last layer's output [batch, time, units] and the states after."""
        x = self.embedding(tokens)
        keep = tf.cast(tf.not_equal(tokens, END_OF_DOCUMENT), tf.float32)
        after = []
        for lstm, state in zip(self.stack, states, strict=True):
            x, h, c = lstm(x, initial_state=list(state), keep=keep, training=training)
            after.append((h, c))
            x = self._drop(x, training)
        return x, after

    def _drop(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        if not training or self.dropout == 0.0:
            return x
        return keras.random.dropout(x, self.dropout, seed=self.dropout_seed)

    def project(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the logits [n, vocab_size] of features [n, units]."""
        dtype = self.dtype_of_products if training else "float32"
        if self.output_layer is None:
            table = tf.convert_to_tensor(self.embedding.embeddings)
            return product(features, table, dtype, onto=True)
        kernel = tf.convert_to_tensor(self.output_layer.kernel)
        return product(features, kernel, dtype) + tf.convert_to_tensor(self.output_layer.bias)


def _output_layer(config: ModelConfig, seed: int) -> keras.layers.Dense:
    initial = keras.initializers.GlorotUniform(seed=seed + 1000)
    return keras.layers.Dense(config.vocab_size, kernel_initializer=initial, name="output")


def weights_of(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Return the weights by name, ``layer/weight``, as copies."""
    return {weight_name(v): v.numpy().copy() for v in model.trainable_variables}


def weight_name(variable: keras.Variable) -> str:
    """Return ``layer/weight``, without what stock Keras puts between (``lstm_cell``)."""
    first, *_, last = (
        variable.path.split("/")[-3:]
        if "lstm_cell" in variable.path
        else (variable.path.split("/")[-2:])
    )
    return f"{first}/{last}"


def set_weights(model: keras.Model, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Give the model the weights of the same names."""
    for variable in model.trainable_variables:
        variable.assign(weights[weight_name(variable)])


def plain_keras_model(config: ModelConfig) -> keras.Model:
    """Return the network as a functional model of stock Keras layers.

    It restarts nothing by itself: give each document zero states.
    """
    layers = keras.layers
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    states = [
        [keras.Input((config.units,), name=f"{kind}_{layer}") for kind in "hc"]
        for layer in range(config.layers)
    ]
    table = layers.Embedding if not config.tied else layers.ReversibleEmbedding
    embedding = table(config.vocab_size, config.embedding, name="embedding")
    x = embedding(tokens)
    after = []
    for layer, state in enumerate(states):
        lstm = layers.LSTM(**stock_settings(config.units, seed=0, name=f"lstm_{layer}"))
        x, h, c = lstm(x, initial_state=state)
        after += [h, c]
    logits = embedding(x, reverse=True) if config.tied else _output_layer(config, 0)(x)
    flat_states = [state for pair in states for state in pair]
    return keras.Model([tokens, *flat_states], [logits, *after], name="charlstm")
