"""Tests of ``tokenizer.subword``, compared with the library that learns the pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from charlstm.errors import ConfigError
from charlstm.tokenizer.base import UNKNOWN
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.subword import SubwordTokenizer
from tests.tokenizer.helpers import PROSE, anything, built, wordy

TEXT = "low lower lowest, new newer newest; wide wider widest!\n" * 5 + PROSE


def library_of(tokenizer):
    """Return the encoder of the library with the same pieces and merges."""
    pieces = tokenizer.pieces
    ids = {piece: number for number, piece in enumerate(pieces) if piece}
    merges = [(pieces[first], pieces[second]) for first, second in tokenizer.merges]
    return Tokenizer(BPE(ids, merges))


@given(st.lists(wordy, max_size=6), st.integers(1, 60))
def test_words_are_divided_like_by_the_library(lines, size):
    text = "".join(line + "\n" for line in lines)
    tokenizer = built("subword", text, vocab_size=size)
    library = library_of(tokenizer)
    for word in tokens_of(text, 2):
        assert list(tokenizer.encode_word(word)) == library.encode(word).ids


@given(anything, st.integers(1, 40))
def test_any_text_of_known_characters_is_decoded_again(text, size):
    tokenizer = built("subword", text, vocab_size=size)
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert tokenizer.decode(tokenizer.encode(text)) == expected


@given(st.lists(wordy, min_size=1, max_size=6))
def test_no_piece_crosses_a_word_boundary(lines):
    text = "".join(line + "\n" for line in lines)
    tokenizer = built("subword", text)
    borders, end = {0}, 0
    for word in tokens_of(text, 2):
        borders.add(end := end + len(word))
    found, end = {0}, 0
    for token_id in tokenizer.encode(text).tolist():
        found.add(end := end + len(tokenizer.pieces[token_id]))
    assert borders <= found


@given(st.lists(wordy, max_size=6))
def test_a_text_may_be_cut_after_any_line(lines):
    texts = [line + "\n" for line in lines]
    tokenizer = built("subword", TEXT, *texts)
    parts = [token_id for text in texts for token_id in tokenizer.encode(text).tolist()]
    assert tokenizer.encode("".join(texts)).tolist() == parts


def test_pairs_are_merged_in_the_order_in_which_they_were_learned():
    tokenizer = SubwordTokenizer(
        ("a", "b", "c", "bc", "ab", "abc"), merges=((3, 4), (2, 3), (2, 5))
    )
    assert tokenizer.encode("abc").tolist() == [7]  # b and c first, though a and b come first
    assert tokenizer.encode("ab").tolist() == [6]
    assert tokenizer.encode("bcbc").tolist() == [5, 5]
    assert tokenizer.encode("a?bc").tolist() == [2, UNKNOWN, 5]


@pytest.mark.parametrize(
    ("prompt", "prefix"),
    [("", ""), ("the kin", " kin"), ("the ", " "), ("so.", ""), ("“don’", "don’")],
)
def test_the_last_word_of_a_prompt_may_continue(prompt, prefix):
    assert built("subword", TEXT).split_prompt(prompt) == (prompt.removesuffix(prefix), prefix)


def test_only_characters_are_added():
    old = built("subword", TEXT)
    new = old.extend(built("subword", "zebras, zebus and zorillas\n" * 9))
    assert new.vocabulary[: len(old.vocabulary)] == old.vocabulary
    assert set(new.vocabulary[len(old.vocabulary) :]) == set("zbu") - set(old.vocabulary)
    assert new.merges == old.merges
    assert (new.encode(TEXT) == old.encode(TEXT)).all()
    with pytest.raises(ConfigError):
        old.extend(built("char", TEXT))
