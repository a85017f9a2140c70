"""Lone surrogates, which Python's strings can contain and Unicode text can't. Imports nothing."""

from __future__ import annotations


def has_surrogates(text: str) -> bool:
    """Whether a text contains lone surrogates, which neither UTF-8 nor JSON can represent.

    Python uses them for bytes that are not valid UTF-8 in arguments, file names and input.
    """
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
