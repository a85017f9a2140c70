"""Describes the characters of a text that are not in a vocabulary."""

from __future__ import annotations

import unicodedata
from collections import Counter

LISTED_CHARACTERS = 5


def describe_unknown(counts: Counter[str]) -> str:
    """Say how many unknown characters there are and which, the most frequent first."""
    listed = sorted(counts, key=lambda character: (-counts[character], character))
    shown = [f"{counts[c]} × {_described(c)}" for c in listed[:LISTED_CHARACTERS]]
    if len(listed) > LISTED_CHARACTERS:
        shown[-1] += f" and {len(listed) - LISTED_CHARACTERS} more"
    plural = "" if counts.total() == 1 else "s"
    return f"{counts.total()} unknown character{plural} ({', '.join(shown)})"


def _described(character: str) -> str:
    visible = character.isprintable() and unicodedata.category(character)[0] not in "ZM"
    return f"'{character}' U+{ord(character):04X}" if visible else f"U+{ord(character):04X}"
