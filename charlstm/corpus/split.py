"""Divides a corpus into training text and validation text.

If files are documents, the end of the text is the validation text. If files are divided into
documents, a keyed hash of each document decides.
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

# The boundary moves to white space within 4,096 characters and within half of the validation text,
# but at least within 32 characters, the length of a word.
_SOON, _WORD = 4096, 32
# Characters within which another boundary is searched for if there is no white space.
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
    """Yield (is validation text, chunk) for all chunks of a corpus.

    If files are documents, the first ``int((1 - fraction) * characters)`` characters are training
    text and the rest is validation text; the chunk with the boundary is cut in two. If files are
    divided into documents, a keyed hash of each document decides, so equal documents are always in
    the same part.

    Args:
        corpus: the text.
        characters: the number of characters, from the fingerprint of the corpus.
        fraction: the share of the validation text, in (0, 1).
        seed: the key of the hash of documents; not used if files are documents.
        whole_words: whether to move the boundary to the next white space character, which then
            starts the validation text, or to the end of the document if that comes first. If
            neither is near, as in a text without white space, the boundary moves to the next
            boundary of tokens, or else of characters with their marks. By the rules 1 it moves any
            distance.
        draw: decides instead of ``fraction`` and ``seed``; it has seen all documents.
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
    """Selects the validation documents by a keyed hash of each document.

    A document is validation text if its hash is below the fraction. If all documents were seen
    before and they differ, neither part is empty: if no hash is below the fraction, the document
    with the lowest hash is validation text; if all are, the one with the highest is training text.

    Args:
        fraction: the approximate share of the validation text, in [0, 1).
        seed: the key of the hash.

    Attributes:
        lowest: the lowest hash seen; ``None`` before the first document.
        highest: the highest hash seen. Neither is updated once both parts have a document.
    """

    def __init__(self, fraction: float, seed: int) -> None:
        self._below = fraction * 2**64
        self._key = seed.to_bytes(8, "little")
        self.lowest: int | None = None
        self.highest: int | None = None

    def see(self, document: str) -> None:
        """Record the hash of a document; return at once if it can't change the result."""
        if self._is_decided():
            return
        value = self._hash(document)
        self.lowest = value if self.lowest is None else min(self.lowest, value)
        self.highest = value if self.highest is None else max(self.highest, value)

    def validates(self, document: str) -> bool:
        """Return whether a document is validation text."""
        value = self._hash(document)
        if self.lowest is None or self.highest is None or self._is_decided():
            return value < self._below
        if self.highest < self._below:
            return value != self.highest
        return value == self.lowest

    @property
    def all_alike(self) -> bool:
        """Whether all documents seen were equal."""
        return self.lowest == self.highest

    def _is_decided(self) -> bool:
        """Return whether both parts have a document, or there is no validation text."""
        if self.lowest is None or self.highest is None:
            return not self._below
        return not self._below or self.lowest < self._below <= self.highest

    def _hash(self, document: str) -> int:
        data = document.encode("utf-8", "surrogatepass")
        return int.from_bytes(
            hashlib.blake2b(data, digest_size=8, key=self._key).digest(), "little"
        )


def _divide_at(chunks: Iterator[Chunk], boundary: int) -> Iterator[tuple[bool, Chunk]]:
    """Divide the text exactly at a character."""
    left = boundary
    for chunk in chunks:
        yield from _parts(chunk, max(0, left))
        left -= len(chunk.text)


def _divide_at_white_space(chunks: Iterator[Chunk], boundary: int) -> Iterator[tuple[bool, Chunk]]:
    """Divide at the next white space or end of a document, at any distance from ``boundary``."""
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
    """Divide at a word boundary at or after ``boundary``, independently of the chunks."""
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
            # A document that begins at the boundary is validation text as a whole.
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
    """Return a chunk and those after it, up to ``least`` characters or the end of the document."""
    held, length = [chunk], len(chunk.text)
    while length < least and not held[-1].ends_document:
        held.append(next(chunks))
        length += len(held[-1].text)
    return held


def _parts(chunk: Chunk, cut: int) -> Iterator[tuple[bool, Chunk]]:
    """Yield the training part and the validation part of a chunk, without empty ones."""
    head, tail = chunk.text[:cut], chunk.text[cut:]
    if head:
        yield False, Chunk(head, chunk.ends_document and not tail)
    if tail:
        yield True, Chunk(tail, chunk.ends_document)


def _boundary_in(before: str, text: str, reach: int, *, ends: bool) -> int:
    """Return the index in ``text`` where the validation text starts; its length if it does not.

    Args:
        before: the character before the text.
        text: the text from the first character that may be validation text.
        reach: the greatest distance of white space, in characters.
        ends: whether the text reaches the end of its document.
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
