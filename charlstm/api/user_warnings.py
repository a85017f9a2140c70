"""Python warnings about texts, which the command line prints as notes.

They are attributed to the line of the program that called the library.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence

from charlstm.errors import CharlstmWarning, UnknownCharacterWarning
from charlstm.tokenizer.base import Tokenizer


def warn_of_unknown(tokenizer: Tokenizer, texts: Sequence[str], which: str) -> None:
    """Issue a warning if texts have characters that were not in the training text.

    Args:
        tokenizer: the tokenizer of the model.
        texts: the texts, in the Unicode form of the model.
        which: what the texts are, such as ``"prompt"``.
    """
    found = [counts for text in texts if (counts := tokenizer.unknown_characters(text))]
    if not found:
        return
    from charlstm.tokenizer.unknown import describe_other_form, describe_unknown, other_form

    subject = f"{'the' if len(texts) == 1 else 'a'} {which} has"
    if len(found) > 1:
        subject = f"{len(found):,} of the {which}s have"
    message = f"{subject} {describe_unknown(sum(found, Counter()))}"
    forms = (form for text in texts if (form := other_form(tokenizer, text)))
    if form := next(forms, None):
        message += f"; {describe_other_form(form)}"
    warn(message, UnknownCharacterWarning)


def warn_of_notes(notes: Iterable[str]) -> None:
    """Issue a warning for each note on a text."""
    for sentence in notes:
        warn(sentence)


def warn(message: str, category: type[Warning] = CharlstmWarning) -> None:
    """Issue a warning at the line of the program that called the library."""
    level, frame = 1, sys._getframe()
    while frame.f_back and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("charlstm", "contextlib")
