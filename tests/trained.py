"""Checkpoints that tests of several modules use, each trained once, whatever process asks first."""

from __future__ import annotations

import fcntl
import os

import pytest

from tests.cli.helpers import NAMES, TEXT, train


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """Return a function that trains a model, once for all processes that run tests."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def build(name, text, *options):
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (root / name / "finished").exists():
                (root / name).mkdir(exist_ok=True)
                train(root / name, text, *options, "--overwrite")
                (root / name / "finished").touch()
        return root / name / "model"

    return build


@pytest.fixture(scope="session")
def prose(trained_once):
    """A character-level checkpoint of one document."""
    return trained_once("prose", TEXT)


@pytest.fixture(scope="session")
def names(trained_once):
    """A character-level checkpoint of lines."""
    return trained_once("names", NAMES, "--lines")


@pytest.fixture(scope="session")
def words(trained_once):
    """A word-level checkpoint."""
    return trained_once("words", TEXT, "--level", "word", "--embedding", "16")


@pytest.fixture(scope="session")
def windows(trained_once):
    """A character-level checkpoint of lines that end in carriage return and newline."""
    return trained_once("windows", NAMES.replace("\n", "\r\n"), "--lines")
