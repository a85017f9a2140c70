"""The group itself: help, version, misuse, and what starting costs."""

import importlib
import json
import re
import subprocess
import sys

import click
import pytest

from charlstm import __version__
from charlstm.cli.app import COMMANDS
from tests.messages import assert_error, assert_misuse, assert_names

HEAVY = {"tensorflow", "keras"}
NOT_FOR_HELP = HEAVY | {"numpy", "onnx", "onnxruntime", "safetensors", "tqdm"}


def imported_by(*arguments):
    """Run the command in a fresh interpreter; return the top-level modules it imported."""
    code = (
        "import json, sys; from charlstm.cli.app import run_command_line as run\n"
        "status = run(sys.argv[1:])\n"
        "names = sorted({name.split('.')[0] for name in sys.modules})\n"
        "print('\\n' + json.dumps([status, names]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    assert not imported_by(*arguments) & NOT_FOR_HELP


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(command):
    assert not imported_by(command, "--help") & NOT_FOR_HELP


def test_only_training_imports_tensorflow(prose):
    assert not imported_by("generate", prose, "-n", 5) & HEAVY
    for command in ("score", "rank"):
        assert not imported_by(command, prose, prose.parent / "corpus.txt") & HEAVY
    assert not imported_by("info", prose) & HEAVY
    assert not imported_by("cache") & HEAVY
    assert not imported_by("train", prose.parent / "corpus.txt", "--dry-run") & HEAVY


def test_every_command_is_listed_with_the_beginning_of_its_help(charlstm):
    listing = charlstm("--help")
    assert listing.status == 0
    for name, summary in COMMANDS.items():
        assert f"{name} " in listing.out
        assert summary in listing.out
        command = importlib.import_module(f"charlstm.cli.{name}").command
        assert command.name == name
        assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_page_lists_options_and_no_bounds_that_are_guards(charlstm, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "100")
    page = charlstm(name, "--help").out
    command = importlib.import_module(f"charlstm.cli.{name}").command
    listed = re.findall(r"^  (\S+)", page[page.index(":\n  ") : page.rindex("\nExamples:")], re.M)
    arguments = {
        parameter.human_readable_name.strip("[].")
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    }
    assert not {word.strip("[].") for word in listed} & arguments
    assert "RANGE" not in page
    shown = re.findall(r"[\[ ]([^\[ ]*<=?x[^\]\s]*|x[<>][^\]\s]*)\]", page)
    assert set(shown) <= {"0<=x<=1", "0<x<=1", "0<=x<1", "0<x<1"}
    assert shown or name not in ("train", "generate", "evaluate")


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


@pytest.mark.parametrize("arguments", ["--help", "--version", "train --help", "cache"])
def test_a_full_disk_behind_stdout_is_one_sentence(arguments):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m charlstm {arguments} > /dev/full"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert last.startswith("Error: ")
    assert_names(last, "output", "No space left on device")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "<&-"])
def test_help_with_a_closed_door_is_no_crash(redirection):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m charlstm --help {redirection}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    if redirection != ">&-":
        assert (done.returncode, done.stderr) == (0, "")
        assert "Commands:" in done.stdout


@pytest.mark.parametrize("name", ["", "a/file"])
def test_an_error_of_the_operating_system_is_one_sentence(charlstm, monkeypatch, name):
    """Whichever call it comes from, and whether it names a file or not."""
    from charlstm.system import cache

    def fail():
        raise OSError(5, "Input/output error", *([name] if name else []))

    monkeypatch.setattr(cache, "entries", fail)
    assert_error(charlstm("cache"), 1, *([name] if name else []), "Input/output error")


@pytest.mark.parametrize(
    "arguments",
    ["generate {} -n 5 -q", "generate {} -n 5 -q --json", "info {}", "predict {} the -q",
     "cache --json", "score {} -q {}/config.json", "rank {} -q {}/config.json"],
)  # fmt: skip
def test_a_closed_standard_output_is_one_sentence(prose, arguments):
    command = f"{sys.executable} -m charlstm {arguments.replace('{}', str(prose))} >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert_error(done, 1, "standard output", "closed")
