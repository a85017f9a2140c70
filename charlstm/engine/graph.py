"""Builds an ONNX graph from trained weights, in float32 or int8.

Both graphs have the same interface: token ids [T, B] and a state go in, logits [T, B, V] and the
new state come out. The float32 graph uses the LSTM operator and accepts any T. The int8 graph is a
single step, T = 1. Hidden states are in (-1, 1), so they are quantized with the fixed scale 1/127,
and the results of a row don't depend on the other rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from charlstm.arrays import Floats, Weights
from charlstm.checkpoint.quantization import quantize_columns
from charlstm.config import ModelConfig
from charlstm.errors import ConfigError

EnginePrecision: TypeAlias = Literal["float32", "int8"]
# The input of layer 0 comes from a table of embedding x kernel if that has at most this many
# entries, else it is computed. A table with more entries than the second number is float16, so that
# subword-level models start fast.
MAX_TABLE = 4 * 2**20
_LARGEST_FLOAT32_TABLE = 2**20

ACTIVATION_LEVELS = 127  # a hidden state h is quantized to round(127 h) + ZERO_POINT
ZERO_POINT = 128  # activations are unsigned: x86 has no fast kernel for signed x signed

# Gate orders, as indices into the Keras order: input, forget, cell, output.
_ONNX_GATES = (0, 3, 1, 2)
SIGMOIDS_FIRST = (0, 1, 3, 2)
_FLOAT = 1  # onnx.TensorProto.FLOAT
OUTPUTS = ("logits", "new_state")
# Maximum bytes of weights: a graph is one protocol buffer of at most 2 GiB, with some room for the
# rest.
_LARGEST_GRAPH = 2**31 - 2**24


def build_graph(
    config: ModelConfig,
    weights: Weights,
    precision: EnginePrecision,
    *,
    description: str = "",
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Build the graph of a model, as the bytes of an ONNX file.

    Inputs: ids, int64 [T, B], and state, float32 [2 * layers, B, units]. Outputs: logits, float32
    [T, B, V], and new_state, with the shape of state. In int8, T is 1.

    Args:
        config: the sizes of the network.
        weights: float32 arrays with the names and shapes of stock Keras layers and the Keras gate
            order: ``embedding/embeddings``, ``lstm_0/kernel``, ``lstm_0/recurrent_kernel``,
            ``lstm_0/bias``, ..., ``output/bias`` and, unless tied, ``output/kernel``.
        precision: ``"int8"`` (small and fast) or ``"float32"`` (exact).
        description: documentation for people who open the file.
        metadata: properties for programs that open the file.

    Raises:
        ConfigError: if the weights exceed the maximum size of a graph.
    """
    if config.parameters * (4 if precision == "float32" else 1) > _LARGEST_GRAPH:
        remedy = "Use `precision` int8" if precision == "float32" else "Train a smaller one"
        raise ConfigError(
            f"the network has {config.parameters:,} parameters, too many for an ONNX graph in "
            f"{precision} (at most 2 GiB). {remedy}, or export it with `format` keras."
        )
    graph = _Graph()
    if precision == "int8":
        _add_int8_network(graph, config, weights)
        return graph.serialize(config, 1, description, metadata or {})
    _add_float32_network(graph, config, weights)
    return graph.serialize(config, "time", description, metadata or {})


