"""The LSTM layer: weights as in stock Keras, explicit states, and an implementation for CPUs.

With inputs x, keep k (0 where a document starts, else 1), kernel W, recurrent kernel U and bias b:

    i, f, g, o = split(x[t] W + (k[t] h[t-1]) U + b)
    c[t] = sigmoid(f) * k[t] * c[t-1] + sigmoid(i) * tanh(g)
    h[t] = sigmoid(o) * tanh(c[t])

This is the standard cell (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000), so the
same weights run in ``keras.layers.LSTM``, in cuDNN and in ONNX. On a CPU, ``FastLSTM`` computes the
input projection x W of all steps as one matrix multiplication. The loop contains only the recurrent
multiplication and the element-wise cell. The custom gradient computes the gradients of the weights
as single large multiplications after the loop.

In training, matrix multiplications may use bfloat16, and so do projections, hidden states and
outputs. Activated gates, cell states, accumulators and weights stay float32. All arrays are
time-major.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from charlstm.network.backend import keras, tf
from charlstm.system.hardware import ProductType

LayerStates = tuple[tf.Tensor, tf.Tensor]
LoopResults = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


def gpu_visible() -> bool:
    """Return whether TensorFlow sees a GPU, on which stock Keras layers run in cuDNN."""
    return bool(tf.config.list_physical_devices("GPU"))


def matmul(
    a: tf.Tensor,
    b: tf.Tensor,
    dtype: ProductType | tf.DType,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> tf.Tensor:
    """Return the matrix product [n, m] in ``dtype``, accumulated in float32.

    Args:
        a: [n, k], or [k, n] with ``transpose_a``.
        b: [k, m], or [m, k] with ``transpose_b``.
        dtype: dtype to which the factors and the result are rounded.
        transpose_a: whether to transpose ``a``.
        transpose_b: whether to transpose ``b``.
    """
    a, b = tf.cast(a, dtype), tf.cast(b, dtype)
    return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)


class FastLSTM(keras.layers.Layer):
    """An LSTM over whole sequences with the weights of ``keras.layers.LSTM``.

    Weights: ``kernel`` [features, 4 units], ``recurrent_kernel`` [units, 4 units] and ``bias``
    [4 units], with the gates in the order input, forget, cell, output.

    Args:
        units: width of the states.
        seed: seed of the initial weights.
        matmul_dtype: dtype of the matrix multiplications in training, float32 or bfloat16.
    """

    def __init__(self, units: int, *, seed: int, matmul_dtype: ProductType, name: str) -> None:
        super().__init__(name=name, autocast=False)  # inputs may be bfloat16
        self.units = units
        self.seed = seed
        self.matmul_dtype = matmul_dtype

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights, initialized as in stock Keras (forget bias 1)."""
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
        self,
        inputs: tf.Tensor,
        initial_state: LayerStates,
        keep: tf.Tensor,
        ids: tf.Tensor | None = None,
        recurrent: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, ...]:
        """Run the layer.

        Args:
            inputs: [time, batch, features]; with ``ids`` an embedding table [vocab_size,
                features].
            initial_state: hidden and cell state, float32 [batch, units] each.
            keep: float32 [time, batch, 1], 1 or 0; multiplied into the states before each step, so
                that 0 resets them.
            ids: int32 [time, batch], the rows of the table to use as inputs. Projecting a table
                that is smaller than the batch is faster than projecting the looked-up rows.
            recurrent: [units, 4 units], used in place of ``recurrent_kernel``.
            training: whether matmuls may be bfloat16 and gradients can be computed. Otherwise
                matmuls are float32, and the loop stores nothing for a gradient.

        Returns:
            Outputs [time, batch, units] in the dtype of the matmuls, and the last hidden and cell
            state, float32 [batch, units].
        """
        dtype = self.matmul_dtype if training else "float32"
        kernel, bias = map(tf.convert_to_tensor, (self.kernel, self.bias))
        if recurrent is None:
            recurrent = recurrent_kernel(self)
        projected = _project(tf.cast(inputs, dtype), kernel, bias)
        if ids is not None:
            projected = _looked_up(projected, ids)
        return _loop(projected, initial_state, keep, recurrent, training=training)


def lstm_layer(
    units: int, *, seed: int, matmul_dtype: ProductType, name: str
) -> keras.layers.Layer:
    """Return the layer for this machine: ``CudnnLSTM`` on a GPU, ``FastLSTM`` on a CPU.

    Both have the same weights and the interface of ``FastLSTM.call``.
    """
    if gpu_visible():
        return CudnnLSTM(**stock_settings(units, seed=seed, name=name))
    return FastLSTM(units, seed=seed, matmul_dtype=matmul_dtype, name=name)


