"""Replaces the names of the library's arguments in messages by the options of the command line."""

from __future__ import annotations

import re

# Arguments of the library whose option has a different name.
_OPTIONS = {"from_checkpoint": "--from", "output": "-o"}
_ARGUMENT = re.compile(r"`([a-z][a-z0-9_]*)`")


def as_typed(message: str) -> str:
    """Return a message with each argument in backticks replaced by its option.

    >>> as_typed("`min_length` (600) is greater than `length` (500).")
    '--min-length (600) is greater than --length (500).'
    """
    return _ARGUMENT.sub(lambda match: _option(match[1]), message)


def _option(argument: str) -> str:
    return _OPTIONS.get(argument, "--" + argument.replace("_", "-"))
