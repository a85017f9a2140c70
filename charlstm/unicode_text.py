"""What Python's strings can hold and Unicode text can't. This module imports nothing."""

from __future__ import annotations


def has_surrogates(text: str) -> bool:
    """Whether a text contains lone surrogates, which neither UTF-8 nor JSON can represent.

    Python puts them where bytes are not valid UTF-8: in arguments, names of files and input.
    """
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
