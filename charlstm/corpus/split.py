"""Divides a corpus into a training part and a validation part.

By file, the end of the text validates; by line, a keyed hash of the line decides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from charlstm.corpus.documents import Chunk, Corpus

_WHITE_SPACE = re.compile(r"\s")


def divide(
    corpus: Corpus, characters: int, fraction: float, *, seed: int, whole_words: bool
) -> Iterator[tuple[bool, Chunk]]:
    """Say of each chunk whether it validates (True) or trains (False).

    By file, the first ``int((1 - fraction) * characters)`` characters train and the rest
    validates; the chunk that holds the boundary is cut in two. By line, a keyed hash of the line
    decides, so that equal lines always fall on the same side.

    Args:
        corpus: the text.
        characters: how many characters it has, from its fingerprint.
        fraction: the part that validates, in (0, 1).
        seed: draws the lines; unused by file.
        whole_words: move the boundary on to the next white space character, which then starts
            the validation text, or to the document's end if that comes first.
    """
    if corpus.lines:
        return ((_drawn(chunk.text, fraction, seed), chunk) for chunk in corpus.chunks())
    return _divide_at(corpus.chunks(), int((1 - fraction) * characters), whole_words)


def _drawn(line: str, fraction: float, seed: int) -> bool:
    data = line.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(data, digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") < fraction * 2**64


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
    """Return where in ``text`` validation starts; its length if nowhere."""
    if not whole_words or start >= len(text):
        return min(start, len(text))
    found = _WHITE_SPACE.search(text, start)
    return found.start() if found else len(text)
