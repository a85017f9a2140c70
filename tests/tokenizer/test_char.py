"""Tests of ``tokenizer.char``."""

from __future__ import annotations

from hypothesis import given

from charlstm.tokenizer.base import UNKNOWN
from tests.tokenizer.helpers import (
    anything,
    built,
)


@given(anything, anything)
def test_the_id_of_a_character_is_its_place_in_sorted_order(known, text):
    tokenizer = built("char", known[:3], known[3:])
    characters = sorted(c for c in set(known) if not "\ud800" <= c <= "\udfff")
    assert tokenizer.vocabulary == tuple(characters)
    ids = [characters.index(c) + 2 if c in characters else UNKNOWN for c in text]
    assert tokenizer.encode(text).tolist() == ids
