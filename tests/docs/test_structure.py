"""The README is short, links lead somewhere, and nothing is missing from the index."""

import re

import click
import pytest

from charlstm.cli.app import cli
from tests.docs.pages import PAGES, README, ROOT, blocks_of, headings_of, links_of, without_blocks

LANGUAGES = {"console", "sh", "python", "text"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page):
    for link in links_of(page.read_text()):
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if heading:
            assert heading in headings_of(target.read_text()), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_is_run_or_marked_as_text(page):
    text = page.read_text()
    assert {block.language for block in blocks_of(text)} <= LANGUAGES
    fences = re.findall(r"^```", text, re.MULTILINE)
    assert len(fences) == 2 * len(blocks_of(text))
    assert not re.findall(r"^(?: {4}|\t)(?:\$ )?charlstm ", without_blocks(text), re.M)


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 220


def test_every_page_is_in_the_index():
    index = README.read_text().partition("## Pages")[2].partition("\n## ")[0]
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in index


def test_every_command_has_its_page():
    rows = re.findall(r"^\| `charlstm (\w+)` \|.*\]\((docs/[^)#]+)", README.read_text(), re.M)
    pages = dict(rows)
    assert pages.keys() == {*cli.list_commands(click.Context(cli))}
    for command, page in pages.items():
        assert f"charlstm {command}" in (ROOT / page).read_text(), command


def test_every_target_of_make_is_named():
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    section = README.read_text().partition("## Development")[2]
    for target in targets:
        assert f"`make {target}`" in section, target
