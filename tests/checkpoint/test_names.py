"""Tests of ``checkpoint.names``: the order in which a name is looked up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from charlstm.checkpoint import names
from charlstm.checkpoint.names import default_checkpoint, find_checkpoint, own_checkpoints
from charlstm.checkpoint.schema import CONFIG, MODEL
from charlstm.errors import CheckpointMissing
from tests.messages import assert_names


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """An empty working folder, and another folder with a shipped model."""
    folder, here = tmp_path / "shipped", tmp_path / "here"
    checkpoint(folder / "english")
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(names, "shipped_folder", lambda: folder)
    monkeypatch.delenv("CHARLSTM_CHECKPOINT", raising=False)
    return folder


def checkpoint(folder, age=0):
    folder.mkdir(parents=True)
    (folder / CONFIG).touch()
    (folder / MODEL).touch()
    os.utime(folder / MODEL, (1e9 - age, 1e9 - age))
    return folder


def test_a_folder_comes_before_a_name_under_checkpoints_before_a_shipped_one(shipped):
    name = Path("english")
    assert find_checkpoint(name) == shipped / "english"
    own = checkpoint(Path("checkpoints/english"))
    assert find_checkpoint(name) == own
    assert find_checkpoint(checkpoint(name)) == name


def test_in_a_clone_shipped_models_are_found(monkeypatch):
    clone = Path("checkpoints").resolve()
    monkeypatch.setattr(names, "shipped_folder", lambda: clone)
    found = checkpoint(clone / "english")
    assert find_checkpoint("english") == found
    assert find_checkpoint("english") in names.shipped_checkpoints()
    assert own_checkpoints() == []


def test_a_folder_without_a_checkpoint_is_passed_over(shipped):
    Path("english").mkdir()
    Path("checkpoints/english").mkdir(parents=True)
    assert find_checkpoint(Path("english")) == shipped / "english"


@pytest.mark.parametrize("given", ["none", "runs/none", "x" * 300, "..", ".", "/english", "a/b"])
def test_an_unknown_name_is_returned_unchanged(given):
    assert find_checkpoint(Path(given)) == Path(given)


def test_a_path_is_no_name():
    checkpoint(Path("checkpoints/runs/brown"))
    assert find_checkpoint(Path("runs/brown")) == Path("runs/brown")


@pytest.mark.parametrize("written", ["./english", "english/", "../here/english"])
def test_a_path_never_means_a_shipped_model(shipped, written):
    assert find_checkpoint(written) == Path(written)


def test_the_default_is_the_one_trained_last_and_never_a_shipped_one(monkeypatch):
    with pytest.raises(CheckpointMissing) as caught:
        default_checkpoint()
    assert_names(str(caught.value), "CHARLSTM_CHECKPOINT", "checkpoints/", "english")
    checkpoint(Path("checkpoints/older"), age=10)
    newer = checkpoint(Path("checkpoints/newer"))
    (checkpoint(Path("checkpoints/begun")) / MODEL).unlink()
    assert default_checkpoint() == newer
    monkeypatch.setenv("CHARLSTM_CHECKPOINT", "older")
    assert default_checkpoint() == Path("checkpoints/older")


def test_in_a_clone_shipped_models_are_not_own_models(monkeypatch):
    folder = Path("checkpoints").resolve()
    monkeypatch.setattr(names, "shipped_folder", lambda: folder)
    checkpoint(Path("checkpoints/english"))
    own = checkpoint(Path("checkpoints/own"), age=10)
    assert own_checkpoints() == [own]
    assert default_checkpoint() == own
    assert names.shipped_checkpoints() == [folder / "english"]


def test_a_variable_that_names_no_checkpoint_is_named(monkeypatch):
    monkeypatch.setenv("CHARLSTM_CHECKPOINT", "nosuch")
    with pytest.raises(CheckpointMissing) as caught:
        default_checkpoint()
    assert_names(caught.value, "CHARLSTM_CHECKPOINT is nosuch", "no such checkpoint")


def test_a_shipped_model_is_shown_by_its_name(shipped):
    assert names.shown_name(shipped / "english") == "english"
    own = checkpoint(Path("checkpoints/english"))
    assert names.shown_name(own) == str(own)
    assert names.shown_name(shipped / "english") == str(shipped / "english")
