"""Finds the column of a table that contains text, and turns a record into a document.

If no single column is the obvious choice, the error lists the columns with an example of each. The
module works on cells and does not read tables.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Mapping, Sequence

from charlstm.corpus.cells import is_data
from charlstm.errors import CorpusError, harmless

# Separates the cells of a document.
SEPARATOR = "\t"

_BREAKS = re.compile("\r\n|[\r\n\t]")

# A column contains data if at least 90% of its filled cells do. It is empty if at most 5% of its
# cells are filled.
_NEARLY_ALL, _HARDLY_ANY = 0.9, 0.05
# A column of 20 or more filled cells contains labels if at most 10% of these are distinct and the
# distinct ones have at most 30 characters on average.
_LABELS, _LABEL_LENGTH, _ENOUGH = 0.1, 30, 20

# An error shows examples of up to 40 characters, for up to 20 columns.
_SHOWN, _MOST = 40, 20
_LONGEST_NAME = 60  # characters of a column name that a user would type


def joined(cells: Sequence[str], *, keep_breaks: bool) -> str:
    """Join the cells of a record with tabs to make a document.

    Args:
        cells: the texts of the cells.
        keep_breaks: whether line breaks and tabs within a cell stay; otherwise they become spaces.
    """
    if not any(cells):
        return ""
    if keep_breaks:
        return SEPARATOR.join(cells)
    return SEPARATOR.join(_BREAKS.sub(" ", cell) for cell in cells)


def as_option(columns: Sequence[str]) -> str:
    """Return column names as one row of CSV, as users type them."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(columns)
    return text.getvalue()


def text_column(columns: Mapping[str, Sequence[str]], name: str) -> str:
    """Return the only column that contains text, not numbers, dates, identifiers or labels.

    Args:
        columns: the cells of the first records, by column name.
        name: the name of the table, for the message.

    Raises:
        CorpusError: if no column or several columns contain text. The message shows an example of
            each column.
    """
    found = [column for column, cells in columns.items() if _is_text(cells)]
    if len(columns) == 1 and any(*columns.values()):
        return next(iter(columns))
    if len(found) == 1:
        return found[0]
    if not any(columns.values()):
        if columns:
            raise CorpusError(f"{name} has a header row but no records.")
        raise CorpusError(f"{name} is a table without records.")
    which = "more than one column of text" if found else "no column that looks like text"
    examples = [f"{_shown(column)} ({_example(cells)})" for column, cells in columns.items()]
    more = f" and {len(columns) - _MOST:,} more" if len(columns) > _MOST else ""
    longest = max(columns, key=lambda c: _length(columns[c]))
    hint = ""
    if any(map(str.strip, columns[longest])):
        choice = _choice(found[:2] or [longest], list(columns))
        hint = f" (for example `columns` {choice})"
    raise CorpusError(
        f"{name} is a table with {which}. Choose with `columns`{hint}, or read it as plain text "
        f"with `format` text. Its columns are "
        f"{', '.join(examples[:_MOST])}{more}."
    )


def _choice(chosen: Sequence[str], columns: Sequence[str]) -> str:
    """Return columns as users can type them: by name, or by number if a name is long."""
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