class CudnnLSTM(keras.layers.LSTM):
    """The LSTM of stock Keras, which uses cuDNN on a GPU, where cuDNN can compute the result.

    cuDNN can't reset states, and stock Keras can't replace the recurrent weights. A batch in which
    a document starts after the first step, or with replaced recurrent weights, therefore runs in
    the loop of ``FastLSTM`` in float32. The results are the same.
    """

    def call(
        self,
        sequences: tf.Tensor,
        initial_state: LayerStates,
        keep: tf.Tensor,
        recurrent: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, ...]:
        """Run the layer, like ``FastLSTM.call`` without ``ids``."""

        def in_cudnn() -> LoopResults:
            outputs, hidden, cell = super(CudnnLSTM, self).call(
                tf.transpose(sequences, [1, 0, 2]),
                initial_state=[state * keep[0] for state in initial_state],
                training=training,
            )
            return tf.transpose(outputs, [1, 0, 2]), hidden, cell

        def in_loop() -> LoopResults:
            kernel, bias = map(tf.convert_to_tensor, (self.cell.kernel, self.cell.bias))
            own = recurrent_kernel(self) if recurrent is None else recurrent
            projected = _project(sequences, kernel, bias)
            return _loop(projected, initial_state, keep, own, training=training)

        if recurrent is not None:
            return in_loop()
        outputs, hidden, cell = tf.cond(tf.reduce_all(keep[1:] > 0), in_cudnn, in_loop)
        return outputs, hidden, cell


def recurrent_kernel(layer: keras.layers.Layer) -> tf.Tensor:
    """Return the recurrent weights [units, 4 units] of a layer of either kind."""
    return tf.convert_to_tensor(getattr(layer, "cell", layer).recurrent_kernel)


def stock_settings(units: int, *, seed: int, name: str) -> dict[str, Any]:
    """Return the arguments that give ``keras.layers.LSTM`` the same initial weights and results."""
    return {
        "units": units,
        "return_sequences": True,
        "return_state": True,
        "kernel_initializer": keras.initializers.GlorotUniform(seed=seed),
        "recurrent_initializer": keras.initializers.Orthogonal(seed=seed + 1),
        "name": name,
    }


def _loop(
    projected: tf.Tensor,
    initial_state: LayerStates,
    keep: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    *,
    training: bool,
) -> LoopResults:
    """Loop over time; arguments and results as in ``FastLSTM.call`` and ``_forward``."""
    if not training:
        return _forward(projected, *initial_state, keep, recurrent_kernel).results
    return _differentiable(projected, *initial_state, keep, recurrent_kernel)


def _project(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Return x W + b [..., 4 units] for inputs [..., features], in their dtype."""
    *shape, features = tf.unstack(tf.shape(inputs))
    flat = matmul(tf.reshape(inputs, [-1, features]), kernel, inputs.dtype)
    return tf.reshape(_plus_bias(flat, bias), [*shape, bias.shape[0]])


@tf.custom_gradient
def _plus_bias(
    rows: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Add a float32 bias [width] to rows [n, width], in their dtype."""

    def gradient(d_rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A matmul accumulates in float32. TensorFlow's own sum rounds after each addition.
        ones = tf.ones([1, tf.shape(d_rows)[0]], d_rows.dtype)
        return d_rows, tf.cast(matmul(ones, d_rows, d_rows.dtype)[0], tf.float32)

    return tf.nn.bias_add(rows, tf.cast(bias, rows.dtype)), gradient


@tf.custom_gradient
def _looked_up(
    table: tf.Tensor, ids: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, None]]]:
    """Return the rows [time, batch, width] of a table [vocab_size, width]."""

    def gradient(d_rows: tf.Tensor) -> tuple[tf.Tensor, None]:
        # A matmul instead of a scatter, for the same reason.
        one_hot = tf.one_hot(tf.reshape(ids, [-1]), table.shape[0], dtype=table.dtype)
        flat = tf.reshape(d_rows, [-1, table.shape[1]])
        return matmul(one_hot, flat, table.dtype, transpose_a=True), None

    return tf.gather(table, ids), gradient


class _ForwardPass(NamedTuple):
    """The values of each step that the backward pass needs, as arrays over time.

    All are [batch, units]. The hidden state that enters the step has the dtype of the matmuls. The
    others are float32: the previous cell state, the activated gates (the forget gate times
    ``keep``) and the tanh of the new cell state.
    """

    hidden_before: tf.TensorArray
    cell_before: tf.TensorArray
    input_gate: tf.TensorArray
    forget_gate: tf.TensorArray
    candidate: tf.TensorArray
    output_gate: tf.TensorArray
    squashed: tf.TensorArray


class _Run(NamedTuple):
    """A forward pass: outputs and last states, and the arrays of a ``_ForwardPass`` if recorded."""

    results: LoopResults
    memory: tuple[tf.TensorArray, ...]


