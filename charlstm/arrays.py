"""Names for the types of arrays; docstrings give their shapes.

Letters in brackets are sizes: B rows of a batch, T tokens, V ids of a vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

# Token ids: as functions return them, and, as any integer type, as they accept them.
Ids: TypeAlias = NDArray[np.int64]
AnyIds: TypeAlias = NDArray[np.integer[Any]]

# Arrays of a network by the names of stock Keras layers.
Weights: TypeAlias = Mapping[str, Floats]
