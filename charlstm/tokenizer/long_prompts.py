"""Which tokens of a long prompt are read: the last ones, since a model forgets those before.

Token ids go in, those to read come out. This module does not know a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from charlstm.tokenizer.base import BEGIN_SPELLING, END_SPELLING, Tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PROMPT = 8192  # tokens of a prompt that are read


def read_tokens(ids: NDArray[np.int64], *, spells: bool, step: int = 1) -> NDArray[np.int64]:
    """Return the ids of a prompt that are read: all, or ``END_OF_DOCUMENT`` and the last ones.

    Args:
        ids: those of the prompt, ``END_OF_DOCUMENT`` first.
        spells: whether words are spelled; then none is cut, and a few tokens fewer may be left.
        step: the number of tokens that are left out is a multiple of it, so that prompts that are
            typed on are read from the same token.
    """
    left_out = max(0, len(ids) - 1 - MAX_PROMPT) // step * step
    if not left_out:
        return ids
    kept = ids[1 + left_out :]
    if spells:
        begins, ends = (np.flatnonzero(kept == mark) for mark in (BEGIN_SPELLING, END_SPELLING))
        if ends.size and not (begins.size and begins[0] < ends[0]):
            kept = kept[ends[0] + 1 :]
    return np.concatenate([ids[:1], kept])


def is_long(tokenizer: Tokenizer, prompt: str, *, step: int = 1) -> bool:
    """Return whether the beginning of a prompt is not read."""
    # A token of two letters or more takes at most two ids for each letter if it is spelled.
    return 2 * len(prompt) > MAX_PROMPT and len(tokenizer.encode(prompt)) >= MAX_PROMPT + step
