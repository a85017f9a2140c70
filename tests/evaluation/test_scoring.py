"""Tests of ``evaluation.scoring``, compared with reading token by token in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.engine.inference import MAX_ROWS
from charlstm.evaluation import scoring
from charlstm.evaluation.scoring import (
    Score,
    StatefulScorer,
    add_scores,
    score_stream,
    score_texts,
    score_whole_documents,
)
from charlstm.tokenizer.base import END_OF_DOCUMENT
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.tokens import ScoredToken
from tests.models import CHARS, WORDS, model_of
from tests.oracles import engine_loss, read_log_probabilities

PRECISIONS = ("float32", "int8")
MODELS = [(tokenizer, precision) for tokenizer in (CHARS, WORDS) for precision in PRECISIONS]
texts = st.text(st.sampled_from("abch the. \n?"), max_size=30)
short = settings(max_examples=25, deadline=None)


def token_values(score):
    return np.array([token.log_probability for token in score.per_token])


def encoded(tokenizer, *parts):
    return [END_OF_DOCUMENT, *(int(i) for part in parts for i in tokenizer.encode(part))]


# Texts


@pytest.mark.parametrize(("tokenizer", "precision"), MODELS)
@pytest.mark.parametrize("ends", [False, True])
@short
@given(text=texts)
def test_a_score_equals_that_of_a_plain_reading(tokenizer, precision, ends, text):
    engine = model_of(tokenizer, precision)
    (score,) = score_texts(engine, tokenizer, [text], ends=ends, per_token=True)
    ids = encoded(tokenizer, text) + [END_OF_DOCUMENT] * ends
    expected = read_log_probabilities(engine, ids)
    np.testing.assert_allclose(token_values(score), expected, rtol=0, atol=2e-6)
    assert score.log_probability == pytest.approx(expected.sum(), abs=1e-5)
    assert (score.text, score.tokens) == (text, len(expected))
    assert score.characters == len(text) + ends
    assert score.unknown == tokenizer.unknown_characters(text).total()
    shown = tokenizer.decode(tokenizer.encode(text))
    assert "".join(token.text for token in score.per_token) == shown


@pytest.mark.parametrize(("tokenizer", "precision"), MODELS)
@short
@given(
    several=st.lists(texts, max_size=12), copies=st.sampled_from([1, 20]), context=texts,
    ends=st.booleans(),
)  # fmt: skip
def test_a_text_has_the_same_score_in_any_batch(
    tokenizer, precision, several, copies, context, ends
):
    engine = model_of(tokenizer, precision)
    options = {"ends": ends, "context": context, "per_token": True}
    many = [text[: len(text) - copy] for copy in range(copies) for text in several]
    together = score_texts(engine, tokenizer, many, **options)
    alone = [score_texts(engine, tokenizer, [text], **options)[0] for text in many]
    assert together == alone


def test_more_texts_than_rows():
    many = ["abc"[: n % 4] + "d" * (n % 7) for n in range(2 * MAX_ROWS + 3)]
    engine = model_of(CHARS)
    scores = score_texts(engine, CHARS, many, ends=True)
    assert [score.text for score in scores] == many
    assert scores == [score_texts(engine, CHARS, [text], ends=True)[0] for text in many]


@short
@given(context=texts, text=texts)
def test_a_context_is_read_but_not_scored(context, text):
    engine = model_of(CHARS)
    (score,) = score_texts(engine, CHARS, [text], ends=False, context=context, per_token=True)
    expected = read_log_probabilities(engine, encoded(CHARS, context, text))[len(context) :]
    np.testing.assert_allclose(token_values(score), expected, rtol=0, atol=2e-6)
    assert (score.characters, score.tokens) == (len(text), len(text))


@pytest.mark.parametrize(
    ("context", "read", "text", "scored"),
    [
        ("the cat", "the", "s", " cats"),
        ("the ", "the", "cat", " cat"),
        ("the.", "the.", " dog", " dog"),
        ("th", "", "e", "the"),
    ],
)
def test_the_last_word_of_a_context_can_continue(context, read, text, scored):
    engine = model_of(WORDS)
    (score,) = score_texts(engine, WORDS, [text], ends=False, context=context, per_token=True)
    before = len(WORDS.encode(read))
    expected = read_log_probabilities(engine, encoded(WORDS, read, scored))[before:]
    np.testing.assert_allclose(token_values(score), expected, rtol=0, atol=2e-6)
    assert score.characters == len(scored)
    assert score.text == text


def test_different_lengths_are_read_without_waste():
    """Finished rows leave the batch, so the numbers of read and scored tokens are equal."""
    read = []
    engine = Recording(model_of(CHARS), read)
    many = ["a" * length for length in (9, 1, 300, 0, 9, 40)]
    score_texts(engine, CHARS, many, ends=False)
    assert sum(rows * steps for rows, steps in read) == sum(map(len, many))


class Recording:
    """An engine that records the numbers of rows and steps."""

    def __init__(self, engine, read):
        self.engine, self.asked = engine, read
        self.vocab_size = engine.vocab_size
        self.initial_state = engine.initial_state

    def log_probabilities(self, ids, targets, state):
        self.asked.append(ids.shape)
        return self.engine.log_probabilities(ids, targets, state)


def test_without_texts_there_are_no_scores():
    assert score_texts(model_of(CHARS), CHARS, [], ends=True) == []
    assert score_texts(model_of(CHARS), CHARS, ["", ""], ends=False) == 2 * [Score("", 0, 0, 0, 0)]


# Long texts


def text_of(length, seed=0):
    return "".join(np.random.default_rng(seed).choice(list("abcdefgh .\n"), length))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("context", ["", "abc"])
def test_a_long_text_of_one_row_is_read_like_any_other(monkeypatch, precision, context):
    engine, options = model_of(CHARS, precision), {"ends": True, "per_token": True}
    expected = score_texts(engine, CHARS, [text_of(500)], context=context, **options)
    monkeypatch.setattr(scoring, "LONG", 100)
    assert score_texts(engine, CHARS, [text_of(500)], context=context, **options) == expected


def test_a_long_text_is_read_as_in_validation(monkeypatch):
    monkeypatch.setattr(scoring, "LONG", 3000)
    engine, text = model_of(CHARS), text_of(4000)
    long, near = score_texts(engine, CHARS, [text, text[:50]], ends=False)
    assert [long] == score_texts(engine, CHARS, [text], ends=False)
    assert [near] == score_texts(engine, CHARS, [text[:50]], ends=False)
    ids = np.array(encoded(CHARS, text), np.uint32)
    assert long.nats_per_token == pytest.approx(engine_loss(engine, ids), abs=1e-6)
    assert (long.tokens, long.characters) == (4000, 4000)


# One text in pieces


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("ends", [False, True])
def test_a_stream_has_the_validation_loss(precision, ends):
    engine, text = model_of(CHARS, precision), text_of(3000)
    shares = []
    score = score_stream(
        engine, CHARS, [text[:7], "", text[7:]], ends=ends, on_progress=shares.append
    )
    ids = np.array(encoded(CHARS, text) + [END_OF_DOCUMENT] * ends, np.uint32)
    assert score.nats_per_token == pytest.approx(engine_loss(engine, ids), abs=1e-6)
    assert (score.characters, score.tokens, score.text) == (3000, 3000 + ends, "")
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize(("tokenizer", "precision"), MODELS)
@short
@given(st.lists(texts, max_size=4))
def test_the_tokens_of_a_stream_are_in_order(tokenizer, precision, lines):
    engine = model_of(tokenizer, precision)
    pieces = [line + "\n" for line in lines]
    score = score_stream(engine, tokenizer, pieces, ends=False, per_token=True)
    (expected,) = score_texts(engine, tokenizer, ["".join(pieces)], ends=False, per_token=True)
    assert score.per_token == expected.per_token
    assert score.unknown == expected.unknown
    assert score.characters == expected.characters
    total = score_stream(engine, tokenizer, pieces, ends=False)
    assert total.log_probability == pytest.approx(score.log_probability, rel=1e-12)
    assert total.per_token is None


def test_the_tokens_of_many_rows_are_in_order():
    engine, text = model_of(CHARS), text_of(4 * 512)
    score = score_stream(engine, CHARS, [text], ends=False, per_token=True)
    assert "".join(token.text for token in score.per_token) == text
    (alone,) = score_texts(engine, CHARS, [text], ends=False, per_token=True)
    # The first row needs no warm-up.
    assert score.per_token[:500] == alone.per_token[:500]


def test_an_empty_stream_has_no_end():
    for ends in (False, True):
        score = score_stream(model_of(CHARS), CHARS, [], ends=ends)
        assert score == Score("", 0, 0, 0, 0.0)


@short
@given(st.lists(texts, max_size=9), st.integers(1, 4))
def test_lines_have_the_same_scores_together_and_alone(lines, at_once):
    engine = model_of(CHARS)
    alone = score_texts(engine, CHARS, lines, ends=True, per_token=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_LINES_AT_ONCE", at_once)
        patch.setattr(scoring, "_VALUES_HELD", 3)
        together = score_whole_documents(engine, CHARS, lines, per_token=True)
    assert together.log_probability == pytest.approx(sum(s.log_probability for s in alone))
    assert together.tokens == together.characters == sum(len(line) + 1 for line in lines)
    assert together.unknown == sum(score.unknown for score in alone)
    assert (together.per_token or ()) == tuple(s for score in alone for s in score.per_token)


@pytest.mark.parametrize(("tokenizer", "precision"), MODELS)
@short
@given(st.lists(texts, max_size=5))
def test_a_carried_state_makes_one_text(tokenizer, precision, lines):
    engine = model_of(tokenizer, precision)
    scorer = StatefulScorer(engine, tokenizer)
    scores = [scorer.score(line + "\n", per_token=True) for line in lines]
    whole = "".join(line + "\n" for line in lines)
    (expected,) = score_texts(engine, tokenizer, [whole], ends=False, per_token=True)
    assert tuple(s for score in scores for s in score.per_token) == expected.per_token
    assert [score.text for score in scores] == [line + "\n" for line in lines]
    assert sum(score.characters for score in scores) == expected.characters


# Figures


def test_figures_follow_from_the_log_probability():
    score = Score("abcd", 4, 2, 0, -8 * math.log(2))
    assert score.bits_per_character == pytest.approx(2)
    assert score.nats_per_token == pytest.approx(4 * math.log(2))
    assert score.perplexity == pytest.approx(16)


def test_figures_of_an_empty_and_an_impossible_text():
    nothing = Score("", 0, 0, 0, 0.0)
    assert all(
        map(math.isnan, (nothing.bits_per_character, nothing.nats_per_token, nothing.perplexity))
    )
    assert Score("a", 1, 1, 0, -1e4).perplexity == math.inf


def test_special_tokens_are_marked():
    engine = model_of(WORDS)
    (score,) = score_texts(
        engine, WORDS, ["a\N{SNOWMAN}\N{SNOWMAN}\ufffd"], ends=True, per_token=True
    )
    assert [token.special for token in score.per_token] == [
        *(None, "begin_spelling", "unknown", "unknown", "end_spelling", "unknown", "end"),
    ]
    assert [token.text for token in score.per_token] == ["a", "", *"\ufffd\ufffd", "", "\ufffd", ""]


def test_a_replacement_character_that_is_known_is_not_special():
    tokenizer = CharTokenizer(("a", "\ufffd"))
    engine = model_of(tokenizer)
    (score,) = score_texts(engine, tokenizer, ["\ufffdb"], ends=False, per_token=True)
    assert [token.text for token in score.per_token] == ["\ufffd", "\ufffd"]
    assert [token.special for token in score.per_token] == [None, "unknown"]


def test_scores_add_up():
    parts = [Score("a", 1, 2, 3, -4.0, (ScoredToken("a", -4.0),)), Score("b", 10, 20, 30, -40.0)]
    assert add_scores(parts) == Score("", 11, 22, 33, -44.0, (ScoredToken("a", -4.0),))
    assert add_scores([]) == Score("", 0, 0, 0, 0.0)


@pytest.mark.parametrize("length", [30, scoring.LONG + 5])
@pytest.mark.parametrize("context", ["", "the c"])
def test_unknown_tokens_have_a_part_of_the_log_probability(length, context):
    text = ("cab é " * length)[:length]
    engine = model_of(CHARS)
    for per_token in (False, True):
        (score,) = score_texts(
            engine, CHARS, [text], ends=True, context=context, per_token=per_token
        )
        if per_token:
            unknown = [s.log_probability for s in score.per_token if s.text == "\ufffd"]
            assert len(unknown) == score.unknown == text.count("é")
            expected = pytest.approx(math.fsum(unknown), rel=1e-9)
            assert score.unknown_log_probability == expected
        else:
            first = score.unknown_log_probability
    assert first == pytest.approx(score.unknown_log_probability, rel=1e-9)
    whole = score_stream(engine, CHARS, [text], ends=False)
    assert whole.unknown_log_probability == pytest.approx(
        score_texts(engine, CHARS, [text], ends=False)[0].unknown_log_probability, rel=1e-3
    )
    assert add_scores([whole, whole]).unknown_log_probability == 2 * whole.unknown_log_probability
