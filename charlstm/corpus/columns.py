"""Finds the columns of a table that hold text, and makes a document of a record.

The cells of the first records go in, the name of a column comes out, or an error that shows what
there is. This module does not read tables.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Mapping, Sequence

from charlstm.corpus.cells import is_data
from charlstm.errors import CorpusError, harmless

# Between the cells of a document.
SEPARATOR = "\t"

_BREAKS = re.compile("\r\n|[\r\n\t]")

# A column is of a kind if this share of its cells is, and is empty if more than this share is not.
_NEARLY_ALL, _HARDLY_ANY = 0.9, 0.05
# Few different, short cells are labels, where there are enough to tell.
_LABELS, _LABEL_LENGTH, _ENOUGH = 0.1, 30, 20

# Characters of an example, and columns with one.
_SHOWN, _MOST = 40, 20
_LONGEST_NAME = 60  # of a column, that anybody would type


def joined(cells: Sequence[str], *, keep_breaks: bool) -> str:
    """Return the cells of a record as a document: with tabs between them.

    Args:
        cells: the texts.
        keep_breaks: whether line breaks and tabs within a cell stay; else they become spaces.
    """
    if not any(cells):
        return ""
    if keep_breaks:
        return SEPARATOR.join(cells)
    return SEPARATOR.join(_BREAKS.sub(" ", cell) for cell in cells)


def as_option(columns: Sequence[str]) -> str:
    """Return names of columns as one text, with commas between them, as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(columns)
    return text.getvalue()


def text_column(columns: Mapping[str, Sequence[str]], name: str) -> str:
    """Return the one column that holds text: no numbers, dates, identifiers, or labels.

    Args:
        columns: the cells of the first records, by the name of their column.
        name: that of the table, for the message.

    Raises:
        CorpusError: if there is none, or more than one; it shows an example of each column.
    """
    found = [column for column, cells in columns.items() if _is_text(cells)]
    if len(columns) == 1 and any(*columns.values()):
        return next(iter(columns))
    if len(found) == 1:
        return found[0]
    if not any(columns.values()):
        raise CorpusError(f"{name} is a table without records: name another file")
    which = "several columns of text" if found else "no column that looks like text"
    examples = [f"{_shown(column)} ({_example(cells)})" for column, cells in columns.items()]
    more = f" and {len(columns) - _MOST:,} more" if len(columns) > _MOST else ""
    choice = _choice(found[:2] or [max(columns, key=lambda c: _length(columns[c]))], list(columns))
    raise CorpusError(
        f"{name} is a table with {which}: choose, like --columns {choice}, read it as plain text "
        f"with --format text, or leave it out (--exclude). Its columns, each with an example: "
        f"{', '.join(examples[:_MOST])}{more}"
    )


def _choice(chosen: Sequence[str], columns: Sequence[str]) -> str:
    """Return columns as they can be typed: their names, or numbers if these are long."""
    if any(len(column) > _LONGEST_NAME for column in chosen):
        chosen = [str(columns.index(column) + 1) for column in chosen]
    return shlex.quote(as_option(chosen))


def _length(cells: Sequence[str]) -> int:
    return sum(map(len, cells))


def _is_text(cells: Sequence[str]) -> bool:
    filled = [stripped for cell in cells if (stripped := cell.strip())]
    if len(filled) <= _HARDLY_ANY * len(cells):
        return False
    if sum(map(is_data, filled)) >= _NEARLY_ALL * len(filled):
        return False
    different = set(filled)
    are_few = len(filled) >= _ENOUGH and len(different) <= _LABELS * len(filled)
    return not (are_few and sum(map(len, different)) <= _LABEL_LENGTH * len(different))


def _shown(text: str) -> str:
    return harmless(text, _SHOWN)


def _example(cells: Sequence[str]) -> str:
    return _shown(next(filter(None, map(str.strip, cells)), "empty"))
