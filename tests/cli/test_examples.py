"""Every example of a help page is run, with the budgets of trainings cut down."""

import importlib
import re
import shlex
import shutil

import pytest

from charlstm.cli.app import COMMANDS
from tests.processes import in_a_shell

EXAMPLES = [
    (name, example)
    for name in COMMANDS
    for example in importlib.import_module(f"charlstm.cli.{name}").command.examples
]
LINES = "".join(f"{level} worker {n % 7}: job {n} took {n % 13} ms\n"
                for n in range(150) for level in ("INFO", "WARN"))  # fmt: skip
# What the shell does (pipes, redirections, patterns, variables, several commands), and what Keras
# warns of when it saves a model.
OWN_PROCESS = re.compile(r"[|<>*?$`;&(){}~]|^(?!charlstm )|--format keras")
CUT_DOWN = "--steps 30 --units 16 --layers 1 --embedding 8 --streams 4 --sequence-length 16"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, prose, names, words):
    """What the examples speak of: three checkpoints, and texts."""
    path = tmp_path_factory.mktemp("examples")
    for name, model in {"shakespeare": prose, "names": names, "logs": names, "news": words}.items():
        shutil.copytree(model, path / "checkpoints" / name)
    text = (prose.parent / "corpus.txt").read_text()
    for name in ("my.txt", "play.txt", "novel.txt", "test.txt", "new.txt", "mail.txt"):
        (path / name).write_text(text)
    (path / "names.txt").write_text((names.parent / "corpus.txt").read_text())
    for name in ("app.log", "today.log", "yesterday.log"):
        (path / name).write_text(LINES)
    (path / "posts").mkdir()
    (path / "posts" / "one.md").write_text(text)
    rows = "".join(f"{n},good,the {n}th lazy dog sleeps\n" for n in range(99))
    (path / "reviews.csv").write_text(f"id,label,text\n{rows}")
    (path / "nbest.txt").write_text("the quick fox\nthe quack fox\n\na lazy dog\na lady dog\n")
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_on_its_help_page(charlstm, name):
    examples = [example for command, example in EXAMPLES if command == name]
    assert examples
    page = charlstm(name, "--help").out
    for example in examples:
        assert f"\n  {example}\n" in page


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_every_example_works(charlstm, compiled_once, folder, tmp_path, name, example):
    assert f"charlstm {name}" in example
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    command = re.sub(r"--(minutes|epochs) [\d.]+", CUT_DOWN, example)
    if "charlstm train" in command and CUT_DOWN not in command:
        command = command.replace("charlstm train", f"charlstm train {CUT_DOWN}")
    if not OWN_PROCESS.search(command):
        _, *arguments = shlex.split(command)
        done = charlstm(*arguments)
        assert done.status == 0, done.err
        assert done.out
        return
    done = in_a_shell(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout
