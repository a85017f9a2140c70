"""The progress bar of the commands that read files."""

import contextlib
import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time

import pytest

from charlstm.cli.progress_bar import Clock, Ticker
from tests.cli.helpers import (
    SHORT,
    TEXT,
    TINY,
    text_of,
)


class Bar:
    """Stands for a progress bar and notes what it is told."""

    def __init__(self, total, **options):
        self.total, self.done, self.closed = total, 0, False
        self.name = options["desc"]
        Bar.seen.append(self)

    def update(self, done):
        self.done += done

    def close(self):
        self.closed = True


@pytest.mark.parametrize("options", [["--whole"], ["--json"], ["--top", "2"], ["--carry"], None])
@pytest.mark.parametrize("checkpoint", ["prose", "names"])
def test_a_terminal_sees_how_far_files_are(
    charlstm, request, monkeypatch, tmp_path, checkpoint, options
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("tqdm.tqdm", Bar)
    Bar.seen = []
    model = request.getfixturevalue(checkpoint)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(text_of(["the lazy dog", "é"] * 30))
    arguments = ["rank", model] if options is None else ["score", model, *options]
    result = charlstm(*arguments, "a", "b")
    assert result.status == 0
    (bar,) = Bar.seen
    assert (bar.total, bar.closed) == (2 * 30 * 16, True)
    assert bar.done == pytest.approx(bar.total)
    assert charlstm(*arguments, "a", "b", "-q").out == result.out
    assert charlstm(*arguments, stdin=b"the\n").status == 0
    assert len(Bar.seen) == 1


def on_a_terminal(folder, *arguments, size=(24, 80), **environ):
    """Run a command with a terminal as stderr; return what it has shown, with its line ends."""
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, size)
    shown = []

    def read():
        with contextlib.suppress(OSError):  # the command has ended
            while data := os.read(terminal, 4096):
                shown.append(data)

    variables = {k: v for k, v in os.environ.items() if k != "COLUMNS"} | environ
    with subprocess.Popen(
        [sys.executable, "-m", "charlstm", *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=end, cwd=folder, env=variables,
    ) as process:  # fmt: skip
        os.close(end)
        reader = threading.Thread(target=read)
        reader.start()
    reader.join()
    os.close(terminal)
    text = b"".join(shown).decode()
    assert process.returncode == 0, text
    return text


@pytest.mark.parametrize(
    ("size", "environ", "columns"),
    [
        ((24, 60), {}, 60),
        ((0, 0), {}, 80),
        ((24, 0), {}, 80),
        ((24, 0), {"COLUMNS": "50"}, 50),
        ((24, 0), {"COLUMNS": "0"}, 80),
        ((0, 50), {}, 50),
    ],
)
def test_a_bar_is_as_wide_as_the_terminal(prose, tmp_path, size, environ, columns):
    """Except for the last column. A width of 0 is unknown and taken for 80."""
    (tmp_path / "text").write_bytes(text_of(["the lazy dog"] * 700))
    shown = on_a_terminal(tmp_path, "score", prose, "text", size=size, **environ)
    bars = re.findall(r"\r( *\d+%\|[^\r]*)", shown)
    assert {len(bar) for bar in bars} == {columns - 1}


# Before the first step of training

OPTIONS = [*TINY, *SHORT[:-4], "--steps", "3"]


def test_something_moves_before_the_first_step(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    shown = on_a_terminal(tmp_path, "train", "text.txt", *OPTIONS, size=(24, 100))
    parts = [part.strip() for part in re.split(r"[\r\n]+", shown) if part.strip()]
    plan, training = (
        next(index for index, part in enumerate(parts) if part.startswith(start))
        for start in ("checkpoints/text: ", "training on ")
    )
    starting = {part for part in parts[plan + 1 : training] if part.startswith("starting")}
    assert len(starting) > 1
    assert all(re.fullmatch(r"starting \[00:\d\d\]", part) for part in starting)
    first = next(index for index, part in enumerate(parts) if ", loss " in part)
    compiling = parts[training + 1 : first]
    assert all(re.match(r"0%\|.*\| 0/240 \[00:\d\d<\?", part) for part in compiling)
    assert "compiling" in compiling[-1]
    assert not any("compiling" in part or "starting" in part for part in parts[first:])
    assert "100%" in parts[-1]


@pytest.mark.parametrize("options", [["--quiet"], ["--dry-run"]])
def test_nothing_moves_without_training_or_if_quiet(tmp_path, options):
    (tmp_path / "text.txt").write_text(TEXT)
    shown = on_a_terminal(tmp_path, "train", "text.txt", *OPTIONS, *options)
    assert "starting" not in shown
    assert "compiling" not in shown
    assert shown == "" or options == ["--dry-run"]


def test_a_clock_shows_a_task_and_its_time_and_is_removed(monkeypatch, capfd):
    assert Clock("waiting").close() is None
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("charlstm.cli.progress_bar._SHOWN_AFTER", 0.0)
    monkeypatch.setattr("charlstm.cli.progress_bar._TICK", 0.01)
    shown = threading.Event()
    clock = Clock("waiting")
    ticker = Ticker(lambda: clock._bar is not None and clock._bar.n == 0 and shown.set(), 0.0)
    assert shown.wait(10)
    ticker.close()
    clock.close()
    clock.close()
    *_, last = capfd.readouterr().err.rstrip("\r").split("\r")
    assert last.strip() == ""


def test_a_ticker_stops_when_it_is_closed():
    ticks = []
    ticker = Ticker(lambda: ticks.append(1), 0.0)
    ticker.close()
    assert not ticker._thread.is_alive()
    count = len(ticks)
    time.sleep(0.05)
    assert len(ticks) == count


@pytest.mark.parametrize("command", ["train", "inspect"])
@pytest.mark.parametrize("breaks", [False, True])
def test_each_pass_over_a_long_text_has_a_bar(charlstm, monkeypatch, tmp_path, command, breaks):
    """And none is left behind, even if the text turns out to be broken."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("tqdm.tqdm", Bar)
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    Bar.seen = []
    text = text_of(["the lazy dog jumps over it", "and the fox as well"] * 80_000)
    (tmp_path / "text.txt").write_bytes(text + b"\xff" * breaks)
    options = ["--level", "word", "--encoding", "utf-8", *["--dry-run"] * (command == "train")]
    result = charlstm(command, "text.txt", *options)
    assert result.status == breaks
    names = ["checking"] * (command == "inspect") + ["reading", "vocabulary", "encoding"]
    assert [bar.name for bar in Bar.seen] == names[: 1 if breaks else None]
    for bar in Bar.seen:
        assert bar.closed
        assert 0.4 * len(text) < bar.done <= bar.total
    Bar.seen = []
    assert charlstm(command, "text.txt", *options, "-q").status == breaks
    assert not Bar.seen
