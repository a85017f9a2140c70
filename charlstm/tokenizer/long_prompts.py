"""Selects the tokens of a long prompt to read: the last ones, since a model forgets the others."""

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
        ids: the ids of the prompt, starting with ``END_OF_DOCUMENT``.
        spells: whether words may be spelled. A spelled word is not cut, so slightly fewer tokens
            may be read.
        step: the number of skipped tokens is a multiple of it, so that a prompt that grows while it
            is typed is read from the same token.
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
    """Return whether the beginning of a prompt is skipped."""
    # A spelled token takes at most two ids per letter, so shorter prompts need not be encoded.
    return 2 * len(prompt) > MAX_PROMPT and len(tokenizer.encode(prompt)) >= MAX_PROMPT + step
