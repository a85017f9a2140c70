"""Subword level: frequent parts of words are tokens, each learned as a pair of shorter ones.

Byte-pair encoding (Sennrich et al. 2016) of characters. A word starts as its characters; then the
pair that was learned first is joined wherever it occurs, until no pair is left that was learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any, TypeAlias

from charlstm.tokenizer.base import REPLACEMENT, UNKNOWN
from charlstm.tokenizer.wordwise import Encoding, WordwiseTokenizer

Pair: TypeAlias = tuple[int, int]

_GONE = -1  # in the place of a token that was joined to the one before it


@dataclass(frozen=True)
class SubwordTokenizer(WordwiseTokenizer):
    """Parts of words are tokens; each has the space before the word if the word begins with it.

    Attributes:
        merges: pairs of ids that are joined, the one learned first first. The joined text of each
            is a token, too.
    """

    merges: tuple[Pair, ...] = ()

    level = "subword"
    tokens_are = "pieces"
    reserved = ("", REPLACEMENT)

    def encode_word(self, word: str) -> Encoding:
        """Return the ids of the parts of a word."""
        ids = [self._ids.get(character, UNKNOWN) for character in word]
        return _merged(ids, self._ranks)

    def addable(self, vocabulary: tuple[str, ...]) -> Iterable[str]:
        """Return the characters: other pieces would divide words otherwise than was learned."""
        return (token for token in vocabulary if len(token) == 1)

    def stored(self) -> dict[str, Any]:
        """Return the vocabulary, the rules and the merges."""
        return super().stored() | {"merges": self.merges}

    @cached_property
    def _ranks(self) -> dict[Pair, tuple[int, int]]:
        """The rank of each pair, and the id of the joined token."""
        pieces, ids = self.pieces, self._ids
        return {
            pair: (rank, ids[pieces[pair[0]] + pieces[pair[1]]])
            for rank, pair in enumerate(self.merges)
        }


def _merged(ids: list[int], ranks: Mapping[Pair, tuple[int, int]]) -> Encoding:
    """Join neighbors until none can be: the pair learned first first, from left to right.

    Args:
        ids: changed.
        ranks: the rank of each pair, and the id of the joined token.
    """
    end = len(ids)
    before, after = list(range(-1, end - 1)), list(range(1, end + 1))
    waiting = [(*ranks[pair], at, pair) for at, pair in enumerate(pairwise(ids)) if pair in ranks]
    heapify(waiting)
    while waiting:
        _, joined, at, pair = heappop(waiting)
        taken = after[at]
        if taken == end or (ids[at], ids[taken]) != pair:
            continue  # one of both has been joined to another
        ids[at], ids[taken] = joined, _GONE
        after[at] = after[taken]
        if after[at] < end:
            before[after[at]] = at
        for left, right in ((before[at], at), (at, after[at])):
            if left >= 0 and right < end:
                pair = ids[left], ids[right]
                if pair in ranks:
                    heappush(waiting, (*ranks[pair], left, pair))
    return tuple(token_id for token_id in ids if token_id != _GONE)
