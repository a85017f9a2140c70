"""What ``charlstm generate`` says on stderr about its input and its samples, and when."""

from __future__ import annotations

import io
import os
import socket

import pytest

from charlstm.cli.generate_notes import note_unread_input
from tests.messages import assert_names
from tests.processes import in_a_shell

# A pipe that was not read


def test_a_pipe_that_is_not_read_is_told(charlstm, prose):
    options = ["generate", prose, "-n", 5, "--seed", 1]
    told = charlstm(*options, stdin=b"the quick")
    unread, seed = told.err.splitlines()
    assert_names(unread, "standard input", "-p -", "--prompts -")
    assert (told.status, seed, told.out) == (0, "seed 1", charlstm(*options).out)
    assert charlstm(*options, "-q", stdin=b"the quick").err == ""
    searched = charlstm("generate", prose, "-n", 5, "--beam", 2, stdin=b"the quick")
    assert searched.err == f"{unread}\n"


@pytest.mark.parametrize(
    "option",
    [["-p", "a"], ["-p", ""], ["--prompt-file", "a"], ["--prompts", "a"], ["-p", "-"]],
)
def test_where_a_prompt_is_given_the_pipe_belongs_to_somebody_else(
    charlstm, prose, tmp_path, option
):
    """As in ``while read line; do charlstm generate -p "$line"; done``."""
    (tmp_path / "a").write_text("a")
    assert charlstm("generate", prose, "-n", 5, "--seed", 1, *option, stdin=b"a").err == "seed 1\n"


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("while read line; do {}; done < text", 0),
        ("{{ {}; cat > rest; }} < text; cmp text rest", 1),
        ("cat text | {{ {}; cat > rest; }}; cmp text rest", 1),
    ],
)
def test_what_is_not_read_is_still_there_for_the_next(prose, tmp_path, line, times):
    (tmp_path / "text").write_text("one\n")
    done = in_a_shell(line.format(f"charlstm generate {prose} -n 5 --seed 1"), tmp_path)
    assert (done.returncode, done.stderr.count("standard input was not read")) == (0, times)


def is_told(monkeypatch, stream):
    monkeypatch.setattr("sys.stdin", stream)
    return note_unread_input()


def test_what_is_a_text_that_was_not_read(monkeypatch, tmp_path):
    """Nothing is waited for, and nothing is read."""
    (tmp_path / "text").write_text("text")
    (tmp_path / "empty").touch()
    with (tmp_path / "text").open() as text:
        assert is_told(monkeypatch, text)
        assert text.read(1) == "t"
        assert not is_told(monkeypatch, text)
    for name in (tmp_path / "empty", os.devnull):
        with open(name) as nothing:
            assert not is_told(monkeypatch, nothing)
    assert not is_told(monkeypatch, nothing)  # closed
    assert not is_told(monkeypatch, None)
    assert not is_told(monkeypatch, io.StringIO("text"))


def test_what_stays_open_is_not_waited_for(monkeypatch):
    """As a pipe does under cron and a socket under ssh."""
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    terminal, other_side = os.openpty()
    os.write(terminal, b"typed ahead\n")
    with theirs.makefile() as stream, ours, theirs:
        assert not is_told(monkeypatch, stream)
        ours.sendall(b"text")
        assert is_told(monkeypatch, stream)
        assert theirs.recv(9) == b"text"
    with os.fdopen(read) as stream:
        assert not is_told(monkeypatch, stream)
        os.write(write, b"text")
        assert is_told(monkeypatch, stream)
        os.close(write)
        assert stream.read() == "text"
        assert not is_told(monkeypatch, stream)
    with os.fdopen(other_side) as stream:
        assert not is_told(monkeypatch, stream)
    os.close(terminal)


def test_a_text_that_comes_late_is_told_after_the_sample(charlstm, prose, monkeypatch):
    answers = iter([False, True])
    monkeypatch.setattr("charlstm.cli.generate_notes._has_input", lambda: next(answers))
    seed, unread = charlstm("generate", prose, "-n", 5, "--seed", 1).err.splitlines()
    assert seed == "seed 1"
    assert "standard input" in unread
