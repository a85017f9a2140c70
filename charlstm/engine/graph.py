"""Builds an ONNX graph from trained weights, in float32 or int8.

Both graphs have the same interface: token ids [T, B] and a state go in, logits [T, B, V] and the
new state come out. With attention, the state includes the last outputs. The float32 graph uses the
LSTM operator and accepts any T. The int8 graph is a single step, T = 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Floats, Weights
from charlstm.checkpoint.quantization import quantize_columns
from charlstm.config import ModelConfig
from charlstm.engine import attention_graph as attention
from charlstm.engine.integer_product import ZERO_POINT, product, quantized
from charlstm.engine.onnx_graph import FLOAT, INT64, UINT8, OnnxGraph, Value
from charlstm.errors import ConfigError

EnginePrecision: TypeAlias = Literal["float32", "int8"]
# The input of layer 0 comes from a table of embedding x kernel if that has at most this many
# entries, else it is computed. A table with more entries than the second number is float16, so that
# subword-level models start fast.
MAX_TABLE = 4 * 2**20
_LARGEST_FLOAT32_TABLE = 2**20

# Gate orders, as indices into the Keras order: input, forget, cell, output.
_ONNX_GATES = (0, 3, 1, 2)
SIGMOIDS_FIRST = (0, 1, 3, 2)
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
    [T, B, V], and new_state, with the shape of state. In int8, T is 1. With an attention over N
    outputs, there are two more of each: window and new_window, [B, N, units], float32, or uint8 in
    int8; filled and new_filled, float32 [B, 1]. All are zeros at the start of a text.

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
    graph = OnnxGraph()
    if precision == "int8":
        _add_int8_network(graph, config, weights)
    else:
        _add_float32_network(graph, config, weights)
    return graph.serialize(*interface(config, precision), description, metadata or {})


class Interface(NamedTuple):
    """The inputs and outputs of a graph."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def interface(config: ModelConfig, precision: EnginePrecision) -> Interface:
    """Return the inputs and outputs of the graph of a network (see ``build_graph``)."""
    time = 1 if precision == "int8" else "time"
    state = Value("state", FLOAT, (2 * config.layers, "batch", config.units))
    inputs = [Value("ids", INT64, (time, "batch")), state]
    if config.attention:
        kind = UINT8 if precision == "int8" else FLOAT
        inputs.append(Value("window", kind, ("batch", config.attention, config.units)))
        inputs.append(Value("filled", FLOAT, ("batch", 1)))
    logits = Value("logits", FLOAT, (time, "batch", config.vocab_size))
    after = (value._replace(name=f"new_{value.name}") for value in inputs[1:])
    return Interface(tuple(inputs), (logits, *after))


def zeros(value: Value, batch: int) -> NDArray[Any]:
    """Return zeros for an input that has an axis ``batch``."""
    shape = [batch if size == "batch" else int(size) for size in value.shape]
    return np.zeros(shape, np.uint8 if value.kind == UINT8 else np.float32)


def _add_float32_network(graph: OnnxGraph, config: ModelConfig, weights: Weights) -> None:
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
    if config.attention:
        below = attention.add_float32(graph, config, weights, below)
    kernel, bias = output_weights(config, weights)
    logits = graph.add("MatMul", below, graph.constant(kernel))
    graph.add("Add", logits, graph.constant(bias), name="logits")
    graph.add("Concat", *hidden, *cells, name="new_state", axis=0)


def _add_int8_network(graph: OnnxGraph, config: ModelConfig, weights: Weights) -> None:
    old = graph.split("state", 2 * config.layers, axis=0)
    hidden, cells = [], []
    below = ""
    for layer in range(config.layers):
        own = quantized(graph, old[layer])
        kernel, recurrent, bias = layer_weights(weights, layer, SIGMOIDS_FIRST)
        if layer == 0:
            looked_up = _look_up_input(graph, weights["embedding/embeddings"], kernel, bias)
            gates = graph.add("Add", product(graph, own, recurrent), looked_up)
        else:
            both = graph.add("Concat", below, own, axis=-1)
            projected = product(graph, both, np.concatenate([kernel, recurrent]))
            gates = graph.add("Add", projected, graph.constant(bias))
        output, cell = _cell(graph, gates, old[config.layers + layer], config.units)
        hidden.append(output)
        cells.append(cell)
        below = quantized(graph, output)
    kernel, bias = output_weights(config, weights)
    if config.attention:
        logits = attention.add_int8(graph, config, weights, output, below, kernel)
    else:
        logits = product(graph, below, kernel)
    graph.add("Add", logits, graph.constant(bias), name="logits")
    graph.add("Concat", *hidden, *cells, name="new_state", axis=0)


def _cell(graph: OnnxGraph, gates: str, cell: str, units: int) -> tuple[str, str]:
    """Add the element-wise part of a cell; gates [1, B, 4 units] in the order i, f, o, g."""
    sizes = graph.constant([3 * units, units], np.int64)
    sigmoids, candidate = graph.add_many("Split", gates, sizes, names=(None, None), axis=-1)
    input_gate, forget, output_gate = graph.split(graph.add("Sigmoid", sigmoids), 3, axis=-1)
    kept = graph.add("Mul", forget, cell)
    added = graph.add("Mul", input_gate, graph.add("Tanh", candidate))
    new_cell = graph.add("Add", kept, added)
    return graph.add("Mul", output_gate, graph.add("Tanh", new_cell)), new_cell


def _look_up_input(graph: OnnxGraph, embeddings: Floats, kernel: Floats, bias: Floats) -> str:
    """Add embedding x kernel + bias for layer 0: from a table if it is small, else in int8."""
    if (table := input_table(embeddings, kernel, bias)) is not None:
        row = graph.add("Gather", graph.constant(table, table.dtype), "ids")
        return row if table.dtype == np.float32 else graph.add("Cast", row, to=FLOAT)
    columns, scales = quantize_columns(embeddings.T)
    stored = columns.T.astype(np.int16) + ZERO_POINT
    row = graph.add("Gather", graph.constant(stored, np.uint8), "ids")
    scale = graph.add("Gather", graph.constant(scales[:, np.newaxis]), "ids")
    projected = graph.add("Mul", product(graph, row, kernel, activation_levels=1), scale)
    return graph.add("Add", projected, graph.constant(bias))


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
