"""Hashes the lines or other documents of files, which samples must not repeat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charlstm.config import Division, Normalization, TextFormat
from charlstm.corpus.documents import empty_error, open_corpus
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
        encoding: the encoding of the files.
        decode_errors: whether an undecodable byte is an error or becomes U+FFFD.
        division: how to divide the files into documents; by default into lines that are not blank.
        normalize: the Unicode form that the text is brought into.
        text_format: the format of the files; each record of a table counts as a line.
        notes: collects notes for the user.

    Raises:
        ConfigError: if ``encoding`` is not a text encoding.
        CorpusError: if there is no text, or a text can't be read, is binary or can't be decoded.
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
    if not lines:
        raise empty_error(corpus.addresses)
    if notes is not None:
        notes.take(corpus.notes)
    return lines
