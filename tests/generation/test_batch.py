"""Tests of ``generation.batch``: its arrays equal one list for each sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.engine.state import State
from charlstm.generation.batch import Batch, PrefilledPrompt, SampleRng
from charlstm.generation.penalties import EMPTY
from tests.oracles import assert_states_equal

SEEDS = st.integers(0, 2**32 - 1)
INDICES = st.integers(0, 200) | st.integers(0, 2**60)


def start_of(rng, length=3):
    """Return the start of a sample after some ids, for one layer of two units and five tokens."""
    logits = rng.normal(size=5).astype(np.float32)
    state = State(rng.normal(size=(2, 1, 2)).astype(np.float32))
    return PrefilledPrompt("", logits, state, rng.integers(0, 5, length), "", None)


# Random numbers


@given(SEEDS, INDICES, st.integers(0, 9))
def test_random_numbers_depend_only_on_seed_and_index(seed, index, block):
    position = 32 * block
    first = SampleRng(seed).of(index, position)
    used = SampleRng(seed)
    for other in (index + 1, 0, 70, 2**50):
        used.of(other, position + 32)
    np.testing.assert_array_equal(used.of(index, position), first)
    assert first.shape == (32,)
    assert ((first >= 0) & (first < 1)).all()


def test_old_numbers_leave_the_cache_and_are_computed_again():
    uniforms = SampleRng(3)
    first = uniforms.of(5, 0).copy()
    for group in range(1, 600):
        uniforms.of(64 * group, 0)
    np.testing.assert_array_equal(uniforms.of(5, 0), first)


def test_no_two_samples_share_numbers():
    """This includes large indices and positions, which need more than 32 bits."""
    places = [
        (seed, index, position)
        for seed in (0, 1, 2)
        for index in (0, 1, 63, 64, 128, 2**38, 2**38 + 1, 2**40, 2**40 + 64, 2**41, 2**60)
        for position in (0, 32, 64, 128, 32 * 2**8, 32 * 2**9)
    ]
    drawn = {SampleRng(seed).of(index, at).tobytes() for seed, index, at in places}
    assert len(drawn) == len(places)


# Bookkeeping


class Naive:
    """One sample, as lists."""

    def __init__(self, index, start, window, limit):
        self.index, self.start = index, start
        self.ids, self.values = [], []
        self.recent = ([EMPTY] * window + start.window.tolist())[-window:] if window else None
        self.limit, self.window = limit, window

    def take(self, token_id, value, remembered):
        self.ids.append(token_id)
        self.values.append(value)
        if self.recent is not None:
            self.recent = [*self.recent, remembered][-self.window :]


def check(batch, naive):
    assert batch.tokens.tolist() == [len(each.ids) for each in naive]
    assert batch.numbers.tolist() == list(range(len(naive)))
    assert [batch.history(row).tolist() for row in range(len(naive))] == [
        each.ids for each in naive
    ]
    np.testing.assert_allclose(batch.sums, [sum(each.values) for each in naive])
    assert len(batch.constraints) == len(naive)
    if batch.recent is not None:
        assert batch.recent.tolist() == [each.recent for each in naive]
    if batch.limits is not None:
        assert batch.limits.tolist() == [each.limit for each in naive]
    for row, each in enumerate(naive):
        if not each.ids:
            np.testing.assert_array_equal(batch.logits[row], each.start.logits)
            assert_states_equal(batch.state.row(row), each.start.state)


@given(
    seed=SEEDS,
    rows=st.integers(1, 5),
    window=st.sampled_from([0, 1, 4]),
    limit=st.sampled_from([0.0, 3.0]),
    steps=st.integers(1, 150),
    restless=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_a_batch_equals_its_samples(seed, rows, window, limit, steps, restless):
    rng = np.random.default_rng(seed)
    naive = [Naive(index, start_of(rng), window, limit) for index in range(rows)]
    batch = Batch([each.start for each in naive], window=window, limit=limit)
    source, coming = SampleRng(7), rows
    for _ in range(steps):
        check(batch, naive)
        drawn = batch.uniforms([each.index for each in naive], source)
        for each, number in zip(naive, drawn.tolist(), strict=True):
            at = len(each.ids)
            assert number == SampleRng(7).of(each.index, at - at % 32)[at % 32]
        ids, values = rng.integers(0, 5, len(naive)), rng.normal(size=len(naive))
        remembered = np.where(ids == 4, EMPTY, ids)
        batch.append(ids, values, remembered)
        for row, each in enumerate(naive):
            each.take(int(ids[row]), float(values[row]), int(remembered[row]))
        kept = rng.random(len(naive)) >= restless / 2
        if kept.any() and not kept.all():
            batch.take(np.flatnonzero(kept))
            naive = [each for each, keeps in zip(naive, kept.tolist(), strict=True) if keeps]
        for row in np.flatnonzero(rng.random(len(naive)) < restless).tolist():
            naive[row] = Naive(coming, start_of(rng, length=coming % 6), window, limit)
            batch.begin(row, naive[row].start)
            coming += 1
    check(batch, naive)


@pytest.mark.parametrize("length", [0, 2, 9])
def test_a_window_contains_the_end_of_the_prompt(length):
    start = start_of(np.random.default_rng(1), length)
    batch = Batch([start], window=4, limit=0.0)
    assert batch.recent.tolist() == [([EMPTY] * 4 + start.window.tolist())[-4:]]
