"""Tells a list of short texts, one a line (names, titles), from prose, verse, code and tables.

Text goes in, a guess comes out. It is for a note only, so that it rather misses a list than take
something else for one. This module does not know files or options.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from charlstm.corpus.lines import lines_of

# What is looked at: so many characters from the beginning.
LOOKED_AT = 2**17
FEWEST = 20  # lines of a list

IS_LIST = "the text looks like a list of short lines: add --lines if each line is a text of its own"
HINT = f"Note: {IS_LIST}"

_LONG = 60  # characters of a line
_MEDIAN = 32
_WORDS = 5.0
_FEW, _MANY = 0.05, 0.1

_ENDS_LIKE_PROSE = re.compile(r"""[.!?,;:…。！？，；：、।؟،؛\-–—]["'”’»)\]]*$""")
# Parts of tables, code, markup, addresses and dialogs.
_MARKUP = re.compile(r"""[\t|{}<>=\\/@;#*_`~$]|: |\(\)|\[|^[-–—•>]|^\S{1,20}:|\d\d:\d\d""")
_LETTER = re.compile(r"[^\W\d_]")


class ListFinder:
    """Looks at the beginning of a text, in pieces of whole lines, until it has seen enough."""

    def __init__(self) -> None:
        self._text = ""
        self._left = LOOKED_AT

    def add(self, text: str) -> None:
        """Look at the next piece."""
        if self._left > 0:
            self._text += text[: self._left]
            self._left -= len(text)
            if self._left < 0:  # the last line is not whole
                self._text = self._text[: max(map(self._text.rfind, "\r\n")) + 1]

    @property
    def found(self) -> bool:
        """Whether what was seen is a list."""
        return looks_like_list(self._text)

    @property
    def may_be_short(self) -> bool:
        """Whether it is, or is too short to tell: for a text that is no use as it is."""
        return looks_like_list(self._text, 2)


def looks_like_list(text: str, fewest: int = FEWEST) -> bool:
    """Whether a text looks like a list of ``fewest`` texts or more, each of them a short line."""
    lines = lines_of(text.rstrip())
    if len(lines) < fewest or not all(lines):
        return False

    def share(matches: Iterable[object]) -> float:
        return sum(map(bool, matches)) / len(lines)

    words = [len(line.split()) for line in lines]
    letters = sum(len(_LETTER.findall(line)) for line in lines)
    return (
        share(len(line) > _LONG for line in lines) <= _FEW
        and sorted(map(len, lines))[len(lines) // 2] <= _MEDIAN
        and sum(words) <= _WORDS * len(lines)
        and share(line[0].isspace() for line in lines) <= _FEW
        and share(map(_ENDS_LIKE_PROSE.search, lines)) <= _MANY
        and share(map(_MARKUP.search, lines)) <= _MANY
        and share("," in line for line in lines) <= 2 * _MANY
        and share(map(_LETTER.search, lines)) >= 1 - _FEW
        and letters >= 0.6 * sum(map(len, lines))
        and len(set(lines)) >= 0.5 * len(lines)
        and _begin_alike(lines)
    )


def _begin_alike(lines: list[str]) -> bool:
    """Whether nearly all lines begin with a capital letter or nearly none does.

    In prose and verse that is broken into short lines, some begin in the middle of a sentence.
    """
    capitals = sum(line[0].isupper() for line in lines) / len(lines)
    small = sum(line[0].islower() for line in lines) / len(lines)
    return min(capitals, small) <= _MANY
