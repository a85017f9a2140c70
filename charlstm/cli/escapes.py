r"""Escapes in arguments: a shell passes ``'\n'`` on as two characters, which are seldom meant."""

from __future__ import annotations

import re

from charlstm.errors import harmless

_ESCAPE = re.compile(r"\\(?:[abfnrtv]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})")
_SHOWN = 60  # characters of an argument


def as_typed(text: str) -> str:
    r"""Return an argument as one may have typed it, such as ``$'\n'``, shortened if it is long."""
    shown = f"'{harmless(text, _SHOWN)}'"
    return f"${shown}" if any(character in text for character in "\n\r\t") else shown


def remedy(option: str, text: str) -> str:
    r"""Return what to type if an argument has escapes, such as ``--stop $'\n'``; or nothing.

    Args:
        option: what is typed before the argument.
        text: the argument.
    """
    if not _ESCAPE.search(text) or len(text) > _SHOWN:
        return ""
    quoted = harmless(text).replace("'", "\\'")
    return f"{option} $'{quoted}'".strip()


def is_escapes(text: str) -> bool:
    """Return whether an argument is nothing but escapes."""
    return bool(text) and not _ESCAPE.sub("", text)
