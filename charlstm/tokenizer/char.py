"""Character level: every Unicode code point is a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from charlstm.config import Segmentation
from charlstm.tokenizer.base import REPLACEMENT, Tokenizer, code_points

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CharTokenizer(Tokenizer):
    """Every Unicode code point is a token."""

    segmentation: Segmentation = 1  # for predicting words; encoding does not use it

    level = "char"
    tokens_are = "characters"
    reserved = ("", REPLACEMENT)

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the id of each character, uint32 [characters]."""
        return self._lookup(code_points(text))
