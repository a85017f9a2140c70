"""A way to call the command line, and checkpoints that several tests look at."""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from charlstm.cli.app import run_command_line

TEXT = "the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\r\n" * 60
NAMES = "".join(f"{a}{b}{c}\n" for a in "abcdef" for b in "aeiou" for c in ("na", "lo", "mir"))
TINY = [
    "--units",
    "16",
    "--layers",
    "1",
    "--embedding",
    "8",
    "--streams",
    "4",
    "--learning-rate",
    "0.02",
]
SHORT = ["--dropout", "0", "--sequence-length", "20", "--steps", "300", "--sample-every", "0"]


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


def trained(folder: Path, text: str, *options: str) -> Path:
    corpus = folder / "corpus.txt"
    corpus.write_bytes(text.encode())
    output = folder / "model"
    arguments = ["train", str(corpus), "-o", str(output), "-q", *TINY, *SHORT, *options]
    assert run_command_line(arguments) == 0
    return output


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """Return a function that trains a model, once for all processes that run tests."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def build(name: str, text: str, *options: str) -> Path:
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (root / name / "finished").exists():
                (root / name).mkdir(exist_ok=True)
                trained(root / name, text, *options, "--overwrite")
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
