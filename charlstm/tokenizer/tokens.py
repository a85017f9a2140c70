"""A token for output: its text, its log-probability, and which special token it is.

Most special tokens have no text, so text alone does not identify them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from charlstm.results import Result
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


@dataclass(frozen=True, slots=True)
class ScoredToken(Result):
    """A token and its log-probability.

    Attributes:
        text: the text of the token: U+FFFD for the unknown token, empty for other special tokens.
        log_probability: the log-probability in nats.
        special: ``"end"`` (of the document), ``"unknown"`` (a character that was not in the
            training text) or, at word level, ``"begin_spelling"`` or ``"end_spelling"``; ``None``
            for a token of text.
    """

    text: str
    log_probability: float
    special: SpecialToken | None = None


def special_token(tokenizer: Tokenizer, token_id: int) -> SpecialToken | None:
    """Return the name of the special token with this id, or ``None`` for a token of text."""
    return _SPECIAL[token_id] if token_id < len(tokenizer.reserved) else None


def scored_token(tokenizer: Tokenizer, token_id: int, log_probability: float) -> ScoredToken:
    """Return the token with this id, and its log-probability in nats."""
    special = special_token(tokenizer, token_id)
    return ScoredToken(tokenizer.pieces[token_id], log_probability, special)
