"""Tells data from text in the cells of a table: numbers, dates, truth values, identifiers.

A cell goes in, an answer comes out. It rather takes text for text than data for data.
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
# Of names there is one that has a digit or a sign in it, or is long; of words there is none.
# Scripts without spaces write whole sentences so, but not in ASCII.
_IDENTIFIER = re.compile(r"(?=[!-~]*[\d@:/_#=])[!-~]+|[!-~]{40,}")


def is_data(cell: str) -> bool:
    """Whether a cell, without white space around it, is a number, a date or the like."""
    return is_figure(cell) or cell.casefold() in _TRUTH or bool(_IDENTIFIER.fullmatch(cell))


def is_figure(cell: str) -> bool:
    """Whether a cell, without white space around it, is a number, a date or a time."""
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))
