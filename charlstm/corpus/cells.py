"""Recognizes data in the cells of a table: numbers, dates, truth values and identifiers.

Cells that could be either count as text.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[^\w\s]{0,2}\s?\d[\d\s.,'’]*\s?([^\w\s]|[a-zA-Z]{1,3})?")
_DATE = re.compile(
    r"""
    (\w{3,9}\.?,?\ )?                        # the name of a day
    (\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}         # 2024-01-31, 31.1.2024
    |\d{1,2}\.?[ -][^\W\d]{3,9}\.?[ -]\d{2,4}  # 31 January 2024
    |[^\W\d]{3,9}\.?[ ]\d{1,2},?[ ]\d{2,4})  # January 31, 2024
    ([T ,]+\d{1,2}:\d\d.*)?
    |\d{1,2}:\d\d(:\d\d)?([.,]\d+)?(\ ?[ap]m)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TRUTH = frozenset(("true", "false", "yes", "no", "null", "none", "nan", "na", "n/a"))
# An identifier has no spaces, and it has a digit or a sign in it or at least 40 characters. Only
# ASCII counts, since scripts without spaces write whole sentences in one run.
_IDENTIFIER = re.compile(r"(?=[!-~]*[\d@:/_#=])[!-~]+|[!-~]{40,}")


def is_data(cell: str) -> bool:
    """Return whether a stripped cell is a number, a date, a truth value or an identifier."""
    return is_figure(cell) or cell.casefold() in _TRUTH or bool(_IDENTIFIER.fullmatch(cell))


def is_figure(cell: str) -> bool:
    """Return whether a stripped cell is a number, a date or a time."""
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))
