"""Tests of ``prediction.filler``: lines are scored as ``score`` does, and the best words win."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import charlstm
from charlstm.evaluation.scoring import score_texts
from charlstm.prediction.filler import CANDIDATES
from tests.messages import raises_naming

LEVELS = ["prose", "words", "pieces", "names"]
LINE = "the quick brown fox jumps over the lazy dog"


@pytest.fixture(params=LEVELS)
def model(request):
    return charlstm.load(request.getfixturevalue(request.param), threads=1)


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
        found = model.filler().totals(lines, keep=len(lines), ends=ends)
        scores = score_texts(model.engine, model.tokenizer, lines, ends=ends)
        expected = np.array([each.log_probability for each in scores])
        np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-9)


def test_a_line_is_dropped_only_if_it_falls_far_behind(model):
    left, _, right = LINE.partition("brown")
    lines = [left + word + right for word in ("brown", "quick", "fox", "lazy", "zqzqzqzqzqzqzqzq")]
    every = model.filler().totals(lines, keep=len(lines))
    for keep in range(1, len(lines) + 1):
        some = model.filler().totals(lines, keep=keep)
        kept = np.isfinite(some)
        np.testing.assert_array_equal(some[kept], every[kept])
        assert kept.sum() >= keep
        assert every[kept].max() == every.max()
        assert (every[~kept] < every.max() - 10).all()


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
