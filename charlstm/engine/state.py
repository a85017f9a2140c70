"""The state of a model after the tokens it has read, with one row per sequence.

Other packages handle rows, whatever the state consists of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Floats, Ids, Mask

Rows = slice | Ids | Mask


class State:
    """The states of B rows.

    Args:
        parts: one or three arrays: the hidden states of all layers, then their cell states, float32
            [2 * layers, B, units]; with attention also the last N outputs, [B, N, units], float32
            or quantized to uint8, and how many of them belong to the text, float32 [B, 1].
    """

    __slots__ = ("parts",)

    def __init__(self, *parts: NDArray[Any]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        """Return the number of rows B."""
        return int(self.parts[0].shape[1])

    def __getitem__(self, rows: Rows) -> State:
        """Return the states of some rows."""
        cells, *window = self.parts
        return State(cells[:, rows], *(part[rows] for part in window))

    def row(self, number: int) -> State:
        """Return the state of one row."""
        return self[number : number + 1]

    def repeated(self, count: int) -> State:
        """Return the state of one row ``count`` times."""
        return self[np.zeros(count, np.int64)]

    def put(self, row: int, state: State) -> None:
        """Replace the state of one row by that of the only row of another state."""
        cells, *window = zip(self.parts, state.parts, strict=True)
        cells[0][:, row] = cells[1][:, 0]
        for own, other in window:
            own[row] = other[0]

    def kept(self, keep: Floats) -> State:
        """Return the states, with the initial state in rows where ``keep``, [B, 1], is 0."""
        cells, *window = self.parts
        if not window:
            return State(cells * keep)
        outputs, filled = window
        return State(cells * keep, outputs, filled * keep)

    @property
    def cells(self) -> Floats:
        """The cell states, float32 [layers, B, units]."""
        cells: Floats = np.split(self.parts[0], 2)[1]
        return cells

    @property
    def floats(self) -> int:
        """The memory of a row, in float32 numbers."""
        return sum(part.nbytes for part in self.parts) // (4 * max(1, len(self)))

    def copy(self) -> State:
        """Return a copy, which keeps no larger arrays in memory."""
        return State(*(part.copy() for part in self.parts))

    def tobytes(self) -> bytes:
        """Return the bytes of all arrays."""
        return b"".join(part.tobytes() for part in self.parts)


def joined(states: Sequence[State]) -> State:
    """Concatenate the rows of several states."""
    cells, *window = zip(*(state.parts for state in states), strict=True)
    return State(np.concatenate(cells, axis=1), *map(np.concatenate, window))
