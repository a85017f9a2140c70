"""Divides a corpus into a training part and a validation part.

Chunks go in, chunks marked as training or validation come out. If files are documents, the end of
the text validates; if parts of files are, a keyed hash of each of them decides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from charlstm.corpus.documents import Chunk, Corpus

_WHITE_SPACE = re.compile(r"\s")


def divide(
    corpus: Corpus,
    characters: int,
    fraction: float,
    *,
    seed: int,
    whole_words: bool,
    draw: DocumentDraw | None = None,
) -> Iterator[tuple[bool, Chunk]]:
    """Yield (validates, chunk) for all chunks of a corpus.

    If files are documents, the first ``int((1 - fraction) * characters)`` characters train and the
    rest validates; the chunk with the boundary is cut in two. If files are divided into documents,
    a keyed hash of the document decides, so that equal ones are always in the same part.

    Args:
        corpus: the text.
        characters: its number of characters, from its fingerprint.
        fraction: the part that validates, in (0, 1).
        seed: the key of the hash of documents; not used if files are documents.
        whole_words: whether to move the boundary to the next white space character, which then
            starts the validation text, or to the document's end if that comes first.
        draw: decides instead of ``fraction`` and ``seed`` if it has seen all documents.
    """
    if corpus.division.within_files:
        drawn = draw or DocumentDraw(fraction, seed)
        return ((drawn.validates(chunk.text), chunk) for chunk in corpus.chunks())
    return _divide_at(corpus.chunks(), int((1 - fraction) * characters), whole_words)


class DocumentDraw:
    """Draws the documents that validate, by a keyed hash of each.

    If all documents were seen before and they differ, neither part is empty: where the hashes of
    none are below the fraction, the lowest validates; where those of all are, the highest trains.

    Args:
        fraction: about the part that validates, in [0, 1).
        seed: the key of the hash.

    Attributes:
        lowest: of the hashes seen; ``None`` before.
        highest: of the hashes seen, as far as both were needed.
    """

    def __init__(self, fraction: float, seed: int) -> None:
        self._below = fraction * 2**64
        self._key = seed.to_bytes(8, "little")
        self.lowest: int | None = None
        self.highest: int | None = None

    def see(self, document: str) -> None:
        """Take note of a document; one that changes nothing costs nothing."""
        if self._is_decided():
            return
        value = self._hash(document)
        self.lowest = value if self.lowest is None else min(self.lowest, value)
        self.highest = value if self.highest is None else max(self.highest, value)

    def validates(self, document: str) -> bool:
        """Whether a document is drawn."""
        value = self._hash(document)
        if self.lowest is None or self.highest is None or self._is_decided():
            return value < self._below
        if self.highest < self._below:
            return value != self.highest
        return value == self.lowest

    @property
    def all_alike(self) -> bool:
        """Whether the documents seen were all the same."""
        return self.lowest == self.highest

    def _is_decided(self) -> bool:
        """Whether both parts have a document, or nothing is to validate."""
        if self.lowest is None or self.highest is None:
            return not self._below
        return not self._below or self.lowest < self._below <= self.highest

    def _hash(self, document: str) -> int:
        data = document.encode("utf-8", "surrogatepass")
        return int.from_bytes(
            hashlib.blake2b(data, digest_size=8, key=self._key).digest(), "little"
        )


def _divide_at(
    chunks: Iterator[Chunk], boundary: int, whole_words: bool
) -> Iterator[tuple[bool, Chunk]]:
    left = boundary
    validates = left <= 0
    for text, ends_document in chunks:
        cut = 0 if validates else _boundary_in(text, max(left, 0), whole_words)
        head, tail = text[:cut], text[cut:]
        if head:
            yield False, Chunk(head, ends_document and not tail)
        if tail:
            yield True, Chunk(tail, ends_document)
        left -= len(text)
        reached = left <= 0 and (ends_document or not whole_words)
        validates = validates or bool(tail) or reached


def _boundary_in(text: str, start: int, whole_words: bool) -> int:
    """Return the index in ``text`` at which validation starts; its length if it does not."""
    if not whole_words or start >= len(text):
        return min(start, len(text))
    match = _WHITE_SPACE.search(text, start)
    return match.start() if match else len(text)
