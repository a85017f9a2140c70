"""Help pages: every option with its explanation and default, no bounds that only guard."""

import importlib
import re

import click
import pytest

from charlstm.cli.app import COMMANDS
from tests.messages import assert_misuse


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_with_its_default(charlstm, name):
    page = "".join(charlstm(name, "--help").out.split())
    for option in importlib.import_module(f"charlstm.cli.{name}").command.params:
        if isinstance(option, click.Option):
            assert option.opts[-1] in page
            explained = "".join(option.help.split())
            assert explained
            assert explained in page
            if option.show_default:
                shown = option.default if option.show_default is True else option.show_default
                assert f"{explained}[default:{shown}".replace(" ", "") in page


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


@pytest.mark.parametrize(
    "arguments",
    [("train", "python-docs", "--dry-run"), ("export", "model"), ("train", "python-docs")],
    ids=" ".join,
)
def test_an_empty_path_to_write_is_misuse(charlstm, arguments):
    assert_misuse(charlstm(*arguments, "-o", ""), "--output", "''", "a path")
