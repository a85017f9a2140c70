"""Tests of ``tokenizer.byte_pairs``: learning pieces from a sample of the text."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.tokenizer import byte_pairs
from charlstm.tokenizer.byte_pairs import TextSample, learn_merges, pieces_for
from charlstm.tokenizer.segmentation import tokens_of
from tests.tokenizer.helpers import PROSE, built


def divided(text, merges):
    """Return the words of a text, each divided into pieces by these merges in order."""
    words = [list(word) for word in tokens_of(text, 2)]
    for pair in merges:
        for word in words:
            for position in reversed(range(len(word) - 1)):
                if (word[position], word[position + 1]) == pair:
                    word[position : position + 2] = ["".join(pair)]
    return words


@given(
    st.lists(
        st.sampled_from(["low", "lower", "lowest", "new", "newer", "widest", "wide"]), max_size=30
    )
)
def test_each_pair_is_the_most_frequent_one_when_it_is_learned(words):
    text = " ".join(words)
    merges = learn_merges([text], sorted(set(text)), 30, 2)
    for number, pair in enumerate(merges):
        counts = Counter(
            neighbors for word in divided(text, merges[:number]) for neighbors in pairwise(word)
        )
        assert counts[pair] == max(counts.values()) >= 2


def test_learning_stops_when_no_pair_occurs_twice():
    assert learn_merges(["ab cd\n"], list("ab cd\n"), 100, 2) == []
    assert learn_merges(["abab\n"], list("ab\n"), 100, 2) == [("a", "b")]


def test_lone_surrogates_are_left_out():
    assert learn_merges(["ab\ud800 ab ab\n"], list("ab \n"), 100, 2)[0] == ("a", "b")


@given(st.lists(st.text("abc", max_size=30), max_size=40))
def test_a_sample_is_bounded_and_evenly_spaced(texts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_pairs, "SAMPLED", 100)
        sample = TextSample()
        for text in texts:
            sample.add(text)
        parts = list(sample.parts())
    assert sample.characters == sum(map(len, texts))
    assert sum(map(len, parts)) <= 100
    if sample.characters <= 100:
        assert "".join(parts) == "".join(texts)
    spaced = [list(filter(None, texts))[:: 2**power] for power in range(7)]
    *whole, last = parts or [""]  # the last may be cut
    assert any(
        each[: len(whole)] == whole and "".join(each[len(whole) :]).startswith(last)
        for each in spaced
    )


@pytest.mark.parametrize(
    ("characters", "pieces"),
    [(0, 64), (60_000, 64), (1_000_000, 412), (20_000_000, 1948), (10**12, 1948)],
)
def test_longer_texts_have_more_pieces(characters, pieces):
    assert pieces_for(characters, 100) == pieces
    assert pieces_for(characters, 5000) == 64


def test_the_number_of_pieces_can_be_chosen():
    tokenizer = built("subword", PROSE, vocab_size=7)
    assert sum(len(token) > 1 for token in tokenizer.vocabulary) == 7
