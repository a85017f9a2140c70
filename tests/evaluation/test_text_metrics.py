"""Tests of ``evaluation.text_metrics``: the figures of whole texts, and the beginnings of texts."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import FILES
from charlstm.corpus.documents import Corpus
from charlstm.errors import CorpusError
from charlstm.evaluation.text_metrics import (
    Texts,
    beginning_of,
    evaluate_text,
    texts_of,
)
from charlstm.tokenizer.base import UNKNOWN
from charlstm.tokenizer.segmentation import tokens_of
from tests.evaluation.helpers import LEVELS, documents_given, ids_of, texts
from tests.messages import assert_names, raises_naming
from tests.models import CHARS, model_of
from tests.oracles import read_log_probabilities
from tests.texts import chunks_in_blocks, corpus_of, message

# Loss


@LEVELS
@given(documents_given, st.booleans(), st.booleans())
def test_figures_equal_those_of_a_plain_reading(tokenizer, documents, ends, lines):
    engine, ends = model_of(tokenizer, "float32"), ends or lines
    if lines:
        documents = [document.replace("\n", "") for document in documents]
    values, targets = [], []
    for document in documents:
        if document or lines:  # an empty file is not a document
            ids = ids_of(tokenizer, document, ends)
            values += read_log_probabilities(engine, ids).tolist()
            targets += ids[1:]
    given_texts = texts(*(d for d in documents if d or lines), lines=lines, ends=ends)
    if not targets:
        assert_names(message(evaluate_text, engine, tokenizer, given_texts), "it", "empty")
        return
    figures = evaluate_text(engine, tokenizer, given_texts)
    known = [v for v, target in zip(values, targets, strict=True) if target != UNKNOWN]
    characters = sum(map(len, documents)) + lines * len(documents)
    words = sum(len(document.split()) for document in documents)
    assert (figures.tokens, figures.characters) == (len(targets), characters)
    assert (figures.unknown, figures.words) == (len(targets) - len(known), words)
    assert figures.loss == pytest.approx(-np.mean(values), abs=1e-5)
    bits = -sum(values) / math.log(2)
    assert figures.bits_per_character == pytest.approx(bits / characters, rel=1e-5)
    assert figures.perplexity == pytest.approx(math.exp(-np.mean(values)), rel=1e-4)
    for value, count, total in (
        (figures.perplexity_known, len(known), sum(known)),
        (figures.word_perplexity, words * (characters <= 15 * words), sum(values)),
    ):
        if not count:
            assert math.isnan(value)
        elif -total / count < math.log(sys.float_info.max):
            assert value == pytest.approx(math.exp(-total / count), rel=1e-3)
        else:
            assert math.isinf(value)


def test_words_across_the_border_of_two_pieces_count_once():
    given_texts = Texts("it", lambda: iter([["the ca", "t saw", " it"]]), "file", False)
    assert evaluate_text(model_of(CHARS), CHARS, given_texts).words == 4


@given(st.lists(st.text("ab \n", min_size=1, max_size=30), max_size=3), st.integers(1, 8))
def test_a_corpus_is_read_as_its_documents(tmp_path_factory, documents, size):
    corpus = corpus_of(tmp_path_factory.mktemp("corpus"), documents)
    chunks = chunks_in_blocks(corpus, size)
    cut = {"chunks": lambda *_: iter(chunks), "division": FILES, "addresses": ("it",)}
    whole = texts_of(type("Cut", (), cut)(), ends=False)
    assert ["".join(document) for document in whole.documents()] == documents
    assert ["".join(document) for document in whole.documents()] == documents


def test_progress_is_reported_in_characters():
    for lines in (False, True):
        told = []
        given_texts = texts("the cat", "saw", lines=lines)
        evaluate_text(model_of(CHARS), CHARS, given_texts, on_progress=told.append)
        assert sum(told) == pytest.approx(10 + 2 * lines)


# Beginnings


@LEVELS
@given(documents_given, st.integers(1, 80), st.booleans(), st.booleans())
def test_a_beginning_has_the_requested_number_of_tokens(tokenizer, documents, count, lines, ends):
    if lines:
        documents = [document.replace("\n", "") for document in documents]
    whole = texts(*documents, lines=lines, ends=ends)
    kept = ["".join(document) for document in beginning_of(whole, tokenizer, count).documents()]
    again = ["".join(document) for document in beginning_of(whole, tokenizer, count).documents()]
    assert kept == again
    assert all(full.startswith(part) for full, part in zip(documents, kept, strict=False))
    assert kept[:-1] == documents[: max(0, len(kept) - 1)]
    ends = ends or lines
    tokens = sum(len(ids_of(tokenizer, part, ends)) - 1 for part in kept)
    every = sum(len(ids_of(tokenizer, full, ends)) - 1 for full in documents)
    if lines:
        assert tokens >= min(count, every)
        assert len(kept) < 2 or tokens - len(ids_of(tokenizer, kept[-1], ends)) + 1 < count
    elif tokenizer is CHARS and not ends:
        assert tokens == min(count, every)
    else:
        assert tokens <= count + ends
        words = (word for full in documents for word in tokens_of(full, tokenizer.segmentation))
        longest = max((len(tokenizer.encode(word)) for word in words), default=0)
        assert tokens == every or tokens + longest + ends > min(count, every)


def test_a_file_that_can_not_be_read_is_reported(tmp_path):
    (tmp_path / "0.txt").write_bytes(b"\xff\xfe")
    (source,) = corpus_of(tmp_path, [""]).sources
    source.path.write_bytes(b"a\xff")
    found = texts_of(Corpus((source,), addresses=("it",)), ends=False)
    with raises_naming(CorpusError, "0xff", "offset 1", "utf-8"):
        evaluate_text(model_of(CHARS), CHARS, found)
