"""Tests of ``evaluation.gap_metrics``: which words are hidden, and how often they are found."""

from __future__ import annotations

import math

import pytest

import charlstm
from charlstm.config import Division
from charlstm.corpus.documents import Corpus
from charlstm.evaluation.gap_metrics import evaluate_gaps, hidden_words
from tests.messages import raises_naming

TEXT = "the quick brown fox jumps over the lazy dog"


@pytest.fixture
def model(prose):
    return charlstm.load(prose, threads=1)


def texts_of(model, *texts):
    return model.texts_of(Corpus.of_texts(texts))


def test_each_word_is_hidden_with_the_rest_of_its_line(model):
    found = list(hidden_words(model.tokenizer, texts_of(model, "(an old) dog,\nis 4\n", "x")))
    assert [(each.line[each.start : each.stop], each.line, each.is_end) for each in found] == [
        *((word, "(an old) dog,", False) for word in ("an", "old", "dog")),
        *((word, "is 4", True) for word in ("is", "4")),
        ("x", "x", True),
    ]


def test_the_edges_of_a_document_are_scored_only_at_its_first_and_last_line(monkeypatch, names):
    model = charlstm.load(names, threads=1)
    asked = []
    filler = model.filler()
    monkeypatch.setattr(
        type(filler), "fill",
        lambda _, left, right, top, **edges: asked.append((left, right, edges)) or [],
    )  # fmt: skip
    texts = model.texts_of(Corpus.of_texts(["anna\nbert\n"]), Division(unit="file"))
    evaluate_gaps(model.tokenizer, model.predictor(), filler, texts, sample=9, seed=1)
    assert asked == [
        ("", "", {"is_begin": True, "is_end": False}),
        ("", "", {"is_begin": False, "is_end": True}),
    ]


def figures(model, text, sample=100, seed=1):
    return evaluate_gaps(
        model.tokenizer,
        model.predictor(),
        model.filler(),
        texts_of(model, text),
        sample=sample,
        seed=seed,
    )


def test_words_are_found_more_often_from_both_sides(model):
    found = figures(model, f"{TEXT}\n" * 2)
    assert found.sample == 2 * len(TEXT.split())
    for accuracy in (found.accuracy, found.left_accuracy):
        assert 0 <= accuracy[1] <= accuracy[3] <= accuracy[5] <= 1
    assert found.accuracy[1] > 0.5
    assert found.accuracy[1] >= found.left_accuracy[1]
    for rank, error in found.accuracy_errors.items():
        share = found.accuracy[rank]
        assert error == pytest.approx(math.sqrt(share * (1 - share) / found.sample))


def test_the_sample_is_that_of_the_seed(model):
    assert figures(model, TEXT, 3, seed=2) == figures(model, TEXT, 3, seed=2)
    assert figures(model, TEXT, 3).sample == 3
    assert figures(model, TEXT, 10**6).sample == len(TEXT.split())


def test_a_text_without_words_is_refused(model):
    with raises_naming(charlstm.CharlstmError, "word"):
        figures(model, "...\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_in_every_other_text(model, end):
    found = list(hidden_words(model.tokenizer, texts_of(model, f"an old dog{end}is 4{end}")))
    assert [(each.line, each.is_end) for each in found] == [
        *[("an old dog", False)] * 3,
        *[("is 4", True)] * 2,
    ]
