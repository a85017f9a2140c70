"""Divides a corpus into a training part and a validation part.

Chunks go in, chunks marked as training or validation come out. If files are documents, the end of
the text validates; if parts of files are, a keyed hash of each of them decides.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator

from charlstm.config import LEAST_VALID
from charlstm.corpus.documents import Chunk, Corpus
from charlstm.tokenizer.segmentation import is_between_clusters, is_between_tokens

_WHITE_SPACE = re.compile(r"\s")

# White space comes soon within so many characters that half of the validation text is left, but in
# any case within the length of a word.
_SOON, _WORD = 4096, 32
# Characters within which another boundary is looked for.
_NEAR = 256


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
            starts the validation text, or to the document's end if that comes first. If neither
            comes soon, as in a text without white space, it moves to the next boundary of tokens,
            or else of characters with their marks. By the rules 1 it moves however far.
        draw: decides instead of ``fraction`` and ``seed`` if it has seen all documents.
    """
    if corpus.division.within_files:
        drawn = draw or DocumentDraw(fraction, seed)
        return ((drawn.validates(chunk.text), chunk) for chunk in corpus.chunks())
    boundary = int((1 - fraction) * characters)
    if not whole_words:
        return _divide_at(corpus.chunks(), boundary)
    if corpus.division.rules == 1:
        return _divide_at_white_space(corpus.chunks(), boundary)
    left = characters - boundary
    reach = max(0, min(_SOON, max(_WORD, left // 2), left - LEAST_VALID))
    return _divide_between_words(corpus.chunks(), boundary, reach)


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


def _divide_at(chunks: Iterator[Chunk], boundary: int) -> Iterator[tuple[bool, Chunk]]:
    """Divide at an exact character."""
    left = boundary
    for chunk in chunks:
        yield from _parts(chunk, max(0, left))
        left -= len(chunk.text)


def _divide_at_white_space(chunks: Iterator[Chunk], boundary: int) -> Iterator[tuple[bool, Chunk]]:
    """Divide at white space or the end of a document, however far from a character."""
    left, validates = boundary, boundary <= 0
    for chunk in chunks:
        cut = 0 if validates else len(chunk.text)
        if not validates and left < len(chunk.text):
            match = _WHITE_SPACE.search(chunk.text, max(0, left))
            cut = match.start() if match else len(chunk.text)
        yield from _parts(chunk, cut)
        left -= len(chunk.text)
        validates |= cut < len(chunk.text) or (left <= 0 and chunk.ends_document)


def _divide_between_words(
    chunks: Iterator[Chunk], boundary: int, reach: int
) -> Iterator[tuple[bool, Chunk]]:
    """Divide at a boundary of words at or after a character, the same in whatever chunks."""
    read, before = 0, ""
    for chunk in chunks:
        start = boundary - read
        if start >= len(chunk.text):
            yield False, chunk
            before = "" if chunk.ends_document else chunk.text[-1:]
        else:
            held = _ahead(chunk, chunks, start + reach + 1)
            ahead = "".join(each.text for each in held)
            before = ahead[start - 1 : start] or before
            # A document that begins at the boundary validates as a whole.
            cut = start
            if before:
                cut += _boundary_in(before, ahead[start:], reach, ends=held[-1].ends_document)
            for each in held:
                yield from _parts(each, max(0, cut))
                cut -= len(each.text)
            break
        read += len(chunk.text)
    yield from ((True, chunk) for chunk in chunks)


def _ahead(chunk: Chunk, chunks: Iterator[Chunk], least: int) -> list[Chunk]:
    """Return a chunk and as many of its document after it as make ``least`` characters."""
    held, length = [chunk], len(chunk.text)
    while length < least and not held[-1].ends_document:
        held.append(next(chunks))
        length += len(held[-1].text)
    return held


def _parts(chunk: Chunk, cut: int) -> Iterator[tuple[bool, Chunk]]:
    """Yield the part of a chunk that trains, then the part that validates, if there are such."""
    head, tail = chunk.text[:cut], chunk.text[cut:]
    if head:
        yield False, Chunk(head, chunk.ends_document and not tail)
    if tail:
        yield True, Chunk(tail, chunk.ends_document)


def _boundary_in(before: str, text: str, reach: int, *, ends: bool) -> int:
    """Return the index in ``text`` at which validation starts; its length if it does not.

    Args:
        before: the character before the text.
        text: the text from the character on at which validation starts at the earliest.
        reach: how far away white space may be.
        ends: whether the text is all that is left of its document.
    """
    match = _WHITE_SPACE.search(text, 0, reach + 1)
    if match:
        return match.start()
    if ends and len(text) <= reach:
        return len(text)
    pairs = list(itertools.pairwise(before + text[: min(_NEAR, reach + 1)]))
    for divides in (is_between_tokens, is_between_clusters):
        for index, pair in enumerate(pairs):
            if divides(*pair):
                return index
    return 0
