"""Tests of ``evaluation.memorization``: it finds the same windows as Python's ``in``."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import ModelConfig
from charlstm.engine.inference import build_engine
from charlstm.evaluation import memorization
from charlstm.evaluation.memorization import WindowSet, write_sample
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.word import WordTokenizer
from tests.models import random_weights

LENGTHS = (1, 2, 4, 7)
TEXT = st.text(st.sampled_from("abé\U0001f600"), max_size=30)


def cut(text, places):
    borders = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(borders)]


@given(
    st.lists(TEXT, max_size=4),
    st.lists(TEXT, max_size=3),
    st.lists(st.integers(0, 30), max_size=3),
)
def test_shares_equal_those_of_a_plain_search(documents, known, places):
    windows = WindowSet((cut(text, places) for text in documents), LENGTHS)
    windows.look_in(cut(text, places) for text in known)
    overlap = windows.overlap()
    for length in LENGTHS:
        sought = [d[i : i + length] for d in documents for i in range(len(d) - length + 1)]
        found = [any(one in text for text in known) for one in sought]
        assert overlap.windows[length] == len(sought)
        assert overlap.shares[length] == (np.mean(found) if found else None)


def test_only_the_beginning_of_a_long_text_is_looked_for(monkeypatch):
    monkeypatch.setattr(memorization, "MOST", 10)
    windows = WindowSet([["a" * 8], ["b" * 5, "b" * 3], ["c" * 8]], (1,))
    windows.look_in([["b"]])
    assert windows.overlap().shares == {1: 0.2}
    assert windows.overlap().windows == {1: 10}


def engine_of(tokenizer):
    config = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=4, units=8, layers=1)
    return build_engine(config, random_weights(config), precision="float32", threads=1)


@pytest.mark.parametrize("tokenizer", [CharTokenizer(("a", "b")), WordTokenizer(("a", "b", " ab"))])
def test_a_sample_has_the_requested_number_of_characters(tokenizer):
    engine = engine_of(tokenizer)
    for characters in (1, 50, 300):
        texts = write_sample(engine, tokenizer, characters, seed=3)
        assert sum(map(len, texts)) == characters
        assert texts == write_sample(engine, tokenizer, characters, seed=3)
    assert texts != write_sample(engine, tokenizer, characters, seed=4)


def test_a_model_that_writes_nothing_is_given_up():
    tokenizer = CharTokenizer(("a",))
    config = ModelConfig(vocab_size=3, embedding=4, units=8, layers=1)
    weights = dict(random_weights(config))
    weights["output/bias"] = np.array([100, 0, 0], np.float32)
    engine = build_engine(config, weights, precision="float32", threads=1)
    assert set(write_sample(engine, tokenizer, 20, seed=1)) == {""}
