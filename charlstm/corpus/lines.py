"""Splits a stream of text blocks into lines with their line ends.

Everything that reads lines uses this module, so that a line is the same everywhere.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from charlstm.errors import CorpusError

# The most characters of a line: it is in memory as a whole.
LONGEST_LINE = 2**26

_LINE = re.compile("([^\r\n]*)(\r\n|\r|\n)")

# A text without "\n" is split in parts of about this many characters.
_AT_ONCE = 2**20


def split_lines(
    blocks: Iterable[str], name: str, advice: str, *, rules: int = 2
) -> Iterator[tuple[list[str], str]]:
    r"""Yield (lines, line end) as blocks arrive; all lines of one list have the same line end.

    "\n" and "\r\n" end a line. In a text without "\n", "\r" ends a line, and all lines are yielded
    after the last block. In other texts, a "\r" elsewhere is text. If a text has no "\n" but a "\r"
    in its first ``LONGEST_LINE`` characters, "\r" ends its lines, even if a "\n" occurs further on.
    The line end of the last line may be empty.

    Args:
        blocks: the text in pieces.
        name: the name of the text, for the message about a line that is too long.
        advice: the end of that message, after a comma.
        rules: as in ``Division``. By rules 1, only "\n" ends a line.

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
    """Return the lines of a text in memory, without line ends, as ``split_lines`` divides it."""
    advice = "which is too long. Break it up."
    split = split_lines((text,), "the text", advice, rules=rules)
    return [line for lines, _ in split for line in lines]


def _by_ends(lines: list[str]) -> Iterator[tuple[list[str], str]]:
    r"""Group lines that were split at "\n" by their line ends, "\n" or "\r\n"."""
    if not any(line.endswith("\r") for line in lines):  # the most common case, in one piece
        yield lines, "\n"
        return
    for returns, group in itertools.groupby(lines, lambda line: line.endswith("\r")):
        same = list(group)
        yield ([line[:-1] for line in same], "\r\n") if returns else (same, "\n")


def _too_long(name: str, advice: str) -> CorpusError:
    return CorpusError(f"{name} has a line of more than {LONGEST_LINE:,} characters, {advice}")


def _at_any_ends(blocks: Iterable[str], name: str, advice: str) -> Iterator[tuple[list[str], str]]:
    r"""Split a text at each "\n", "\r\n" and "\r", as blocks arrive."""
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
    r"""Split a text without "\n" at each "\r"."""
    start = 0
    while (end := text.find("\r", start + _AT_ONCE) + 1 or text.rfind("\r", start) + 1) > start:
        yield text[start : end - 1].split("\r"), "\r"
        start = end
    if start < len(text):
        yield [text[start:]], ""
