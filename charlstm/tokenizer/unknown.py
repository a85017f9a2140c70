"""Describes the characters of a text that are not in a vocabulary.

Some are unknown only because the text is composed otherwise than that of the vocabulary: it has ü
as a letter and a mark, or the vocabulary has (see ``other_form``).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from charlstm.tokenizer.base import Tokenizer

Form = Literal["NFC", "NFD"]

LISTED_CHARACTERS = 5
# Characters that are normalized at once: the time for a run of marks grows with its square.
_AT_ONCE = 1000
_NAMES: dict[Form, str] = {"NFC": "composed", "NFD": "decomposed"}


def other_form(tokenizer: Tokenizer, text: str) -> Form | None:
    """Return the form of Unicode in which fewer characters of a text are unknown, if there is one.

    Nothing else decides: a text of Arabic or Hindi has marks in both forms. Characters that no form
    keeps, such as the sign for ohms, are in neither.
    """
    for start in range(0, len(text), _AT_ONCE):
        part = text[start : start + _AT_ONCE]
        if not tokenizer.unknown_characters(part):
            continue
        part = "".join(map(_as_kept, part))
        unknown = tokenizer.unknown_characters(part).total()
        for form in _NAMES if unknown else ():
            other = unicodedata.normalize(form, part)
            if tokenizer.unknown_characters(other).total() < unknown:
                return form
    return None


def other_form_of_added(tokenizer: Tokenizer, added: Iterable[str]) -> Form | None:
    """Return the form in which fewer of these unknown characters are, without their text.

    Marks are if the vocabulary has letters composed with them, and letters if it has their parts.
    """
    kept = {c for c in map(_as_kept, added) if len(c) == 1}
    marks = {c for c in kept if unicodedata.category(c).startswith("M")}
    known = {token for token in tokenizer.vocabulary if len(token) == 1}
    if marks and any(marks & {*unicodedata.normalize("NFD", c)[1:]} for c in known):
        return "NFC"
    parts = (unicodedata.normalize("NFD", c) for c in kept - marks)
    return "NFD" if any(len(p) > 1 and known.issuperset(p) for p in parts) else None


def _as_kept(character: str) -> str:
    """Return what stands for a character in the composed form: itself, but for a few."""
    return unicodedata.normalize("NFC", character)


def describe_other_form(form: Form) -> str:
    """Say that a text should be in another form, and how to convert it."""
    own: Form = "NFD" if form == "NFC" else "NFC"
    return (
        f"the text is {_NAMES[own]} Unicode ({own}) and the model was trained on {_NAMES[form]} "
        f"text ({form}): convert it (uconv -x any-{form.lower()}), or train a model with "
        f"--normalize nfc"
    )


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
