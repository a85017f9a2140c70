"""The pages of the documentation, and the code blocks, links and headings in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """A fenced block: its language, such as ``console``, and its lines."""

    language: str
    code: str


class Command(NamedTuple):
    """A command of a console block, with the lines shown after it."""

    line: str
    shown: list[str]


def blocks_of(text: str) -> list[Block]:
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)]


def commands_of(block: Block) -> list[Command]:
    """Split a console block into its commands; each is on one line, after a dollar."""
    before, *parts = re.split(r"^\$ ", block.code, flags=re.MULTILINE)
    assert before == "", f"a console block begins with a command: {before!r}"
    return [Command(part.splitlines()[0], part.splitlines()[1:]) for part in parts]


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def headings_of(text: str) -> list[str]:
    """Return the anchors that GitHub gives to headings."""
    titles = re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles)
    return [re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain]


def links_of(text: str) -> list[str]:
    """Return where links and pictures point to, without addresses of the web."""
    text = without_blocks(text)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    return [link for link in found if not link.startswith(("http:", "https:", "mailto:"))]
