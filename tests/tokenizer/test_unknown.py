"""Tests of ``tokenizer.unknown``."""

from __future__ import annotations

from collections import Counter

import pytest

from charlstm.config import TokenizerConfig
from charlstm.tokenizer.unknown import describe_unknown, other_form, other_form_of_added
from charlstm.tokenizer.vocabulary import build_tokenizer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("€→€", "3 unknown characters (2 × '€' U+20AC, 1 × '→' U+2192)"),
        ("é" * 1234, "1,234 unknown characters (1,234 × 'é' U+00E9)"),
        ("é", "1 unknown character (1 × 'é' U+00E9)"),
        (
            "\0\u200b\u0301\ud800",
            "4 unknown characters (1 × U+0000, 1 × U+0301, 1 × U+200B, 1 × U+D800)",
        ),
        (" \u3000", "2 unknown characters (1 × U+0020, 1 × U+3000)"),
        ("😀", "1 unknown character (1 × '😀' U+1F600)"),
        (
            "aabcdefg",
            "8 unknown characters (2 × 'a' U+0061, 1 × 'b' U+0062, 1 × 'c' U+0063, "
            "1 × 'd' U+0064, 1 × 'e' U+0065 and 2 more)",
        ),
    ],
)
def test_describing_unknown_characters(text, expected):
    assert describe_unknown(Counter(text)) == expected


@pytest.mark.parametrize(
    ("trained", "text", "form"),
    [
        ("Grüße Ω", "Gru\u0308ße", "NFC"),
        ("Gru\u0308ße", "Grüße", "NFD"),
        ("5 Ω", "5 \u2126", None),
        ("5 Å", "5 \u212b", None),
        ("300 K", "300 \u212a", None),
        ("5 A\u030a", "5 \u212b", "NFD"),
        ("\u0915\u093c", "\u0958", None),
        ("豈", "\uf900", None),
        ("5 Ω ü", "5 \u2126 u\u0308", "NFC"),
        ("5 Ω", "5 €", None),
        ("한국", "\u1112\u1161\u11ab국", "NFC"),
    ],
)
def test_only_letters_and_marks_show_the_form(trained, text, form):
    """A sign that both forms replace by a letter does not show the form of a text."""
    tokenizer = build_tokenizer([trained], TokenizerConfig())
    assert other_form(tokenizer, text) == form
    unknown = tokenizer.unknown_characters(text)
    if not text.startswith("\u1112"):  # in these, no mark shows the form
        assert other_form_of_added(tokenizer, unknown) == form
