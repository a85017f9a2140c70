"""Unicode text: lone surrogates, which only Python's strings can contain, and visible characters.

A visible character is, for example, a letter with its marks, a flag, or a family of emoji. The
module imports only the standard library until a text has characters that can be part of others.
"""

from __future__ import annotations

import re

# A visible character: a Unicode grapheme cluster with all marks after it. This includes vowel signs
# that Unicode does not attach to the character before them, as in Burmese.
VISIBLE = r"(?!\s)\X(?:(?=\p{M})\X)*|\X"
# Blocks without marks, emoji modifiers, flags, joiners or parts of Korean syllables.
_SEPARATE = (
    "[\0-\u02ff\u0370-\u0482\u048a-\u0590\u1e00-\u200b\u200e-\u20cf\u2100-\u2ce4\u3000-\u3029"
    "\u3030-\u3098\u309b-\ua000\uac00-\ud7a3\ufb00-\ufb1d\uff01-\uff9d\ufffd]*"
)


def has_surrogates(text: str) -> bool:
    """Return whether a text contains lone surrogates, which UTF-8 and JSON can't represent.

    Python uses them for bytes that are not valid UTF-8 in arguments, file names and input.
    """
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def has_parts(characters: str) -> bool:
    """Return whether any of these characters can follow another within a visible character."""
    if "\r" in characters and "\n" in characters:
        return True
    if characters.isascii() or re.fullmatch(_SEPARATE, characters):
        return False
    import regex

    # The characters that the rules of extended grapheme clusters join to others, except whole
    # Korean syllables.
    alone = r"\p{GCB=Other}\p{GCB=Control}\p{GCB=CR}\p{GCB=LF}\p{GCB=LV}\p{GCB=LVT}"
    return regex.search(rf"[^{alone}]|\p{{M}}", characters) is not None


def is_within_character(text: str, following: str) -> bool:
    """Return whether the end of a text splits a visible character that ``following`` continues."""
    if not text or not following:
        return False
    import regex

    found = regex.finditer(VISIBLE, text + following[0])
    return all(match.start() != len(text) for match in found)


def visible_characters(text: str) -> list[str]:
    """Split a text into its visible characters; joined, they are the text."""
    if text.isascii() or re.fullmatch(_SEPARATE, text):
        return list(text)
    import regex

    return regex.findall(VISIBLE, text)
