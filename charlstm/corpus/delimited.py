"""Reads CSV and tab-separated values, row by row.

The first rows show which character separates cells and whether quotation marks quote.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from charlstm.corpus.cells import is_figure
from charlstm.corpus.lines import LONGEST_LINE
from charlstm.corpus.records import SAMPLED, Record, lines_with_ends, missing_column_error
from charlstm.errors import CorpusError

# Characters at the beginning by which the rules of a table are found.
_LOOKED_AT = 2**20

# The message of Python's ``csv`` module for a quotation mark that is not closed.
_UNCLOSED = "unexpected end of data"

# The first line of some files, as Excel reads it, names the separator.
_DECLARED = re.compile(r"sep=([^\w\s\"]|\t)\r?\n")

_LONGEST_NAME = 60  # characters; a first row with a longer cell is not a row of column names

_LONGEST_PREAMBLE = 20  # rows

# The separators of CSV files, the most common first.
_SEPARATORS = (",", ";", "\t", "|")


def read_delimited(
    blocks: Iterable[str], name: str, columns: Sequence[str], *, tabs: bool
) -> Iterator[Record]:
    """Yield the records of a table. For the errors see ``tables.read_records``.

    Args:
        blocks: the text in pieces.
        name: the name of the text, for messages.
        columns: column names, or numbers from 1.
        tabs: whether tabs separate cells; otherwise the separator is detected.
    """
    rows = _rows(blocks, name, tabs=tabs)
    first = next(rows, None)
    if first is None:
        return
    numbered = _are_numbers(columns, first.cells)
    places = _numbered(columns, first.cells, name) if numbered else _named(columns, first, name)
    for row in itertools.chain([first] if numbered else [], rows):
        yield Record([row.cells[place] for place in places], row.line)


def sample_delimited(blocks: Iterable[str], name: str, *, tabs: bool) -> dict[str, list[str]]:
    """Return the cells of the first records by column (see ``tables.sample_of``)."""
    found = _rows(blocks, name, tabs=tabs)
    rows = [row.cells for row in itertools.islice(found, SAMPLED + 1)]
    if not rows:
        return {}
    names, cells = rows[0], rows[1:]
    if not _is_header(names):
        names, cells = [""] * len(names), rows
    return {
        column or str(place + 1): [row[place] for row in cells]
        for place, column in enumerate(_distinct(names))
    }


def _distinct(names: Iterable[str]) -> list[str]:
    """Return stripped column names, with a number added to repeated ones: text, text.2."""
    counts: Counter[str] = Counter()
    distinct = []
    for name in map(str.strip, names):
        counts[name] += 1
        distinct.append(f"{name}.{counts[name]}" if name and counts[name] > 1 else name)
    return distinct


def _are_numbers(columns: Sequence[str], first: Sequence[str]) -> bool:
    """Return whether columns are given by number, not by a name in the first row."""
    if not all(name.isascii() and name.isdigit() for name in columns):
        return False
    are_names = set(columns) <= {cell.strip() for cell in first}
    return not (are_names and (_counts_up(first) or any(int(n) > len(first) for n in columns)))


def _counts_up(first: Sequence[str]) -> bool:
    """Return whether a first row numbers the columns, as programs do: 0, 1, 2 or 1, 2, 3."""
    found = [cell.strip() for cell in first]
    return found in ([str(n + start) for n in range(len(found))] for start in (0, 1))


def _is_header(first: Sequence[str]) -> bool:
    """Return whether a first row has column names: no numbers, dates or long cells."""
    if _counts_up(first) and len(first) > 1:
        return True
    return not any(is_figure(cell) or len(cell) > _LONGEST_NAME for cell in map(str.strip, first))


def table_of(beginning: str) -> tuple[str, int] | None:
    """Return the separator and the cells per row if a text begins like a table, else ``None``."""
    rules, fit = _best(beginning)
    return (rules.separator, fit.width) if fit.is_table else None


class _Rules(NamedTuple):
    """How the rows of a table are written."""

    separator: str
    is_quoted: bool

    def reader(self, lines: Iterable[str]) -> Any:
        if self.is_quoted:
            return csv.reader(lines, delimiter=self.separator, strict=True)
        return csv.reader(lines, delimiter=self.separator, quoting=csv.QUOTE_NONE, strict=True)


def _rows(blocks: Iterable[str], name: str, *, tabs: bool) -> Iterator[Record]:
    """Yield the rows of a table without blank ones.

    Raises:
        CorpusError: if a row has more or fewer cells than the first.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    blocks = iter(blocks)
    beginning, declared, line = _beginning(blocks), None, 1
    if found := _DECLARED.match(beginning):
        beginning, declared, line = beginning[found.end() :], found[1], 2
    rules, fit = _fitting(beginning, declared, tabs=tabs)
    skipped, before = line - 1, -fit.preamble
    reader = rules.reader(lines_with_ends(itertools.chain((beginning,), blocks), name))
    width = None
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            is_unclosed = str(error) == _UNCLOSED
            what = "a quotation mark is never closed" if is_unclosed else str(error)
            raise CorpusError(_malformed(name, line, what, rules)) from None
        if cells is None:
            return
        if cells and before:
            before -= 1
        elif cells:
            if width not in (None, len(cells)):
                raise CorpusError(_malformed(name, line, _counted(len(cells), width or 0), rules))
            width = len(cells)
            yield Record(cells, line)
        line = reader.line_num + 1 + skipped


