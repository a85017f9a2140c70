"""Adds the attention over the last outputs to a graph (see ``network.attention`` for the formula).

The key matrix is multiplied by the query instead of by each output, which gives the same scores, so
the window contains only the outputs themselves. In int8 it contains them as the cell quantizes
them, in a quarter of the memory, because a step copies the whole window.
"""

from __future__ import annotations

import math

import numpy as np

from charlstm.arrays import Floats, Weights
from charlstm.config import ModelConfig
from charlstm.engine.integer_product import ACTIVATION_LEVELS, ZERO_POINT, product, quantized
from charlstm.engine.onnx_graph import FLOAT, UINT8, OnnxGraph, Value

_OUTSIDE = -1e9  # the score of an empty place in the window, whose weight is then exactly 0
_LEAST_SCALE = 1e-30  # so that a row of zeros can be divided by its scale
_SHARE_LEVELS = 255  # the integer that the largest share of a row is quantized to


def add_float32(graph: OnnxGraph, config: ModelConfig, weights: Weights, outputs: str) -> str:
    """Add the attention to outputs [T, B, units], and return its results in the same shape.

    A step is the same for any T, so that the results have the same bits.
    """
    projected = graph.add("MatMul", outputs, graph.constant(weights["attention/query"]))
    queries = graph.add("MatMul", projected, graph.constant(keys_for_queries(config, weights)))
    batch, units = "batch", config.units
    window = Value("window_before", FLOAT, (batch, config.attention, units))
    filled = Value("filled_before", FLOAT, (batch, 1))
    latest, query = Value("latest", FLOAT, (batch, units)), Value("query", FLOAT, (batch, units))
    step = OnnxGraph("step_")
    own = step.reshape(latest.name, -1, 1, units)
    after, count = _moved(step, config, window.name, filled.name, own, "window_after")
    keyed = window.name if config.shifted_keys else after
    # With the window on the left, threads would share its rows, and the bits would depend on them.
    columns = step.add("Transpose", keyed, perm=[0, 2, 1])
    scores = step.add("MatMul", step.reshape(query.name, -1, 1, units), columns)
    shares = _shares(step, config, scores, count, filled.name)
    mean = step.add("MatMul", shares, after)
    context = Value("context", FLOAT, (batch, units))
    step.add("Reshape", mean, step.constant([-1, units], np.int64), name=context.name)
    body = step.body(
        [window, filled, latest, query],
        [window._replace(name=after), filled._replace(name=count), context],
    )
    _, _, contexts = graph.add_many(
        "Scan",
        *("window", "filled", outputs, queries),
        names=("new_window", "new_filled", None),
        body=body,
        num_scan_inputs=2,
    )
    added = graph.add("MatMul", contexts, graph.constant(weights["attention/output"]))
    return graph.add("Add", outputs, added)


def add_int8(
    graph: OnnxGraph,
    config: ModelConfig,
    weights: Weights,
    output: str,
    integers: str,
    matrix: Floats,
) -> str:
    """Add the attention to the output of a step, and multiply the result by a matrix.

    Args:
        graph: the graph.
        config: the sizes of the network.
        weights: the weights by name.
        output: the output of the top layer, float32 [1, B, units].
        integers: the same, quantized to uint8.
        matrix: the matrix of the output projection, [units, V].

    Returns:
        The name of the product, float32 [1, B, V].
    """
    units = config.units
    latest = graph.reshape(integers, -1, 1, units)
    window, filled = _moved(graph, config, "window", "filled", latest, "new_window", "new_filled")
    keyed = "window" if config.shifted_keys else window
    projected = product(graph, integers, weights["attention/query"])
    query = graph.add("MatMul", projected, graph.constant(keys_for_queries(config, weights)))
    column, scale = _scaled(graph, graph.reshape(query, -1, units, 1), axis=1)
    # Both factors are unsigned: sums of unsigned x signed saturate on x86 without VNNI.
    middle = graph.constant(ZERO_POINT, np.uint8)
    sums = graph.add("MatMulInteger", keyed, _unsigned(graph, column), middle, middle)
    scaled = _divided(graph, scale, ACTIVATION_LEVELS)
    scores = graph.add("Mul", graph.add("Cast", sums, to=FLOAT), scaled)
    shares = _shares(graph, config, scores, filled, "filled")
    levels, share = _scaled(graph, shares, axis=2, levels=_SHARE_LEVELS)
    zero = graph.constant(0, np.uint8)
    whole = graph.add("Cast", levels, to=UINT8)
    sums = graph.add("MatMulInteger", whole, window, zero, middle)
    scaled = _divided(graph, share, ACTIVATION_LEVELS)
    context = graph.add("Mul", graph.add("Cast", sums, to=FLOAT), scaled)
    added = product(
        graph, graph.reshape(quantized(graph, context), 1, -1, units), weights["attention/output"]
    )
    levels, scale = _scaled(graph, graph.add("Add", output, added), axis=2)
    projected = product(graph, _unsigned(graph, levels), matrix, activation_levels=1)
    return graph.add("Mul", projected, scale)


