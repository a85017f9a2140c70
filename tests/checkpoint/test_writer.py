"""Tests of ``checkpoint.writer``: saves can be read back, and failing saves change nothing."""

from __future__ import annotations

import json
import math
import os

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.reader import is_finished, read_checkpoint, read_history
from charlstm.checkpoint.resume import Addresses, Progress, read_resume
from charlstm.checkpoint.schema import HISTORY, MODEL, RESUME, STDIN_FILE, Figures
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.errors import (
    StorageError,
)
from tests.checkpoint.helpers import (
    FIGURES,
    NETWORK,
    begin,
    contents,
    fail_with_a_full_disk,
    refusal,
    weights_for,
)


def test_better_weights_replace_the_others(folder):
    better = weights_for(NETWORK, seed=1)
    CheckpointWriter(folder).model(better, msgspec.structs.replace(FIGURES, step=60))
    read = read_checkpoint(folder)
    assert read.figures.step == 60
    assert all(np.array_equal(read.weights[name], better[name]) for name in better)


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_save_that_fails_leaves_the_last_one(folder, monkeypatch, function, sentence):
    tensors = {"weights/w": np.ones((2, 3), np.float32)}
    CheckpointWriter(folder).resume(tensors, Progress(step=1, seconds=1.0))
    CheckpointWriter(folder).history([FIGURES])
    before = contents(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail_with_a_full_disk)
        for name, save in (
            (MODEL, lambda: CheckpointWriter(folder).model(weights_for(NETWORK, 1), FIGURES)),
            (
                RESUME,
                lambda: CheckpointWriter(folder).resume(tensors, Progress(step=2, seconds=2.0)),
            ),
            (HISTORY, lambda: CheckpointWriter(folder).history([])),
        ):
            sentence(refusal(StorageError, save), folder / name, "disk is full")
    assert contents(folder) == before


finite = st.floats(-1e300, 1e300)
figures = st.builds(
    Figures,
    step=st.integers(0, 2**53),
    epoch=finite,
    tokens=st.integers(0, 2**53),
    seconds=finite,
    learning_rate=finite,
    **dict.fromkeys(Figures.__struct_fields__[5:], st.none() | finite),
)


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), max_size=4),
    st.builds(
        Progress,
        step=st.integers(0, 2**53),
        seconds=finite,
        train_loss_sum=finite,
        train_loss_steps=st.integers(0, 2**53),
        best=st.none() | figures,
        waited=st.integers(0, 100),
    ),
)
def test_the_state_of_a_run_round_trips(tmp_path_factory, shapes, progress):
    generator = np.random.default_rng(0)
    tensors = {
        f"weights/{number}": generator.normal(size=shape).astype(np.float32)
        for number, shape in enumerate(shapes)
    }
    folder = tmp_path_factory.mktemp("run")
    begin(folder)
    CheckpointWriter(folder).resume(tensors, progress)
    read, again = read_resume(folder, {name: tensor.shape for name, tensor in tensors.items()})
    assert again == progress
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == np.float32
        assert read[name].tobytes() == tensor.tobytes()


def test_addresses_of_many_files_round_trip(folder):
    """As many as fit on a command line, which is more than other metadata may take."""
    addresses = tuple(
        f"/home/somebody/a folder/of texts/{number:06}.txt" for number in range(40_000)
    )
    progress = Progress(step=1, seconds=1.0, corpus=Addresses(addresses=addresses))
    CheckpointWriter(folder).resume({}, progress)
    assert read_resume(folder, {}) == ({}, progress)


@given(st.lists(figures, max_size=5))
def test_a_history_round_trips(tmp_path_factory, history):
    folder = tmp_path_factory.mktemp("run")
    begin(folder)
    CheckpointWriter(folder).history(history)
    assert read_history(folder) == history
    text = (folder / HISTORY).read_text()
    assert text.count("\n") == len(history)
    assert [json.loads(line)["step"] for line in text.splitlines()] == [h.step for h in history]


def test_a_history_is_replaced_by_a_shorter_one(tmp_path):
    begin(tmp_path)
    assert read_history(tmp_path) == []
    CheckpointWriter(tmp_path).history([FIGURES] * 3)
    CheckpointWriter(tmp_path).history([FIGURES])
    assert read_history(tmp_path) == [FIGURES]


def test_finishing_removes_only_what_resuming_needs(folder):
    CheckpointWriter(folder).history([FIGURES])
    before = contents(folder)
    CheckpointWriter(folder).resume({}, Progress(step=1, seconds=1.0))
    (folder / STDIN_FILE).write_text("piped")
    assert not is_finished(folder)
    CheckpointWriter(folder).finish()
    assert is_finished(folder)
    assert contents(folder) == before
    CheckpointWriter(folder).finish()
    assert contents(folder) == before
    assert math.isclose(read_checkpoint(folder).figures.epoch, 1.5)
