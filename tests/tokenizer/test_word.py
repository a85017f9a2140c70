"""Tests of ``tokenizer.word``: ids follow the vocabulary, and rare words are spelled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.word import WordTokenizer
from tests.tokenizer.helpers import (
    built,
    wordy,
)


@pytest.mark.parametrize(
    ("prompt", "prefix"),
    [("", ""), ("the kin", " kin"), ("kin", "kin"), ("the ", " "), ("the  ", " "), ("in 19", " 19"),
     ("so.", ""), ("a\n", ""), ("don't", "don't"), ("“don’", ""), ("\u4e2d\u6587", ""), ("x_", "")],
)  # fmt: skip
def test_the_last_word_or_number_of_a_prompt_may_continue(prompt, prefix):
    tokenizer = built("word", "")
    assert tokenizer.split_prompt(prompt) == (prompt[: len(prompt) - len(prefix)], prefix)


@given(wordy, st.integers(1, 3))
def test_encoding_follows_the_vocabulary(text, min_count):
    tokenizer = built("word", text, "xyz", min_count=min_count)
    ids = {token: number for number, token in enumerate(tokenizer.vocabulary, 4)}
    expected = []
    for token in tokens_of(text, 2):
        spelled = [BEGIN_SPELLING, *(ids[c] for c in token), END_SPELLING]
        expected += [ids[token]] if token in ids else spelled
    assert tokenizer.encode(text).tolist() == expected


def test_spelling():
    tokenizer = WordTokenizer((" ", "a", "b", " ab"))
    assert tokenizer.encode(" ab ba a?").tolist() == [
        *[7],
        *[BEGIN_SPELLING, 4, 6, 5, END_SPELLING],
        *[BEGIN_SPELLING, 4, 5, END_SPELLING],
        *[UNKNOWN],
    ]
    assert tokenizer.decode([END_OF_DOCUMENT, 7, BEGIN_SPELLING, 4, UNKNOWN]) == " ab \ufffd"


def test_a_word_of_prose_is_about_one_token():
    text = "Homarus gammarus , known as the European <unk> lobster , is a species . \n" * 50
    tokens = list(tokens_of(text, 2))
    assert len(tokens) / len(text.split()) < 1.2
