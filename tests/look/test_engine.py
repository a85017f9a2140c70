"""The engine in JavaScript computes what the int8 graph computes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from charlstm.checkpoint.quantization import DequantizedWeights, quantize_weights
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.config import ModelConfig
from charlstm.engine.inference import build_engine
from tests.look.helpers import ENGLISH, SHAKESPEARE, load_engine, load_modules
from tests.models import random_weights
from tests.oracles import int8_attention, int8_step

CONFIGS = {
    "two layers": ModelConfig(vocab_size=13, embedding=8, units=20, layers=2),
    "three layers, tied": ModelConfig(vocab_size=9, embedding=24, units=24, layers=3, tied=True),
    "one layer, odd sizes": ModelConfig(vocab_size=7, embedding=5, units=13, layers=1),
}
STEP = """(() => {
  const state = new State(Float32Array.from(%s)), gates = [];
  const logits = engine.step(state, %d, (layer, values) => gates.push(...values));
  return [Array.from(logits), Array.from(state.cells), gates];
})()"""


def step(browser, token_id, state):
    logits, new_state, gates = browser.run(STEP % (state.ravel().tolist(), token_id))
    return np.array(logits), np.array(new_state).reshape(state.shape), np.array(gates)


@pytest.mark.parametrize("has_simd", [True, False])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_step_is_that_of_the_oracle(browser, config, has_simd):
    load_modules(browser)
    weights = random_weights(config)
    if not has_simd:
        browser.run("delete globalThis.WebAssembly; globalThis.WebAssembly = undefined; 0")
    load_engine(browser, config, weights)
    assert browser.run("Boolean(engine.products.multiply)") == has_simd
    rng = np.random.default_rng(3)
    for token_id in range(5):
        hidden = rng.uniform(-1, 1, (config.layers, config.units))
        cells = rng.normal(size=hidden.shape)
        state = np.concatenate([hidden, cells]).astype(np.float32)
        logits, new_state, gates = step(browser, token_id, state)
        expected, expected_state, expected_gates = int8_step(config, weights, token_id, state)
        np.testing.assert_allclose(logits, expected, atol=1e-3)
        np.testing.assert_allclose(new_state, expected_state, atol=1e-4)
        np.testing.assert_allclose(gates, expected_gates.ravel(), atol=1e-4)


def test_a_step_of_a_real_model_is_that_of_the_oracle_and_of_the_engine(browser):
    checkpoint = read_checkpoint(SHAKESPEARE)
    config, weights = checkpoint.config.model, checkpoint.weights
    load_modules(browser)
    load_engine(browser, config, weights)
    engine = build_engine(config, weights, precision="int8", threads=1)
    state = engine.initial_state(1)
    for token_id in checkpoint.tokenizer.encode_beginning("ROMEO:\nMy lady").tolist():
        before = state.parts[0][:, 0]
        logits, new_state, gates = step(browser, token_id, before)
        expected, expected_state, expected_gates = int8_step(config, weights, token_id, before)
        np.testing.assert_allclose(logits, expected, atol=1e-3)
        np.testing.assert_allclose(new_state, expected_state, atol=1e-4)
        np.testing.assert_allclose(gates, expected_gates.ravel(), atol=1e-4)
        real, state = engine.step(np.array([token_id]), state)
        np.testing.assert_allclose(logits, real[0], atol=1e-3)
        np.testing.assert_allclose(new_state, state.parts[0][:, 0], atol=1e-4)


WIDE = ModelConfig(vocab_size=700, embedding=16, units=400, layers=1)  # a float16 table


@pytest.mark.parametrize(
    ("config", "is_stored_in_8_bits", "most_entries", "tensors"),
    [
        (CONFIGS["three layers, tied"], False, 2**22, {"table"}),
        (WIDE, False, 2**22, {"embeddings", "kernel", "bias_0"}),
        (WIDE, True, 2**22, {"embeddings", "embedding_scales", "kernel_scales", "bias_0"}),
        (WIDE, False, 0, {"embeddings", "embedding_scales", "kernel_scales", "bias_0"}),
    ],
)
def test_the_input_is_that_of_the_engine_however_it_is_stored(
    browser, monkeypatch, config, is_stored_in_8_bits, most_entries, tensors
):
    import charlstm.engine.graph as graph

    monkeypatch.setattr(graph, "MAX_TABLE", most_entries)
    weights = random_weights(config)
    if is_stored_in_8_bits:
        weights = DequantizedWeights(quantize_weights(config, weights))
    load_modules(browser)
    load_engine(browser, config, weights)
    stored = set(browser.run("Object.keys(engine.tensors)"))
    own = {"bias_1", "bias_2", "scales_0", "scales_1", "scales_2"}
    assert tensors == stored - own - {"output_scales", "output_bias"}
    engine = build_engine(config, weights, precision="int8", threads=1)
    state = engine.initial_state(1)
    for token_id in (0, 3, 8, 3):
        logits, _, _ = step(browser, token_id, state.parts[0][:, 0])
        real, state = engine.step(np.array([token_id]), state)
        np.testing.assert_allclose(logits, real[0], atol=1e-3)


def test_a_text_of_pieces_gives_the_logits_of_the_engine(browser):
    checkpoint = read_checkpoint(ENGLISH)
    config, weights = checkpoint.config.model, checkpoint.weights
    load_modules(browser)
    load_engine(browser, config, weights)
    engine = build_engine(config, weights, precision="int8", threads=1)
    state = engine.initial_state(1)
    for token_id in checkpoint.tokenizer.encode_beginning("The old house stood on a hill"):
        logits, _, _ = step(browser, token_id, state.parts[0][:, 0])
        real, state = engine.step(np.array([token_id]), state)
        np.testing.assert_allclose(logits, real[0], atol=1e-3)


def test_numbers_are_rounded_as_to_float16(browser):
    load_modules(browser)
    rng = np.random.default_rng(2)
    values = (rng.normal(size=2000) * 10.0 ** rng.integers(-4, 4, 2000)).astype(np.float32)
    found = browser.run(f"{json.dumps(values.tolist())}.map(roundedToHalf)")
    np.testing.assert_allclose(found, values.astype(np.float16), rtol=0, atol=1e-7)


# Attention

ATTENTIVE = {
    "two layers": ModelConfig(vocab_size=13, embedding=8, units=20, layers=2, attention=5),
    "tied, one layer": ModelConfig(
        vocab_size=9, embedding=24, units=24, layers=1, tied=True, attention=16
    ),
    "wide, odd sizes": ModelConfig(vocab_size=7, embedding=5, units=77, layers=1, attention=33),
    "itself alone": ModelConfig(vocab_size=7, embedding=5, units=13, layers=1, attention=1),
    "keys of format 10": ModelConfig(
        vocab_size=9, embedding=5, units=13, layers=1, attention=6, shifted_keys=False
    ),
}
# Read a text. For each token: logits, cells, the window from its oldest output on, and the shares.
READ = """(() => {
  const state = engine.newState(), { attention } = engine;
  return %s.map((id) => {
    if (id < 0) {
      state.clear();
      return null;
    }
    const logits = Array.from(engine.step(state, id)), { reach } = attention;
    const filled = Math.min(state.count, reach);
    const window = Array.from({ length: filled }, (_, i) => (
      Array.from(state.window[(state.count - filled + i) %% reach])));
    return [logits, Array.from(state.cells), window, Array.from(attention.shares)];
  });
})()"""
CLEAR = -1


@pytest.mark.parametrize("has_simd", [True, False])
@pytest.mark.parametrize("config", ATTENTIVE.values(), ids=ATTENTIVE)
def test_a_text_with_attention_is_that_of_the_oracle_and_of_the_engine(browser, config, has_simd):
    load_modules(browser)
    weights = random_weights(config)
    if not has_simd:
        browser.run("delete globalThis.WebAssembly; globalThis.WebAssembly = undefined; 0")
    load_engine(browser, config, weights)
    ids = np.random.default_rng(5).integers(config.vocab_size, size=3 * config.attention + 7)
    ids = [*ids.tolist(), CLEAR, *ids[:4].tolist()]
    engine = build_engine(config, weights, precision="int8", threads=1)
    state, before = engine.initial_state(1), []
    for token_id, found in zip(ids, browser.run(READ % json.dumps(ids)), strict=True):
        if token_id == CLEAR:
            state, before = engine.initial_state(1), []
            continue
        logits, cells, window, shares = (np.array(each) for each in found)
        real, state = engine.step(np.array([token_id]), state)
        after, outputs, filled = (part.squeeze() for part in state.parts)
        assert len(window) == filled
        np.testing.assert_array_equal(window, np.atleast_2d(outputs)[-len(window) :] - 128.0)
        np.testing.assert_allclose(cells, after.ravel(), atol=1e-4)
        np.testing.assert_allclose(logits, real[0], atol=1e-3)
        output = after[config.layers - 1]
        expected, expected_shares = int8_attention(config, weights, output, before, window[-1])
        before = list(window)
        np.testing.assert_allclose(logits, expected, atol=1e-3)
        np.testing.assert_allclose(shares[: len(window)], expected_shares[::-1], atol=1e-5)
        assert not shares[len(window) :].any()


def test_a_copied_state_has_its_own_window(browser):
    config = ATTENTIVE["two layers"]
    load_modules(browser)
    load_engine(browser, config, random_weights(config))
    alone, first, second, again = browser.run("""(() => {
      const read = (state, ...ids) => ids.map((id) => Array.from(engine.step(state, id)));
      const alone = [read(engine.newState(), 1, 2, 3, 4, 5, 6, 7, 8),
        read(engine.newState(), 1, 2, 3, 4, 9, 9, 9, 9)].map((logits) => logits.slice(4));
      const state = engine.newState();
      read(state, 1, 2, 3, 4);
      const copy = state.copy();
      const mixed = [[], []];
      [[5, 9], [6, 9], [7, 9], [8, 9]].forEach(([a, b]) => {
        mixed[0].push(...read(state, a));
        mixed[1].push(...read(copy, b));
      });
      state.clear();
      return [alone, ...mixed, read(state, 1, 2, 3, 4, 5, 6, 7, 8).slice(4)];
    })()""")
    assert [first, second] == alone
    assert again == first
