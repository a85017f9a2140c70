"""Tests of ``prediction.filler``: lines are scored as ``score`` does, and the best words win."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import charlstm
from charlstm.evaluation.scoring import score_texts
from charlstm.metrics import log_softmax
from charlstm.prediction import line_reading
from charlstm.prediction.filler import CANDIDATES
from charlstm.tokenizer.base import END_OF_DOCUMENT
from tests.messages import raises_naming
from tests.prediction.test_line_reading import read_alone

LEVELS = ["prose", "words", "pieces", "names"]
LINE = "the quick brown fox jumps over the lazy dog"


@pytest.fixture(params=LEVELS)
def model(request):
    return charlstm.load(request.getfixturevalue(request.param), threads=1)


@contextmanager
def whole_lines():
    """Read each line to its end, whether the end tells the candidates apart or not."""
    with patch.object(line_reading, "_SETTLED", 0.0):
        yield


def ends_of(model):
    return model.checkpoint.config.corpus.division.within_files


@settings(deadline=None, max_examples=20)
@given(
    left=st.sampled_from(["", "the ", "the qu", "quick brown ", "a", "."]),
    right=st.sampled_from(["", " fox", " fox jumps over the lazy dog", "s.", "\n", ", the dog"]),
    words=st.lists(st.sampled_from(["the", "fox", "zzz", "dogs", "a b", "brown"]), min_size=2,
                   unique=True),
)  # fmt: skip
@pytest.mark.parametrize("level", LEVELS)
def test_a_line_has_the_probability_that_score_gives_it(request, level, left, right, words):
    model = charlstm.load(request.getfixturevalue(level), threads=1)
    lines = [left + word + right for word in words]
    for ends in (False, True):
        with whole_lines():
            found = model.filler().totals(lines, keep=len(lines), ends=ends)
        scores = score_texts(model.engine, model.tokenizer, lines, ends=ends)
        expected = np.array([each.log_probability for each in scores])
        np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-9)


def test_a_line_is_dropped_only_if_it_falls_far_behind(model):
    left, _, right = LINE.partition("brown")
    lines = [left + word + right for word in ("brown", "quick", "fox", "lazy", "zqzqzqzqzqzqzqzq")]
    with whole_lines():
        every = model.filler().totals(lines, keep=len(lines))
        some_of = [model.filler().totals(lines, keep=keep) for keep in range(1, len(lines) + 1)]
    for keep, some in enumerate(some_of, 1):
        kept = np.isfinite(some)
        np.testing.assert_array_equal(some[kept], every[kept])
        assert kept.sum() >= keep
        assert every[kept].max() == every.max()
        assert (every[~kept] < every.max() - 7).all()


def test_lines_are_read_until_their_end_no_longer_tells_them_apart(prose):
    model = charlstm.load(prose, threads=1)
    lines = [f"the {word} fox{f', {LINE}' * 4}" for word in ("quick", "brown", "lazy")]
    read, engine = [], model.engine
    real = engine.log_probabilities
    with patch.object(
        engine,
        "log_probabilities",
        lambda ids, *rest: read.append(ids.shape[1]) or real(ids, *rest),
    ):
        early = model.filler().totals(lines, keep=3)
        few = sum(read)
        with whole_lines():
            late = model.filler().totals(lines, keep=3)
    assert 2 * few < sum(read) - few
    np.testing.assert_allclose(early - early[0], late - late[0], atol=0.5)


def test_the_best_words_come_first_with_their_shares(model):
    filler = model.filler()
    for left, right in [("the quick ", " fox"), ("the qu", " brown"), ("", " quick"), ("the ", "")]:
        found = filler.fill(left, right, 5)
        shares = [each.probability for each in found]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1 + 1e-9
        assert len({each.insert for each in found}) == len(found)
        if not (right or ends_of(model)):  # then the probability that the word ends counts too
            continue
        scores = score_texts(
            model.engine,
            model.tokenizer,
            [left + each.insert + right for each in found],
            ends=ends_of(model),
        )
        assert [each.log_probability for each in scores] == sorted(
            (each.log_probability for each in scores), reverse=True
        )
        typed = left.rpartition(" ")[2]
        for each in found:
            assert each.text.startswith(typed) or each.insert.strip() == each.text
    everything = filler.fill("the quick ", " fox", CANDIDATES)
    assert sum(each.probability for each in everything) == pytest.approx(1)


def test_a_gap_is_filled_from_both_sides(prose):
    model = charlstm.load(prose, threads=1)
    assert model.fill("the quick ___ fox jumps over the lazy dog").filled == LINE
    assert model.fill("the qu___ brown fox").filled == "the quick brown fox"
    assert model.fill("the quick brown ___").gaps[0][0].text == "fox"
    assert model.fill("jumps ___ the lazy dog", top=1).filled == "jumps over the lazy dog"


def test_gaps_are_filled_in_order(prose):
    model = charlstm.load(prose, threads=1)
    found = model.fill("the ___ brown ___ jumps over", top=2)
    assert found.filled == "the quick brown fox jumps over"
    first = model.fill("the ___ brown ", top=2)
    second = model.fill("the quick brown ___ jumps over", top=2)
    assert [len(words) for words in found.gaps] == [2, 2]
    assert found.gaps == (first.gaps[0], second.gaps[0])
    assert found.to_dict()["gaps"][1][0]["text"] == "fox"


def test_another_marker_is_a_gap(prose):
    model = charlstm.load(prose, threads=1)
    marked = model.fill("the quick ? fox", gap="?")
    assert marked.filled == "the quick brown fox"
    assert [each.filled for each in model.fill(["the ___ brown", "quick ___ fox"])] == [
        "the quick brown",
        "quick brown fox",
    ]
    with raises_naming(charlstm.CharlstmError, "`text`", "no gap here", "___"):
        model.fill("no gap here")
    with raises_naming(charlstm.CharlstmError, "`gap`"):
        model.fill("a ___", gap="")
    with raises_naming(charlstm.CharlstmError, "`top`", 0):
        model.fill("a ___", top=0)


def test_a_blank_is_of_any_length_and_no_word_is_put_into_another_line(prose):
    model = charlstm.load(prose, threads=1)
    for blank in ("___", "____", "__________"):
        assert model.fill(f"the quick {blank} fox").filled == "the quick brown fox"
    for text in ("fox.___ the", "dog___ the", "___"):
        for words in model.fill(text, top=50).gaps:
            assert not any({"\n", "\r"} & {*word.insert} for word in words)


def test_letters_before_a_gap_are_completed(prose):
    model = charlstm.load(prose, threads=1)
    for word in model.fill("the qu___ brown", top=50).gaps[0]:
        assert word.text == f"qu{word.insert}"


def test_a_cached_text_and_a_new_one_are_filled_alike(model):
    filler = model.filler()
    texts = ["the quick ___ fox", "the quick ___ fox jumps", "the ___ brown fox"]
    again = [filler.fill_text(text) for text in texts + texts]
    assert again == [model.filler().fill_text(text) for text in texts + texts]


# With a backward network


BOTH_WAYS = [f"{level}_both_ways" for level in LEVELS]


@settings(deadline=None, max_examples=15)
@given(
    left=st.sampled_from(["", "the ", "the qu", "quick brown ", "a", "."]),
    right=st.sampled_from([" fox", " fox jumps over the lazy dog", "s.", ", the dog"]),
    words=st.lists(st.sampled_from(["the", "fox", "zzz", "dogs", "a b", "brown"]), min_size=2,
                   unique=True),
    begins=st.booleans(),
)  # fmt: skip
@pytest.mark.parametrize("level", BOTH_WAYS)
def test_a_line_has_the_mean_of_both_log_probabilities(request, level, left, right, words, begins):
    model = charlstm.load(request.getfixturevalue(level), threads=1)
    lines = [left + word + right for word in words]
    with whole_lines():
        found = model.filler().totals(lines, keep=len(lines), ends=True, begins=begins)
    scores = score_texts(model.engine, model.tokenizer, lines, ends=True)
    forward = np.array([each.log_probability for each in scores])
    backward = [
        read_alone(
            model._backward_engine,
            model.tokenizer.encode(line)[::-1].tolist(),
            ends=begins,
            closing=None,
        )
        for line in lines
    ]
    expected = (forward + backward) / 2
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-6)


@pytest.mark.parametrize("level", BOTH_WAYS)
def test_stock_keras_layers_give_a_reversed_line_the_same_probability(request, level):
    from charlstm.network.model import plain_keras_model

    folder = request.getfixturevalue(level)
    model = charlstm.load(folder, precision="float32", threads=1)
    config = model.checkpoint.config.model
    network = plain_keras_model(config, model.checkpoint.backward)
    ids = model.tokenizer.encode("a lazy fox")[::-1].astype(np.int64).tolist()
    zeros = [np.zeros((1, config.units), np.float32)] * (2 * config.layers)
    logits = network([np.array([[END_OF_DOCUMENT, *ids]], np.int32), *zeros])[0]
    chosen = log_softmax(np.asarray(logits)[0])[np.arange(len(ids)), ids]
    found = read_alone(model._backward_engine, ids, ends=False, closing=None)
    assert found == pytest.approx(chosen.sum(), abs=1e-4)


@pytest.mark.parametrize("level", BOTH_WAYS)
def test_without_the_backward_network_a_bidirectional_model_fills_like_any_other(request, level):
    model = charlstm.load(request.getfixturevalue(level), threads=1)
    alone = replace(model, checkpoint=replace(model.checkpoint, backward=None))
    assert alone._backward_engine is None
    lines = [f"the {word} fox" for word in ("quick", "brown", "lazy")]
    scores = score_texts(model.engine, model.tokenizer, lines, ends=False)
    expected = np.array([each.log_probability for each in scores])
    found = alone.filler().totals(lines, keep=3)
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-9)


@pytest.mark.parametrize("level", BOTH_WAYS[:3])
def test_a_model_with_two_networks_answers_everything_else_as_with_one(request, level):
    model = charlstm.load(request.getfixturevalue(level), threads=1)
    alone = replace(model, checkpoint=replace(model.checkpoint, backward=None))
    assert model.predict("the qu") == alone.predict("the qu")
    assert model.score("the fox") == alone.score("the fox")
    assert model.generate("the", seed=1) == alone.generate("the", seed=1)
    assert "_backward_engine" not in vars(model)


def test_words_come_from_both_sides(prose_both_ways, monkeypatch):
    model = charlstm.load(prose_both_ways, threads=1)
    assert model.fill("the quick ___ fox jumps over the lazy dog").filled == LINE
    filler = model.filler()
    monkeypatch.setattr(filler._predictor, "predict", lambda *_, **__: [])
    (best, *_) = filler.fill("the quick ", " fox jumps over the lazy dog")
    assert (best.text, best.insert) == ("brown", "brown")
    (best, *_) = filler.fill("the quick br", " fox jumps over the lazy dog")
    assert (best.text, best.insert) == ("brown", "own")
    assert filler.fill("the quick ", "") == []


def test_a_backward_network_predicts_only_the_last_tokens_of_a_long_text(prose_both_ways):
    model = charlstm.load(prose_both_ways, threads=1)
    filler, asked = model.filler(), []
    engine = filler._backward.engine
    real = engine.log_probabilities

    def counted(ids, *rest):
        asked.append(ids.shape[1])
        return real(ids, *rest)

    engine.log_probabilities = counted
    with whole_lines():
        (best, *_) = filler.fill(f"{LINE} " * 40 + "the quick ", " fox jumps")
    assert best.text == "brown"
    assert 200 < sum(asked) < 300


@pytest.mark.parametrize("level", BOTH_WAYS)
def test_the_best_words_of_both_networks_come_first(request, level):
    model = charlstm.load(request.getfixturevalue(level), threads=1)
    filler = model.filler()
    for left, right in [
        ("the quick ", " fox"),
        ("the qu", " brown"),
        ("", " quick"),
        ("dog;", " a"),
    ]:
        found = filler.fill(left, right, 8)
        shares = [each.probability for each in found]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1 + 1e-9
        assert len({each.insert for each in found}) == len(found)
        assert filler.fill(left, right, 8) == model.filler().fill(left, right, 8)
