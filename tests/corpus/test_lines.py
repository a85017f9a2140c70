"""Tests of ``corpus.lines``: a stream of blocks becomes lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpus.lines import lines_of, split_lines
from charlstm.errors import CorpusError
from tests.texts import (
    block_sizes,
    corpus_of,
    message,
    pieces_of,
    texts,
)


def test_a_line_that_is_too_long_for_a_document(tmp_path, monkeypatch, sentence):
    monkeypatch.setattr("charlstm.corpus.lines.LONGEST_LINE", 3 * 2**20)
    corpus = corpus_of(tmp_path, ["a\n" + "b" * 3 * 2**20 + "\nc\n"], lines=True)
    assert [len(chunk.text) for chunk in corpus.chunks()] == [1, 3 * 2**20, 1]
    corpus = corpus_of(tmp_path, ["a\n" + "b" * 5 * 2**20 + "\nc\n"], lines=True)
    sentence(message(list, corpus.chunks()), tmp_path / "0.txt", "3,145,728 characters", "`lines`")


def split_text(text, size, **options):
    """Return the lines of a text that arrives in blocks, each with its line end."""
    split = split_lines(pieces_of(text, size), "it", "too long", **options)
    return [(line, end) for lines, end in split for line in lines]


def split_by_hand(text, ends):
    """Split at a regular expression into (line, line end)."""
    parts = re.split(f"({ends})", text)
    found = list(zip(parts[::2], [*parts[1::2], ""], strict=True))
    return found if found[-1][0] else found[:-1]


@given(texts, block_sizes)
def test_lines_and_their_ends_joined_are_the_text(text, size):
    found = split_text(text, size)
    assert found == split_by_hand(text, "\r?\n" if "\n" in text else "\r")
    assert "".join(map("".join, found)) == text
    assert lines_of(text) == [line for line, _ in found]


@given(texts, block_sizes)
def test_by_rules_1_lines_are_split_at_newlines(text, size):
    assert split_text(text, size, rules=1) == split_by_hand(text, "\n")


@given(st.lists(st.text("ab é", max_size=5), min_size=1), block_sizes)
def test_all_line_ends_give_the_same_lines(lines, size):
    for end in ("\n", "\r\n", "\r"):
        text = "".join(line + end for line in lines)
        assert split_text(text, size) == [(line, end) for line in lines]


def test_a_long_text_with_carriage_returns_is_split_in_pieces(monkeypatch):
    monkeypatch.setattr("charlstm.corpus.lines._AT_ONCE", 3)
    text = "abcd\r\r\refghijk\rl\rm"
    found = list(split_lines([text], "it", "too long"))
    assert len(found) > 2
    assert "".join(line + end for lines, end in found for line in lines) == text


@given(st.lists(st.text("ab", max_size=9), min_size=2), st.text("ab\r\n", max_size=20), block_sizes)
def test_a_long_text_with_carriage_returns_first_is_split_at_them(lines, rest, size):
    head = "\r".join(lines)
    text = head + "\r" + rest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlstm.corpus.lines.LONGEST_LINE", 9)
        split = split_lines(pieces_of(text, size), "it", "too long")
        try:
            found = [(line, end) for lines, end in split for line in lines]
        except CorpusError:
            assert any(len(line) > 9 for line in text.split("\n" if "\n" in text else "\r"))
            return
    assert "".join(map("".join, found)) == text
    if "\n" not in text or len(head) > 9 + size:
        assert found == split_by_hand(text, "\r\n|\r|\n")


def test_a_long_file_with_carriage_returns_is_not_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("charlstm.corpus.lines.LONGEST_LINE", 2**20)
    lines = [f"name {number}" for number in range(300_000)]
    corpus = corpus_of(tmp_path, ["\r".join(lines)], lines=True)
    assert [chunk.text for chunk in corpus.chunks()] == lines


def test_lines_are_yielded_as_soon_as_they_end():
    blocks = iter(["a\nb", "c\nd\n", "e"])
    lines = split_lines(blocks, "it", "too long")
    assert next(lines) == (["a"], "\n")
    assert next(blocks) == "c\nd\n"
    assert list(lines) == [(["be"], "")]
