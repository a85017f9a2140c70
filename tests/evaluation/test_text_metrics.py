"""Tests of ``evaluation.text_metrics``: whole texts, the words in them, and their beginnings."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpus.documents import Corpus
from charlstm.errors import CorpusError
from charlstm.evaluation.text_metrics import (
    Texts,
    _windows,
    _Words,
    beginning_of,
    evaluate_text,
    evaluate_words,
    texts_of,
)
from charlstm.tokenizer.base import END_OF_DOCUMENT, UNKNOWN
from charlstm.tokenizer.segmentation import tokens_of
from tests.evaluation.test_scoring import model_of, reference
from tests.generation.test_decoder import CHARS, WORDS
from tests.messages import assert_names, raises_naming
from tests.texts import chunks_in_blocks, corpus_of, message

BOTH = pytest.mark.parametrize("tokenizer", [CHARS, WORDS], ids=["char", "word"])
documents_given = st.lists(st.text(st.sampled_from("the cat\n .'é1"), max_size=60), max_size=4)


def texts(*documents, lines=False, ends=False):
    return Texts("it", lambda: iter([[d] for d in documents]), lines, ends or lines)


def ids_of(tokenizer, document, ends):
    return [END_OF_DOCUMENT, *tokenizer.encode(document).tolist(), *[END_OF_DOCUMENT] * ends]


# Loss


@BOTH
@given(documents_given, st.booleans(), st.booleans())
def test_figures_are_those_of_a_plain_reading(tokenizer, documents, ends, lines):
    engine, ends = model_of(tokenizer, "float32"), ends or lines
    if lines:
        documents = [document.replace("\n", "") for document in documents]
    values, targets = [], []
    for document in documents:
        if document or lines:  # an empty file is no document
            ids = ids_of(tokenizer, document, ends)
            values += reference(engine, ids).tolist()
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
        (figures.word_perplexity, words, sum(values)),
    ):
        if not count:
            assert math.isnan(value)
        elif -total / count < math.log(sys.float_info.max):
            assert value == pytest.approx(math.exp(-total / count), rel=1e-3)
        else:
            assert math.isinf(value)


def test_words_that_go_over_the_border_of_two_pieces_count_once():
    given_texts = Texts("it", lambda: iter([["the ca", "t saw", " it"]]), False, False)
    assert evaluate_text(model_of(CHARS), CHARS, given_texts).words == 4


@given(st.lists(st.text("ab \n", min_size=1, max_size=30), max_size=3), st.integers(1, 8))
def test_a_corpus_is_read_as_its_documents(tmp_path_factory, documents, size):
    corpus = corpus_of(tmp_path_factory.mktemp("corpus"), documents)
    chunks = chunks_in_blocks(corpus, size)
    whole = texts_of(
        type("Cut", (), {"chunks": lambda _: iter(chunks), "lines": False, "addresses": ("it",)})(),
        ends=False,
    )
    assert ["".join(document) for document in whole.documents()] == documents
    assert ["".join(document) for document in whole.documents()] == documents


def test_progress_is_told_in_characters():
    for lines in (False, True):
        told = []
        given_texts = texts("the cat", "saw", lines=lines)
        evaluate_text(model_of(CHARS), CHARS, given_texts, on_progress=told.append)
        assert sum(told) == pytest.approx(10 + 2 * lines)


# Words


@pytest.mark.parametrize(("text", "words"), [
    ("the cat's 2 hats", ["the", "cat's", "2", "hats"]),
    ("(one) two-three, four.five", ["one", "two", "three", "four", "five"]),
    ("3rd x2 'tis rock'n'roll", ["3", "x", "rock'n'roll"]),
    ("a\nb\tc  d\r\ne", ["a", "b", "c", "d", "e"]),
    ("\u4e2d\u56fd ab", ["\u4e2d", "\u56fd", "ab"]),
    ("... --- !", []),
    ("caf\u0301e e\u0301t", ["caf\u0301e", "e\u0301t"]),
])  # fmt: skip
def test_which_words_are_asked_for(text, words):
    found = list(_Words().of(text))
    assert [token.removeprefix(" ") for _, token in found] == words
    assert all(text[place:].startswith(token) for place, token in found)


def test_a_word_is_not_begun_by_a_border():
    words = _Words()
    assert [token for text in ("ab", "cd ef", "\n", "gh") for _, token in words.of(text)] == [
        "ab", " ef", "gh",
    ]  # fmt: skip


@BOTH
@given(documents_given.filter(lambda d: any(list(_Words().of(t)) for t in d)), st.data())
def test_windows_end_where_words_begin(tokenizer, documents, data):
    there = [(d, *found) for d in documents for found in _Words().of(d)]
    chosen = sorted(data.draw(st.sets(st.integers(0, len(there) - 1), min_size=1)))
    found = [
        (window.ids[: one.after].tolist(), one)
        for window in _windows(tokenizer, texts(*documents), chosen)
        for one in window.queries
    ]
    assert len(found) == len(chosen)
    for (read, one), number in zip(found, chosen, strict=True):
        document, place, token = there[number]
        word = token.removeprefix(" ")
        before = document[: place + len(token) - len(word)]
        assert one.word == word
        assert one.unread == (token[: -len(word)] if tokenizer.spells else "")
        assert read == ids_of(tokenizer, before.removesuffix(one.unread), False)
        assert list(tokens_of(before + word))[-1] == token


def test_a_text_without_words_is_told(sentence):
    told = message(evaluate_words, model_of(CHARS), CHARS, texts("... ---"), sample=5, seed=1)
    sentence(told, "it", "no word", "--sample 0")


# Beginnings


@BOTH
@given(documents_given, st.integers(1, 80), st.booleans(), st.booleans())
def test_a_beginning_has_as_many_tokens_as_asked_for(tokenizer, documents, count, lines, ends):
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
        assert tokens == every or tokens + 10 > min(count, every)


def test_a_file_that_can_not_be_read_is_told(tmp_path):
    (tmp_path / "0.txt").write_bytes(b"\xff\xfe")
    (source,) = corpus_of(tmp_path, [""]).sources
    source.path.write_bytes(b"a\xff")
    found = texts_of(Corpus((source,), addresses=("it",)), ends=False)
    with raises_naming(CorpusError, "0xff", "offset 1", "utf-8"):
        evaluate_text(model_of(CHARS), CHARS, found)
