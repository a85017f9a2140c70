"""What readers of tables share: records, their lines, and how a missing column is reported.

This module does not know formats.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from charlstm.corpus.lines import LONGEST_LINE
from charlstm.errors import CorpusError, harmless

# Records of the beginning by which a table is known.
SAMPLED = 1_000

_MOST_NAMED = 20  # columns in a message


class Record(NamedTuple):
    """The cells of the columns that were asked for, and the number of the first line, from 1.

    In JSON, ``line`` counts records instead of lines.
    """

    cells: list[str]
    line: int


def lines_with_ends(blocks: Iterable[str], name: str) -> Iterator[str]:
    r"""Yield lines with their ends, "\n", "\r\n" or "\r"."""
    parts: list[str] = []
    size = 0
    for block in blocks:
        parts.append(block)
        size += len(block)
        if "\n" not in block and "\r" not in block:
            if size > LONGEST_LINE:
                raise CorpusError(
                    f"{name} has a line of more than {LONGEST_LINE:,} characters, too long for a "
                    f"record: read the file as plain text with --format text"
                )
            continue
        lines = list(io.StringIO("".join(parts), newline=""))
        # The last line may go on in the next block, or its "\r" belong to a "\n" there.
        parts = [lines.pop()]
        size = len(parts[0])
        yield from lines
    yield from io.StringIO("".join(parts), newline="")


def missing_column_error(name: str, column: str, columns: Iterable[str]) -> CorpusError:
    """Return the error for a table that lacks a column."""
    names = [harmless(each, 40) for each in columns if each]
    meant = [each for each in names if each.casefold() == column.casefold()]
    if meant:
        return CorpusError(f"{name} has no column {column!r}: did you mean {meant[0]!r}?")
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return CorpusError(
        f"{name} has no column {column!r}: choose with --columns among "
        f"{', '.join(names[:_MOST_NAMED])}{more}, or leave the file out (--exclude)"
    )
