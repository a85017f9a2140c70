"""Names for the types of arrays; shapes are given in docstrings.

A letter in brackets is a size: B rows of a batch, T tokens, V ids of a vocabulary. This module
imports numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

# Token ids, as most functions return them, and of any integer type, as they are taken.
Ids: TypeAlias = NDArray[np.int64]
AnyIds: TypeAlias = NDArray[np.integer[Any]]

# The arrays of a network under the names that stock Keras layers give them.
Weights: TypeAlias = Mapping[str, Floats]
