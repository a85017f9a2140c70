"""Tests of ``engine.inference``: the same bits in any batch, call and thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import sleep

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charlstm import metrics
from charlstm.config import ModelConfig
from charlstm.engine import graph as graph_module
from charlstm.engine import inference
from charlstm.engine.inference import build_engine
from tests.engine.helpers import (
    CONFIGS,
    INPUTS,
    PRECISIONS,
    engine,
    random_input,
    suited,
    variants,
)
from tests.models import random_weights
from tests.oracles import assert_states_equal


def inputs(rows, length):
    """Return strategies for the arguments of ``random_input``, up to these sizes."""
    return {
        "config": st.sampled_from(CONFIGS),
        "batch": st.integers(1, rows),
        "length": st.integers(1, length),
        "seed": st.integers(0, 2**32 - 1),
    }


@settings(max_examples=40, deadline=None)
@given(**inputs(rows=130, length=4))
def test_a_row_has_the_same_bits_alone_and_beside_others(config, batch, length, seed):
    ids, state = random_input(config, batch, length, seed)
    row = seed % batch
    for engines in variants(config):
        own = suited(state, engines[0])
        runs = [each.run(ids, own) for each in engines]
        alone = [each.run(ids[row : row + 1], own.row(row)) for each in engines]
        for logits, new_state in runs:
            for own_logits, own_state in alone:
                np.testing.assert_array_equal(logits[row], own_logits[0])
                assert_states_equal(new_state.row(row), own_state)


@settings(max_examples=20, deadline=None)
@given(**inputs(rows=20, length=9))
def test_run_has_the_bits_of_as_many_steps(config, batch, length, seed):
    ids, state = random_input(config, batch, length, seed)
    for engines in variants(config):
        for each in engines:
            stepped = suited(state, each)
            logits, last = each.run(ids, stepped)
            for time in range(length):
                step_logits, stepped = each.step(ids[:, time], stepped)
                np.testing.assert_array_equal(step_logits, logits[:, time])
            assert_states_equal(stepped, last)


@pytest.mark.parametrize("at_once", [1, 2**18])
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(**inputs(rows=40, length=9))
def test_log_probabilities_have_the_bits_of_those_of_the_logits(
    monkeypatch, at_once, config, batch, length, seed
):
    monkeypatch.setattr(inference, "_LOGITS_SCORED_AT_ONCE", at_once)
    ids, state = random_input(config, batch, length, seed)
    targets = ids[::-1, ::-1]
    for engines in variants(config):
        for each in engines:
            own = suited(state, each)
            logits, last = each.run(ids, own)
            values, new_state = each.log_probabilities(ids, targets, own)
            np.testing.assert_array_equal(values, metrics.log_probabilities(logits, targets))
            assert_states_equal(new_state, last)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_logits_that_are_scored_at_once_are_bounded(monkeypatch, precision):
    each = engine(CONFIGS[0], precision, 1)
    ids, state = random_input(CONFIGS[0], batch=3, length=50, seed=1)
    expected, _ = each.log_probabilities(ids, ids, state)
    held, run = [], each._run

    def noted(session, ids, state):
        held.append(ids.size * 7)
        return run(session, ids, state)

    monkeypatch.setattr(each, "_run", noted)
    monkeypatch.setattr(inference, "_LOGITS_SCORED_AT_ONCE", 100)
    found, _ = each.log_probabilities(ids, ids, state)
    assert max(held) == (84 if precision == "float32" else 21)
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=20, deadline=None)
@given(
    config=st.sampled_from(CONFIGS),
    lengths=st.lists(st.one_of(st.integers(1, 5), st.just(67)), min_size=1, max_size=9),
    seed=st.integers(0, 2**32 - 1),
)
def test_sequences_read_together_have_the_bits_of_each_alone(config, lengths, seed):
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(0, config.vocab_size, length) for length in lengths]
    for engines in variants(config):
        for each in engines:
            logits, state = each.read(sequences)
            for row, ids in enumerate(sequences):
                own_logits, own_state = each.run(ids[np.newaxis], each.initial_state(1))
                np.testing.assert_array_equal(logits[row], own_logits[0, -1])
                assert_states_equal(state.row(row), own_state)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_logits_in_memory_at_once_are_bounded(monkeypatch, precision):
    each = engine(CONFIGS[0], precision, 1)
    sequences = [np.arange(length) % 7 for length in (5, 40, 70, 70)]
    expected = each.read(sequences)
    held, run = [], each.run
    monkeypatch.setattr(
        each, "run", lambda ids, state: (held.append(ids.size * 7), run(ids, state))[1]
    )
    monkeypatch.setattr(inference, "_LOGITS_AT_ONCE", 100)
    found = each.read(sequences)
    assert 50 < max(held) <= 100
    np.testing.assert_array_equal(found[0], expected[0])
    assert_states_equal(found[1], expected[1])


@pytest.mark.parametrize(("attention", "batch"), [(0, 130), (150, 34), (256, 2)])
def test_wide_layers_are_row_exact_too(attention, batch):
    config = ModelConfig(vocab_size=65, embedding=64, units=512, layers=2, attention=attention)
    ids, state = random_input(config, batch=batch, length=2, seed=3)
    for engines in variants(config):
        own_state = suited(state, engines[0])
        logits, _ = engines[1].run(ids, own_state)
        for row in {0, 1, batch // 2, batch - 1}:
            for each in engines:
                own, _ = each.run(ids[[row]], own_state.row(row))
                np.testing.assert_array_equal(logits[row], own[0])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_states_of_sequences_of_many_lengths_keep_no_batch_in_memory(precision):
    each = engine(CONFIGS[5], precision, 1)
    _, state = each.read([np.arange(length) % 7 for length in range(1, 40)])
    for part in state.parts:
        assert part.base is None or part.base.nbytes <= part.nbytes


@pytest.mark.parametrize("way", INPUTS)
def test_the_exact_kernels_without_vnni_have_the_same_bits(monkeypatch, way):
    config = CONFIGS[2]
    ids, state = random_input(config, batch=5, length=6, seed=4)
    expected, _ = engine(config, "int8", 1, way).run(ids, state)
    monkeypatch.setattr(inference, "int8_pairs_saturate", lambda: True)
    for limit, value in INPUTS[way].items():
        monkeypatch.setattr(graph_module, limit, value)
    careful = build_engine(config, random_weights(config), threads=1)
    np.testing.assert_array_equal(careful.run(ids, state)[0], expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_initial_state_is_zero_and_the_sizes_are_known(precision):
    each = engine(CONFIGS[0], precision, 1)
    (cells,) = each.initial_state(3).parts
    assert (cells.shape, cells.dtype, cells.any()) == ((4, 3, 5), np.float32, False)
    assert (each.vocab_size, each.precision) == (7, precision)
    cells, window, filled = engine(CONFIGS[5], precision, 1).initial_state(3).parts
    assert window.dtype == (np.uint8 if precision == "int8" else np.float32)
    assert (cells.shape, window.shape, filled.shape) == ((4, 3, 5), (3, 4, 5), (3, 1))
    assert not window.any()
    assert not filled.any()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_ids_of_any_integer_type_are_read(precision):
    each = engine(CONFIGS[0], precision, 1)
    state = each.initial_state(2)
    expected, _ = each.step(np.array([3, 6]), state)
    for dtype in (np.uint8, np.uint16, np.uint32, np.int32):
        logits, _ = each.step(np.array([3, 6], dtype), state)
        np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_inputs_are_left_alone_and_logits_can_be_written(precision):
    each = engine(CONFIGS[0], precision, 1)
    ids, state = random_input(CONFIGS[0], batch=2, length=3, seed=5)
    before = ids.copy(), state.copy()
    logits, _ = each.run(ids, state)
    step_logits, _ = each.step(ids[:, 0], state)
    np.testing.assert_array_equal(ids, before[0])
    assert_states_equal(state, before[1])
    assert logits.flags.writeable
    assert step_logits.flags.writeable


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nothing_is_written_to_the_terminal(capfd, precision):
    each = build_engine(CONFIGS[4], random_weights(CONFIGS[4]), precision=precision)
    each.step(np.array([1]), each.initial_state(1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [1, 40])
def test_threads_that_share_an_engine_get_the_bits_of_one_thread(precision, batch):
    config = CONFIGS[2]
    inputs = [random_input(config, batch, length=5, seed=seed) for seed in range(8)]
    expected = [engine(config, precision, 1).run(ids, state) for ids, state in inputs]
    shared = build_engine(config, random_weights(config), precision=precision, threads=2)
    together = Barrier(len(inputs))

    def run(ids, state):
        together.wait()
        return [shared.run(ids, state) for _ in range(5)]

    with ThreadPoolExecutor(len(inputs)) as pool:
        results = [pool.submit(run, *each) for each in inputs]
    for result, (logits, new_state) in zip(results, expected, strict=True):
        for found in result.result():
            np.testing.assert_array_equal(found[0], logits)
            assert_states_equal(found[1], new_state)


@pytest.mark.parametrize("batch", [1, 40])
def test_threads_that_start_at_once_open_one_session(monkeypatch, batch):
    """Python's ``cached_property`` has no lock since 3.12."""
    opened, pools, real = [], [], inference._open_session

    def open_slowly(graph, threads):
        opened.append(threads)
        sleep(0.05)
        return real(graph, threads)

    class Pool(ThreadPoolExecutor):
        def __init__(self, workers):
            pools.append(workers)
            sleep(0.05)
            super().__init__(workers)

    config = CONFIGS[0]
    shared = build_engine(config, random_weights(config), threads=2)
    ids, state = random_input(config, batch, length=1, seed=1)
    with ThreadPoolExecutor(8) as pool:
        monkeypatch.setattr(inference, "_open_session", open_slowly)
        monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", Pool)
        for result in [pool.submit(shared.run, ids, state) for _ in range(8)]:
            result.result()
    assert opened == [2 if batch == 1 else 1]
    assert pools == ([] if batch == 1 else [1])
