"""Tests of ``engine.graph``: float32 is the textbook network, and int8 is close to it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.helpers import CONFIGS, INPUTS, engine, random_input, suited
from tests.models import random_weights
from tests.oracles import int8_attention, int8_step, network


@pytest.mark.parametrize("config", CONFIGS)
def test_float32_is_the_textbook_network(config):
    ids, state = random_input(config, batch=3, length=20, seed=1)
    logits, new_state = engine(config, "float32", 1).run(ids, state)
    expected_logits, expected_state = network(config, random_weights(config), ids, state)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected_logits, rtol=0, atol=1e-5)
    for found, wanted in zip(new_state.parts, expected_state.parts, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("config", [*CONFIGS[1:3], *CONFIGS[4:]])
def test_int8_is_close_to_float32(config, inputs):
    ids, state = random_input(config, batch=8, length=30, seed=2)
    small = engine(config, "int8", 1, inputs)
    logits, new_state = small.run(ids, suited(state, small))
    expected, expected_state = engine(config, "float32", 1).run(ids, state)
    assert np.abs(logits - expected).mean() < 0.02 * expected.std()
    assert np.abs(new_state.parts[0] - expected_state.parts[0]).mean() < 0.01
    assert not np.array_equal(logits, expected)  # it did use quantized weights


@pytest.mark.parametrize("config", CONFIGS)
def test_int8_is_the_textbook_network_with_its_roundings(config):
    """From any state: places of the window that are not filled contain other outputs."""
    weights, small = random_weights(config), engine(config, "int8", 1)
    ids, state = random_input(config, batch=5, length=1, seed=3)
    state = suited(state, small)
    logits, after = small.step(ids[:, 0], state)
    for row, token_id in enumerate(ids[:, 0]):
        expected, cells, _ = int8_step(config, weights, token_id, state.parts[0][:, row])
        np.testing.assert_allclose(after.parts[0][:, row], cells, rtol=0, atol=1e-4)
        if config.attention:
            count, new_count = (int(each.parts[2][row, 0]) for each in (state, after))
            assert new_count == min(count + 1, config.attention)
            window, latest = state.parts[1][row] - 128.0, after.parts[1][row, -1] - 128.0
            before = list(window[config.attention - count :])
            output = after.parts[0][config.layers - 1, row]
            expected, _ = int8_attention(config, weights, output, before, latest)
        np.testing.assert_allclose(logits[row], expected, rtol=0, atol=1e-3)
