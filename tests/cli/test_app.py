"""The group of commands: help, version, misuse, errors of the operating system."""

import importlib
import subprocess
import sys

import click
import pytest

from charlstm import __version__
from charlstm.cli.app import COMMANDS
from tests.cli.helpers import TEXT
from tests.messages import assert_error, assert_misuse
from tests.processes import in_a_shell


def test_every_command_is_listed_with_its_summary(charlstm, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    listing = charlstm("--help")
    assert listing.status == 0
    for name, summary in COMMANDS.items():
        assert f"{name} " in listing.out
        assert summary in listing.out
        command = importlib.import_module(f"charlstm.cli.{name}").command
        assert command.name == name
        assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("columns", ["40", "80", "100"])
def test_the_first_run_is_on_a_line_of_its_own(charlstm, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    page = charlstm("--help").out
    assert "\n\n    charlstm train my.txt --minutes 5 && charlstm generate\n" in page


def test_version(charlstm):
    assert charlstm("--version") == (0, f"charlstm, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["tain"], ["no such command", "'tain'", "train"]),
        (["generate", "--temprature", "1"], ["--temprature", "--temperature?"]),
        (["generate", "-t", "-1"], ["--temperature", -1, "0 or more"]),
        (["train", "a.txt", "--dropout", "1"], ["--dropout", 1, "0 or more", "less than 1"]),
        (["train", "a.txt", "--final-rate", "2"], ["--final-rate", 2, "from 0 to 1"]),
        (["train", "a.txt", "--epochs", "nan"], ["--epochs", "nan", "greater than 0"]),
        (["train", "a.txt", "--epochs", ""], ["--epochs", "''", "greater than 0"]),
        (["train", "a.txt", "--layers", "x y"], ["--layers", "'x y'", "whole number", "1 to 64"]),
        (["generate", "-n", "1.5"], ["--length", 1.5, "whole number", "1 or more"]),
        (["train", "a.txt", "--size", "huge"], ["--size", "huge", "medium or large"]),
        (["generate", "--length"], ["--length", "TOKENS"]),
        (["train", "--lines=5"], ["--lines", "no value"]),
        (["score"], ["CHECKPOINT", "charlstm models"]),
        (["export", "a", "b c"], ["unexpected", "'b c'"]),
        (["generate", "a", "the"], ["unexpected", "the", "-p"]),
        (["train", "a.txt", "-o", "file"], ["--output", "file", "folder"]),
        (["--nothing"], ["--nothing"]),
    ],
)
def test_misuse_is_exit_2(charlstm, tmp_path, arguments, parts):
    (tmp_path / "file").touch()
    assert_misuse(charlstm(*arguments), *parts)


def test_quiet_has_one_meaning():
    params = [
        param
        for name in COMMANDS
        for param in importlib.import_module(f"charlstm.cli.{name}").command.params
    ]
    quiet = [param for param in params if "--quiet" in param.opts]
    assert len(quiet) == len(COMMANDS)
    assert {(tuple(param.opts), param.help) for param in quiet} == {
        (("-q", "--quiet"), "Print only errors on stderr.")
    }


@pytest.mark.parametrize(
    "command",
    [
        "inspect tale.txt",
        "train late.txt --dry-run",
        "generate model -p € --stop € --until sentence -v -n 5 --seed 1",
        "predict model the€ --tokens",
        "score model late.txt",
        "evaluate model late.txt --sample 5",
        "rank model late.txt --context €",
        "export model --format onnx",
    ],
)
def test_quiet_prints_the_same_on_stdout_and_nothing_on_stderr(
    charlstm, corpus, prose, tmp_path, command
):
    (tmp_path / "late.txt").write_text(f"{TEXT}€€", encoding="utf-8")
    (tmp_path / "model").symlink_to(prose)
    loud = charlstm(*command.split())
    (tmp_path / "model.onnx").unlink(missing_ok=True)
    assert loud.status == 0
    assert loud.err or command.startswith(("inspect", "export"))
    assert charlstm(*command.split(), "-q") == (0, loud.out, "")


def test_no_command_shows_help_and_is_misuse(charlstm):
    result = charlstm()
    assert result.status == 2
    assert "Commands:" in result.err


def test_python_m_charlstm():
    done = subprocess.run(
        [sys.executable, "-m", "charlstm", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"charlstm, version {__version__}\n")


@pytest.mark.parametrize("name", ["", "a/file"])
def test_an_error_of_the_operating_system_is_one_sentence(charlstm, monkeypatch, name):
    """Whichever call it comes from, and whether it names a file or not."""
    from charlstm.system import cache

    def fail():
        raise OSError(5, "Input/output error", *([name] if name else []))

    monkeypatch.setattr(cache, "entries", fail)
    assert_error(charlstm("cache"), 1, *([name] if name else []), "Input/output error.")


@pytest.mark.parametrize(
    "command",
    ["train tale.txt", "generate model", "score model tale.txt", "export model", "models --json"],
)
def test_a_deleted_working_directory_is_named_as_the_reason(tmp_path, command):
    (tmp_path / "gone").mkdir()
    done = in_a_shell(f"cd gone; rmdir ../gone; charlstm {command}", tmp_path)
    assert_error(done, 1, "working directory", "deleted", "cd")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("generate model -p 'caf\u00e9'", "--prompt"),
        ("predict model 'caf\u00e9'", "PROMPT"),
        ("generate model --stop 'caf\u00e9'", "--stop"),
        ("generate model --bias 'caf\u00e9=1'", "--bias"),
        ("train 'caf\u00e9.txt' --dry-run", "caf\u00e9.txt"),
        ("rank model --context 'caf\u00e9'", "--context"),
    ],
)
def test_a_locale_that_is_not_utf_8_is_named_as_the_reason(tmp_path, names, command, option):
    (tmp_path / "model").symlink_to(names)
    ascii_only = "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"
    done = in_a_shell(f"{ascii_only} charlstm {command}", tmp_path)
    assert_error(done, 2, option, "locale", "ascii", "export LC_ALL=C.UTF-8")
    if not command.startswith("train"):  # Python then uses UTF-8
        done = in_a_shell(f"LC_ALL=C charlstm {command} < /dev/null", tmp_path)
        assert done.returncode == 0, done.stderr
