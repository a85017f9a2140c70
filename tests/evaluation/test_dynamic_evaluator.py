"""Tests of ``evaluation.dynamic_evaluator``: it learns, and scores tokens before learning them."""

from __future__ import annotations

from functools import cache
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import Level, ModelConfig
from charlstm.engine.inference import build_engine
from charlstm.evaluation.dynamic_evaluator import (
    CLIP_NORM,
    DEFAULTS,
    DynamicEvaluator,
    DynamicSettings,
    _segments,
)
from charlstm.network.model import plain_keras_model, set_weights, weights_of
from charlstm.tokenizer.base import END_OF_DOCUMENT
from tests.models import random_weights
from tests.oracles import read_log_probabilities

CONFIG = ModelConfig(vocab_size=11, embedding=6, units=16, layers=2, attention=4)
LEARNING = DynamicSettings(rate=0.5, decay=0.01, segment=5)
documents_given = st.lists(st.lists(st.integers(1, 10), max_size=14), min_size=1, max_size=4)
few = settings(max_examples=10)


@cache
def engine():
    return build_engine(CONFIG, random_weights(CONFIG), precision="float32", threads=1)


@cache
def compiled(learning):
    return DynamicEvaluator(CONFIG, random_weights(CONFIG), learning)


def scores(documents, learning=LEARNING, *, ends=False, pieces=1):
    """Score documents with a network that is compiled once and reset each time."""
    cut = [np.array_split(np.array(document, np.int64), pieces) for document in documents]
    evaluator = compiled(learning)
    set_weights(evaluator._model, random_weights(CONFIG))
    evaluator._states = evaluator._model.zero_states(1)
    return list(evaluator.score(cut, ends=ends))


def test_a_reset_network_equals_a_new_one():
    scores([[1, 2, 3, 4, 5, 6, 7, 8, 9]])
    document = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])
    new = DynamicEvaluator(CONFIG, random_weights(CONFIG), LEARNING)
    assert scores([document]) == list(new.score([[document]], ends=False))


def static(documents, *, ends=False):
    """Return the log-probability of each token, each document from a zero state."""
    ends = [END_OF_DOCUMENT] * ends
    parts = [read_log_probabilities(engine(), [END_OF_DOCUMENT, *d, *ends]) for d in documents]
    return np.concatenate([np.empty(0), *parts])


@few
@given(documents_given, st.booleans(), st.integers(1, 3))
def test_without_a_rate_every_segment_has_its_static_score(documents, ends, pieces):
    still = DynamicSettings(rate=0.0, decay=0.0, segment=5)
    found = scores(documents, still, ends=ends, pieces=pieces)
    values = static(documents, ends=ends)
    assert [one.tokens for one in found[:-1]] == [5] * (len(found) - 1)
    assert sum(one.tokens for one in found) == len(values)
    expected = [values[at : at + 5].sum() for at in range(0, len(values), 5)]
    np.testing.assert_allclose([one.log_probability for one in found], expected, atol=1e-4)


@few
@given(documents_given, st.booleans())
def test_the_first_segment_has_its_static_score(documents, ends):
    values = static(documents, ends=ends)
    for one in scores(documents, ends=ends)[:1]:
        assert one.log_probability == pytest.approx(values[:5].sum(), abs=1e-4)


@few
@given(st.permutations(list(range(1, 11)) * 2), st.integers(1, 3))
def test_no_token_is_scored_by_weights_that_have_seen_it(ids, segments):
    """Later tokens do not change the score of a segment."""
    kept = 5 * segments
    other = [*ids[:kept], *reversed(ids[kept:])]
    first, second = scores([ids]), scores([other])
    assert first[:segments] == second[:segments]
    assert first != second or ids == other


def test_a_text_that_repeats_itself_is_learned():
    document = [1, 2, 3, 4, 5, 6, 7] * 30
    gained = sum(one.log_probability for one in scores([document])) - static([document]).sum()
    assert gained > 10


def test_the_decay_moves_weights_back():
    """With a decay of 1, weights are back at the trained ones after each step."""
    document = [1, 2, 3, 4, 5] * 20
    forgetful = scores([document], DynamicSettings(rate=0.0, decay=1.0, segment=5))
    still = scores([document], DynamicSettings(rate=0.0, decay=0.0, segment=5))
    assert forgetful == still
    evaluator = DynamicEvaluator(CONFIG, random_weights(CONFIG), DynamicSettings(0.0, 0.25, 5))
    for variable in evaluator._model.trainable_variables:
        variable.assign(variable + 1.0)
    list(evaluator.score([[np.array([1, 2, 3, 4, 5])]], ends=False))
    for name, weights in weights_of(evaluator._model).items():
        np.testing.assert_allclose(weights, random_weights(CONFIG)[name] + 0.75, atol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 3.0])
def test_a_step_equals_that_of_stock_layers(rate):
    """It follows the clipped gradient of the mean loss."""
    import tensorflow as tf

    ids = np.array([END_OF_DOCUMENT, 3, 1, 4, 1, 5])
    config = CONFIG.replace(attention=0)
    weights = random_weights(config)
    plain = plain_keras_model(config, weights)
    zeros = [np.zeros((1, 16), np.float32)] * 4
    with tf.GradientTape() as tape:
        logits = plain([ids[None, :-1].astype(np.int32), *zeros])[0]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[None, 1:], logits)
        loss = tf.reduce_mean(losses)
    variables = plain.trainable_variables
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, [v.value for v in variables])]
    norm = float(tf.linalg.global_norm(gradients))
    step = rate * min(1.0, CLIP_NORM / norm)
    before = weights_of(plain)
    expected = {
        name: before[name] - step * np.asarray(gradient)
        for name, gradient in zip(before, gradients, strict=True)
    }
    evaluator = DynamicEvaluator(config, weights, DynamicSettings(rate=rate, decay=0.3, segment=5))
    list(evaluator.score([[ids[1:]]], ends=False))
    for name, found in weights_of(evaluator._model).items():
        np.testing.assert_allclose(found, expected[name], atol=1e-5)


@given(documents_given, st.integers(1, 7), st.integers(1, 3), st.booleans())
def test_segments_join_the_documents(documents, length, pieces, ends):
    cut = [np.array_split(np.array(document, np.int64), pieces) for document in documents]
    found = list(_segments(cut, length, ends=ends))
    assert all(len(inputs) == len(targets) == length for inputs, targets in found[:-1])
    after = [END_OF_DOCUMENT] * ends
    expected = [
        pair
        for document in documents
        for pair in zip([END_OF_DOCUMENT, *document], [*document, *after], strict=False)
    ]
    assert [(int(a), int(b)) for pair in found for a, b in zip(*pair, strict=True)] == expected


def test_each_level_has_defaults():
    assert set(DEFAULTS) == set(get_args(Level))
