"""The progress bar of the commands that read files."""

import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from tests.cli.helpers import (
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


def test_a_bar_is_seen_on_a_terminal(prose, tmp_path):
    (tmp_path / "text").write_bytes(text_of(["the lazy dog"] * 700))
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    subprocess.run(
        [sys.executable, "-m", "charlstm", "score", prose, "text"],
        stdout=subprocess.DEVNULL,
        stderr=end,
        cwd=tmp_path,
        check=True,
    )
    shown = os.read(terminal, 100_000).decode()
    assert re.search(r"\d+%\|", shown)
    os.close(end)
    os.close(terminal)


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
