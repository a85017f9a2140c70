"""A set of lines as 64-bit hashes, to look up whether a sample occurs in the training text.

The set can also contain other documents within files. Lines are compared exactly, without their
line ends. With N known lines, a new line is mistaken for a known one with probability N / 2**64; a
known line is never mistaken for a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# New hashes that are collected before they are merged into the sorted ones: 8 MiB.
GATHERED = 2**20


@dataclass(frozen=True, eq=False)
class LineHashes:
    """A set of lines, represented by their hashes.

    Attributes:
        hashes: uint64 [lines], strictly ascending.
    """

    hashes: NDArray[np.uint64]

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> LineHashes:
        """Return the set of ``lines``, which are read once and are not stored."""
        gatherer = LineGatherer()
        for line in lines:
            gatherer.add(line)
        return gatherer.finish()

    def __contains__(self, text: object) -> bool:
        """Return whether ``text``, without a final line end, is one of the lines."""
        if not isinstance(text, str):
            return False
        hashed = np.uint64(hash_line(text))
        index = int(np.searchsorted(self.hashes, hashed))
        return index < len(self.hashes) and bool(self.hashes[index] == hashed)

    def __len__(self) -> int:
        """Return the number of distinct lines."""
        return len(self.hashes)

    def union(self, other: LineHashes) -> LineHashes:
        """Return the union of both sets."""
        return LineHashes(_merged(self.hashes, other.hashes))


class LineGatherer:
    """Collects the hashes of lines, in 8 bytes per distinct line plus 8 MiB."""

    def __init__(self) -> None:
        self._distinct = np.empty(0, np.uint64)
        self._gathered = bytearray()

    def add(self, line: str) -> None:
        """Add a line."""
        self._gathered += _digest(line)
        if len(self._gathered) >= 8 * GATHERED:
            self._merge()

    def finish(self) -> LineHashes:
        """Return the set of all lines so far."""
        self._merge()
        return LineHashes(self._distinct)

    def _merge(self) -> None:
        new = np.unique(np.frombuffer(bytes(self._gathered), "<u8").astype(np.uint64))
        self._distinct = _merged(self._distinct, new)
        self._gathered.clear()


class SeenLines:
    """Remembers which lines were seen, in 8 bytes per distinct line plus about 100 MB."""

    def __init__(self) -> None:
        self._distinct = LineHashes(np.empty(0, np.uint64))
        self._recent: set[int] = set()

    def is_new(self, line: str) -> bool:
        """Return whether a line, or another document, is new, and remember it."""
        if line in self._distinct or (hashed := hash_line(line)) in self._recent:
            return False
        self._recent.add(hashed)
        if len(self._recent) >= GATHERED:
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._distinct = self._distinct.union(LineHashes(np.sort(recent)))
            self._recent.clear()
        return True


def _merged(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Merge two ascending arrays without duplicates: much faster than sorting if one is short."""
    indices = np.searchsorted(one, other)
    inside = indices < len(one)
    known = np.zeros(len(other), np.bool_)
    known[inside] = one[indices[inside]] == other[inside]
    return np.insert(one, indices[~known], other[~known])


def hash_line(text: str) -> int:
    r"""Return the hash of a line without "\n", "\r\n" or "\r" at its end; equal on all machines.

    Returns:
        BLAKE2b of the UTF-8 of the line with ``digest_size=8``, as a little-endian number.
    """
    return int.from_bytes(_digest(text), "little")


def _digest(text: str) -> bytes:
    line = text.removesuffix("\n").removesuffix("\r")
    return hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest()
