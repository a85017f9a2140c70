"""Which lines a text holds, as 64-bit hashes: whether a sample is new or stood in the text.

Lines are compared exactly, without their line ends. A hash stands for its line: a new line is
taken for one of N known ones with probability N / 2**64, a known line never for a new one. This
module does not know where hashes are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from charlstm.corpus.reading import DecodeErrors

# Hashes that are gathered before they are sorted in: 8 MiB, whatever the text's length.
GATHERED = 2**20


@dataclass(frozen=True, eq=False)
class LineHashes:
    """A set of lines, of which only hashes are known.

    Attributes:
        hashes: uint64 [N], strictly ascending.
    """

    hashes: NDArray[np.uint64]

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> LineHashes:
        """Return the set of ``lines``, which are read once and not kept."""
        gatherer = LineGatherer()
        for line in lines:
            gatherer.add(line)
        return gatherer.finish()

    def __contains__(self, text: object) -> bool:
        """Whether ``text`` is one of the lines; a line end at its end does not count."""
        if not isinstance(text, str):
            return False
        hashed = np.uint64(hash_line(text))
        place = int(np.searchsorted(self.hashes, hashed))
        return place < len(self.hashes) and bool(self.hashes[place] == hashed)

    def __len__(self) -> int:
        """How many distinct lines there are."""
        return len(self.hashes)

    def union(self, other: LineHashes) -> LineHashes:
        """Return the lines that stand in either set."""
        return LineHashes(_merged(self.hashes, other.hashes))


class LineGatherer:
    """Gathers the hashes of lines that pass by, in 8 bytes a distinct line and a little more."""

    def __init__(self) -> None:
        self._distinct = np.empty(0, np.uint64)
        self._gathered = bytearray()

    def add(self, line: str) -> None:
        """Take up a line."""
        self._gathered += _digest(line)
        if len(self._gathered) >= 8 * GATHERED:
            self._sort_in()

    def finish(self) -> LineHashes:
        """Return the set of all lines so far."""
        self._sort_in()
        return LineHashes(self._distinct)

    def _sort_in(self) -> None:
        new = np.unique(np.frombuffer(bytes(self._gathered), "<u8").astype(np.uint64))
        self._distinct = _merged(self._distinct, new)
        self._gathered.clear()


def _merged(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Merge two ascending arrays; much faster than sorting where one of them is short."""
    places = np.searchsorted(one, other)
    inside = places < len(one)
    known = np.zeros(len(other), np.bool_)
    known[inside] = one[places[inside]] == other[inside]
    return np.insert(one, places[~known], other[~known])


def hash_line(text: str) -> int:
    r"""Return the hash of a line, the same everywhere; "\n", "\r\n" or "\r" at its end is left out.

    Returns:
        The first 8 bytes of BLAKE2b (``digest_size=8``) of its UTF-8, little-endian.
    """
    return int.from_bytes(_digest(text), "little")


def _digest(text: str) -> bytes:
    line = text.removesuffix("\n").removesuffix("\r")
    return hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def hashes_of_files(
    paths: Sequence[str | Path], *, encoding: str = "utf-8", decode_errors: DecodeErrors = "strict"
) -> LineHashes:
    """Return the lines of texts; they are found, decompressed and decoded as for training.

    Raises:
        ConfigError: if ``encoding`` is no text encoding.
        CorpusError: if a text can't be read, is binary or doesn't decode.
        UsageError: if there is no path, or one is ``-``.
    """
    from charlstm.corpus.documents import (
        open_corpus,  # no command that only looks lines up reads texts
    )

    corpus = open_corpus(
        [str(path) for path in paths], encoding=encoding, decode_errors=decode_errors, lines=True
    )
    return LineHashes.from_lines(chunk.text for chunk in corpus.chunks())
