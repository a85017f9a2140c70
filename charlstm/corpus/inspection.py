"""Inspects a text before training: counts characters, words, lines and copies, and finds problems.

The text is read once and is never in memory as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np

from charlstm.corpus.division import Divider
from charlstm.corpus.documents import Chunk, Corpus
from charlstm.corpus.hazards import LOOKED_AT, copies_hazard, hazards, size_hazard
from charlstm.corpus.line_hashes import SeenLines
from charlstm.corpus.table_source import TableSource
from charlstm.corpus.word_count import WordCounter
from charlstm.tokenizer.base import code_points

_CODE_POINTS = 0x110000
_AT_ONCE = 2**20  # characters that are counted at a time


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a text, in numbers.

    Attributes:
        files: the number of files.
        documents: the number of documents.
        copies: the number of documents that equal an earlier one. Files of more than a megabyte are
            not compared.
        characters: the number of code points.
        character_counts: the count of each character, the most frequent first.
        words: the number of runs without white space.
        lines: the number of lines.
        longest_line: the length of the longest line, in characters.
        line_ends: the count of each line end within documents.
        hazards: the problems that will hurt a model, one sentence each.
    """

    files: int
    documents: int
    copies: int
    characters: int
    character_counts: dict[str, int]
    words: int
    lines: int
    longest_line: int
    line_ends: dict[str, int]
    hazards: tuple[str, ...]


def inspect_corpus(corpus: Corpus, on_text: Callable[[str], None] = lambda _: None) -> Inspection:
    """Inspect a text.

    Args:
        corpus: the text.
        on_text: called with the text of each chunk.

    Raises:
        CorpusError: if a file can't be read, is binary or can't be decoded.
    """
    seen = _Counts()
    copies, lines_seen, begins = 0, SeenLines(), True
    name = ", ".join(corpus.addresses)

    def note(divider: Divider) -> None:
        corpus.notes.blank(name, divider.blank, corpus.division.unit)
        delimiter = corpus.division.delimiter
        corpus.notes.lacks_delimiter = delimiter is not None and not divider.delimiters

    for chunk in corpus.chunks(note):
        seen.add(chunk)
        on_text(chunk.text)
        if begins and chunk.ends_document and not lines_seen.is_new(chunk.text):
            copies += 1
        begins = chunk.ends_document
    is_plain = not any(isinstance(source, TableSource) for source in corpus.sources)
    counts = seen.counts()
    characters = sum(counts.values())
    found = [
        *hazards(seen.beginning, is_plain=is_plain, columns=len(corpus.division.columns)),
        size_hazard(characters),
        copies_hazard(seen.documents, copies),
    ]
    return Inspection(
        files=len(corpus.sources),
        documents=seen.documents,
        copies=copies,
        characters=characters,
        character_counts=counts,
        words=seen.words.count,
        lines=seen.lines,
        longest_line=seen.longest,
        line_ends={end: count for end, count in seen.ends.items() if count},
        hazards=tuple(filter(None, found)),
    )


class _Counts:
    """Counts the contents of chunks of documents."""

    def __init__(self) -> None:
        self.documents = 0
        self.words = WordCounter()
        self.lines = self.longest = 0
        self.ends = Counter({"\n": 0, "\r\n": 0, "\r": 0})
        self.beginning = ""
        self._counts = np.zeros(_CODE_POINTS, np.int64)
        self._waiting: list[str] = []
        self._size = 0
        self._line = 0  # characters so far of a line that continues in the next chunk

    def add(self, chunk: Chunk) -> None:
        text = chunk.text
        self.words.add(text)
        self._count_lines(text)
        self._waiting.append(text)
        self._size += len(text)
        if len(self.beginning) <= LOOKED_AT:
            self.beginning += text
        if chunk.ends_document:
            self.documents += 1
            self.words.end_document()
            self._end_line(is_open=bool(text) and text[-1] not in "\r\n")
            if len(self.beginning) <= LOOKED_AT and not self.beginning.endswith("\n"):
                self.beginning += "\n"
        if self._size >= _AT_ONCE:
            self._count_characters()

    def counts(self) -> dict[str, int]:
        """Return the count of each character, the most frequent first."""
        self._count_characters()
        found = np.flatnonzero(self._counts)
        order = found[np.argsort(-self._counts[found], kind="stable")]
        return {chr(point): int(self._counts[point]) for point in order}

    def _count_characters(self) -> None:
        points = code_points("".join(self._waiting))
        counts = np.bincount(points, minlength=1)
        self._counts[: len(counts)] += counts
        self._waiting.clear()
        self._size = 0

    def _count_lines(self, text: str) -> None:
        returns = text.count("\r")
        if returns:
            both = text.count("\r\n")
            self.ends["\r\n"] += both
            self.ends["\r"] += returns - both
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            self.ends["\n"] -= returns
        first, *others = text.split("\n")
        self.ends["\n"] += len(others)
        self._line += len(first)
        if others:
            self.lines += len(others)
            self.longest = max(self.longest, self._line, *map(len, others))
            self._line = len(others[-1])

    def _end_line(self, *, is_open: bool) -> None:
        self.lines += is_open
        self.longest = max(self.longest, self._line)
        self._line = 0
