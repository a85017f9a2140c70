"""Tests of ``checkpoint.listing``: the available checkpoints, best first."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from charlstm.checkpoint import names
from charlstm.checkpoint.folder import lock_folder
from charlstm.checkpoint.listing import list_checkpoints
from charlstm.checkpoint.schema import CONFIG, MODEL, RESUME
from charlstm.checkpoint.writer import CheckpointWriter
from tests.checkpoint.helpers import FIGURES, NETWORK, begin, weights_for


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(names, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path / "shipped"


def checkpoint(folder, bits):
    begin(folder)
    figures = msgspec.structs.replace(FIGURES, valid_bits_per_character=bits)
    CheckpointWriter(folder).model(weights_for(NETWORK), figures)
    return folder


def test_without_checkpoints_the_list_is_empty():
    assert list_checkpoints() == []


def test_the_best_is_first_whoever_trained_it(shipped):
    checkpoint(Path("checkpoints/b"), 2.0)
    checkpoint(Path("checkpoints/a"), 2.5)
    checkpoint(shipped / "english", 1.5)
    checkpoint(Path("checkpoints/unvalidated"), None)
    begin(Path("checkpoints/begun"))
    found = list_checkpoints()
    assert [each.name for each in found] == ["english", "b", "a", "begun", "unvalidated"]
    assert [each.shipped for each in found] == [True, False, False, False, False]
    assert found[0].size == (shipped / "english" / MODEL).stat().st_size
    assert (found[3].figures, found[3].size) == (None, 0)


def test_the_state_of_a_run():
    checkpoint(Path("checkpoints/done"), 2.0)
    (checkpoint(Path("checkpoints/stopped"), 2.0) / RESUME).touch()
    (checkpoint(Path("checkpoints/damaged"), 2.0) / CONFIG).write_text("{")
    (checkpoint(Path("checkpoints/cut"), 2.0) / MODEL).write_bytes(b"")
    checkpoint(Path("checkpoints/running"), 2.0)
    with lock_folder(Path("checkpoints/running")):
        found = {each.name: each.state for each in list_checkpoints()}
    assert found == {
        "done": "finished",
        "stopped": "unfinished",
        "running": "training",
        "damaged": "damaged",
        "cut": "damaged",
    }
    problems = {each.name: each.problem for each in list_checkpoints() if each.problem}
    assert set(problems) == {"damaged", "cut"}
    assert all(name in problem for name, problem in problems.items())
