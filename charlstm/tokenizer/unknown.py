"""Describes the characters of a text that are not in a vocabulary.

Some are unknown only because the text has another Unicode form than the training text: ü is one
character in one of them, and a letter with a mark in the other (see ``other_form``).
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
# Characters that are normalized at a time, since the time for a run of marks grows with its square.
_AT_ONCE = 1000
_NAMES: dict[Form, str] = {"NFC": "composed", "NFD": "decomposed"}


def other_form(tokenizer: Tokenizer, text: str) -> Form | None:
    """Return the Unicode form in which fewer characters of a text are unknown, or ``None``.

    Marks alone do not show the form: Arabic and Hindi have marks in both forms. Characters that
    both forms replace, such as the ohm sign, are replaced before the comparison.
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
    """Return the Unicode form in which fewer of these unknown characters occur, or ``None``.

    This works without the text: marks are decomposed if the vocabulary has letters composed with
    them, and letters are composed if the vocabulary has their parts.

    Args:
        tokenizer: the tokenizer that lacks the characters.
        added: the unknown characters.
    """
    kept = {c for c in map(_as_kept, added) if len(c) == 1}
    marks = {c for c in kept if unicodedata.category(c).startswith("M")}
    known = {token for token in tokenizer.vocabulary if len(token) == 1}
    if marks and any(marks & {*unicodedata.normalize("NFD", c)[1:]} for c in known):
        return "NFC"
    parts = (unicodedata.normalize("NFD", c) for c in kept - marks)
    return "NFD" if any(len(p) > 1 and known.issuperset(p) for p in parts) else None


def _as_kept(character: str) -> str:
    """Return a character in the composed form: for all except a few, the character itself."""
    return unicodedata.normalize("NFC", character)


def describe_other_form(form: Form, *, validates: bool = False) -> str:
    """Return a note that a text should be in another form, and what to do.

    Args:
        form: the form that the text should be in.
        validates: whether the text is the validation text of a model that is being trained.
    """
    own: Form = "NFD" if form == "NFC" else "NFC"
    if validates:
        return (
            f"the validation text is {_NAMES[own]} Unicode ({own}), but the training text is "
            f"{_NAMES[form]} ({form}). Add `normalize` nfc"
        )
    return (
        f"the text is {_NAMES[own]} Unicode ({own}), but the model was trained on {_NAMES[form]} "
        f"text ({form}). Convert it with uconv -x any-{form.lower()}"
    )


def describe_unknown(counts: Counter[str]) -> str:
    """Return the number of unknown characters and a list of them, the most frequent first."""
    plural = "" if counts.total() == 1 else "s"
    return f"{counts.total():,} unknown character{plural} ({list_of_unknown(counts)})"


def list_of_unknown(counts: Counter[str]) -> str:
    """Return the first few unknown characters with their counts, the most frequent first."""
    listed = sorted(counts, key=lambda character: (-counts[character], character))
    shown = [f"{counts[c]:,} × {_described(c)}" for c in listed[:LISTED_CHARACTERS]]
    if len(listed) > LISTED_CHARACTERS:
        shown[-1] += f" and {len(listed) - LISTED_CHARACTERS:,} more"
    return ", ".join(shown)


def _described(character: str) -> str:
    visible = character.isprintable() and unicodedata.category(character)[0] not in "ZM"
    return f"'{character}' U+{ord(character):04X}" if visible else f"U+{ord(character):04X}"
