"""Tests of ``generation.penalties``: which ids are penalized, and by how much."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import SampleConfig
from charlstm.errors import ConfigError
from charlstm.generation.penalties import (
    EMPTY,
    penalize,
    penalize_frequency,
    penalize_loops,
    penalize_presence,
    penalize_repetition,
    repetition_lengths,
    window_needed,
)
from tests.messages import raises_naming

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([2, 3, 7, 64, 1500])
AMOUNTS = st.floats(-5, 5)
FEW = st.lists(st.integers(-1, 3), min_size=1, max_size=14)


def drawn(seed, size):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(2, size)) * 3).astype(np.float32)
    return logits, rng.integers(-1, size, (2, 12))


def expected_of(logits, recent, change):
    """Change each logit by the number of occurrences of its id, one by one."""
    expected = logits.copy()
    for row in range(len(logits)):
        for token_id, count in Counter(recent[row].tolist()).items():
            if token_id != EMPTY:
                expected[row, token_id] = change(logits[row, token_id], count)
    return expected


@given(SEEDS, SIZES, st.floats(1.0, 10))
def test_the_repetition_penalty_counts_an_id_once(seed, size, penalty):
    logits, recent = drawn(seed, size)
    expected = expected_of(logits, recent, lambda x, _: x / penalty if x > 0 else x * penalty)
    np.testing.assert_allclose(penalize_repetition(logits, recent, penalty), expected, rtol=1e-6)


@given(SEEDS, SIZES, AMOUNTS)
def test_the_presence_penalty_counts_an_id_once(seed, size, penalty):
    logits, recent = drawn(seed, size)
    expected = expected_of(logits, recent, lambda x, _: x - penalty)
    np.testing.assert_allclose(penalize_presence(logits, recent, penalty), expected, atol=1e-5)


@given(SEEDS, SIZES, AMOUNTS)
def test_the_frequency_penalty_counts_every_occurrence(seed, size, penalty):
    logits, recent = drawn(seed, size)
    expected = expected_of(logits, recent, lambda x, count: x - penalty * count)
    np.testing.assert_allclose(penalize_frequency(logits, recent, penalty), expected, atol=1e-4)


def repeated(ids, place):
    """Return how many ids up to a position equal those at the end, one by one."""
    length = 0
    while place - length >= 0 and ids[place - length] == ids[-1 - length] != EMPTY:
        length += 1
    return length


@given(FEW)
def test_lengths_of_repetitions(ids):
    (found,) = repetition_lengths(np.array([ids]))
    assert found.tolist() == [repeated(ids, place) for place in range(len(ids) - 1)]


@given(FEW, st.floats(0, 5), st.floats(1, 4), st.integers(1, 5))
def test_a_continued_loop_is_penalized_by_the_longest_repetition(ids, multiplier, base, allowed):
    logits = np.zeros((1, 4), np.float32)
    lengths = dict.fromkeys(range(4), 0)
    for place in range(len(ids) - 1):
        if ids[place + 1] != EMPTY:
            lengths[ids[place + 1]] = max(lengths[ids[place + 1]], repeated(ids, place))
    expected = [
        -multiplier * base ** (length - allowed) if length >= allowed else 0.0
        for length in lengths.values()
    ]
    penalized = penalize_loops(logits, np.array([ids]), multiplier, base, allowed)
    np.testing.assert_allclose(penalized, [expected], rtol=1e-5, atol=1e-30)


def test_a_long_loop_does_not_overflow():
    penalized = penalize_loops(np.zeros((1, 2), np.float32), np.zeros((1, 400), int), 1, 1e3, 1)
    assert np.isfinite(penalized).all()
    assert penalized[0, 0] < -1e29


@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 1.3},
        {"presence_penalty": 0.5},
        {"frequency_penalty": -0.5},
        {"loop_penalty": 0.8, "loop_length": 1},
    ],
)
def test_a_penalty_looks_back_as_far_as_its_window(settings):
    window = {"repetition_window": 3, "loop_window": 3}
    config = SampleConfig(**settings, **window)
    logits = np.ones((1, 6), np.float32)
    assert window_needed(config) == 3
    assert window_needed(SampleConfig(**window)) == 0
    far = penalize(logits, np.array([[4, 5, 0, 1, 1]]), config)
    near = penalize(logits, np.array([[2, 3, 0, 1, 1]]), config)
    np.testing.assert_array_equal(far, near)
    assert far[0, 1] != 1


def test_without_penalties_nothing_changes():
    logits = np.ones((1, 3), np.float32)
    assert penalize(logits, np.array([[0, 1]]), SampleConfig()) is logits


@pytest.mark.parametrize(("level", "length"), [("char", 20), ("word", 4)])
def test_loops_are_penalized_from_the_default_length_of_the_level(level, length):
    config = SampleConfig(loop_penalty=1.0).for_level(level)
    zeros = np.zeros((1, 2), np.float32)
    for repeated in (length - 1, length):
        recent = np.array([[*[1] * (repeated + 1)]])
        assert (penalize(zeros, recent, config)[0, 1] < 0) == (repeated == length)
    assert SampleConfig(loop_length=7).for_level(level).loop_length == 7


def test_a_loop_penalty_without_a_length_is_refused():
    with raises_naming(ConfigError, "`loop_penalty`", "`loop_length`"):
        penalize(np.zeros((1, 2), np.float32), np.array([[1]]), SampleConfig(loop_penalty=1.0))