def keys_for_queries(config: ModelConfig, weights: Weights) -> Floats:
    """Return the matrix [key width, units] that turns a projected query into one for outputs."""
    keys: Floats = weights["attention/key"].T / np.float32(math.sqrt(config.key_width))
    return keys


def _moved(
    graph: OnnxGraph,
    config: ModelConfig,
    window: str,
    filled: str,
    latest: str,
    *names: str,
) -> tuple[str, str]:
    """Move the window [B, N, units] by one output [B, 1, units].

    Returns:
        The window after that, and the number of its outputs that belong to the text, [B, 1].
    """
    first, last, axis = (graph.constant([n], np.int64) for n in (1, config.attention, 1))
    rest = graph.add("Slice", window, first, last, axis)
    after = graph.add("Concat", rest, latest, axis=1, name=names[0])
    more = graph.add("Add", filled, graph.constant(1.0))
    name = names[1] if len(names) > 1 else None
    return after, graph.add("Min", more, graph.constant(float(config.attention)), name=name)


def _shares(graph: OnnxGraph, config: ModelConfig, scores: str, filled: str, before: str) -> str:
    """Return the softmax, float32 [B, 1, N], of the scores of places that are filled.

    With shifted keys, the score of the first output of a document is 0: none comes before it.

    Args:
        graph: the graph.
        config: the sizes of the network.
        scores: float32, N for each row.
        filled: the number of places that are filled, float32 [B, 1].
        before: the number of places that were filled before the step, float32 [B, 1].
    """
    row = graph.reshape(scores, -1, 1, config.attention)
    if config.shifted_keys:
        row = graph.add("Where", _is_filled(graph, config, before), row, graph.constant(0.0))
    is_filled = _is_filled(graph, config, filled)
    known = graph.add("Where", is_filled, row, graph.constant(_OUTSIDE))
    return graph.add("Softmax", known, axis=-1)


def _is_filled(graph: OnnxGraph, config: ModelConfig, filled: str) -> str:
    """Return which places are filled, bool [B, 1, N], given the number of those that are."""
    size = config.attention
    places = graph.constant(np.arange(size)[np.newaxis, np.newaxis])
    empty = graph.add("Sub", graph.constant(float(size)), graph.reshape(filled, -1, 1, 1))
    return graph.add("GreaterOrEqual", places, empty)


def _scaled(
    graph: OnnxGraph, value: str, axis: int, levels: int = ACTIVATION_LEVELS
) -> tuple[str, str]:
    """Divide float32 numbers by a scale, so that the largest along an axis becomes ``levels``.

    Returns:
        The quotients, rounded to whole numbers but still float32, and the scales, with length 1
        along the axis.
    """
    largest = graph.add(
        "ReduceMax", graph.add("Abs", value), graph.constant([axis], np.int64), keepdims=1
    )
    scale = graph.add("Max", _divided(graph, largest, levels), graph.constant(_LEAST_SCALE))
    return graph.add("Round", graph.add("Div", value, scale)), scale


def _unsigned(graph: OnnxGraph, levels: str) -> str:
    """Return whole numbers from -127 to 127 as uint8 with the zero point."""
    return graph.add("Cast", graph.add("Add", levels, graph.constant(ZERO_POINT)), to=UINT8)


def _divided(graph: OnnxGraph, value: str, by: float) -> str:
    """Divide float32 numbers of any shape by a constant."""
    return graph.add("Mul", value, graph.constant(1 / by))
