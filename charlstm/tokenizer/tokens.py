"""What people and programs are told of a token: its text, which special one it is, its probability.

Special tokens stand for no text of their own, so that their text can't tell them from each other
or from ordinary ones.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from charlstm.tokenizer.base import (
    BEGIN_SPELLING,
    END_OF_DOCUMENT,
    END_SPELLING,
    UNKNOWN,
    Tokenizer,
)

SpecialToken: TypeAlias = Literal["end", "unknown", "begin_spelling", "end_spelling"]

_SPECIAL: dict[int, SpecialToken] = {
    END_OF_DOCUMENT: "end",
    UNKNOWN: "unknown",
    BEGIN_SPELLING: "begin_spelling",
    END_SPELLING: "end_spelling",
}


class ScoredToken(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token and its log-probability.

    Attributes:
        text: what it stands for; of the unknown token U+FFFD, of the other special ones none.
        log_probability: in nats.
        special: which special token it is: ``"end"`` of the document, ``"unknown"`` (a character
            the model never saw) or, at word level, ``"begin_spelling"`` or ``"end_spelling"``.
    """

    text: str
    log_probability: float
    special: SpecialToken | None = None


def special_token(tokenizer: Tokenizer, token_id: int) -> SpecialToken | None:
    """Return which special token an id is, None of one that stands for text."""
    return _SPECIAL[token_id] if token_id < len(tokenizer.reserved) else None


def scored_token(tokenizer: Tokenizer, token_id: int, log_probability: float) -> ScoredToken:
    """Return the token of an id with its log-probability in nats."""
    special = special_token(tokenizer, token_id)
    return ScoredToken(tokenizer.pieces[token_id], log_probability, special)
