r"""Escapes in arguments: shells pass ``'\n'`` as two characters, which is rarely intended."""

from __future__ import annotations

import re

from charlstm.errors import harmless

_ESCAPE = re.compile(r"\\(?:[abfnrtv]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})")
_SHOWN = 60  # characters of an argument


def as_typed(text: str) -> str:
    r"""Return an argument as the user may have typed it, such as ``$'\n'``, shortened if long."""
    shown = f"'{harmless(text, _SHOWN)}'"
    return f"${shown}" if any(character in text for character in "\n\r\t") else shown


def remedy(option: str, text: str) -> str:
    r"""Return what to type instead of an argument with escapes, such as ``--stop $'\n'``, or "".

    Args:
        option: the option before the argument.
        text: the argument.
    """
    if not _ESCAPE.search(text) or len(text) > _SHOWN:
        return ""
    quoted = harmless(text).replace("'", "\\'")
    return f"{option} $'{quoted}'".strip()


def is_escapes(text: str) -> bool:
    """Whether an argument consists of escapes only."""
    return bool(text) and not _ESCAPE.sub("", text)
