"""Tests of ``charlstm.metrics`` against float64, with impossible ids and very large figures."""

from __future__ import annotations

import math
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.schema import Figures
from charlstm.metrics import (
    bits_per_character,
    log_normalizers,
    log_probabilities,
    log_softmax,
    perplexity,
    softmax,
)

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([1, 2, 67, 5000])
LARGEST = math.log(sys.float_info.max)


def logits_of(seed, rows, size, excluded=0.0):
    """Return random logits of any scale. Some of them are -inf, but never a whole row."""
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(rows, size)) * rng.choice([0, 1, 50, 1e4])).astype(np.float32)
    ruled_out = rng.random(logits.shape) < excluded
    ruled_out[np.arange(rows), rng.integers(size, size=rows)] = False
    logits[ruled_out] = -np.inf
    return logits


def exact_log_softmax(logits):
    wide = logits.astype(np.float64)
    below = wide - wide.max(-1, keepdims=True)
    return below - np.log(np.exp(below).sum(-1, keepdims=True))


rows_given = given(SEEDS, st.integers(1, 4), SIZES, st.sampled_from([0.0, 0.5, 1.0]))


# Softmax


@rows_given
def test_probabilities_sum_to_one(seed, rows, size, excluded):
    logits = logits_of(seed, rows, size, excluded)
    for found, allowed in ((softmax(logits), 1e-12), (np.exp(log_softmax(logits)), 1e-5)):
        assert found.dtype == np.float64
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=allowed)


@rows_given
def test_log_softmax_is_exact(seed, rows, size, excluded):
    logits = logits_of(seed, rows, size, excluded)
    expected = exact_log_softmax(logits)
    np.testing.assert_allclose(log_softmax(logits), expected, rtol=1e-6, atol=2e-6)
    np.testing.assert_allclose(softmax(logits), np.exp(expected), rtol=1e-9, atol=1e-300)
    normalizers = log_normalizers(logits)
    assert (normalizers.dtype, normalizers.shape) == (np.float64, (rows,))


@rows_given
def test_impossible_ids_stay_impossible(seed, rows, size, excluded):
    logits = logits_of(seed, rows, size, excluded)
    ruled_out = np.isneginf(logits)
    assert (softmax(logits)[ruled_out] == 0).all()
    assert np.isneginf(log_softmax(logits)[ruled_out]).all()
    assert not np.isnan(log_softmax(logits)).any()


@given(SEEDS, SIZES, st.sampled_from([np.float32, np.float64]))
def test_a_row_has_the_same_bits_in_any_batch(seed, size, dtype):
    logits = logits_of(seed, 9, size, 0.2).astype(dtype)
    kept = logits.copy()
    for function in (softmax, log_softmax, log_normalizers):
        together = function(logits)
        for row in range(len(logits)):
            np.testing.assert_array_equal(function(logits[row : row + 1].copy())[0], together[row])
    np.testing.assert_array_equal(logits, kept)


# Log-probabilities of targets


@given(
    st.integers(1, 4), st.integers(1, 3), st.sampled_from([2, 67, 5000]), st.integers(0, 2**32 - 1)
)
def test_log_probabilities_are_exact(rows, steps, size, seed):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(rows, steps, size)) * rng.choice([0, 1, 50])).astype(np.float32)
    targets = rng.integers(size, size=(rows, steps))
    wide = logits.astype(np.float64)
    below = wide - wide.max(-1, keepdims=True)
    every = below - np.log(np.exp(below).sum(-1, keepdims=True))
    expected = np.take_along_axis(every, targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(log_probabilities(logits, targets), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [3, 67, 9000])
def test_log_probabilities_have_the_same_bits_in_any_batch(size):
    rng = np.random.default_rng(size)
    logits = rng.normal(size=(40, 5, size)).astype(np.float32)
    targets = rng.integers(size, size=(40, 5))
    together = log_probabilities(logits.copy(), targets)
    for row in range(40):
        for step in range(5):
            alone = log_probabilities(
                logits[row : row + 1, step : step + 1].copy(),
                targets[row : row + 1, step : step + 1],
            )
            assert alone == together[row, step]


@given(SEEDS, SIZES)
def test_an_impossible_target_has_no_probability(seed, size):
    logits = logits_of(seed, 3, size, 0.5)[np.newaxis]
    targets = np.arange(3)[np.newaxis] % size
    chosen = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    found = log_probabilities(logits, targets)
    np.testing.assert_array_equal(np.isneginf(found), np.isneginf(chosen))


# Figures


@given(st.floats(0, LARGEST - 1e-9), st.integers(1, 1000))
def test_perplexity_is_the_exponential_of_the_mean(nats, count):
    assert perplexity(nats) == math.exp(nats)
    assert perplexity(nats * count, count) == pytest.approx(math.exp(nats), rel=1e-12)


@pytest.mark.parametrize("nats", [LARGEST + 1e-9, 1e4, math.inf])
def test_a_perplexity_too_large_is_infinite(nats):
    assert perplexity(nats) == perplexity(7 * nats, 7) == math.inf
    assert math.isfinite(perplexity(nats, 10**300) if nats < math.inf else 0.0)


@pytest.mark.parametrize("nats", [0.0, 5.0, math.inf])
def test_a_mean_of_nothing_is_nan(nats):
    assert math.isnan(perplexity(nats, 0))
    assert math.isnan(bits_per_character(nats, 0))


def test_bits_per_character_are_binary():
    assert bits_per_character(8 * math.log(2), 4) == pytest.approx(2)


def test_an_infinite_perplexity_is_null_in_json():
    shared = {"step": 1, "epoch": 0.0, "tokens": 1, "seconds": 0.0, "learning_rate": 0.1}
    figures = Figures(**shared, valid_loss=800.0, valid_perplexity=perplexity(800.0))
    written = msgspec.json.encode(figures)
    assert b'"valid_perplexity":null' in written
    assert msgspec.json.decode(written, type=Figures).valid_perplexity is None
