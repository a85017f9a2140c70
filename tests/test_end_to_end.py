"""A real run with the installed command: train, stop, resume, generate."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.schema import RESUME

LINE = "the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\n"
TEXT = LINE * 80
OPTIONS = [
    "--units", "24", "--layers", "2", "--embedding", "8", "--streams", "4", "--dropout", "0.1",
    "--sequence-length", "20", "--learning-rate", "0.02", "--eval-every", "100",
    "--sample-every", "0", "--steps", "1000",
]  # fmt: skip


def command(*arguments):
    return [sys.executable, "-m", "charlstm", *map(str, arguments)]


def run(*arguments, **options):
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("end-to-end")
    (path / "tale.txt").write_text(TEXT)
    done = run("train", "tale.txt", "-o", "whole", *OPTIONS, "--json", cwd=path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["stop_reason"] == "budget"
    assert summary["valid_loss"] < 0.1
    return path


def stop_after_next_evaluation(folder, number, *arguments):
    """Start or resume a run, send it a signal after an evaluation, and return its status."""
    history = folder / "stopped" / "history.jsonl"
    before = history.read_bytes() if history.exists() else b""
    process = subprocess.Popen(
        command("train", *arguments),
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if history.exists() and history.read_bytes() != before:
            break
        time.sleep(0.02)
    os.kill(process.pid, number)
    process.communicate(timeout=60)
    return process.returncode


STOPS = [
    (signal.SIGINT, 130),
    (signal.SIGTERM, 143),
    (signal.SIGHUP, 129),
    (signal.SIGKILL, -signal.SIGKILL),
]


@pytest.mark.slow
def test_a_stopped_and_resumed_run_ends_like_an_uninterrupted_one(folder):
    """The run ends once in every way in which a process can end."""
    begin, go_on = ["tale.txt", "-o", "stopped", *OPTIONS], ["--resume", "stopped", "-q"]
    for number, status in STOPS:
        arguments = go_on if (folder / "stopped").exists() else begin
        assert stop_after_next_evaluation(folder, number, *arguments) == status
        assert (folder / "stopped" / RESUME).exists()
    assert run("train", *go_on, cwd=folder).returncode == 0
    resumed, whole = read_checkpoint(folder / "stopped"), read_checkpoint(folder / "whole")
    assert resumed.figures.valid_loss == whole.figures.valid_loss
    assert {k: w.tobytes() for k, w in resumed.weights.items()} == {
        k: w.tobytes() for k, w in whole.weights.items()
    }
    history, expected = (
        [replace(figures, seconds=0.0) for figures in read_history(folder / name)]
        for name in ("stopped", "whole")
    )
    assert history == expected


def test_the_model_has_learned_its_text(folder):
    length = str(2 * len(LINE) - len("the quick"))
    done = run("generate", "whole", "-p", "the quick", "-n", length, "-t", "0", "-q", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == LINE * 2


def test_the_installed_command_equals_the_module():
    script = Path(sys.executable).with_name("charlstm")
    if not script.exists():
        pytest.skip("charlstm is not installed beside this interpreter")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, run("--version").stdout)
