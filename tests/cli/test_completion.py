"""What a shell is offered when it completes a command line, through the entry point."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from charlstm.checkpoint.names import CHECKPOINTS
from charlstm.checkpoint.schema import CONFIG
from charlstm.cli import app
from charlstm.cli.app import COMMANDS
from tests.messages import assert_error

README = (Path(__file__).parent.parent.parent / "README.md").read_text()


def complete(folder, shell, *words):
    """Ask as the shell's script does for the last of the words; return what is offered."""
    current = words[-1] if shell == "fish" else str(len(words) - 1)
    variables = {
        "_CHARLSTM_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": current,
    }
    done = run([], folder, variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def run(arguments, folder, variables):
    return subprocess.run(
        [sys.executable, "-m", "charlstm", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def in_bash(folder, *words):
    """Return (type, value) of what bash is offered."""
    lines = complete(folder, "bash", "charlstm", *words).split("\n")
    return [tuple(line.split(",", 1)) for line in lines if line]


def plain(*values):
    return [("plain", value) for value in values]


@pytest.fixture
def folder(tmp_path):
    """A folder with three checkpoints, two of them where they belong, and an empty folder."""
    for path in (CHECKPOINTS / "names", CHECKPOINTS / "plays", Path("runs/night")):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / CONFIG).touch()
    (tmp_path / "runs/empty").mkdir()
    return tmp_path


def test_commands(folder):
    assert in_bash(folder, "") == plain(*COMMANDS)
    assert in_bash(folder, "ge") == plain("generate")
    assert in_bash(folder, "xy") == []
    assert in_bash(folder, "--v") == plain("--version")


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_every_command(folder, command):
    offered = in_bash(folder, command, "--")
    assert ("plain", "--help") in offered
    assert ("plain", "--json") in offered


def test_choices(folder):
    assert in_bash(folder, "train", "--level", "") == plain("char", "subword", "word")
    assert in_bash(folder, "generate", "--precision", "f") == plain("float32")


def test_every_command_but_two_takes_a_checkpoint(folder):
    """So that a new command is not forgotten below."""
    offered = {
        name for name in COMMANDS if ("plain", "checkpoints/names") in in_bash(folder, name, "")
    }
    assert offered == set(COMMANDS) - {"inspect", "train", "models", "corpora", "cache"}


@pytest.mark.parametrize(
    "words", [["generate"], ["predict"], ["train", "--resume"], ["train", "--from"]]
)
def test_checkpoints(folder, words):
    assert in_bash(folder, *words, "") == plain("checkpoints/names", "checkpoints/plays")
    assert in_bash(folder, *words, "checkpoints/p") == plain("checkpoints/plays")
    assert in_bash(folder, *words, "na") == plain("names")
    assert in_bash(folder, *words, "runs/") == plain("runs/night")
    assert in_bash(folder, *words, "./r") == [("dir", "./r")]
    assert in_bash(folder, *words, str(folder / "runs/n")) == plain(str(folder / "runs/night"))


def test_where_there_are_no_checkpoints_any_folder_is_offered(tmp_path):
    assert in_bash(tmp_path, "info", "") == [("dir", "")]


def test_a_path_with_the_marks_of_patterns(tmp_path):
    (tmp_path / "a[1]").mkdir()
    (tmp_path / "a[1]" / "config.json").touch()
    assert in_bash(tmp_path, "info", "a[") == plain("a[1]")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["train"], "file"),
        (["train", "one.txt"], "file"),
        (["train", "--valid"], "file"),
        (["generate", "--prompt-file"], "file"),
        (["score", "model"], "file"),
        (["rank", "model", "one.txt"], "file"),
        (["export", "model", "-o"], "file"),
        (["train", "-o"], "dir"),
    ],
)
def test_files_and_folders(folder, words, kind):
    assert in_bash(folder, *words, "") == [(kind, "")]
    assert in_bash(folder, *words, "te") == [(kind, "te")]


def test_zsh_is_told_what_commands_are_for(folder):
    offered = complete(folder, "zsh", "charlstm", "inf").splitlines()
    assert offered == ["plain", "info", COMMANDS["info"]]


def test_fish_is_told_what_commands_are_for(folder):
    assert complete(folder, "fish", "charlstm", "inf") == f"plain,info\t{COMMANDS['info']}\n"


# The scripts


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_script_and_its_line_in_the_readme(tmp_path, shell):
    done = run([], tmp_path, {"_CHARLSTM_COMPLETE": f"{shell}_source"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_CHARLSTM_COMPLETE={shell}_complete" in done.stdout
    assert f"_CHARLSTM_COMPLETE={shell}_source charlstm" in README


def test_bash_completes_with_the_line_of_the_readme(folder):
    (line,) = re.findall(r"`(eval [^`]+bash_source[^`]+)`", README)
    (folder / "charlstm").write_text(f'#!/bin/sh\nexec {sys.executable} -m charlstm "$@"\n')
    (folder / "charlstm").chmod(0o755)
    program = (
        f"{line}\n"
        "COMP_WORDS=(charlstm generate checkpoints/n) COMP_CWORD=2\n"
        "complete -p charlstm && _charlstm_completion charlstm && echo ${COMPREPLY[@]}\n"
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program],
        cwd=folder, env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _charlstm_completion charlstm",
        "checkpoints/names",
    ]


@pytest.mark.parametrize("request_of", ["tcsh_source", "bash", "bash_sauce", "bash_complete"])
def test_what_no_shell_asks_for_is_misuse(charlstm, monkeypatch, request_of):
    monkeypatch.setenv(app.COMPLETION_VARIABLE, request_of)
    shells = ["bash_source", "zsh_source", "fish_source", "README"]
    result = charlstm("info", "nowhere")
    assert_error(result, 2, "_CHARLSTM_COMPLETE", f"'{request_of}'", *shells)


def test_an_empty_variable_asks_for_nothing(charlstm, monkeypatch):
    monkeypatch.setenv(app.COMPLETION_VARIABLE, "")
    assert charlstm("--version").status == 0
