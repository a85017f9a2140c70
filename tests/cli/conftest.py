"""A way to call the command line in the process of the tests, and a text to train on."""

import os
from typing import NamedTuple

import pytest

from charlstm.cli.app import run_command_line
from tests.cli.helpers import TEXT


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def charlstm(capfd, monkeypatch, tmp_path):
    """Run a command line in a folder of its own; return exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, stdin=b""):
        read, write = os.pipe()
        os.write(write, stdin)
        os.close(write)
        capfd.readouterr()
        with os.fdopen(read) as stream:
            monkeypatch.setattr("sys.stdin", stream)
            status = run_command_line([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture
def corpus(tmp_path):
    """Write a text and return its path."""
    path = tmp_path / "tale.txt"
    path.write_bytes(TEXT.encode())
    return path
