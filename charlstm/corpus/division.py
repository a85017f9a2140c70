"""Divides the text of a file into documents: lines, paragraphs, or the parts between delimiters.

Each document comes with the number of its first line. Blank lines and delimiters are counted for
messages.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from charlstm.config import Division, DocumentUnit, is_one_line
from charlstm.corpus import lines as lines_module
from charlstm.corpus.lines import split_lines
from charlstm.errors import ConfigError, CorpusError, UsageError
from charlstm.unicode_text import has_surrogates

# The names of documents in messages, and the arguments that divide a text into them.
NAMES = {
    "file": "file",
    "line": "line",
    "paragraph": "paragraph",
    "delimited": "document",
    "record": "record",
}
OPTIONS = {
    "line": "`lines`",
    "paragraph": "`paragraphs`",
    "delimited": "`delimiter`",
    "record": "`columns`",
}

# A line that is almost the delimiter is only suggested in a message up to this many characters.
_SHOWN = 80


def is_blank(text: str) -> bool:
    """Return whether a text is empty or only white space."""
    return not text or text.isspace()


class Document(NamedTuple):
    """A part of a file; ``line`` is the number of its first line, from 1."""

    text: str
    line: int


def chosen_division(chosen: Mapping[str, Any], names: Mapping[str, str]) -> Division:
    """Return the division that options ask for.

    The options are ``lines``, ``paragraphs`` and ``delimiter`` for text, and ``columns`` (a list of
    names or a string with commas) and ``keep_breaks`` for tables. Files with columns become records
    once it is known that they are tables (see ``Corpus.as_tables``).

    Args:
        chosen: the options that are set.
        names: the spelling in messages of the first four options that the caller has.

    Raises:
        ConfigError: if the delimiter or a column is not a string.
        UsageError: if options can't be combined, or no line can equal the delimiter.
    """
    given = [names[name] for name in names if name in chosen]
    if len(given) > 1:
        raise UsageError(f"{given[0]} can't be combined with {given[1]}.")
    if "keep_breaks" in chosen and given and "columns" not in chosen:
        raise UsageError(f"`keep_breaks` can't be combined with {given[0]}.")
    if "delimiter" in chosen:
        _check_delimiter(chosen["delimiter"], names)
        return Division(unit="delimited", delimiter=chosen["delimiter"])
    if "paragraphs" in chosen:
        return Division(unit="paragraph")
    if "lines" in chosen:
        return Division(unit="line")
    columns = _columns(chosen["columns"], names["columns"]) if "columns" in chosen else ()
    return Division(columns=columns, keep_breaks="keep_breaks" in chosen)


def given_division(options: Mapping[str, Any], learned: Division) -> Division | None:
    """Return the division that options ask for, ``None`` if they leave it to the training text.

    Args:
        options: ``paragraphs``, ``delimiter``, ``columns`` and ``keep_breaks``, and any others.
        learned: the division of the training text, which fills in options for tables.

    Raises:
        ConfigError: if the delimiter or a column is not a string.
        UsageError: if several are given, or no line can equal the delimiter.
    """
    names = ("paragraphs", "delimiter", "columns", "keep_breaks")
    given = {name: options[name] for name in names if options.get(name) not in (None, False, ())}
    if not given:
        return None
    asked = chosen_division(given, {name: f"`{name}`" for name in names[:3]})
    if asked.unit != "file":
        return asked
    columns = asked.columns or learned.columns
    keep_breaks = asked.keep_breaks or learned.keep_breaks
    unit: DocumentUnit = "record" if columns else "file"
    return asked.replace(unit=unit, columns=columns, keep_breaks=keep_breaks)


def _columns(given: Any, name: str) -> tuple[str, ...]:
    """Return the column names in a string or strings, each of which is a row of CSV.

    Names are separated by commas; a name that contains a comma is quoted.
    """
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, Iterable) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{name} is {given!r}: expected column names, such as title,body.")
    rows = csv.reader(texts, skipinitialspace=True)
    columns = tuple(part.strip() for row in rows for part in row)
    if not columns or "" in columns:
        shown = ",".join(given) if not isinstance(given, str) else given
        raise ConfigError(f"{name} is {shown!r}: expected column names, such as title,body.")
    if any(map(has_surrogates, columns)):
        raise UsageError(f"{name} is not valid UTF-8.")
    return columns


def _check_delimiter(delimiter: Any, names: Mapping[str, str]) -> None:
    name = names["delimiter"]
    if not isinstance(delimiter, str):
        raise ConfigError(f"{name} is {delimiter!r}: expected the text of a line.")
    if has_surrogates(delimiter):
        raise UsageError(f"{name} is not valid UTF-8.")
    if not delimiter:
        raise UsageError(
            f"{name} is empty. Give the line between documents, or {names['paragraphs']} if that "
            f"line is blank."
        )
    if not is_one_line(delimiter):
        raise UsageError(f"{name} is {delimiter!r}: expected the text of one line.")


class Divider:
    """Divides texts into documents, and counts blank documents and delimiters in all of them.

    Args:
        division: what a document is; its unit is not a file.

    Attributes:
        blank: the number of lines or records that were skipped because they are empty or only white
            space; 0 unless lines or records are documents.
        delimiters: the number of lines that equal the delimiter.
        nearest: the first line similar to the delimiter; ``None`` if there is none before the first
            delimiter.
    """

    def __init__(self, division: Division) -> None:
        self.division = division
        self.blank = 0
        self.delimiters = 0
        self.nearest: str | None = None

    def groups(self, blocks: Iterable[str], name: str) -> Iterator[list[Document]]:
        """Yield the documents of one text in lists, each with those completed since the last one.

        Args:
            blocks: the text in pieces.
            name: the name of the text, for messages.

        Raises:
            CorpusError: if a line or a document has more than ``LONGEST_LINE`` characters.
        """
        return filter(None, map(list, self._groups(blocks, name)))

    def documents(self, blocks: Iterable[str], name: str) -> Iterator[Document]:
        """Yield the documents of one text. For the arguments and errors see ``groups``."""
        return itertools.chain.from_iterable(self._groups(blocks, name))

    def _groups(self, blocks: Iterable[str], name: str) -> Iterator[Iterator[Document]]:
        unit = self.division.unit
        advice = f"which is too long for one document. Leave {OPTIONS[unit]} out, or break it up."
        by_line = unit in ("line", "record")
        gatherer = _EachLine(self) if by_line else _DocumentGatherer(self, name, advice)
        for lines, end in split_lines(blocks, name, advice, rules=self.division.rules):
            yield gatherer.take(lines, end)
        yield gatherer.rest()

    def divides(self, line: str) -> bool:
        """Return whether a line divides documents instead of being part of one."""
        delimiter = self.division.delimiter
        if delimiter is None:
            return is_blank(line)
        if line == delimiter:
            self.delimiters += 1
            return True
        if (
            self.nearest is None
            and not self.delimiters
            and len(line) <= _SHOWN
            and _are_similar(line.strip().casefold(), delimiter.strip().casefold())
        ):
            self.nearest = line
        return False


def _are_similar(line: str, delimiter: str) -> bool:
    """Return whether a line, such as "====", may be the one meant by the delimiter "===".

    Both are stripped and in lower case.
    """
    if not line or not delimiter:
        return False
    return line == delimiter or (set(line) == set(delimiter) and not line.isalnum())


class _EachLine:
    """Makes each line a document."""

    def __init__(self, divider: Divider) -> None:
        self._divider = divider
        self._keeps_blank = divider.division.rules < 2
        self._read = 0

    def take(self, lines: Sequence[str], _end: str) -> Iterator[Document]:
        """Yield the next lines that are documents."""
        for number, line in enumerate(lines, self._read + 1):
            if self._keeps_blank or not is_blank(line):
                yield Document(line, number)
            else:
                self._divider.blank += 1
        self._read += len(lines)

    def rest(self) -> Iterator[Document]:
        """Yield nothing, since no line is buffered."""
        return iter(())


class _DocumentGatherer:
    """Collects the lines of one text into documents of several lines."""

    def __init__(self, divider: Divider, name: str, advice: str) -> None:
        self._divider = divider
        self._name, self._advice = name, advice
        self._read = 0
        self._first = 1
        self._parts: list[str] = []
        self._held = 0
        self._end = ""

    def take(self, lines: Sequence[str], end: str) -> Iterator[Document]:
        """Yield the documents that the next lines complete."""
        for line in lines:
            self._read += 1
            if self._divider.divides(line):
                yield from self.rest()
                continue
            if not self._parts:
                self._first = self._read
            else:
                self._parts.append(self._end)
            self._parts.append(line)
            self._end = end
            self._held += len(line) + len(end)
            if self._held > lines_module.LONGEST_LINE:
                raise CorpusError(
                    f"{self._name} has a {NAMES[self._divider.division.unit]} of more than "
                    f"{lines_module.LONGEST_LINE:,} characters, {self._advice}"
                )

    def rest(self) -> Iterator[Document]:
        """Yield the document that a delimiter or the end of the text completes."""
        text = "".join(self._parts)
        self._parts.clear()
        self._held = 0
        if not is_blank(text):
            yield Document(text, self._first)
