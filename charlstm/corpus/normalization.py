"""Normalizes a text that arrives in blocks: replaces letters and marks by composed characters.

The result does not depend on where the blocks end. Runs of ``LONGEST_RUN`` marks, which do not
occur in real text, are normalized in parts: otherwise the time would grow with the square of their
length, and the memory without limit.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator

from charlstm.config import Normalization

# Unicode's stream-safe format has at most 30 marks in a row. Texts that are decorated with marks
# have a few times as many.
LONGEST_RUN = 256
# Ranges in which no character combines with one before it (see ``_begins``): Latin letters,
# ideographs with kana, and Korean syllables.
BEGINNING = "\\0-\u02ff\u309b-\ua66e\uac00-\ud7a3"


def normalized(text: str, form: Normalization) -> str:
    """Return a text in a form: unchanged (``none``) or composed (``nfc``)."""
    return "".join(normalized_blocks((text,), form))


def normalized_blocks(blocks: Iterable[str], form: Normalization) -> Iterable[str]:
    """Return the blocks of a text in a form (see ``normalized``)."""
    return blocks if form == "none" else _composed(blocks)


def _composed(blocks: Iterable[str]) -> Iterator[str]:
    held = ""
    for block in blocks:
        text, start = held + block, 0
        for end in _ends_of_runs(text):
            yield unicodedata.normalize("NFC", text[start:end])
            start = end
        # The last character that begins, and its marks, may still change with the next block.
        cut = next((n for n in range(len(text) - 1, start, -1) if _begins(text[n])), start)
        if cut > start:
            yield unicodedata.normalize("NFC", text[start:cut])
        held = text[cut:]
    if held:
        yield unicodedata.normalize("NFC", held)


def _ends_of_runs(text: str) -> Iterator[int]:
    """Yield the ends of runs of ``LONGEST_RUN`` characters that may combine (see ``_begins``)."""
    for found in _candidates(LONGEST_RUN).finditer(text):
        marks = 0
        for end, character in enumerate(found[0], found.start() + 1):
            marks = 0 if _begins(character) else marks + 1
            if marks == LONGEST_RUN:
                yield end
                marks = 0


@functools.cache
def _candidates(length: int) -> re.Pattern[str]:
    """Return a pattern for ``length`` or more characters in a row outside of ``BEGINNING``."""
    return re.compile(f"[^{BEGINNING}]{{{length},}}")


def _begins(character: str) -> bool:
    """Return whether a character never combines with those before it.

    Marks, the inner parts of Korean syllables and some vowels of the Kirat Rai script may.
    """
    if character < "\u0300":
        return True
    if "\u1160" <= character <= "\u11ff" or "\U00016d63" <= character <= "\U00016d6a":
        return False
    return not unicodedata.category(character).startswith("M") and not unicodedata.combining(
        character
    )
