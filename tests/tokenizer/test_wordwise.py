"""Tests of ``tokenizer.wordwise``: a text is encoded word by word."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.tokenizer import wordwise
from charlstm.tokenizer.segmentation import tokens_of
from tests.tokenizer.helpers import PROSE, anything, built, wordy

wordwise_levels = pytest.mark.parametrize("level", ["subword", "word"])


@wordwise_levels
@given(text=st.one_of(wordy, anything, st.lists(wordy, max_size=5).map(" ".join)))
def test_the_ids_are_those_of_the_words(level, text):
    tokenizer = built(level, PROSE, wordy_alphabet())
    words = [tokenizer.encode_word(word) for word in tokens_of(text, tokenizer.segmentation)]
    assert tokenizer.encode(text).tolist() == list(chain.from_iterable(words))


def wordy_alphabet():
    """Return a text with most of the characters that ``wordy`` generates."""
    return "abcDE'’  \t\n019.,-_=<>/@é\u0939中の\u0e01\n"


@wordwise_levels
def test_a_full_cache_changes_nothing(level, monkeypatch):
    expected = built(level, PROSE).encode(PROSE)
    monkeypatch.setattr(wordwise, "REMEMBERED", 3)
    tokenizer = built(level, PROSE)
    assert np.array_equal(tokenizer.encode(PROSE), expected)
    assert len(tokenizer._encodings) == 3


@wordwise_levels
def test_a_huge_run_is_not_cached(level):
    tokenizer = built(level, PROSE)
    assert tokenizer.decode(tokenizer.encode("cat." * 10_000)) == "cat." * 10_000
    assert not tokenizer._encodings
