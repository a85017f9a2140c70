from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import SampleConfig
from charlstm.generation.filters import (
    apply_temperature,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_typical,
    keep_unsurprising,
    likeliest,
    next_limits,
    sample,
    shift,
)

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.sampled_from([2, 3, 7, 64, 65, 100, 600, 1500])
BELOW_ONE = np.nextafter(1.0, 0.0)
CONFIGS = st.builds(
    SampleConfig,
    temperature=st.sampled_from([0.0, 1e-300, 0.3, 0.8, 1.0, 5.0, 1e9]),
    top_k=st.sampled_from([0, 1, 5, 40, 10_000]),
    top_p=st.sampled_from([0.01, 0.5, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.02, 0.5]),
    typical=st.sampled_from([0.1, 0.9, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    presence_penalty=st.sampled_from([0.0, 0.5, -1.0]),
    frequency_penalty=st.sampled_from([0.0, 0.2]),
    loop_penalty=st.sampled_from([0.0, 0.8]),
    loop_length=st.sampled_from([1, 3]),
)


def random_logits(rng, batch, size, spread=3.0):
    return shift((rng.normal(size=(batch, size)) * spread).astype(np.float32))


def probabilities(logits):
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return weights / weights.sum()


def kept(logits):
    return set(np.flatnonzero(np.isfinite(logits)).tolist())


def unchanged_where_kept(before, after):
    return bool(((after == before) | np.isneginf(after)).all())


@settings(deadline=None)
@given(seed=SEEDS, size=SIZES, batch=st.integers(1, 9), config=CONFIGS)
def test_a_row_is_sampled_equally_alone_and_in_a_batch(seed, size, batch, config):
    rng = np.random.default_rng(seed)
    logits = random_logits(rng, batch, size, spread=rng.uniform(0.1, 8))
    logits[:, 1] = -np.inf
    uniforms, recent = rng.random(batch), rng.integers(-1, size, (batch, 6))
    limits = rng.uniform(0, 9, batch)
    ids = sample(logits, uniforms, config, recent, limits)
    assert ids.shape == (batch,)
    assert ids.dtype == np.int64
    alone = [
        sample(logits[[row]], uniforms[[row]], config, recent[[row]], limits[[row]])[0]
        for row in range(batch)
    ]
    assert ids.tolist() == alone
    assert 1 not in alone


@settings(deadline=None)
@given(seed=SEEDS, size=SIZES, batch=st.integers(1, 9))
def test_filters_give_the_same_bits_alone_and_in_a_batch(seed, size, batch):
    rng = np.random.default_rng(seed)
    logits = random_logits(rng, batch, size, spread=rng.uniform(0.1, 8))
    limits = rng.uniform(0, 9, batch)
    for row in range(batch):
        for whole, single in (
            (keep_typical(logits, 0.8), keep_typical(logits[[row]], 0.8)),
            (keep_unsurprising(logits, limits), keep_unsurprising(logits[[row]], limits[[row]])),
            (keep_top_k(logits, 3), keep_top_k(logits[[row]], 3)),
            (keep_top_p(logits, 0.8), keep_top_p(logits[[row]], 0.8)),
            (keep_min_p(logits, 0.1), keep_min_p(logits[[row]], 0.1)),
            (apply_temperature(logits, 0.7), apply_temperature(logits[[row]], 0.7)),
        ):
            np.testing.assert_array_equal(whole[row], single[0])


@given(seed=SEEDS, size=SIZES, by=st.floats(-50, 50))
def test_a_shift_of_all_logits_changes_no_probability(seed, size, by):
    logits = random_logits(np.random.default_rng(seed), 2, size)
    shifted = shift(logits + np.float32(by))
    assert (shifted.max(axis=1) == 0).all()
    np.testing.assert_allclose(probabilities(shifted[0]), probabilities(logits[0]), rtol=1e-4)


@given(seed=SEEDS, size=SIZES, count=st.integers(0, 70), excluded=st.floats(0, 1))
def test_the_most_likely_come_first(seed, size, count, excluded):
    rng = np.random.default_rng(seed)
    logits = random_logits(rng, 1, size)[0]
    logits[rng.random(size) < excluded] = -np.inf
    order = [index for index in np.argsort(-logits, kind="stable") if logits[index] > -np.inf]
    assert likeliest(logits, count).tolist() == order[:count]


@given(seed=SEEDS, size=SIZES, config=CONFIGS)
def test_sampling_does_not_change_its_inputs(seed, size, config):
    rng = np.random.default_rng(seed)
    logits, uniforms = random_logits(rng, 3, size), rng.random(3)
    recent = rng.integers(-1, size, (3, 4))
    before = logits.copy(), uniforms.copy(), recent.copy()
    sample(logits, uniforms, config, recent)
    for array, copy in zip((logits, uniforms, recent), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@given(
    seed=SEEDS,
    size=SIZES,
    uniform=st.sampled_from([0.0, 5e-324, BELOW_ONE]) | st.floats(0, BELOW_ONE),
    excluded=st.floats(0, 1),
)
def test_an_excluded_id_is_never_sampled(seed, size, uniform, excluded):
    rng = np.random.default_rng(seed)
    logits = random_logits(rng, 1, size, spread=rng.choice([0.01, 3.0, 60.0]))
    logits[0, rng.random(size) < excluded] = -np.inf
    logits[0, rng.integers(size)] = rng.normal()
    logits = shift(logits)
    for temperature in (0.0, 1e-300, 0.8, 1e9):
        config = SampleConfig(temperature=temperature, min_p=0.0)
        (drawn,) = sample(logits, np.array([uniform]), config)
        assert np.isfinite(logits[0, drawn])
    assert np.isfinite(logits[0, draw(logits, np.array([uniform]))[0]])


@pytest.mark.parametrize("only", [0, 3, 6])
@pytest.mark.parametrize("uniform", [0.0, 0.5, BELOW_ONE])
def test_the_only_possible_id_is_sampled(only, uniform):
    logits = np.full((1, 7), -np.inf, np.float32)
    logits[0, only] = 0.0
    assert draw(logits, np.array([uniform])).tolist() == [only]


def test_sampled_ids_follow_the_distribution():
    logits = shift(np.log(np.array([[0.5, 0.125, 0.25, 0.125]], np.float32)))
    uniforms = (np.arange(8000) + 0.5) / 8000
    drawn = draw(np.repeat(logits, 8000, axis=0), uniforms)
    assert (np.diff(drawn) >= 0).all()
    assert np.abs(np.bincount(drawn) - [4000, 1000, 2000, 1000]).max() <= 1


@given(seed=SEEDS, size=SIZES, uniform=st.floats(0, BELOW_ONE))
def test_sampling_inverts_the_cumulative_distribution(seed, size, uniform):
    logits = random_logits(np.random.default_rng(seed), 1, size)
    cumulative = np.concatenate([[0], probabilities(logits[0]).cumsum()])
    (drawn,) = draw(logits, np.array([uniform]))
    assert cumulative[drawn] - 1e-5 <= uniform <= cumulative[drawn + 1] + 1e-5


@given(seed=SEEDS, size=SIZES, k=st.integers(1, 70))
def test_top_k_keeps_the_k_most_likely(seed, size, k):
    logits = random_logits(np.random.default_rng(seed), 1, size)
    expected = set(np.argsort(-logits[0], kind="stable")[:k].tolist())
    result = keep_top_k(logits, k)[0]
    if len(np.unique(logits)) == size:
        assert kept(result) == expected
    assert kept(result) >= expected
    assert unchanged_where_kept(logits[0], result)


def test_top_k_keeps_equals_of_the_last():
    logits = shift(np.array([[1.0, 3.0, 2.0, 2.0, 0.0]], np.float32))
    assert kept(keep_top_k(logits, 2)[0]) == {1, 2, 3}


@given(seed=SEEDS, size=SIZES, p=st.floats(0.001, 0.999), spread=st.floats(0.01, 8))
def test_top_p_keeps_the_smallest_nucleus(seed, size, p, spread):
    logits = random_logits(np.random.default_rng(seed), 1, size, spread)
    chances = np.sort(probabilities(logits[0]))[::-1].cumsum()
    result = keep_top_p(logits, p)[0]
    count = len(kept(result))
    assert unchanged_where_kept(logits[0], result)
    assert min(result[np.isfinite(result)]) >= max(logits[0][np.isneginf(result)], default=-np.inf)
    assert chances[count - 1] >= p - 1e-5
    if len(np.unique(logits)) == size and count > 1:
        assert chances[count - 2] < p + 1e-5


def test_top_p_keeps_all_of_an_even_distribution():
    logits = np.zeros((2, 1000), np.float32)
    np.testing.assert_array_equal(keep_top_p(logits, 0.5), logits)


def test_top_p_can_need_many_ids():
    logits = np.linspace(0, -0.1, 1000, dtype=np.float32)[np.newaxis]
    assert 850 < len(kept(keep_top_p(logits, 0.9)[0])) < 900


@given(seed=SEEDS, size=SIZES, p=st.floats(0.001, 0.999))
def test_min_p_compares_with_the_most_likely(seed, size, p):
    logits = random_logits(np.random.default_rng(seed), 1, size)
    ratio = probabilities(logits[0]) / probabilities(logits[0]).max()
    result = keep_min_p(logits, p)[0]
    assert unchanged_where_kept(logits[0], result)
    assert np.isfinite(result[ratio >= p * 1.0001]).all()
    assert np.isneginf(result[ratio < p * 0.9999]).all()


@given(seed=SEEDS, size=SIZES, p=st.floats(0.01, 0.999), spread=st.floats(0.1, 6))
def test_typical_keeps_ids_nearest_to_the_entropy(seed, size, p, spread):
    logits = random_logits(np.random.default_rng(seed), 1, size, spread)
    after = keep_typical(logits, p)
    assert unchanged_where_kept(logits, after)
    chances = probabilities(logits[0])
    surprises = -np.log(chances)
    distances = np.abs(surprises - (chances * surprises).sum())
    typical = kept(after[0])
    others = set(range(size)) - typical
    assert chances[list(typical)].sum() > p - 1e-6
    farthest = max(distances[list(typical)])
    assert all(distances[other] >= farthest - 1e-9 for other in others)
    fewer = [index for index in typical if distances[index] < farthest - 1e-9]
    assert chances[fewer].sum() < p + 1e-6


def test_typical_can_exclude_the_most_likely_id():
    logits = shift(np.log(np.array([[0.4, *[0.6 / 64] * 64]], np.float32)))
    assert 0 not in kept(keep_typical(logits, 0.3)[0])
    assert kept(keep_typical(logits, 0.7)[0]) == set(range(65))


def test_typical_ignores_impossible_ids():
    logits = np.array([[0.0, -np.inf, 0.0]], np.float32)
    assert kept(keep_typical(logits, 0.999)[0]) == {0, 2}


@given(seed=SEEDS, size=SIZES, limit=st.floats(0, 20))
def test_ids_of_too_high_surprisal_are_excluded(seed, size, limit):
    logits = random_logits(np.random.default_rng(seed), 1, size)
    after = keep_unsurprising(logits, np.array([limit]))
    surprises = -np.log2(probabilities(logits[0]))
    expected = {index for index in range(size) if surprises[index] <= limit}
    near = {index for index in range(size) if abs(surprises[index] - limit) < 1e-5}
    assert unchanged_where_kept(logits, after)
    assert kept(after[0]) ^ (expected | {int(logits[0].argmax())}) <= near


@given(st.floats(0, 20), st.floats(0, 20), st.floats(0.1, 10), st.floats(0.01, 1))
def test_limits_move_against_the_error(limit, surprise, target, rate):
    (moved,) = next_limits(np.array([limit]), np.array([surprise]), target, rate)
    assert moved == pytest.approx(limit - rate * (surprise - target))


def test_mirostat_controls_the_surprisal():
    """The mean surprisal of the distribution is far above the target."""
    rng = np.random.default_rng(3)
    logits = random_logits(rng, 1, 500, spread=1.5)
    surprises = -np.log2(probabilities(logits[0]))
    limits, found = np.array([6.0]), []
    for _ in range(2000):
        (drawn,) = sample(
            logits, rng.random(1), SampleConfig(temperature=1.0, min_p=0.0), None, limits
        )
        found.append(surprises[drawn])
        limits = next_limits(limits, surprises[[drawn]], 5.0, 0.1)
    assert np.mean(found[200:]) == pytest.approx(5.0, abs=0.1)


@given(seed=SEEDS, size=SIZES, temperature=st.floats(0.01, 100))
def test_temperature_divides_the_logits(seed, size, temperature):
    logits = random_logits(np.random.default_rng(seed), 1, size)
    expected = probabilities(logits.astype(np.float64)[0] / temperature)
    result = probabilities(apply_temperature(logits, temperature)[0])
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-12)


@given(seed=SEEDS, size=SIZES)
def test_a_tiny_temperature_is_greedy(seed, size):
    logits = random_logits(np.random.default_rng(seed), 1, size)
    if (logits == logits.max()).sum() == 1:
        tiny = SampleConfig(temperature=1e-300)
        assert sample(logits, np.array([0.99]), tiny).tolist() == [logits.argmax()]


def test_temperature_zero_takes_the_lowest_of_equally_likely_ids():
    logits = np.array([[1.0, 2.0, 2.0, -np.inf], [5.0, 5.0, 5.0, 5.0]], np.float32)
    greedy = SampleConfig(temperature=0.0)
    assert sample(logits, np.array([0.99, 0.99]), greedy).tolist() == [1, 0]


def test_the_penalty_comes_before_the_greedy_choice():
    logits = np.array([[2.0, 1.9, 0.0]], np.float32)
    config = SampleConfig(temperature=0.0, repetition_penalty=2.0)
    assert sample(logits, np.array([0.5]), config, np.array([[0, -1]])).tolist() == [1]
    assert sample(logits, np.array([0.5]), config, np.array([[-1, -1]])).tolist() == [0]
    assert sample(logits, np.array([0.5]), config).tolist() == [0]


@pytest.mark.parametrize("size", [3, 2000])
def test_top_p_and_min_p_apply_before_the_temperature(size):
    logits = np.full((1, size), -30.0, np.float32)
    logits[0, :3] = np.log([0.9, 0.08, 0.02])
    uniforms = np.linspace(0, BELOW_ONE, 200)
    rows = np.repeat(logits, 200, axis=0)
    hot = SampleConfig(temperature=50.0, top_p=0.85, min_p=0.0)
    assert set(sample(rows, uniforms, hot).tolist()) == {0}
    hot = SampleConfig(temperature=50.0, min_p=0.05)
    assert set(sample(rows, uniforms, hot).tolist()) == {0, 1}


@given(seed=SEEDS)
def test_sampling_from_a_large_vocabulary_equals_the_single_functions(seed):
    rng = np.random.default_rng(seed)
    logits, uniforms = random_logits(rng, 4, 3000), rng.random(4)
    config = SampleConfig(temperature=0.7, min_p=0.1)
    expected = draw(apply_temperature(keep_min_p(logits, 0.1), 0.7), uniforms)
    np.testing.assert_array_equal(sample(logits, uniforms, config), expected)
