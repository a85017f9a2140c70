"""Splits a stream of text blocks into lines: the rule of all that reads lines.

Blocks of decoded text go in, lines with their line ends come out. This module does not know
documents.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from charlstm.errors import CorpusError

# The most characters of a line, since a line is in memory as a whole.
LONGEST_LINE = 2**26

_LINE = re.compile("([^\r\n]*)(\r\n|\r|\n)")

# About so many characters of a text without "\n" are split at a time.
_AT_ONCE = 2**20


def split_lines(
    blocks: Iterable[str], name: str, advice: str, *, rules: int = 2
) -> Iterator[tuple[list[str], str]]:
    r"""Yield (lines, their end) as blocks arrive; the lines of one list all have the same end.

    "\n" and "\r\n" end a line. In a text without any "\n", "\r" does, and all lines come at the end
    of the text; in others, a "\r" elsewhere is text. A text that begins with ``LONGEST_LINE``
    characters without "\n" but with "\r" is not held any longer: "\r" ends its lines, even if "\n"
    does further on. A last line may have no end, "".

    Args:
        blocks: the text in pieces.
        name: the name of the text, for the message about a line that is too long.
        advice: the end of that message.
        rules: as in ``Division``: by rules 1, only "\n" ends a line.

    Raises:
        CorpusError: if a line has more than ``LONGEST_LINE`` characters.
    """
    parts: list[str] = []
    held = 0
    returns = rules >= 2
    blocks = iter(blocks)
    for block in blocks:
        *ended, rest = block.split("\n")
        if ended:
            ended[0] = "".join((*parts, ended[0]))
            parts.clear()
            held = 0
            yield from _by_ends(ended) if rules >= 2 else ((ended, "\n"),)
            returns = False
        parts.append(rest)
        held += len(rest)
        if held > LONGEST_LINE:
            if returns and any("\r" in part for part in parts):
                yield from _at_any_ends(itertools.chain(parts, blocks), name, advice)
                return
            raise _too_long(name, advice)
    if last := "".join(parts):
        yield from _at_returns(last) if returns else (([last], ""),)


def lines_of(text: str, *, rules: int = 2) -> list[str]:
    """Return the lines of a text in memory, without their ends, by the rule of ``split_lines``."""
    split = split_lines((text,), "the text", "break it up", rules=rules)
    return [line for lines, _ in split for line in lines]


def _by_ends(lines: list[str]) -> Iterator[tuple[list[str], str]]:
    r"""Divide lines that stood before "\n" by what their line ends are."""
    if not any(line.endswith("\r") for line in lines):  # the most usual text, in one piece
        yield lines, "\n"
        return
    for returns, group in itertools.groupby(lines, lambda line: line.endswith("\r")):
        same = list(group)
        yield ([line[:-1] for line in same], "\r\n") if returns else (same, "\n")


def _too_long(name: str, advice: str) -> CorpusError:
    return CorpusError(f"{name} has a line of more than {LONGEST_LINE:,} characters, {advice}")


def _at_any_ends(blocks: Iterable[str], name: str, advice: str) -> Iterator[tuple[list[str], str]]:
    r"""Split a text of which each "\n", "\r\n" and "\r" ends a line, as blocks arrive."""
    text = ""
    for block in blocks:
        text += block
        # A "\r" at the end of a block may belong to a "\n" at the beginning of the next one.
        end = len(text) - text.endswith("\r")
        cut = max(text.rfind("\r", 0, end), text.rfind("\n", 0, end)) + 1
        for ending, group in itertools.groupby(_LINE.findall(text[:cut]), lambda line: line[1]):
            yield [line for line, _ in group], ending
        text = text[cut:]
        if end - cut > LONGEST_LINE:
            raise _too_long(name, advice)
    if text:
        line = text.removesuffix("\r")
        yield [line], text[len(line) :]


def _at_returns(text: str) -> Iterator[tuple[list[str], str]]:
    r"""Split a text without "\n"."""
    start = 0
    while (end := text.find("\r", start + _AT_ONCE) + 1 or text.rfind("\r", start) + 1) > start:
        yield text[start : end - 1].split("\r"), "\r"
        start = end
    if start < len(text):
        yield [text[start:]], ""
