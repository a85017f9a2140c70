"""A source that is a table: each of its records is a document."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlstm.config import Division, DocumentUnit, TextFormat
from charlstm.corpus.columns import joined, text_column
from charlstm.corpus.division import OPTIONS, Document
from charlstm.corpus.notes import Notes
from charlstm.corpus.objects import why_no_table
from charlstm.corpus.reading import COMPRESSED, DecodeErrors, Source, StreamSource
from charlstm.corpus.tables import (
    TableFormat,
    format_of,
    json_format,
    read_records,
    sample_of,
)
from charlstm.errors import CorpusError, UsageError, harmless


@dataclass(frozen=True)
class TableSource(Source):
    """A table, compressed or not.

    Attributes:
        inner: the source of the text of the table.
        kind: the format of the table.
    """

    inner: Source
    kind: TableFormat

    @property
    def size(self) -> int | None:
        """The size of the text in bytes (see ``Source.size``)."""
        return self.inner.size

    def records(
        self,
        division: Division,
        encoding: str,
        decode_errors: DecodeErrors,
        notes: Notes | None = None,
    ) -> Iterator[Document]:
        """Yield each record as a document, including empty ones.

        Args:
            division: names the columns to read; if it names none, the column of text is read.
            encoding: as for ``Source.documents``.
            decode_errors: as for ``Source.documents``.
            notes: as for ``Source.documents``.

        Raises:
            CorpusError: if the file can't be read, is malformed or lacks a column, or if it is not
                clear which column contains text.
        """
        for blocks in self.inner.documents(encoding, decode_errors, notes=notes):
            columns = division.columns
            if not columns:  # a stream can't be read twice
                rest, read = iter(blocks), deque[str]()
                columns = (self._text_column(_kept(rest, read), notes),)
                blocks = itertools.chain(_again(read), rest)
            for cells, line in read_records(blocks, self.kind, self.name, columns):
                yield Document(joined(cells, keep_breaks=division.keep_breaks), line)

    def text_column(
        self, encoding: str, decode_errors: DecodeErrors, notes: Notes | None = None
    ) -> str:
        """Return the name of the only column that contains text, and note it.

        Raises:
            CorpusError: as for ``records``.
        """
        blocks = next(iter(self.inner.documents(encoding, decode_errors)))
        return self._text_column(blocks, notes)

    def _text_column(self, blocks: Iterable[str], notes: Notes | None) -> str:
        cells = sample_of(blocks, self.kind, self.name)
        column = text_column(cells, self.name)
        if notes is not None:
            others = ", ".join(harmless(each, 50) for each in cells if each != column)
            more = f". Other columns: {harmless(others, 300)} (see `columns`)" if others else ""
            notes.add(
                f"{self.name} is a table: the column {harmless(repr(column), 50)} of each record "
                f"is a document{more}"
            )
        return column

    def documents(
        self,
        encoding: str,
        decode_errors: DecodeErrors,
        *,
        legacy: bool = False,  # noqa: ARG002 (the rules 1 never read tables)
        notes: Notes | None = None,
    ) -> Iterator[Iterable[str]]:
        """Yield each record as a document. For the errors see ``records``."""
        for document in self.records(Division(), encoding, decode_errors, notes):
            yield (document.text,)


def check_unit(sources: Iterable[Source], unit: DocumentUnit) -> None:
    """Check that no table is to be divided like plain text.

    Raises:
        UsageError: if one is.
    """
    if unit in ("file", "record"):
        return
    for source in sources:
        if isinstance(source, TableSource):
            raise UsageError(
                f"{source.name} is a table, so each record is a document. Leave {OPTIONS[unit]} "
                f"out, or read it as plain text with `format` text."
            )


def check_tables(
    sources: Sequence[Source], division: Division | None, options: Mapping[str, Any]
) -> None:
    """Check that options for tables are given with tables only, and others without tables.

    Args:
        sources: the texts.
        division: how to divide them, if the user chose it.
        options: ``columns`` and ``keep_breaks``, if they are given, and any others.

    Raises:
        UsageError: if they don't fit.
    """
    if division is not None:
        check_unit(sources, division.unit)
    is_for_tables = options.get("columns") or options.get("keep_breaks")
    if is_for_tables and not any(isinstance(source, TableSource) for source in sources):
        raise no_table_error([source.name for source in sources])


def _kept(blocks: Iterable[str], read: deque[str]) -> Iterator[str]:
    """Yield blocks, and append each of them to ``read``."""
    for block in blocks:
        read.append(block)
        yield block


def _again(read: deque[str]) -> Iterator[str]:
    """Remove the blocks from ``read`` and yield them."""
    while read:
        yield read.popleft()


def as_table(
    source: Source, text_format: TextFormat, encoding: str, notes: Notes | None = None
) -> Source:
    """Return a source as a table if its name or the given format says so, else unchanged.

    A ``.json`` file that is neither an array of objects nor JSON Lines is not a table; this is
    noted.

    Raises:
        UsageError: if the format of a table is given for a source that is not a file or a stream.
    """
    if text_format == "text":
        return source
    if text_format != "auto":
        if type(source) not in (Source, StreamSource):
            raise UsageError(f"{source.name} is not a table. Leave `format` {text_format} out.")
        return TableSource(source.name, source.path, source, text_format)
    if type(source) is not Source:
        return source
    kind = format_of(source.path, COMPRESSED)
    if kind in ("json", "jsonl"):
        beginning = _beginning(source, encoding)
        kind = json_format(beginning, kind)
        if kind is None and notes is not None and beginning.lstrip()[:1] in ("{", "["):
            notes.add(f"{source.name} {why_no_table(beginning, Path(source.name).name)}")
    return source if kind is None else TableSource(source.name, source.path, source, kind)


def _beginning(source: Source, encoding: str) -> str:
    with contextlib.suppress(CorpusError):  # reading the text will raise it again
        for blocks in source.documents(encoding, "replace"):
            return next(iter(blocks), "")
    return ""


def no_table_error(names: Sequence[str]) -> UsageError:
    """Return the error for options of tables if no text is a table.

    Args:
        names: the addresses or files of the texts, at least one.
    """
    listed = ", ".join(names)
    no_table, if_one = f"{listed} is not a table", "If it is"
    if len(names) > 1:
        no_table, if_one = f"{listed}: none of these is a table", "If one is"
    return UsageError(
        f"{no_table}, so `columns` and `keep_breaks` don't apply. {if_one}, name its `format`."
    )
