"""Subword level: frequent parts of words are tokens, each learned as a pair of shorter ones.

This is byte-pair encoding (Sennrich et al. 2016) on characters. A word starts as its characters.
Then the learned pairs are merged wherever they occur, in the order in which they were learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any

from charlstm.tokenizer.base import REPLACEMENT, UNKNOWN, Pair
from charlstm.tokenizer.wordwise import Encoding, WordwiseTokenizer

_GONE = -1  # replaces a token that was merged into the one before it


@dataclass(frozen=True)
class SubwordTokenizer(WordwiseTokenizer):
    """Parts of words are tokens. The space before a word belongs to its first part.

    Attributes:
        merges: pairs of ids to merge, in the order in which they were learned. The joined text of
            each pair is a token.
    """

    merges: tuple[Pair, ...] = ()

    level = "subword"
    tokens_are = "pieces"
    reserved = ("", REPLACEMENT)

    def encode_word(self, word: str) -> Encoding:
        """Return the ids of the pieces of a word."""
        ids = [self._ids.get(character, UNKNOWN) for character in word]
        return _merged(ids, self._ranks)

    def addable(self, vocabulary: tuple[str, ...]) -> Iterable[str]:
        """Return only the characters, since new pieces would change how known words are divided."""
        return (token for token in vocabulary if len(token) == 1)

    def stored(self) -> dict[str, Any]:
        """Return the vocabulary, the rules and the merges."""
        return super().stored() | {"merges": self.merges}

    @cached_property
    def _ranks(self) -> dict[Pair, tuple[int, int]]:
        """By pair of ids, the rank of the merge and the id of the merged token."""
        pieces, ids = self.pieces, self._ids
        return {
            pair: (rank, ids[pieces[pair[0]] + pieces[pair[1]]])
            for rank, pair in enumerate(self.merges)
        }


def _merged(ids: list[int], ranks: Mapping[Pair, tuple[int, int]]) -> Encoding:
    """Merge neighbors until no pair is left, in the order of ranks and from left to right.

    Args:
        ids: the ids of the characters; changed in place.
        ranks: by pair of ids, the rank of the merge and the id of the merged token.
    """
    end = len(ids)
    before, after = list(range(-1, end - 1)), list(range(1, end + 1))
    waiting = [(*ranks[pair], at, pair) for at, pair in enumerate(pairwise(ids)) if pair in ranks]
    heapify(waiting)
    while waiting:
        _, joined, at, pair = heappop(waiting)
        taken = after[at]
        if taken == end or (ids[at], ids[taken]) != pair:
            continue  # one of the two was merged with another token before
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
