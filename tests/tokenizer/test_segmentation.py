"""Tests of ``tokenizer.segmentation``: how text is divided, and what may continue a token."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.prediction.word_grammar import Words
from charlstm.tokenizer.segmentation import (
    Kind,
    is_between_clusters,
    is_between_tokens,
    kind_of,
    partial_word,
    tokens_of,
)
from tests.tokenizer.helpers import (
    anything,
    built,
    wordy,
)


@given(anything)
def test_tokens_in_a_row_are_the_text(text):
    assert "".join(tokens_of(text)) == text


@given(st.lists(wordy, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_cutting_after_a_newline_changes_no_token(texts, newline):
    parts = [text + newline for text in texts]
    whole = list(tokens_of("".join(parts)))
    assert whole == [token for part in parts for token in tokens_of(part)]


@given(anything | wordy | st.text("ab'’1 \n\r\t<>/_-\u0301\u0e17中\u200d👍", max_size=30))
def test_cutting_between_tokens_changes_none(text):
    for index in range(1, len(text)):
        if is_between_tokens(text[index - 1], text[index]):
            parts = [*tokens_of(text[:index]), *tokens_of(text[index:])]
            assert parts == list(tokens_of(text)), index


@pytest.mark.parametrize(
    "joined",
    ["u\u0308", "\r\n", "ท\u0e34", "क\u093f", "\U0001f44d\U0001f3fd", "\u2764\ufe0f",
     "\U0001f1e9\U0001f1ea", "a\u200d", "\u200db", "\u1100\u1161", "\uac00\u11a8"],
)  # fmt: skip
def test_what_is_one_character_to_a_reader_is_not_cut(joined):
    assert not is_between_clusters(*joined)
    assert not is_between_tokens(*joined)


@pytest.mark.parametrize("apart", ["ab", "a\n", "中文", "\n\r", "1a", "👍👍"])
def test_what_is_two_characters_to_a_reader_is_cut(apart):
    assert is_between_clusters(*apart)


@given(wordy)
def test_newlines_stand_alone(text):
    newlines = [token for token in tokens_of(text) if "\n" in token or "\r" in token]
    assert newlines == re.findall("\r\n|\n|\r", text)


@pytest.mark.parametrize(
    "tokens",
    [
        ["The", " cat", " sat", " .", "\n"],
        ["Don't", " say", " l’été", ",", " it's", " O'Neil's", "'"],
        [" '", "tis", " the", " dogs", "'"],
        [" In", " 1999", ",", " 3", ".", "14", " of", " 2", "nd"],
        [" --", " well", "...", " ?", "!!", " ====", "\n"],
        ["def", " foo", "_", "bar", "(", "x", ")", ":", "\n", "   ", " return", " x"],
        ["\t\t", "x", "\t", " y", "  ", "\n", " ", "\n"],
        ["a", "  ", " b", "\r\n", "\n", "\r", "\r\n", "\r"],
        [" <unk>", " <", " b", "</p>", "<", "a", " href"],
        ["e\u0301te\u0301", " \u0939\u093f\u0928\u094d\u0926\u0940", "\u0964"],
        ["中", "文", "。", " ", "の", "  ", "中"],
        [" 👍👍", "!", "👍"],
        ["\u00a0", "x", "\u00a0", " y"],
        ["I", " don't", ",", " you", " do"],
        ["for", " 12", ",", "5", " km"],
        ["\u0e44", "\u0e17", "\u0e22", " ok"],
    ],
    ids=str,
)
def test_how_text_is_divided(tokens):
    assert list(tokens_of("".join(tokens))) == tokens


@pytest.mark.parametrize(
    "unit", [" ", "a", "\t ", "a'", "-", " -", "é\u0301", "<", "中", "\r", "1"]
)
def test_long_lines_take_linear_time(unit):
    """Quadratic matching would not end here."""
    text = unit * (2**20 // len(unit))
    tokens = list(tokens_of(text))
    assert "".join(tokens) == text
    assert max(map(len, tokens)) < 1200


# What is being typed


@given(anything)
def test_a_partial_word_divides_its_prompt(prompt):
    before, typed, space = partial_word(prompt)
    assert before + space + typed == prompt
    assert (before, typed, space) == (prompt[:-1], "", " ") or not prompt.endswith(" ")
    assert space in ("", " ")


@given(wordy)
def test_what_is_typed_goes_on_with_a_letter_or_digit(prompt):
    _, typed, space = partial_word(prompt)
    more = "1" if typed[-1:].isdecimal() else "a"
    last = list(tokens_of(prompt + more))[-1]
    if typed:
        assert last == space + typed + more
    else:
        assert last in ("a", " a")


@given(wordy, st.characters())
def test_the_kind_of_a_character_tells_what_goes_on_with_a_word(prompt, character):
    grown = list(tokens_of(prompt + "a" + character))[-1]
    joins = kind_of(character) in (Kind.LETTER, Kind.MARK)
    assert (len(grown) > 1 and grown[-2:] == "a" + character) == joins
    within = list(tokens_of("a" + character + "a")) == ["a" + character + "a"]
    assert within == (joins or kind_of(character) is Kind.APOSTROPHE)
    digits = next(iter(tokens_of("1" + character)))
    assert (digits == "1" + character) == (kind_of(character) is Kind.DIGIT)
    assert (kind_of(character) is Kind.SPACE) == bool(re.fullmatch(r"\s", character))
    pair = list(tokens_of("." + character * 2))[1:]
    if kind_of(character) is Kind.ALONE:
        assert pair == [character] * 2
    if kind_of(character) in (Kind.OTHER, Kind.APOSTROPHE) and character != ".":
        assert pair == [character * 2]


@pytest.mark.parametrize(
    ("prompt", "token"),
    [
        ("the kin", " kin"), ("kin", "kin"), ("I don'", " don'"), ("I don’", " don’"), ("a ''", ""),
        ("in 19", " 19"), ("19'", ""), ("the ", ""), ("a\n", ""), ("a\nb", "b"), ("a,", ""),
        ("", ""), ("'", ""), (" '", ""), ("中", ""), ("cafe\u0301", "cafe\u0301"), ("a's", "a's"),
    ],
)  # fmt: skip
def test_what_is_typed(prompt, token):
    _, typed, space = partial_word(prompt)
    assert typed == token.removeprefix(" ")
    assert space == (" " if prompt.endswith(" ") else token[: len(token) - len(typed)])


@pytest.mark.parametrize("prompt", ["I don'", "I don’", "don'"])
def test_an_apostrophe_at_the_end_is_typed_but_not_asked_for_again(prompt):
    """A letter may follow, so it is completed; so far it is a token, so it is read as one."""
    word = partial_word(prompt)
    assert (word.typed, word.ends_open) == (prompt.split()[-1], True)
    assert built("word", "").split_prompt(prompt) == (prompt, "")
    assert Words(built("word", prompt)).split(prompt)[1] == word.typed
