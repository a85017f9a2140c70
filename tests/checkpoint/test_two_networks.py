"""Tests of checkpoints with two networks: both are read, stored small, and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charlstm.checkpoint.quantization import DequantizedWeights, quantize_weights
from charlstm.checkpoint.reader import read_checkpoint, read_figures
from charlstm.checkpoint.resume import Progress, check_resumable, read_progress
from charlstm.checkpoint.schema import (
    BACKWARD,
    MODEL,
    RESUME,
    by_network,
    expected_shapes,
    joined,
)
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.errors import CheckpointDamaged
from charlstm.export import export_checkpoint
from tests.checkpoint.helpers import (
    FIGURES,
    NETWORK,
    begin,
    is_damaged,
    refusal,
    settings,
    sign,
    weights_for,
)

BOTH = NETWORK.replace(bidirectional=True)


@pytest.fixture
def both(tmp_path) -> Path:
    folder = tmp_path / "both"
    begin(folder, settings(BOTH))
    CheckpointWriter(folder).model(weights_for(BOTH), FIGURES)
    return folder


def test_both_networks_are_read(both):
    found, expected = read_checkpoint(both), weights_for(BOTH)
    assert set(found.weights) == set(found.backward) == set(expected_shapes(BOTH))
    for name, weight in found.weights.items():
        np.testing.assert_array_equal(weight, expected[name])
        np.testing.assert_array_equal(found.backward[name], expected[BACKWARD + name])
    assert read_figures(both) == FIGURES


def test_one_network_has_no_backward_weights(folder):
    assert read_checkpoint(folder).backward is None


def test_tensors_are_joined_and_divided_again():
    forward, backward = {"a/b": 1, "c/d": 2}, {"a/b": 3}
    assert by_network(joined(forward, backward)) == (forward, backward)
    assert joined(forward, None) == forward


def test_both_networks_are_stored_in_8_bits(both, tmp_path):
    found = read_checkpoint(both)
    export_checkpoint(found, tmp_path / "small")
    small = read_checkpoint(tmp_path / "small")
    assert small.config.weights == "int8"
    for before, after in ((found.weights, small.weights), (found.backward, small.backward)):
        near = DequantizedWeights(quantize_weights(NETWORK, before))
        for name in expected_shapes(BOTH):
            np.testing.assert_array_equal(after[name], near[name])


@pytest.mark.parametrize("alter", [
    lambda tensors: {n: t for n, t in tensors.items() if not n.startswith(BACKWARD)},
    lambda tensors: {n: t for n, t in tensors.items() if n != f"{BACKWARD}output/bias"},
    lambda tensors: tensors | {f"{BACKWARD}output/bias": np.zeros(4, np.float32)},
    lambda tensors: tensors | {f"{BACKWARD}output/bias": np.full(5, np.nan, np.float32)},
    lambda tensors: tensors | {f"{BACKWARD}{BACKWARD}output/bias": np.zeros(5, np.float32)},
])  # fmt: skip
def test_a_backward_network_that_does_not_fit_is_damage(both, alter):
    sign(both / MODEL, alter(weights_for(BOTH)))
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, both), both / MODEL)


def test_backward_weights_that_nobody_has_asked_for_are_damage(folder):
    sign(folder / MODEL, weights_for(BOTH))
    assert is_damaged(refusal(CheckpointDamaged, read_checkpoint, folder), folder / MODEL)


def state_of(network):
    tensors = {f"weights/{name}": weight for name, weight in weights_for(NETWORK).items()}
    tensors |= {f"optimizer/{n}": np.zeros(3, np.float32) for n in range(2 * len(tensors))}
    return joined(tensors, tensors if network.bidirectional else None)


def test_the_state_of_both_networks_is_checked(both):
    config, writer = read_checkpoint(both).config, CheckpointWriter(both)
    progress = Progress(step=3, seconds=1.0, backward_loss_sum=2.5)
    writer.resume(state_of(BOTH), progress)
    assert check_resumable(both, config) == read_progress(both, config) == progress
    writer.resume(state_of(NETWORK), progress)
    message = refusal(CheckpointDamaged, check_resumable, both, config)
    assert is_damaged(message, both / RESUME)
