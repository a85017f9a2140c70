"""Tests of ``prediction.merging``: a token can't follow a text that the tokenizer joins it to."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlstm.prediction.merging import Merging
from charlstm.tokenizer.segmentation import tokens_of

CHARACTERS = (
    "abé1٣.!'’_<>/- \n\r\t\u00a0中の\u3099\u0301\u0308\u0e17\u0e35\u0e33\u1000\u1039\u1780\u17d2"
    "\u093f\u0915\u1100\u1161\ufe0f\u200d\u20e3\u07a6\uff76\uff9f👍👩❤🏽🇩🇪🇫"
)
PIECES = (
    *(
        "ab",
        " a",
        "don't",
        "a\u0301",
        "12",
        " 1",
        "..",
        " .",
        "''",
        " '",
        "<b>",
        "<unk>",
        "  ",
        "\r\n",
    ),
    *(" \u0301", "\u0e17\u0e35", "🇩🇪", " 🇩🇪", "👍👍", "👩\u200d👩", "1\ufe0f\u20e3"),
)
VOCABULARY = ("", "", *dict.fromkeys((*CHARACTERS, *PIECES)))
MERGING = {rules: Merging(VOCABULARY, np.arange(2, len(VOCABULARY)), rules) for rules in (1, 2)}
texts = st.text(CHARACTERS, max_size=3) | st.sampled_from(PIECES)


@pytest.mark.parametrize("rules", [1, 2])
@settings(max_examples=200)
@given(st.builds("{}{}".format, texts, texts))
@example("-" * 64)
@example("a" * 64)
@example("<a")
@example("<unk")
def test_a_token_that_would_begin_within_another_one_merges(rules, text):
    """So no predicted word begins with a vowel sign or the second half of a flag."""
    merging = set(MERGING[rules].with_text(text).tolist())
    if not text or text[-1].isspace():
        assert not merging
        return
    for token_id, piece in enumerate(VOCABULARY[2:], 2):
        ends = accumulate(map(len, tokens_of(text + piece, rules)))
        assert (token_id in merging) is (len(text) not in ends), piece


def test_only_given_tokens_merge():
    merging = Merging(("a", "b", "c"), np.array([1]), 2)
    assert set(merging.with_text("a").tolist()) == {1}
    assert not len(Merging(("a", "b", "c"), np.array([], int), 2).with_text("a"))
