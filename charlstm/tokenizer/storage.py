"""Reads a tokenizer from JSON that may be hostile.

JSON goes in, a tokenizer comes out. Size, number and length of tokens are bounded before anything
is built. This module does not know files.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from charlstm.config import Level, Segmentation
from charlstm.errors import CheckpointDamaged, harmless
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import LONGEST_TOKEN
from charlstm.tokenizer.subword import Pair, SubwordTokenizer
from charlstm.tokenizer.word import WordTokenizer

LARGEST_JSON = 2**28
# Quotation marks within tokens: one alone, and in runs with or without a space before them; any
# sign may follow, so that more tokens than these may have one.
_QUOTES_IN_TOKENS = 1 + 2 * sum(range(65))
_BYTES_OF_A_MERGE = 32


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    level: Level
    symbols: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TOKEN)], ...]
    segmentation: Segmentation = 1  # the formats 1 to 3 do not tell it
    merges: msgspec.Raw = msgspec.Raw(b"[]")  # decoded once it is known how many there may be


def largest_json(vocab_size: int) -> int:
    """Return the most bytes that the JSON of a tokenizer with ``vocab_size`` ids may have."""
    return min(LARGEST_JSON, 2**16 + (4 * LONGEST_TOKEN + 3) * vocab_size)


def tokenizer_from_json(data: bytes, most: int | None = None) -> Tokenizer:
    """Read what ``Tokenizer.to_json`` wrote.

    Args:
        data: the JSON.
        most: the number of ids there may be; more are not even decoded.

    Raises:
        CheckpointDamaged: if it is not such JSON, or a token occurs twice.
    """
    if most is not None and data.count(b'"') > 3 * most + 2 * _QUOTES_IN_TOKENS:
        raise _damaged("it has more symbols than the model")
    try:
        stored = msgspec.json.decode(data, type=_Stored)
    except (ValueError, RecursionError) as error:
        raise _damaged(harmless(str(error).replace("`", ""), 200)) from error
    if len(set(stored.symbols)) < len(stored.symbols):
        raise _damaged("a symbol occurs twice")
    if stored.level == "char" and any(len(token) > 1 for token in stored.symbols):
        raise _damaged("a word stands among the characters")
    merges = _merges_of(stored)
    if stored.level == "char":
        return CharTokenizer(stored.symbols)
    if stored.level == "word":
        return WordTokenizer(stored.symbols, stored.segmentation)
    _check_merges(stored, merges)
    return SubwordTokenizer(stored.symbols, stored.segmentation, merges)


def _merges_of(stored: _Stored) -> tuple[Pair, ...]:
    """Return the merges, of which there can't be more than three for each piece.

    A piece has one merge, or, if it was learned again from other parts, a few.
    """
    if len(stored.merges) > _BYTES_OF_A_MERGE * (3 * len(stored.symbols) + 1):
        raise _damaged("it has more merges than pieces")
    try:
        merges = msgspec.json.decode(stored.merges, type=tuple[Pair, ...])
    except (ValueError, RecursionError) as error:
        raise _damaged(harmless(str(error).replace("`", ""), 200)) from error
    if merges and stored.level != "subword":
        raise _damaged(f"{stored.level} level has no merges")
    return merges


def _check_merges(stored: _Stored, merges: tuple[Pair, ...]) -> None:
    """Raise ``CheckpointDamaged`` unless merges make all pieces, each of parts that come before."""
    first = len(SubwordTokenizer.reserved)
    made = {symbol for symbol in stored.symbols if len(symbol) == 1}
    known = set(stored.symbols)
    pairs = set()
    for pair in merges:
        parts = [stored.symbols[i - first] for i in pair if 0 <= i - first < len(stored.symbols)]
        joined = "".join(parts)
        if len(parts) < 2 or joined not in known or not made.issuperset(parts) or pair in pairs:
            raise _damaged("a merge does not join two pieces to another")
        made.add(joined)
        pairs.add(pair)
    if made != known:
        raise _damaged("no merge makes a piece")


def _damaged(reason: str) -> CheckpointDamaged:
    return CheckpointDamaged(
        f"the stored tokenizer is damaged ({reason}): restore the checkpoint from a copy, "
        "or train again"
    )
