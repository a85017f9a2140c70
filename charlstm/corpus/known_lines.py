"""The lines or other documents of files, as hashes: what a sample must not repeat.

Addresses go in, hashes come out. This module does not know samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charlstm.config import Division, Normalization, TextFormat
from charlstm.corpus.documents import open_corpus
from charlstm.corpus.line_hashes import LineHashes
from charlstm.corpus.notes import Notes
from charlstm.corpus.reading import DecodeErrors
from charlstm.corpus.sources import FileChoice


def hashes_of_files(
    paths: Sequence[str | Path],
    *,
    encoding: str = "utf-8",
    decode_errors: DecodeErrors = "strict",
    division: Division | None = None,
    normalize: Normalization = "none",
    text_format: TextFormat = "auto",
    notes: Notes | None = None,
) -> LineHashes:
    """Return the lines of files, which are found, decompressed and decoded as for training.

    Args:
        paths: the files, or other addresses of texts.
        encoding: their encoding.
        decode_errors: whether a byte that doesn't decode is an error or becomes U+FFFD.
        division: divides the files in its way instead of into lines that are not blank.
        normalize: the Unicode form that they are brought into.
        text_format: of the files; of a table, each record is a line.
        notes: is told what the user should know about them.

    Raises:
        ConfigError: if ``encoding`` is not a text encoding.
        CorpusError: if a text can't be read, is binary or doesn't decode.
        UsageError: if there is no path, or one is ``-``.
    """
    corpus = open_corpus(
        [str(path) for path in paths],
        encoding=encoding,
        decode_errors=decode_errors,
        division=division or Division(unit="line"),
        normalize=normalize,
        choice=FileChoice(text_format),
    )
    lines = LineHashes.from_lines(chunk.text for chunk in corpus.chunks())
    if notes is not None:
        notes.take(corpus.notes)
    return lines