def _forward(
    projected: tf.Tensor,
    hidden: tf.Tensor,
    cell: tf.Tensor,
    keep: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    *,
    remember: bool = False,
) -> _Run:
    """Loop over time; shapes as in ``FastLSTM.call``, ``projected`` [time, batch, 4 units]."""
    time, rows, units = tf.shape(projected)[0], projected.shape[1], recurrent_kernel.shape[0]
    dtype = projected.dtype
    # oneDNN multiplies a few rows by a transposed matrix 25% faster.
    transposed = tf.transpose(tf.cast(recurrent_kernel, dtype))
    kept = tf.cast(keep, dtype)

    def step(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor, *written: tf.TensorArray) -> tuple[Any, ...]:
        entering = h * kept[t]
        z = matmul(entering, transposed, dtype, transpose_b=True) + projected[t]
        z = tf.cast(z, tf.float32)
        i, f, g, o = tf.split(z, 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f) * keep[t], tf.tanh(g), tf.sigmoid(o)
        after = f * c + i * g
        squashed = tf.tanh(after)
        h = tf.cast(o * squashed, dtype)
        values = (h, *_ForwardPass(entering, c, i, f, g, o, squashed))
        pairs = zip(written, values, strict=False)  # only the outputs, or the memory too
        return t + 1, h, after, *(array.write(t, value) for array, value in pairs)

    types = (dtype, dtype, *[tf.float32] * 6) if remember else (dtype,)
    arrays = [tf.TensorArray(kind, time, element_shape=[rows, units]) for kind in types]
    _, hidden, cell, outputs, *memory = tf.while_loop(
        lambda t, *_: t < time,
        step,
        (0, tf.cast(hidden, dtype), cell, *arrays),
        parallel_iterations=1,
    )
    return _Run((outputs.stack(), tf.cast(hidden, tf.float32), cell), tuple(memory))


def _differentiable(
    projected: tf.Tensor,
    hidden: tf.Tensor,
    cell: tf.Tensor,
    keep: tf.Tensor,
    recurrent_kernel: tf.Tensor,
) -> LoopResults:
    """Run ``_forward`` with a custom gradient with respect to all arguments except ``keep``."""

    @tf.custom_gradient
    def run(
        projected: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor, recurrent_kernel: tf.Tensor
    ) -> tuple[LoopResults, Callable[..., tuple[tf.Tensor, ...]]]:
        results, memory = _forward(projected, hidden, cell, keep, recurrent_kernel, remember=True)

        def gradient(*gradients: tf.Tensor) -> tuple[tf.Tensor, ...]:
            d_projected, d_hidden, d_cell = _backward(
                gradients, _ForwardPass(*memory), keep, recurrent_kernel
            )
            entering = tf.reshape(memory[0].stack(), [-1, recurrent_kernel.shape[0]])
            flat = tf.reshape(d_projected, [-1, recurrent_kernel.shape[1]])
            d_recurrent = matmul(entering, flat, projected.dtype, transpose_a=True)
            return d_projected, d_hidden, d_cell, tf.cast(d_recurrent, tf.float32)

        return results, gradient

    outputs, hidden, cell = run(projected, hidden, cell, recurrent_kernel)
    return outputs, hidden, cell


def _backward(
    gradients: tuple[tf.Tensor, ...],
    memory: _ForwardPass,
    keep: tf.Tensor,
    recurrent_kernel: tf.Tensor,
) -> LoopResults:
    """Backpropagate through the loop.

    Args:
        gradients: gradients of the outputs [time, batch, units] and of the last states
            [batch, units].
        memory: arrays of the forward pass.
        keep: as in the forward pass.
        recurrent_kernel: [units, 4 units].

    Returns:
        Gradients of the projected inputs [time, batch, 4 units] and of the initial states.
    """
    d_outputs, d_hidden, d_cell = gradients
    dtype, time, rows = d_outputs.dtype, tf.shape(d_outputs)[0], d_outputs.shape[1]
    rounded = tf.cast(recurrent_kernel, dtype)

    def step(
        t: tf.Tensor, dh: tf.Tensor, dc: tf.Tensor, written: tf.TensorArray
    ) -> tuple[Any, ...]:
        before, i, f, g, o, squashed = (array.read(t) for array in memory[1:])
        dh = dh + tf.cast(d_outputs[t], tf.float32)
        dc = dc + dh * o * (1.0 - squashed * squashed)
        # Where keep is 0, f is 0 too, so no gradient reaches the previous states.
        before_activation = (
            dc * g * i * (1.0 - i),
            dc * before * f * (1.0 - f),
            dc * i * (1.0 - g * g),
            dh * squashed * o * (1.0 - o),
        )
        dz = tf.concat([tf.cast(d, dtype) for d in before_activation], 1)
        dh = tf.cast(matmul(dz, rounded, dtype, transpose_b=True), tf.float32) * keep[t]
        return t - 1, dh, dc * f, written.write(t, dz)

    written = tf.TensorArray(dtype, time, element_shape=[rows, recurrent_kernel.shape[1]])
    _, dh, dc, written = tf.while_loop(
        lambda t, *_: t >= 0, step, (time - 1, d_hidden, d_cell, written), parallel_iterations=1
    )
    return written.stack(), dh, dc
