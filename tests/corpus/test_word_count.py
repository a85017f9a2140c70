"""Tests of ``corpus.word_count``."""

from __future__ import annotations

from hypothesis import given

from charlstm.corpus.word_count import WordCounter
from tests.texts import (
    block_sizes,
    documents,
    pieces_of,
)


@given(documents, block_sizes)
def test_words_that_span_pieces_are_counted_once(contents, size):
    counter = WordCounter()
    for text in contents:
        for piece in pieces_of(text, size):
            counter.add(piece)
            counter.add("")
        counter.end_document()
    assert counter.count == sum(len(text.split()) for text in contents)
