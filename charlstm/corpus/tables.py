"""Reads tables record by record: CSV, tab-separated values, JSON Lines, and JSON.

Blocks of decoded text go in, records come out. This module knows which module reads which format;
it does not know files, nor which columns hold text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from charlstm.corpus.delimited import read_delimited, sample_delimited
from charlstm.corpus.objects import is_array, is_lines, read_objects, sample_objects
from charlstm.corpus.records import Record

TableFormat: TypeAlias = Literal["csv", "tsv", "jsonl", "json"]

_FORMATS: dict[str, TableFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}


def format_of(path: Path, compressed: Sequence[str] = ()) -> TableFormat | None:
    """Return the format that a file name tells; ``None`` if it is not that of a table.

    Args:
        path: of the file.
        compressed: suffixes that say nothing about what is compressed.
    """
    if path.suffix.lower() in compressed:
        path = path.with_suffix("")
    return _FORMATS.get(path.suffix.lower())


def json_format(beginning: str, kind: TableFormat) -> TableFormat | None:
    """Return in which format a text begins that is called JSON; ``None`` if it is no table.

    JSON may be anything; and files called ``.json`` may be JSON Lines, or the other way round.
    """
    if is_array(beginning):
        return "json"
    if kind == "jsonl" and beginning.lstrip().startswith("{"):
        return "jsonl"
    return "jsonl" if is_lines(beginning) else None


def read_records(
    blocks: Iterable[str], kind: TableFormat, name: str, columns: Sequence[str]
) -> Iterator[Record]:
    """Yield the records of a table.

    Args:
        blocks: the text in pieces.
        kind: its format.
        name: its name, for messages.
        columns: what to take of each record: names of the first row, or, if all are whole numbers
            that can't be names there, numbers from 1, and then the first row is a record, too; in
            JSON names, and ``a.b`` for what is within an object.

    Raises:
        CorpusError: if a column is missing, or a record is malformed.
    """
    if kind in ("jsonl", "json"):
        return read_objects(blocks, name, columns, by_line=kind == "jsonl")
    return read_delimited(blocks, name, columns, tabs=kind == "tsv")


def sample_of(blocks: Iterable[str], kind: TableFormat, name: str) -> dict[str, list[str]]:
    """Return the cells of the first records of a table, by the name of their column.

    Columns without a name, and those of a table without a row of names, have their numbers, from 1.
    Lists are left out, as they are no text.

    Raises:
        CorpusError: if a record is malformed.
    """
    if kind in ("jsonl", "json"):
        return sample_objects(blocks, name, by_line=kind == "jsonl")
    return sample_delimited(blocks, name, tabs=kind == "tsv")
