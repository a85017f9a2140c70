"""The group of commands: help, version, misuse, errors of the operating system."""

import importlib
import subprocess
import sys

import click
import pytest

from charlstm import __version__
from charlstm.cli.app import COMMANDS
from tests.messages import assert_error, assert_misuse


def test_every_command_is_listed_with_the_beginning_of_its_help(charlstm):
    listing = charlstm("--help")
    assert listing.status == 0
    for name, summary in COMMANDS.items():
        assert f"{name} " in listing.out
        assert summary in listing.out
        command = importlib.import_module(f"charlstm.cli.{name}").command
        assert command.name == name
        assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("columns", ["40", "80", "100"])
def test_the_first_run_stands_on_a_line_of_its_own(charlstm, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    page = charlstm("--help").out
    assert "\n\n    charlstm train my.txt --minutes 5 && charlstm generate\n" in page


def test_version(charlstm):
    assert charlstm("--version") == (0, f"charlstm, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["tain"], ["No such command", "tain"]),
        (["generate", "--temprature", "1"], ["No such option", "--temprature"]),
        (["generate", "-t", "-1"], ["'-t' / '--temperature'", "-1.0"]),
        (["train", "a.txt", "--dropout", "1"], ["--dropout", "1.0"]),
    ],
)
def test_misuse_is_exit_2(charlstm, arguments, parts):
    assert_misuse(charlstm(*arguments), *parts)


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
    assert_error(charlstm("cache"), 1, *([name] if name else []), "Input/output error")
