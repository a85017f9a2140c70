"""Reads tables record by record: CSV, tab-separated values, JSON Lines, and JSON."""

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
    """Return the table format that a file name shows, or ``None`` if it is not a table.

    Args:
        path: the path of the file.
        compressed: suffixes of compressed files, which are removed first.
    """
    if path.suffix.lower() in compressed:
        path = path.with_suffix("")
    return _FORMATS.get(path.suffix.lower())


def json_format(beginning: str, kind: TableFormat) -> TableFormat | None:
    """Return the format of a text whose name says JSON or JSON Lines, or ``None`` for no table.

    Not all JSON is a table, and a file named ``.json`` may contain JSON Lines, or vice versa.
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
        kind: the format of the text.
        name: the name of the text, for messages.
        columns: the columns to read. In CSV and tab-separated values, these are names in the first
            row; or, if all are whole numbers that can't be such names, numbers from 1, and the
            first row is a record. In JSON, these are names, or ``a.b`` for a value within an
            object.

    Raises:
        CorpusError: if a column is missing or a record is malformed.
    """
    if kind in ("jsonl", "json"):
        return read_objects(blocks, name, columns, by_line=kind == "jsonl")
    return read_delimited(blocks, name, columns, tabs=kind == "tsv")


def sample_of(blocks: Iterable[str], kind: TableFormat, name: str) -> dict[str, list[str]]:
    """Return the cells of the first records of a table, by column name.

    Columns without a name, and all columns of a table without a header row, are named by their
    number, from 1. Cells that are lists are empty, since lists are not text.

    Raises:
        CorpusError: if a record is malformed.
    """
    if kind in ("jsonl", "json"):
        return sample_objects(blocks, name, by_line=kind == "jsonl")
    return sample_delimited(blocks, name, tabs=kind == "tsv")
