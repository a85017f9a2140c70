"""Guesses the single-byte encoding of text in the Latin, Cyrillic, Greek and Hebrew alphabets.

Encodings of one family differ in a few letters, so a text with few letters beyond ASCII is valid in
many of them. The guess is the encoding in which all letters belong to one language and are where
letters should be.
"""

from __future__ import annotations

import re
from collections import Counter

# The letters beyond ASCII of each language, by family.
_LETTERS = {
    "western": (
        "äöüß",
        "éèêëàâçùûüîïôœæÿ",
        "áéíóúñüªº",
        "áàâãçéêíóôõúüªº",
        "àèéìíòóùú",
        "åäöéàü",
        "æøåéòóô",
        "éëïóöüèáêç",
        "áéíóúýðþæö",
        "àçéèíïóòúüñ",
        "éèêëïîôöüàâáçñœæåäø",
    ),
    "central": (
        "ąćęłńóśźż",
        "áčďéěíňóřšťúůýž",
        "áäčďéíĺľňóôŕšťúýž",
        "áéíóöőúüű",
        "ăâîșțşţ",
        "čćđšž",
    ),
    "turkish": ("çğıİöşüâîû",),
    "baltic": ("āčēģīķļņšūž", "ąčęėįšųūž", "äöüõšž"),
    "cyrillic": (
        "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
        "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
        "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
        "абвгдђежзијклљмнњопрстћуфхцчџш",
    ),
    "greek": ("αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώϊϋΐΰ",),
}

# The encodings and the family written in each, the more common ones first.
_ENCODINGS = (
    ("cp1252", "western"),
    ("cp1250", "central"),
    ("iso8859-2", "central"),
    ("cp1251", "cyrillic"),
    ("koi8-r", "cyrillic"),
    ("koi8-u", "cyrillic"),
    ("cp1253", "greek"),
    ("iso8859-7", "greek"),
    ("cp1254", "turkish"),
    ("cp1257", "baltic"),
    ("mac-roman", "western"),
    ("cp850", "western"),
    ("cp437", "western"),
    ("cp852", "central"),
    ("iso8859-16", "central"),
    ("cp866", "cyrillic"),
    ("iso8859-5", "cyrillic"),
    ("mac-cyrillic", "cyrillic"),
    ("cp737", "greek"),
    ("cp857", "turkish"),
    ("iso8859-13", "baltic"),
    ("iso8859-15", "western"),
    ("latin-1", "western"),
)
_PUNCTUATION = "«»“”„‘’‚‹›–—…€£§©®°·•¿¡´\xa0\xad™†×½¼¾²³№"
# Signs within words that show a wrong encoding: punctuation other than apostrophes, capitals after
# lower-case letters, and, in the Latin alphabet except for Turkish, three letters beyond ASCII in a
# row.
_MARK_IN_WORD = re.compile(r"(?<=[^\W\d_])[^\w\s\0-\x7f’·\xad](?=[^\W\d_])")
_AFTER_LETTER = re.compile(r"(?<=[^\W\d_])[^\W\d_a-zA-Z]")
_ROW = re.compile(r"[^\W\d_a-zA-Z]{3,}")
# In the other alphabets, no word mixes its letters with those of ASCII, and at least this share of
# the characters beyond ASCII are vowels.
_MIXED = re.compile(r"[a-zA-Z][^\W\d_a-zA-Z]|[^\W\d_a-zA-Z][a-zA-Z]")
_VOWELS = {
    "cyrillic": (re.compile("[аеиоуыэюяёєіїў]", re.IGNORECASE), 0.25),
    "greek": (re.compile("[αεηιουωάέήίόύώϊϋΐΰ]", re.IGNORECASE), 0.35),
}
# Hebrew letters in cp1255, five of which occur only at the end of words. In Cyrillic encodings,
# these bytes are letters of one case.
_HEBREW, _FINAL = frozenset(range(0xE0, 0xFB)), re.compile(rb"[\xea\xed\xef\xf3\xf5][\xe0-\xfa]")
# The share of characters beyond ASCII that must fit at least.
_FITTING = 0.9


def guess_alphabet(data: bytes) -> str | None:
    """Return the encoding in which the text fits a language best, or ``None`` if none fits.

    If several fit equally well, return the most common one.
    """
    if _is_hebrew(data):
        return "cp1255"
    best, most = None, _FITTING
    for encoding, family in _ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        share = _fitting_share(text, family)
        if share > most:
            best, most = encoding, share
    return best


def _is_hebrew(data: bytes) -> bool:
    """Return whether all letters can be Hebrew, with final forms only at the end of words."""
    beyond = [byte for byte in data if byte > 0x7F]
    of_ascii = len(re.findall(rb"[a-zA-Z]", data))
    return len(beyond) > max(5, of_ascii) and _HEBREW.issuperset(beyond) and not _FINAL.search(data)


def _fitting_share(text: str, family: str) -> float:
    """Return the share of characters beyond ASCII that fit one language of a family."""
    counts = Counter(character for character in text if character > "\x7f")
    if not counts:
        return 0.0
    misplaced = len(_MARK_IN_WORD.findall(text)) + sum(
        found[0].isupper() and text[found.start() - 1].islower()
        for found in _AFTER_LETTER.finditer(text)
    )
    letters_of_ascii = len(re.findall("[a-zA-Z]", text))
    if family in _VOWELS:
        vowels, least = _VOWELS[family]
        misplaced += len(_MIXED.findall(text))
        if len(vowels.findall(text)) < least * counts.total():
            return 0.0
    else:
        if family != "turkish":
            misplaced += sum(map(len, _ROW.findall(text)))
        if counts.total() > 5 + letters_of_ascii:
            return 0.0
    fits = max(
        sum(
            count
            for character, count in counts.items()
            if character in letters or character.lower() in letters or character in _PUNCTUATION
        )
        for letters in _LETTERS[family]
    )
    return (fits - misplaced) / counts.total()
