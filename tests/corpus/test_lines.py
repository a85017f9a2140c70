"""Tests of ``corpus.lines``: a stream of blocks becomes lines."""

from __future__ import annotations

from hypothesis import given

from charlstm.corpus.lines import split_lines
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
    sentence(message(list, corpus.chunks()), tmp_path / "0.txt", "3,145,728 characters", "--lines")


@given(texts, block_sizes)
def test_lines_are_split_at_newlines(text, size):
    expected = text.split("\n")
    if not expected[-1]:
        expected.pop()
    found = list(split_lines(pieces_of(text, size), "it", "too long"))
    assert [line for lines, _ in found for line in lines] == expected
    assert "".join("\n".join(lines) + "\n" * ended for lines, ended in found) == text
    assert all(lines and ended for lines, ended in found[:-1])


def test_lines_are_there_as_soon_as_they_end():
    blocks = iter(["a\nb", "c\nd\n", "e"])
    lines = split_lines(blocks, "it", "too long")
    assert next(lines) == (["a"], True)
    assert next(blocks) == "c\nd\n"
    assert list(lines) == [(["be"], False)]
