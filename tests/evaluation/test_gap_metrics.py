"""Tests of ``evaluation.gap_metrics``: which words are hidden, and how often they are found."""

from __future__ import annotations

import math

import pytest

import charlstm
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
    assert found == [
        ("(", "an", " old) dog,"), ("(an ", "old", ") dog,"), ("(an old) ", "dog", ","),
        ("", "is", " 4"), ("is ", "4", ""), ("", "x", ""),
    ]  # fmt: skip
    for left, word, right in found:
        assert left + word + right in ("(an old) dog,", "is 4", "x")


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
