"""Tests of ``tokenizer.segmentation``: dividing text, and what may continue a token."""

from __future__ import annotations

import itertools
import re
import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from charlstm.prediction.word_grammar import Words
from charlstm.tokenizer.base import LONGEST_TOKEN
from charlstm.tokenizer.segmentation import (
    TOKEN_PATTERNS,
    Kind,
    is_between_clusters,
    is_between_tokens,
    is_sign,
    kind_of,
    partial_word,
    tokens_of,
)
from tests.tokenizer.helpers import (
    anything,
    built,
    wordy,
)

# Visible characters, and parts of them.
SIGNS = (
    "a1 .!'\n\r\t_<b> 中の\u3099\u00a0\u2028\u0301\u0327\u064b\u0628\uff76\uff9e\u0f56\u0f7c\u1039"
    "\u1000\u102c\u17d2\u1780\u0e17\u0e35\u0e48\u0e33\u0e40\u0915\u094d\u1100\u1161\u0710\u0711"
    "\u200c\u200d\ufe0f\u20e3❤👍👩🏽🇩🇪🏴\U000e0067\U00011103\U00011127"
)
signs = st.text(SIGNS, max_size=14)
both_rules = st.sampled_from([1, 2])


@given(anything | signs, both_rules)
def test_joined_tokens_are_the_text(text, rules):
    tokens = list(tokens_of(text, rules))
    assert "".join(tokens) == text
    assert all(tokens)


@given(st.lists(wordy | signs, max_size=5), st.sampled_from(["\n", "\r\n"]), both_rules)
def test_cutting_after_a_newline_changes_no_token(texts, newline, rules):
    parts = [text + newline for text in texts]
    whole = list(tokens_of("".join(parts), rules))
    assert whole == [token for part in parts for token in tokens_of(part, rules)]


@given(anything | wordy | signs | st.text("ab'’1 \n\r\t<>/_-\u0301\u0e17中\u200d👍", max_size=30))
def test_cutting_between_tokens_changes_no_token(text):
    for rules, index in itertools.product((1, 2), range(1, len(text))):
        if is_between_tokens(text[index - 1], text[index]):
            parts = [*tokens_of(text[:index], rules), *tokens_of(text[index:], rules)]
            assert parts == list(tokens_of(text, rules)), index


# Rules 2: no token ends inside an extended grapheme cluster.

# Unicode also joins white space and a mark after it, a sign and the number after it, and, in the
# latest version, a consonant and a virama that is not directly between letters.
KNOWN_TO_BE_APART = regex.compile(
    r"(?<=[\s--[ \r\n]])|(?<=\p{GCB=Prepend})"
    r"|(?<=\p{InCB=Linker}\p{InCB=Extend}*)(?=\p{InCB=Consonant})",
    regex.VERSION1,
)


@given(signs)
def test_no_token_ends_inside_a_visible_character(text):
    tokens = list(tokens_of(text, 2))
    clusters = itertools.accumulate(map(len, regex.findall(r"\X", text)))
    apart = set(itertools.accumulate(map(len, tokens))) - set(clusters)
    assert all(KNOWN_TO_BE_APART.match(text, end) for end in apart), tokens


def test_the_ranges_contain_all_characters_that_join_the_one_before():
    codes = (
        *range(0x3400),
        *range(0xA000, 0xAC00),
        *range(0xF900, 0x20000),
        *range(0xE0000, 0xE0200),
    )
    characters = [chr(code) for code in codes if unicodedata.category(chr(code)) != "Cn"]
    text = "\n".join("a" + character for character in characters)
    joined = {cluster[1:] for cluster in regex.findall(r"(?m)^\X$", text)}
    for character in characters:  # unassigned characters may be assigned in another version
        joins = character in joined or unicodedata.category(character)[0] == "M"
        assert is_sign(character) == joins, ascii(character)


@given(st.text(st.characters(max_codepoint=0x2FF)) | wordy)
def test_simpler_texts_have_the_same_tokens_by_both_rules(text):
    if not set(text) & set("\u0301\u094d\u0939中の\u0e01"):
        assert re.findall(TOKEN_PATTERNS[1], text, re.DOTALL) == re.findall(
            TOKEN_PATTERNS[2], text, re.DOTALL
        )
        assert list(tokens_of(text, 1)) == list(tokens_of(text, 2))


