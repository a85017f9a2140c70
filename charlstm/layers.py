"""The LSTM layer: stock Keras weights, explicit states, and a CPU path of its own.

The cell is the plain one (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000), so the
same weights run in ``keras.layers.LSTM``, in cuDNN and in ONNX. On a CPU ``FastLSTM`` takes the
input projection of all steps as one matrix product, keeps only the recurrent product and the
element-wise cell in the loop, and has a gradient of its own, in which the weights' gradients are
single large products after the loop. Matrix products may run in bfloat16; states, accumulations
and weights stay in float32. States can be restarted within a sequence, so that a document that
begins there is read as if it stood alone. This module knows nothing of vocabularies, losses or
training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from charlstm.backend import keras, tf
from charlstm.processor import ProductType

States = tuple[tf.Tensor, tf.Tensor]
Three = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def gpu_visible() -> bool:
    """Whether TensorFlow sees a GPU, where stock Keras layers run in cuDNN."""
    return bool(tf.config.list_physical_devices("GPU"))


def product(
    a: tf.Tensor, b: tf.Tensor, dtype: ProductType, *, across: bool = False, onto: bool = False
) -> tf.Tensor:
    """Multiply matrices in ``dtype`` and return float32.

    Args:
        a: [n, k], or [k, n] with ``across``.
        b: [k, m], or [m, k] with ``onto``.
        dtype: the type the factors are rounded to.
        across: multiply by the transpose of ``a``.
        onto: multiply by the transpose of ``b``.
    """
    a, b = tf.cast(a, dtype), tf.cast(b, dtype)
    return tf.cast(tf.matmul(a, b, transpose_a=across, transpose_b=onto), tf.float32)


class FastLSTM(keras.layers.Layer):
    """An LSTM over whole sequences with the weights of ``keras.layers.LSTM``.

    Weights: ``kernel`` [features, 4 units], ``recurrent_kernel`` [units, 4 units] and ``bias``
    [4 units], gates in the order input, forget, cell, output.

    Args:
        units: width of the states.
        seed: seed of the initial weights.
        dtype_of_products: float32 or bfloat16.
    """

    def __init__(self, units: int, *, seed: int, dtype_of_products: ProductType, name: str) -> None:
        super().__init__(name=name)
        self.units = units
        self.seed = seed
        self.dtype_of_products = dtype_of_products

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights, initialised as stock Keras does (forget bias 1)."""
        initial = keras.initializers
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], 4 * self.units),
            initializer=initial.GlorotUniform(seed=self.seed),
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, 4 * self.units),
            initializer=initial.Orthogonal(seed=self.seed + 1),
        )
        self.bias = self.add_weight(
            name="bias", shape=(4 * self.units,), initializer=self._initial_bias
        )

    def _initial_bias(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        forget = tf.one_hot(1, 4, dtype=dtype)
        return tf.reshape(tf.repeat(forget, self.units), shape)

    def call(
        self, inputs: tf.Tensor, initial_state: States, keep: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, ...]:
        """Run the layer.

        Args:
            inputs: float32 [batch, time, features].
            initial_state: hidden and cell state, float32 [batch, units] each.
            keep: float32 [batch, time], multiplies the states before each step: 0 restarts.
            training: whether products may be bfloat16; otherwise they are float32.

        Returns:
            Outputs [batch, time, units], last hidden state and last cell state [batch, units].
        """
        outputs, hidden, cell = _lstm(
            tf.transpose(inputs, [1, 0, 2]),
            *initial_state,
            tf.transpose(keep)[:, :, None],
            tf.convert_to_tensor(self.kernel),
            tf.convert_to_tensor(self.recurrent_kernel),
            tf.convert_to_tensor(self.bias),
            self.dtype_of_products if training else "float32",
        )
        return tf.transpose(outputs, [1, 0, 2]), hidden, cell


def lstm_layer(
    units: int, *, seed: int, dtype_of_products: ProductType, name: str
) -> keras.layers.Layer:
    """Return the layer for this machine: cuDNN on a GPU, ``FastLSTM`` on a CPU.

    Both have the same weights and are called as ``layer(inputs, initial_state=[h, c], keep=k)``,
    giving outputs, last h and last c.
    """
    if gpu_visible():
        return CudnnLSTM(**stock_settings(units, seed=seed, name=name))
    return FastLSTM(units, seed=seed, dtype_of_products=dtype_of_products, name=name)


class CudnnLSTM(keras.layers.LSTM):
    """Stock Keras, which runs in cuDNN on a GPU. It can't restart states within a sequence."""

    def call(
        self,
        sequences: tf.Tensor,
        initial_state: States,
        keep: tf.Tensor,  # noqa: ARG002 (cuDNN carries states through)
        training: bool = False,
    ) -> tuple[tf.Tensor, ...]:
        """Run the layer; as ``FastLSTM.call``, but ``keep`` has no effect."""
        return tuple(super().call(sequences, initial_state=initial_state, training=training))


def stock_settings(units: int, *, seed: int, name: str) -> dict[str, Any]:
    """Return arguments of ``keras.layers.LSTM`` that give it our initial values and results."""
    return {
        "units": units,
        "return_sequences": True,
        "return_state": True,
        "kernel_initializer": keras.initializers.GlorotUniform(seed=seed),
        "recurrent_initializer": keras.initializers.Orthogonal(seed=seed + 1),
        "name": name,
    }


def _lstm(
    inputs: tf.Tensor,
    hidden: tf.Tensor,
    cell: tf.Tensor,
    keep: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    dtype: ProductType,
) -> Three:
    """Run time-major ``inputs`` [time, batch, features] through the cell, with its own gradient.

    ``keep`` is [time, batch, 1].
    """

    @tf.custom_gradient
    def run(
        inputs: tf.Tensor,
        hidden: tf.Tensor,
        cell: tf.Tensor,
        kernel: tf.Tensor,
        recurrent_kernel: tf.Tensor,
        bias: tf.Tensor,
    ) -> tuple[Three, Callable[..., tuple[tf.Tensor, ...]]]:
        time, batch, features = tf.unstack(tf.shape(inputs))
        units = recurrent_kernel.shape[0]
        flat = tf.reshape(inputs, [-1, features])
        projected = tf.reshape(product(flat, kernel, dtype) + bias, [time, batch, 4 * units])
        outputs, gates, cells, last = _forward(
            projected, hidden, cell, keep, recurrent_kernel, dtype
        )

        def gradient(
            d_outputs: tf.Tensor, d_hidden: tf.Tensor, d_cell: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            cells_before = tf.concat([cell[None], cells[:-1]], 0) * keep
            d_projected, d_hidden, d_cell = _backward(
                (d_outputs, d_hidden, d_cell),
                (gates, cells, cells_before, keep),
                recurrent_kernel,
                dtype,
            )
            hidden_before = tf.concat([hidden[None], outputs[:-1]], 0) * keep
            hidden_before = tf.reshape(hidden_before, [-1, units])
            d_flat = tf.reshape(d_projected, [-1, 4 * units])
            return (
                tf.reshape(product(d_flat, kernel, dtype, onto=True), tf.shape(inputs)),
                d_hidden,
                d_cell,
                product(flat, d_flat, dtype, across=True),
                product(hidden_before, d_flat, dtype, across=True),
                tf.reduce_sum(d_flat, 0),
            )

        return (outputs, *last), gradient

    outputs, hidden, cell = run(inputs, hidden, cell, kernel, recurrent_kernel, bias)
    return outputs, hidden, cell


def _forward(
    projected: tf.Tensor,
    hidden: tf.Tensor,
    cell: tf.Tensor,
    keep: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    dtype: ProductType,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, States]:
    """Loop over time; return outputs, activated gates, cells (time-major) and the last states."""
    time, units = tf.shape(projected)[0], recurrent_kernel.shape[0]
    rounded = tf.cast(recurrent_kernel, dtype)

    def step(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *kept: tf.TensorArray) -> tuple[Any, ...]:
        h, c = h * keep[t], c * keep[t]
        i, f, g, o = tf.split(projected[t] + product(h, rounded, dtype), 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        h = o * tf.tanh(c)
        values = (h, tf.concat([i, f, g, o], 1), c)
        return t + 1, h, c, *(k.write(t, v) for k, v in zip(kept, values, strict=True))

    rows = projected.shape[1]
    kept = [
        tf.TensorArray(tf.float32, time, element_shape=[rows, width])
        for width in (units, 4 * units, units)
    ]
    _, h, c, *kept = tf.while_loop(
        lambda t, *_: t < time, step, (0, hidden, cell, *kept), parallel_iterations=1
    )
    outputs, gates, cells = (k.stack() for k in kept)
    return outputs, gates, cells, (h, c)


def _backward(
    gradients: Three,
    kept: tuple[tf.Tensor, ...],
    recurrent_kernel: tf.Tensor,
    dtype: ProductType,
) -> Three:
    """Loop back over time.

    Args:
        gradients: of the outputs [time, batch, units] and of the last states [batch, units].
        kept: from the way forward, time-major: gates, cells after and before each step, ``keep``.
        recurrent_kernel: [units, 4 units].
        dtype: of the products.

    Returns:
        The gradients of the projected inputs [time, batch, 4 units] and of the first states.
    """
    d_outputs, d_hidden, d_cell = gradients
    gates, cells, cells_before, keep = kept
    time = tf.shape(gates)[0]
    rounded = tf.transpose(tf.cast(recurrent_kernel, dtype))

    def step(
        t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, written: tf.TensorArray
    ) -> tuple[Any, ...]:
        i, f, g, o = tf.split(gates[t], 4, axis=1)
        squashed = tf.tanh(cells[t])
        dh = dh + d_outputs[t]
        dc = dc + dh * o * (1.0 - squashed * squashed)
        before_activation = (
            dc * g * i * (1.0 - i),
            dc * cells_before[t] * f * (1.0 - f),
            dc * i * (1.0 - g * g),
            dh * squashed * o * (1.0 - o),
        )
        dz = tf.concat(before_activation, 1)
        dh = product(dz, rounded, dtype) * keep[t]
        return t - 1, dh, dc * f * keep[t], written.write(t, dz)

    written = tf.TensorArray(tf.float32, time, element_shape=gates.shape[1:])
    _, dh, dc, written = tf.while_loop(
        lambda t, *_: t >= 0, step, (time - 1, d_hidden, d_cell, written), parallel_iterations=1
    )
    return written.stack(), dh, dc
