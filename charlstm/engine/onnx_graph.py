"""Builds ONNX graphs, one operator at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

FLOAT, UINT8, INT8, INT64 = 1, 2, 3, 7  # of onnx.TensorProto

_OPSET, _IR_VERSION = 20, 10


class Value(NamedTuple):
    """An input or output of a graph; names in the shape are axes of any length."""

    name: str
    kind: int
    shape: tuple[int | str, ...]


class OnnxGraph:
    """An ONNX graph under construction. ``add`` returns the name of the new value.

    Args:
        prefix: begins the names of all values, which differ from those of an enclosing graph.
    """

    def __init__(self, prefix: str = "") -> None:
        import onnx

        self._onnx = onnx
        self._prefix = prefix
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        """Add a constant."""
        name = f"{self._prefix}constant_{len(self._constants)}"
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add an operator with one output, which gets a name if none is given."""
        return self.add_many(operator, *inputs, names=(name,), **attributes)[0]

    def add_many(
        self, operator: str, *inputs: str, names: tuple[str | None, ...], **attributes: Any
    ) -> list[str]:
        """Add an operator with several outputs."""
        outputs = [
            name or f"{self._prefix}value_{len(self._nodes)}_{index}"
            for index, name in enumerate(names)
        ]
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, outputs, **attributes))
        return outputs

    def split(self, value: str, parts: int, axis: int) -> list[str]:
        """Split a value into equal parts."""
        return self.add_many("Split", value, names=(None,) * parts, axis=axis, num_outputs=parts)

    def reshape(self, value: str, *shape: int) -> str:
        """Change the shape of a value; -1 is the rest of its numbers."""
        return self.add("Reshape", value, self.constant(shape, np.int64))

    def body(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Any:
        """Return the graph, for an operator that runs it."""
        make = self._onnx.helper.make_tensor_value_info
        return self._onnx.helper.make_graph(
            self._nodes,
            "charlstm",
            [make(*value) for value in inputs],
            [make(*value) for value in outputs],
            self._constants,
        )

    def serialize(
        self,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        description: str,
        metadata: Mapping[str, str],
    ) -> bytes:
        """Return the bytes of an ONNX file."""
        helper = self._onnx.helper
        model = helper.make_model(
            self.body(inputs, outputs),
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="charlstm",
            doc_string=description,
        )
        helper.set_model_props(model, dict(metadata))
        return bytes(model.SerializeToString())
