"""Tests of ``tokenizer.char``."""

from __future__ import annotations

from hypothesis import given

from charlstm.tokenizer.base import UNKNOWN
from tests.tokenizer.helpers import (
    anything,
    built,
)


@given(anything, anything)
def test_characters_are_their_place_among_the_sorted_ones(known, text):
    tokenizer = built("char", known[:3], known[3:])
    characters = sorted(c for c in set(known) if not "\ud800" <= c <= "\udfff")
    assert tokenizer.vocabulary == tuple(characters)
    ids = [characters.index(c) + 2 if c in characters else UNKNOWN for c in text]
    assert tokenizer.encode(text).tolist() == ids
