"""A way to call the command line in the process of the tests, and a text to train on."""

from typing import NamedTuple

import pytest

from tests.cli.helpers import TEXT
from tests.processes import run_here


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def charlstm(capfd, monkeypatch, tmp_path):
    """Run a command line in a folder of its own; return exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, stdin=b""):
        return Result(*run_here(list(map(str, arguments)), stdin, capfd, monkeypatch))

    return run


@pytest.fixture
def corpus(tmp_path):
    """Write a text and return its path."""
    path = tmp_path / "tale.txt"
    path.write_bytes(TEXT.encode())
    return path
