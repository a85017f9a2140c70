"""Arguments that Python decoded wrongly because the locale's encoding is not UTF-8."""

from __future__ import annotations

import os
import sys

from charlstm.errors import UsageError
from charlstm.unicode_text import has_surrogates


def is_misread(argument: str) -> bool:
    """Whether an argument is UTF-8, but was decoded in another encoding."""
    if argument.isascii() or sys.getfilesystemencoding() == "utf-8":
        return False
    try:
        os.fsencode(argument).decode("utf-8")
    except UnicodeError:
        return False
    return True


def remedy_for(name: str) -> str:
    """Return the message for an argument that is misread."""
    encoding = sys.getfilesystemencoding()
    return f"{name} is UTF-8, but the locale's encoding is {encoding}. Run: export LC_ALL=C.UTF-8"


def check_text(name: str, text: str) -> None:
    """Refuse a text that was misread, or that is not UTF-8: Python gives it surrogates.

    Args:
        name: what the message calls the text.
        text: an argument, or a part of one.

    Raises:
        UsageError: if it is.
    """
    if is_misread(text):
        raise UsageError(remedy_for(name))
    if has_surrogates(text):
        raise UsageError(f"{name} is not valid UTF-8. Convert it to UTF-8.")
