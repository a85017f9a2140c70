"""Normalizes a text that arrives in pieces: composed characters in place of letters and marks.

Blocks of text go in, blocks whose concatenation is the normalized text come out, whatever the
blocks were. This module does not know files.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from charlstm.config import Normalization


def normalized(text: str, form: Normalization) -> str:
    """Return a text in a form: as it is (``none``), or composed (``nfc``)."""
    return text if form == "none" else unicodedata.normalize("NFC", text)


def normalized_blocks(blocks: Iterable[str], form: Normalization) -> Iterable[str]:
    """Return blocks of a text in a form (see ``normalized``)."""
    return blocks if form == "none" else _composed(blocks)


def _composed(blocks: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    for block in blocks:
        # What follows the last beginning may still change with the next block.
        cut = next((n for n in reversed(range(len(block))) if _begins(block[n])), -1)
        if cut < 0:
            held.append(block)
            continue
        if before := "".join((*held, block[:cut])):
            yield unicodedata.normalize("NFC", before)
        held = [block[cut:]]
    if rest := "".join(held):
        yield unicodedata.normalize("NFC", rest)


def _begins(character: str) -> bool:
    """Whether no character before this one changes how it is composed.

    Marks, the inner parts of Korean syllables and some vowels of the Kirat Rai script may join what
    is before them.
    """
    if character < "\u0300":
        return True
    if "\u1160" <= character <= "\u11ff" or "\U00016d63" <= character <= "\U00016d6a":
        return False
    return not unicodedata.category(character).startswith("M") and not unicodedata.combining(
        character
    )
