"""Tests of ``charlstm.unicode_text``."""

from __future__ import annotations

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from charlstm.unicode_text import has_parts, has_surrogates, is_within_character


@given(st.text(st.characters()))
@example("")
@example("\ud7ff\ue000")
@example("a\ud800")
@example("\udfff")
def test_a_text_has_surrogates_if_it_can_not_be_encoded(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        assert has_surrogates(text)
    else:
        assert not has_surrogates(text)


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("e", "\u0301"),
        ("e\u0301", "\u0302"),
        ("ก", "ำ"),
        ("क", "ि"),
        ("\u1112", "\u1161"),
        ("하", "\u11ab"),
        ("🇩🇪🇫", "🇷"),
        ("👩\u200d", "👧"),
        ("👍", "🏽"),
        ("1\ufe0f", "\u20e3"),
        ("☺", "\ufe0f"),
        ("🏴", "\U000e0067\U000e007f"),
        ("\r", "\n"),
        (" ", "\u0301"),
    ],
)
def test_a_visible_character_continues(text, following):
    assert is_within_character(text, following)
    assert has_parts(text + following)


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("a", "b"),
        ("a", "b\u0301"),
        ("🇩🇪", "🇫"),
        ("👩", "👧"),
        ("\n", "\r\n"),
        ("\n", "\u0301"),
        ("", "\u0301"),
        ("e", ""),
    ],
)
def test_a_visible_character_has_ended(text, following):
    assert not is_within_character(text, following)


@pytest.mark.parametrize(
    "text", ["", "abc\n", "a\rb", "añ—“”", "中文。", "ひらがな", "한국어", "ф\ufffd"]
)
def test_texts_without_combining_characters(text):
    assert not has_parts(text)


def test_the_ranges_of_separate_characters():
    codes = [*range(0xD800), *range(0xE000, 0x20000)]
    whole = r"\p{GCB=Other}\p{GCB=Control}\p{GCB=CR}\p{GCB=LF}\p{GCB=LV}\p{GCB=LVT}"
    parts = regex.findall(f"[^{whole}]", "".join(map(chr, codes)))
    assert len(parts) > 1500
    assert [part for part in parts if not has_parts(part)] == []