class _Graph:
    """An ONNX graph under construction. ``add`` returns the name of the new value."""

    def __init__(self) -> None:
        import onnx

        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        name = f"constant_{len(self._constants)}"
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: int) -> str:
        return self.add_many(operator, *inputs, names=(name,), **attributes)[0]

    def add_many(
        self, operator: str, *inputs: str, names: tuple[str | None, ...], **attributes: int
    ) -> list[str]:
        outputs = [name or f"value_{len(self._nodes)}_{index}" for index, name in enumerate(names)]
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, outputs, **attributes))
        return outputs

    def split(self, value: str, parts: int, axis: int) -> list[str]:
        return self.add_many("Split", value, names=(None,) * parts, axis=axis, num_outputs=parts)

    def serialize(
        self, config: ModelConfig, time: int | str, description: str, metadata: Mapping[str, str]
    ) -> bytes:
        helper, proto = self._onnx.helper, self._onnx.TensorProto
        ids = helper.make_tensor_value_info("ids", proto.INT64, [time, "batch"])
        shape = [2 * config.layers, "batch", config.units]
        state, new_state = (
            helper.make_tensor_value_info(name, proto.FLOAT, shape)
            for name in ("state", "new_state")
        )
        logits = helper.make_tensor_value_info(
            "logits", proto.FLOAT, [time, "batch", config.vocab_size]
        )
        graph = helper.make_graph(
            self._nodes, "charlstm", [ids, state], [logits, new_state], self._constants
        )
        opset = helper.make_opsetid("", 20)
        model = helper.make_model(
            graph,
            opset_imports=[opset],
            ir_version=10,
            producer_name="charlstm",
            doc_string=description,
        )
        helper.set_model_props(model, dict(metadata))
        return bytes(model.SerializeToString())


def _add_float32_network(graph: _Graph, config: ModelConfig, weights: Weights) -> None:
    old = graph.split("state", 2 * config.layers, axis=0)
    direction = graph.constant([1], np.int64)
    hidden, cells = [], []
    below = graph.add("Gather", graph.constant(weights["embedding/embeddings"]), "ids")
    for layer in range(config.layers):
        kernel, recurrent, bias = layer_weights(weights, layer, _ONNX_GATES)
        inputs = [
            graph.constant(kernel.T[np.newaxis]),
            graph.constant(recurrent.T[np.newaxis]),
            graph.constant(np.concatenate([bias, np.zeros_like(bias)])[np.newaxis]),
            "",  # sequence_lens: all rows have the full length
            old[layer],
            old[config.layers + layer],
        ]
        outputs, last_hidden, last_cell = graph.add_many(
            "LSTM", below, *inputs, names=(None, None, None), hidden_size=config.units
        )
        hidden.append(last_hidden)
        cells.append(last_cell)
        below = graph.add("Squeeze", outputs, direction)
    kernel, bias = output_weights(config, weights)
    product = graph.add("MatMul", below, graph.constant(kernel))
    graph.add("Add", product, graph.constant(bias), name="logits")
    graph.add("Concat", *hidden, *cells, name="new_state", axis=0)


def _add_int8_network(graph: _Graph, config: ModelConfig, weights: Weights) -> None:
    old = graph.split("state", 2 * config.layers, axis=0)
    hidden, cells = [], []
    below = ""
    for layer in range(config.layers):
        own = _quantize_hidden(graph, old[layer])
        kernel, recurrent, bias = layer_weights(weights, layer, SIGMOIDS_FIRST)
        if layer == 0:
            looked_up = _look_up_input(graph, weights["embedding/embeddings"], kernel, bias)
            gates = graph.add("Add", _product(graph, own, recurrent), looked_up)
        else:
            both = graph.add("Concat", below, own, axis=-1)
            product = _product(graph, both, np.concatenate([kernel, recurrent]))
            gates = graph.add("Add", product, graph.constant(bias))
        output, cell = _cell(graph, gates, old[config.layers + layer], config.units)
        hidden.append(output)
        cells.append(cell)
        below = _quantize_hidden(graph, output)
    kernel, bias = output_weights(config, weights)
    graph.add("Add", _product(graph, below, kernel), graph.constant(bias), name="logits")
    graph.add("Concat", *hidden, *cells, name="new_state", axis=0)