def _beginning(blocks: Iterator[str]) -> str:
    """Return the first blocks of a text, at least ``_LOOKED_AT`` characters if it has them."""
    parts: list[str] = []
    size = 0
    while size < _LOOKED_AT and (block := next(blocks, "")):
        parts.append(block)
        size += len(block)
    return "".join(parts)


def _fitting(beginning: str, declared: str | None, *, tabs: bool) -> tuple[_Rules, _Fit]:
    """Return how a table is written, and how well that fits its first rows.

    In tab-separated text, quotation marks are plain characters unless a cell needs them.

    Args:
        beginning: the first rows.
        declared: the separator that the text itself names, if it does.
        tabs: whether tabs separate cells.
    """
    if declared is None and not tabs:
        return _best(beginning)
    rules = _Rules(declared or "\t", True)
    fit = _fit(beginning, rules)
    if declared is None and not (fit.is_regular and _quotes_something(beginning, rules)):
        rules = _Rules("\t", False)
        fit = _fit(beginning, rules)
    return rules, fit


def _best(beginning: str) -> tuple[_Rules, _Fit]:
    """Return the rules under which the first rows are most regular; ties go to the most common."""
    choices = [_Rules(separator, True) for separator in _SEPARATORS]
    return max(((rules, _fit(beginning, rules)) for rules in choices), key=lambda pair: pair[1])


def _quotes_something(beginning: str, rules: _Rules) -> bool:
    """Return whether the first row is quoted, or a cell contains a tab, line end or quote."""
    if beginning.startswith('"'):
        return True
    rows = itertools.islice(rules.reader(lines_with_ends((beginning,), "")), SAMPLED)
    with contextlib.suppress(csv.Error):
        return any(not {"\t", "\n", "\r", '"'}.isdisjoint(cell) for row in rows for cell in row)
    return False


class _Fit(NamedTuple):
    """How well rules fit the first rows; greater is better.

    Rows of the same length after a preamble, with two cells or more, fit best. After that, the
    number of cells in the first row decides.
    """

    is_table: bool
    width: int
    is_regular: bool
    preamble: int = 0


def _fit(beginning: str, rules: _Rules) -> _Fit:
    is_cut = len(beginning) >= _LOOKED_AT
    filled: list[tuple[int, int]] = []  # of each row: its cells, and how many are not empty
    reader = rules.reader(lines_with_ends((beginning,), ""))
    is_regular = True
    try:
        rows = itertools.islice(reader, SAMPLED)
        filled.extend((len(row), sum(map(bool, map(str.strip, row)))) for row in rows if row)
    except csv.Error as error:
        is_regular = is_cut and str(error) == _UNCLOSED
    if is_cut and len(filled) > 1:
        del filled[-1]  # the last row may be incomplete
    first = _preamble(filled)
    widths = {width for width, _ in filled[first:]}
    width = filled[first][0] if filled else 0
    is_regular &= len(widths) == 1
    return _Fit(is_regular and width > 1, width, is_regular, -first)


def _preamble(filled: Sequence[tuple[int, int]]) -> int:
    """Return the number of rows before the table, such as the account details in bank exports.

    These rows have fewer filled cells. A row with just one cell less than the table is not part of
    a preamble, since it may be a row of column names that lacks one.
    """
    if not filled:
        return 0
    usual = Counter(width for width, _ in filled).most_common(1)[0][0]
    first = next(index for index, (width, _) in enumerate(filled) if width == usual)
    is_before = all(count < usual - 1 or width == 1 for width, count in filled[:first])
    return first if is_before and first <= _LONGEST_PREAMBLE and first < len(filled) - 1 else 0


def _malformed(name: str, line: int, what: str, rules: _Rules) -> str:
    return (
        f"{name}, line {line:,}: {what} (the separator is {rules.separator!r}). Fix the row, or "
        f"read the file as plain text with `format` text."
    )


def _counted(cells: int, expected: int) -> str:
    return f"{cells:,} {'cell' if cells == 1 else 'cells'}, but the first row has {expected:,}"


def _named(columns: Sequence[str], first: Record, name: str) -> list[int]:
    places = []
    names = _distinct(first.cells)
    for column in columns:
        if column not in names:
            raise missing_column_error(name, column, names)
        places.append(names.index(column))
    return places


def _numbered(columns: Sequence[str], first: Sequence[str], name: str) -> list[int]:
    for column in columns:
        if not 0 < int(column) <= len(first):
            raise CorpusError(
                f"{name} has no column {column}. Give numbers from 1 to {len(first):,}, or names."
            )
    return [int(column) - 1 for column in columns]
