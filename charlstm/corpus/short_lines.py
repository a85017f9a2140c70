"""Recognizes a list of short texts, one per line, such as names or titles.

The guess is only for a note, so it would rather miss a list than take prose, verse, code or a table
for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from charlstm.corpus.lines import lines_of

# Characters at the beginning of a text that are checked.
LOOKED_AT = 2**17
FEWEST = 20  # lines of a list

IS_LIST = "the text looks like a list of short lines. Add `lines` if each line is a text of its own"
HINT = f"Note: {IS_LIST}"

_LONG = 60  # characters that few lines of a list exceed
_MEDIAN = 32  # characters; the median length of lines is not longer
_WORDS = 5.0  # the most words per line, on average
_FEW, _MANY = 0.05, 0.1  # shares of lines

_ENDS_LIKE_PROSE = re.compile(r"""[.!?,;:…。！？，；：、।؟،؛\-–—]["'”’»)\]]*$""")
# Signs of tables, code, markup, addresses and dialogs.
_MARKUP = re.compile(r"""[\t|{}<>=\\/@;#*_`~$]|: |\(\)|\[|^[-–—•>]|^\S{1,20}:|\d\d:\d\d""")
_LETTER = re.compile(r"[^\W\d_]")


class ListFinder:
    """Checks the beginning of a text, which arrives in pieces of whole lines."""

    def __init__(self) -> None:
        self._text = ""
        self._left = LOOKED_AT

    def add(self, text: str) -> None:
        """Take the next piece of the text; ignore it once ``LOOKED_AT`` characters are there."""
        if self._left > 0:
            self._text += text[: self._left]
            self._left -= len(text)
            if self._left < 0:  # drop the last line, which is incomplete
                self._text = self._text[: max(map(self._text.rfind, "\r\n")) + 1]

    @property
    def found(self) -> bool:
        """Whether the text so far looks like a list."""
        return looks_like_list(self._text)

    @property
    def may_be_short(self) -> bool:
        """Whether the text looks like a list of two lines or more.

        This is for hints about a text that can't be trained on as it is.
        """
        return looks_like_list(self._text, 2)


def looks_like_list(text: str, fewest: int = FEWEST) -> bool:
    """Return whether a text looks like a list of at least ``fewest`` texts, each a short line."""
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
    """Return whether nearly all lines begin with the same case, upper or lower.

    In prose and verse with short lines, some lines begin in the middle of a sentence.
    """
    capitals = sum(line[0].isupper() for line in lines) / len(lines)
    small = sum(line[0].islower() for line in lines) / len(lines)
    return min(capitals, small) <= _MANY