def _cell(graph: _Graph, gates: str, cell: str, units: int) -> tuple[str, str]:
    """Add the element-wise part of a cell; gates [1, B, 4 units] in the order i, f, o, g."""
    sizes = graph.constant([3 * units, units], np.int64)
    sigmoids, candidate = graph.add_many("Split", gates, sizes, names=(None, None), axis=-1)
    input_gate, forget, output_gate = graph.split(graph.add("Sigmoid", sigmoids), 3, axis=-1)
    kept = graph.add("Mul", forget, cell)
    added = graph.add("Mul", input_gate, graph.add("Tanh", candidate))
    new_cell = graph.add("Add", kept, added)
    return graph.add("Mul", output_gate, graph.add("Tanh", new_cell)), new_cell


def _look_up_input(graph: _Graph, embeddings: Floats, kernel: Floats, bias: Floats) -> str:
    """Add embedding x kernel + bias for layer 0: from a table if it is small, else in int8."""
    if (table := input_table(embeddings, kernel, bias)) is not None:
        row = graph.add("Gather", graph.constant(table, table.dtype), "ids")
        return row if table.dtype == np.float32 else graph.add("Cast", row, to=_FLOAT)
    columns, scales = quantize_columns(embeddings.T)
    stored = columns.T.astype(np.int16) + ZERO_POINT
    row = graph.add("Gather", graph.constant(stored, np.uint8), "ids")
    scale = graph.add("Gather", graph.constant(scales[:, np.newaxis]), "ids")
    product = graph.add("Mul", _product(graph, row, kernel, activation_levels=1), scale)
    return graph.add("Add", product, graph.constant(bias))


def input_table(embeddings: Floats, kernel: Floats, bias: Floats) -> NDArray[Any] | None:
    """Return the input of layer 0 for each id, embedding x kernel + bias, unless it is too large.

    Returns:
        float32 [V, 4 * units], float16 if it is large, ``None`` if it is too large.
    """
    size = embeddings.shape[0] * kernel.shape[1]
    if size > MAX_TABLE:
        return None
    table = embeddings @ kernel + bias
    return table.astype(np.float16) if _is_float16(size) else table


def has_float16_table(config: ModelConfig) -> bool:
    """Return whether the int8 graph takes the input of layer 0 from a float16 table."""
    return _is_float16(config.vocab_size * 4 * config.units)


def _is_float16(size: int) -> bool:
    return _LARGEST_FLOAT32_TABLE < size <= MAX_TABLE


def _quantize_hidden(graph: _Graph, hidden: str) -> str:
    scale = graph.constant(1 / ACTIVATION_LEVELS)
    return graph.add("QuantizeLinear", hidden, scale, graph.constant(ZERO_POINT, np.uint8))


def _product(
    graph: _Graph, left: str, matrix: Floats, activation_levels: int = ACTIVATION_LEVELS
) -> str:
    """Add left [1, B, k], uint8 in units of 1 / activation_levels, times a matrix [k, n]."""
    columns, scales = quantize_columns(matrix)
    zero = graph.constant(ZERO_POINT, np.uint8)
    sums = graph.add("MatMulInteger", left, graph.constant(columns, np.int8), zero)
    floats = graph.add("Cast", sums, to=_FLOAT)
    return graph.add("Mul", floats, graph.constant(scales / activation_levels))


def layer_weights(
    weights: Weights, layer: int, gates: tuple[int, ...]
) -> tuple[Floats, Floats, Floats]:
    """Return the kernel, the recurrent kernel and the bias of a layer, with gates in an order."""
    kernel, recurrent, bias = (
        _reorder(weights[f"lstm_{layer}/{name}"], gates)
        for name in ("kernel", "recurrent_kernel", "bias")
    )
    return kernel, recurrent, bias


def _reorder(array: Floats, gates: tuple[int, ...]) -> Floats:
    """Reorder the four gates, which are blocks of the last axis."""
    blocks = np.split(array, 4, axis=-1)
    return np.concatenate([blocks[gate] for gate in gates], axis=-1)


def output_weights(config: ModelConfig, weights: Weights) -> tuple[Floats, Floats]:
    """Return the matrix [units, V] and the bias [V] of the output layer."""
    kernel = weights["embedding/embeddings"].T if config.tied else weights["output/kernel"]
    return kernel, weights["output/bias"]
