"""Shared by the readers of tables: records, their lines, and the error for a missing column."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from charlstm.corpus.lines import LONGEST_LINE
from charlstm.errors import CorpusError, harmless

# Records at the beginning of a table that show its format and columns.
SAMPLED = 1_000

_MOST_NAMED = 20  # columns that a message lists


class Record(NamedTuple):
    """The cells of the requested columns, and the number of the first line of the record, from 1.

    In a JSON array, ``line`` is the number of the record instead.
    """

    cells: list[str]
    line: int


def lines_with_ends(blocks: Iterable[str], name: str) -> Iterator[str]:
    r"""Yield lines with their line ends, "\n", "\r\n" or "\r"."""
    parts: list[str] = []
    size = 0
    for block in blocks:
        parts.append(block)
        size += len(block)
        if "\n" not in block and "\r" not in block:
            if size > LONGEST_LINE:
                raise CorpusError(
                    f"{name} has a line of more than {LONGEST_LINE:,} characters, which is too "
                    f"long for a record. Read the file as plain text with `format` text."
                )
            continue
        lines = list(io.StringIO("".join(parts), newline=""))
        # The last line may continue in the next block, and so may a line end "\r\n".
        parts = [lines.pop()]
        size = len(parts[0])
        yield from lines
    yield from io.StringIO("".join(parts), newline="")


def missing_column_error(name: str, column: str, columns: Iterable[str]) -> CorpusError:
    """Return the error for a table that lacks a column."""
    names = [harmless(each, 40) for each in columns if each]
    meant = [each for each in names if each.casefold() == column.casefold()]
    if meant:
        return CorpusError(f"{name} has no column {column!r}. Did you mean {meant[0]!r}?")
    if len(names) > _MOST_NAMED:
        names = [*names[:_MOST_NAMED], f"{len(names) - _MOST_NAMED:,} more"]
    missing = f"{name} has no column {column!r}."
    if len(names) < 2:
        return CorpusError(f"{missing} Its only column is {names[0]}." if names else missing)
    return CorpusError(f"{missing} Its columns are {', '.join(names[:-1])} and {names[-1]}.")
