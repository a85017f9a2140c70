"""Divides a corpus into a training part and a validation part.

Chunks go in, chunks marked as training or validation come out. If files are documents, the end of
the text validates; if lines are, a keyed hash of each line decides.
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
    """Yield (validates, chunk) for all chunks of a corpus.

    If files are documents, the first ``int((1 - fraction) * characters)`` characters train and the
    rest validates; the chunk with the boundary is cut in two. If lines are documents, a keyed hash
    of the line decides, so that equal lines are always in the same part.

    Args:
        corpus: the text.
        characters: its number of characters, from its fingerprint.
        fraction: the part that validates, in (0, 1).
        seed: the key of the hash of lines; not used if files are documents.
        whole_words: whether to move the boundary to the next white space character, which then
            starts the validation text, or to the document's end if that comes first.
    """
    if corpus.division.lines:
        return ((_is_drawn(chunk.text, fraction, seed), chunk) for chunk in corpus.chunks())
    return _divide_at(corpus.chunks(), int((1 - fraction) * characters), whole_words)


def _is_drawn(line: str, fraction: float, seed: int) -> bool:
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
    """Return the index in ``text`` at which validation starts; its length if it does not."""
    if not whole_words or start >= len(text):
        return min(start, len(text))
    match = _WHITE_SPACE.search(text, start)
    return match.start() if match else len(text)
