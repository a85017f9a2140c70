"""``docs/cli-reference.md`` has the help pages of all commands, as they are printed today.

``make snapshots`` regenerates it. Each minor version of Click lays out help pages in its own way,
so the page is compared only under the version that ``setup.cfg`` has for development.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from charlstm.cli.app import COMMANDS
from tests.reliability.versions import requirements

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cli-reference.md"
WIDTH = 100
HEAD = """\
# Command-line reference

The help pages of all commands, as `charlstm COMMAND --help` prints them. This page is generated:
`make snapshots` updates it.
"""


def section(name: str, page: str) -> str:
    """Return a help page as a section of Markdown.

    The page has a usage line, an indented description, headings with indented lines below them,
    and an indented epilog at any place after the description.
    """
    usage, *blocks = page.strip("\n").split("\n\n")
    parts = [f"## {name}", fenced(usage.removeprefix("Usage: "))]
    for block in blocks:
        heading, _, rest = block.partition("\n")
        if not heading.startswith(" "):
            language = "sh" if heading == "Examples:" else "text"
            parts += [f"### {heading.removesuffix(':')}", fenced(dedented(rest), language)]
        elif heading.startswith("    "):
            parts.append(fenced(dedented(block), "sh"))
        else:
            parts.append(escaped(dedented(block)))
    return "\n\n".join(parts)


def fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def dedented(text: str) -> str:
    """Return lines without the indentation of the first of them."""
    indentation = len(text) - len(text.lstrip(" "))
    return "\n".join(line[indentation:] for line in text.split("\n"))


def escaped(text: str) -> str:
    """Return prose for Markdown, in which * and < would format it."""
    return re.sub(r"([*<])", r"\\\1", text)


def uses_another_click() -> str:
    """Return why the page can't be compared, "" if it can."""
    wanted: list[Requirement] = [
        each for each in requirements((ROOT / "setup.cfg").read_text()) if each.name == "click"
    ]
    version = importlib.metadata.version("click")
    if all(version in each.specifier for each in wanted):
        return ""
    return f"the page is from click{wanted[-1].specifier}, not {version}"


def test_the_reference_has_all_help_pages(charlstm, monkeypatch, updating):
    if reason := uses_another_click():
        pytest.skip(reason)
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    pages = {"charlstm": charlstm("--help")}
    pages |= {f"charlstm {name}": charlstm(name, "--help") for name in COMMANDS}
    assert all((page.status, page.err) == (0, "") for page in pages.values())
    sections = [section(name, page.out) for name, page in pages.items()]
    text = "\n\n".join([HEAD.rstrip("\n"), *sections]) + "\n"
    if updating:
        PAGE.write_text(text, encoding="utf-8")
    assert text == PAGE.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= WIDTH


def test_a_help_page_becomes_a_section():
    page = (
        "Usage: x [A]\n\n  Do *it*.\n\nOne:\n  -a  A.\n      More.\n\n    x 1\n\nExamples:\n  x\n"
    )
    assert section("x", page).split("\n\n") == [
        "## x",
        "```text\nx [A]\n```",
        "Do \\*it\\*.",
        "### One",
        "```text\n-a  A.\n    More.\n```",
        "```sh\nx 1\n```",
        "### Examples",
        "```sh\nx\n```",
    ]
