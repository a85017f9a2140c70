"""Tests of ``checkpoint.quantization``: it is accurate, and idempotent."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.quantization import (
    DequantizedWeights,
    quantize_columns,
    quantize_weights,
    quantized_types,
)
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import CONFIG, MODEL, expected_shapes
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import ModelConfig
from charlstm.engine.graph import build_graph
from charlstm.errors import CheckpointDamaged
from tests.checkpoint.helpers import FIGURES, NETWORK, begin, refusal, settings, sign, weights_for

NETWORKS = (
    NETWORK,
    ModelConfig(vocab_size=9, embedding=6, units=6, layers=1, tied=True),
    ModelConfig(vocab_size=17, embedding=3, units=5, layers=3),
    ModelConfig(vocab_size=9, embedding=3, units=5, layers=1, attention=4),
)


@given(
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    scale=st.floats(1e-6, 1e6),
    seed=st.integers(0, 2**32 - 1),
)
def test_quantized_columns_are_within_half_a_scale(rows, columns, scale, seed):
    rng = np.random.default_rng(seed)
    matrix = (rng.normal(size=(rows, columns)) * scale).astype(np.float32)
    matrix[:, rng.integers(columns)] = 0
    levels, scales = quantize_columns(matrix)
    assert levels.dtype == np.int8
    assert levels.min() >= -127  # symmetric, so -128 is not used
    restored = levels * scales.astype(np.float64)
    assert (np.abs(restored - matrix) <= scales * 0.5001).all()
    used = matrix.any(axis=0)
    assert (np.abs(levels.astype(int)).max(axis=0)[used] == 127).all()
    assert (levels[:, ~used] == 0).all()


@given(network=st.sampled_from(NETWORKS), seed=st.integers(0, 2**32 - 1))
def test_quantized_weights_are_near_and_have_the_same_levels_when_quantized_again(network, seed):
    weights = weights_for(network, seed)
    stored = quantize_weights(network, weights)
    assert {name: (t.shape, t.dtype) for name, t in stored.items()} == quantized_types(network)
    near = DequantizedWeights(stored)
    assert {name: tensor.shape for name, tensor in near.items()} == expected_shapes(network)
    largest = max(np.abs(tensor).max() for tensor in weights.values())
    for name, tensor in near.items():
        assert tensor.dtype == np.float32
        assert np.abs(tensor - weights[name]).max() <= largest * 0.51 / 127
        if tensor.ndim == 1:
            np.testing.assert_array_equal(tensor, weights[name])
    again = quantize_weights(network, near)
    for name, tensor in stored.items():
        if tensor.dtype == np.int8:
            np.testing.assert_array_equal(again[name], tensor)
        else:
            np.testing.assert_allclose(again[name], tensor, rtol=1e-6)


def test_the_engine_multiplies_by_the_integers_that_are_stored():
    """Above the first layer, both kernels are concatenated and share one scale per column."""
    stored = quantize_weights(NETWORK, weights_for(NETWORK))
    near = DequantizedWeights(stored)
    both = np.concatenate([near["lstm_1/kernel"], near["lstm_1/recurrent_kernel"]])
    levels, _ = quantize_columns(both)
    names = "lstm_1/kernel", "lstm_1/recurrent_kernel"
    np.testing.assert_array_equal(levels, np.concatenate([stored[name] for name in names]))
    graph = build_graph(NETWORK, near, "int8")
    assert stored["output/kernel"].tobytes() in graph
    assert quantize_columns(np.roll(near["output/kernel"], 1, 0))[0].tobytes() not in graph


@pytest.fixture
def small(tmp_path):
    """A checkpoint with 8-bit weights."""
    path = tmp_path / "small"
    begin(path, settings(weights="int8"))
    CheckpointWriter(path).model(quantize_weights(NETWORK, weights_for(NETWORK)), FIGURES)
    return path


def test_an_8_bit_checkpoint_is_read_as_float32(small):
    expected = DequantizedWeights(quantize_weights(NETWORK, weights_for(NETWORK)))
    found = read_checkpoint(small)
    assert found.config.weights == "int8"
    for name, tensor in found.weights.items():
        np.testing.assert_array_equal(tensor, expected[name])


def test_weights_of_another_kind_than_the_configuration_says(small, folder):
    (small / MODEL).write_bytes((folder / MODEL).read_bytes())
    message = refusal(CheckpointDamaged, read_checkpoint, small)
    assert "tensor" in message
    assert CONFIG in message


def test_an_unknown_kind_of_weights(folder):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"weights": "int4"}))
    assert CONFIG in refusal(CheckpointDamaged, read_checkpoint, folder)


@pytest.mark.parametrize("scale", [np.nan, np.inf, 1e20])
def test_unusable_scales(small, scale):
    stored = quantize_weights(NETWORK, weights_for(NETWORK))
    scales = np.full_like(stored["output/kernel_scales"], scale)
    sign(small / MODEL, stored | {"output/kernel_scales": scales})
    assert "output/kernel_scales" in refusal(CheckpointDamaged, read_checkpoint, small)


def test_the_figures_are_read_without_the_weights(small, folder):
    from charlstm.checkpoint.reader import read_figures

    for path in (small, folder):
        found = msgspec.to_builtins(read_figures(path))
        assert found == msgspec.to_builtins(FIGURES)
