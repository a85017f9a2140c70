"""Tests of ``tokenizer.unknown``."""

from __future__ import annotations

from collections import Counter

import pytest

from charlstm.tokenizer.unknown import describe_unknown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("€→€", "3 unknown characters (2 × '€' U+20AC, 1 × '→' U+2192)"),
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
