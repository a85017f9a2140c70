"""Reads a tokenizer from JSON that may be hostile.

The size of the JSON and the number and length of tokens are checked before anything is built.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from charlstm.config import Level, Segmentation
from charlstm.errors import CheckpointDamaged
from charlstm.tokenizer.base import LONGEST_TOKEN, Pair, Tokenizer

LARGEST_JSON = 2**28
# Quotation marks within tokens: one alone, and runs of up to 64 with and without a space before
# them. This is not a strict bound, since signs may follow a quotation mark in further tokens.
_QUOTES_IN_TOKENS = 1 + 2 * sum(range(65))
_BYTES_OF_A_MERGE = 32


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    level: Level
    symbols: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TOKEN)], ...]
    segmentation: Segmentation = 1  # formats 1 to 3 do not store it
    merges: msgspec.Raw = msgspec.Raw(b"[]")  # decoded after their size is checked


def largest_json(vocab_size: int) -> int:
    """Return the maximum size in bytes of the JSON of a tokenizer with ``vocab_size`` ids."""
    return min(LARGEST_JSON, 2**16 + (4 * LONGEST_TOKEN + 3) * vocab_size)


def tokenizer_from_json(data: bytes, most: int | None = None) -> Tokenizer:
    """Read a tokenizer from the JSON that ``Tokenizer.to_json`` wrote.

    Args:
        data: the JSON.
        most: the maximum number of ids; JSON that clearly has more is not even decoded.

    Raises:
        CheckpointDamaged: if the JSON is not that of a tokenizer, or a token occurs twice. The
            message is only the reason, because the caller knows the file.
    """
    if most is not None and data.count(b'"') > 3 * most + 2 * _QUOTES_IN_TOKENS:
        raise _damaged("more tokens than the model has")
    try:
        stored = msgspec.json.decode(data, type=_Stored)
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error).replace("`", "'")) from error
    if len(set(stored.symbols)) < len(stored.symbols):
        raise _damaged("a token occurs twice")
    if stored.level == "char" and any(len(token) > 1 for token in stored.symbols):
        raise _damaged("a token of a character-level model has several characters")
    merges = _merges_of(stored)
    return _tokenizer_of(stored, merges)


def _tokenizer_of(stored: _Stored, merges: tuple[Pair, ...]) -> Tokenizer:
    """Return the tokenizer; only its level is imported, so that commands start faster."""
    if stored.level == "char":
        from charlstm.tokenizer.char import CharTokenizer

        return CharTokenizer(stored.symbols)
    if stored.level == "word":
        from charlstm.tokenizer.word import WordTokenizer

        return WordTokenizer(stored.symbols, stored.segmentation)
    from charlstm.tokenizer.subword import SubwordTokenizer

    _check_merges(stored, merges, len(SubwordTokenizer.reserved))
    return SubwordTokenizer(stored.symbols, stored.segmentation, merges)


def _merges_of(stored: _Stored) -> tuple[Pair, ...]:
    """Return the merges, of which there are at most three per piece.

    A piece has one merge, or a few if it was learned again from other parts.
    """
    if len(stored.merges) > _BYTES_OF_A_MERGE * (3 * len(stored.symbols) + 1):
        raise _damaged("more merges than pieces")
    try:
        merges = msgspec.json.decode(stored.merges, type=tuple[Pair, ...])
    except (ValueError, RecursionError) as error:
        raise _damaged(str(error).replace("`", "'")) from error
    if merges and stored.level != "subword":
        raise _damaged(f"merges in a {stored.level}-level vocabulary")
    return merges


def _check_merges(stored: _Stored, merges: tuple[Pair, ...], first: int) -> None:
    """Raise ``CheckpointDamaged`` unless the merges make every piece from earlier pieces."""
    made = {symbol for symbol in stored.symbols if len(symbol) == 1}
    known = set(stored.symbols)
    pairs = set()
    for pair in merges:
        parts = [stored.symbols[i - first] for i in pair if 0 <= i - first < len(stored.symbols)]
        joined = "".join(parts)
        if len(parts) < 2 or joined not in known or not made.issuperset(parts) or pair in pairs:
            raise _damaged("a merge that does not join two pieces into another")
        made.add(joined)
        pairs.add(pair)
    if made != known:
        raise _damaged("a piece without a merge")


def _damaged(reason: str) -> CheckpointDamaged:
    return CheckpointDamaged(reason)