@pytest.mark.parametrize(
    "tokens",
    [
        ["\u0e17\u0e35\u0e48", "\u0e19\u0e33", "\u0e40", "\u0e01", " ok"],  # Thai
        ["\u1000\u102d\u102f", "\u1019\u1039\u1018\u102c", "\u104b"],  # Burmese, stacked
        ["\u1781\u17d2\u1798\u17c2", "\u179a"],  # Khmer, with a letter below
        ["\u0f56\u0f7c", "\u0f51", "\u0f0b"],  # Tibetan
        ["\u0786\u07a6\u0786", " \u0712\u0742\u0710"],  # Thaana, Syriac: words
        ["か\u3099", "の"],
        ["go", " 🇩🇪", "🇫🇷", "🇺", "!"],
        [" 👩\u200d👩\u200d👧", "👍🏽", "👍🏽", "👍👍"],
        ["❤\ufe0f", "❤\ufe0f", "ok"],
        ["1\ufe0f\u20e3", "2\ufe0f\u20e3", " 12\u20e3"],
        ["🏴\U000e0067\U000e0062\U000e007f", "🏴"],
        ["e\u0301te\u0301", " \u0939\u093f\u0928\u094d\u0926\u0940", "\u0964"],
        ["\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd", " \u0628\u0651\u064e"],
        ["\u0301", "\n", "\u0301\u0302", "\n", "\t", "\u0301", "a", " \u0301", " ", " \u0e35"],
        ["\u1112\u1161\u11ab\u1100\u1173\u11af", " 한글"],
    ],
    ids=ascii,
)  # fmt: skip
def test_how_text_is_divided_by_rules_2(tokens):
    assert list(tokens_of("".join(tokens), 2)) == tokens


def test_long_words_are_not_cut_before_a_mark():
    """Rules 1 cut them: long Hindi words exceed their bound of sixteen marks."""
    word = "\u0915\u093f" * 18
    assert list(tokens_of(word, 1))[1][0] == "\u093f"
    assert all(token[0] == "\u0915" for token in tokens_of(word, 2))


@pytest.mark.parametrize(
    "joined",
    ["u\u0308", "\r\n", "ท\u0e34", "क\u093f", "\U0001f44d\U0001f3fd", "\u2764\ufe0f",
     "\U0001f1e9\U0001f1ea", "a\u200d", "\u200db", "\u1100\u1161", "\uac00\u11a8"],
)  # fmt: skip
def test_a_visible_character_is_not_cut(joined):
    assert not is_between_clusters(*joined)
    assert not is_between_tokens(*joined)


@pytest.mark.parametrize("apart", ["ab", "a\n", "中文", "\n\r", "1a", "👍👍"])
def test_neighboring_visible_characters_can_be_cut(apart):
    assert is_between_clusters(*apart)


@given(wordy)
def test_newlines_are_separate_tokens(text):
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
    if tokens[-1] != "👍":
        assert list(tokens_of("".join(tokens), 2)) == tokens


@pytest.mark.parametrize("rules", [1, 2])
@pytest.mark.parametrize(
    "unit",
    [" ", "a", "\t ", "a'", "-", " -", "é\u0301", "<", "中", "\r", "1", "\u0301", "👩\u200d",
     "🇩", "\u17d2\u1780", "ﾞ", "a\u0301"],
)  # fmt: skip
def test_long_lines_take_linear_time(unit, rules):
    """With quadratic matching, this test would not end."""
    text = unit * (2**18 // len(unit))
    tokens = list(tokens_of(text, rules))
    assert "".join(tokens) == text
    assert max(map(len, tokens)) <= LONGEST_TOKEN


# Partial words


@given(anything | signs, both_rules)
def test_a_partial_word_is_split_from_its_prompt(prompt, rules):
    before, typed, space = partial_word(prompt, rules)
    assert before + space + typed == prompt
    assert (before, typed, space) == (prompt[:-1], "", " ") or not prompt.endswith(" ")
    assert space in ("", " ")


@given(wordy | signs, both_rules)
def test_a_letter_or_digit_continues_the_typed_word(prompt, rules):
    _, typed, space = partial_word(prompt, rules)
    more = "1" if typed[-1:].isdecimal() else "a"
    last = list(tokens_of(prompt + more, rules))[-1]
    if typed:
        assert last == space + typed + more
    else:
        assert last in ("a", " a")


@given(wordy, st.characters())
def test_the_kind_of_a_character_shows_whether_it_continues_a_word(prompt, character):
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
def test_the_typed_word(prompt, token):
    _, typed, space = partial_word(prompt)
    assert typed == token.removeprefix(" ")
    assert space == (" " if prompt.endswith(" ") else token[: len(token) - len(typed)])


@pytest.mark.parametrize("prompt", ["I don'", "I don’", "don'"])
def test_an_apostrophe_at_the_end_is_typed_and_a_token(prompt):
    """A letter may follow, so it is part of the typed word; until then it is a separate token."""
    word = partial_word(prompt)
    assert (word.typed, word.ends_open) == (prompt.split()[-1], True)
    assert built("word", "").split_prompt(prompt) == (prompt, "")
    assert Words(built("word", prompt)).split(prompt)[1] == word.typed
