"""Tests of ``generation.match_reader``: its verdict agrees with ``re``."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.generation.match_reader import MatchReader
from charlstm.generation.pattern import Pattern
from charlstm.generation.word_edges import WordEdges
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.word import WordTokenizer

CHARS = CharTokenizer(tuple("ab. "))
WORDS = WordTokenizer((*"ab. ", " ab", "ba"))
EXPRESSIONS = ["[ab]*", "a.*b", "(ab|ba )*", "[^ ]{2}", r"a*\. ?", "", ".{3}"]


def verdict_on(tokenizer, expression, ids, length):
    """Return the verdict on a text, and the text."""
    pattern = Pattern(expression, tokenizer)
    reader = MatchReader(
        pattern, WordEdges(tokenizer), pattern.start, in_word=False, unread=0, length=length
    )
    for position, token_id in enumerate(ids):
        if verdict := reader.add(token_id):
            end = position + (verdict != "match before")
            return verdict, tokenizer.decode(ids[:end])
    return None, tokenizer.decode(ids)


def can_match(expression, text, left):
    """Return whether ``text`` and at most some more characters match."""
    texts = [text]
    for _ in range(left + 1):
        if any(re.fullmatch(expression, each) for each in texts):
            return True
        texts = [each + character for each in texts for character in "ab. "]
    return False


@given(st.sampled_from(EXPRESSIONS), st.text("ab. ", max_size=5), st.integers(1, 5))
def test_a_verdict_is_that_of_trying(expression, text, length):
    ids = [*CHARS.encode(text).tolist(), END_OF_DOCUMENT][:length]
    verdict, found = verdict_on(CHARS, expression, ids, length)
    for end in range(len(ids) + 1):
        begun = text[:end]
        is_match = re.fullmatch(expression, begun) is not None
        if end == len(ids) or ids[end] == END_OF_DOCUMENT:  # the length or the end
            assert verdict == ("match" if is_match else "no match")
            break
        longer = text[: end + 1]
        if not can_match(expression, longer, 3):
            within = begun[-1:].isalpha() and longer[-1].isalpha()
            is_match = is_match and begun and not within
            before = "match before" if is_match else "no match"
            assert verdict == before
            assert verdict == "no match" or found == begun
            break
        if not can_match(expression, longer, length - end - 1):
            assert verdict == "no match"
            break


@pytest.mark.parametrize(
    ("ids", "verdict", "text"),
    [
        ([BEGIN_SPELLING, WORDS.pieces.index("a"), END_SPELLING, END_OF_DOCUMENT],
         "match", "a"),
        ([WORDS.pieces.index("ba"), BEGIN_SPELLING, WORDS.pieces.index(" ")],
         "match before", "ba"),
        ([WORDS.pieces.index("ba"), WORDS.pieces.index(" ab")], "match before", "ba"),
    ],
)  # fmt: skip
def test_spelled_words_are_read_by_letters(ids, verdict, text):
    assert verdict_on(WORDS, "[ab]*", ids, 9) == (verdict, text)
