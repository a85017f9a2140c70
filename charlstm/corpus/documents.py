"""A corpus: the documents of all sources, streamed as chunks of decoded text.

Each chunk says whether it ends a document. Each pass reads the files again, so the text is never in
memory as a whole. ``sources`` finds the files and ``reading`` decodes them.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

from charlstm.config import FILES, Division, Normalization, TextFormat
from charlstm.corpus.division import Divider, is_blank
from charlstm.corpus.normalization import normalized_blocks
from charlstm.corpus.notes import Notes
from charlstm.corpus.reading import (
    ADDRESSES,
    COMPRESSED,
    STDIN,
    DecodeErrors,
    Source,
    StringSource,
    check_encoding,
)
from charlstm.corpus.short_lines import ListFinder
from charlstm.corpus.sources import ALL, FileChoice, find_sources, without_copies
from charlstm.corpus.table_source import TableSource, check_unit, no_table_error
from charlstm.errors import ConfigError, CorpusError, UsageError
from charlstm.validation import quoted

# A pass reports its progress each time it has read this many bytes or characters.
REPORT_EVERY = 2**20


class Chunk(NamedTuple):
    """Consecutive text of one document."""

    text: str
    ends_document: bool


class Fingerprint(NamedTuple):
    """The size and hash of a corpus; the hash depends on its text and on where documents end.

    ``blank``, ``delimiters`` and ``nearest`` are the attributes of ``Divider``. ``is_list`` and
    ``may_be_list`` are true if files are documents and look like a list of short lines (see
    ``ListFinder.found`` and ``ListFinder.may_be_short``).
    """

    sha256: str
    characters: int
    documents: int
    blank: int = 0
    delimiters: int = 0
    nearest: str | None = None
    is_list: bool = False
    may_be_list: bool = False


@dataclass(frozen=True)
class Corpus:
    """Documents, read again by each pass over ``chunks()``.

    Attributes:
        sources: the files or strings, in order, each once.
        encoding: the encoding of every file.
        decode_errors: whether an undecodable byte is an error or becomes U+FFFD.
        division: what a document is.
        normalize: the Unicode form that the text is brought into.
        addresses: the addresses that the user gave, for messages.
        notes: notes for the user about the text read so far.
        dedupe: whether only the first of equal documents is read.
        legacy: whether files are found and decoded by the rules 1 (see ``Division``).
    """

    sources: tuple[Source, ...]
    encoding: str = "utf-8"
    decode_errors: DecodeErrors = "strict"
    division: Division = FILES
    normalize: Normalization = "none"
    addresses: tuple[str, ...] = ()
    notes: Notes = field(default_factory=Notes, repr=False, compare=False)
    legacy: bool = False
    dedupe: bool = False

    @classmethod
    def of_texts(cls, texts: Sequence[str], *, division: Division = FILES) -> Corpus:
        """Return a corpus of texts in memory, each of which is treated like the text of a file.

        Raises:
            ConfigError: if ``texts`` is one string, or contains anything else.
        """
        if isinstance(texts, str):  # a string is a sequence of strings, too
            raise ConfigError("`texts` is a string: expected a list of strings, such as [text].")
        for text in texts:
            if not isinstance(text, str):
                raise ConfigError(f"`texts` contains {quoted(text)}: expected strings.")
        sources = (StringSource(f"text {n}", Path(), text) for n, text in enumerate(texts, 1))
        return cls(tuple(sources), division=division, addresses=("the texts",))

    @property
    def name(self) -> str:
        """A folder name made from the first address: ``a/plays.txt.gz`` gives ``plays``."""
        address = "stdin" if self.addresses[:1] == (STDIN,) else "".join(self.addresses[:1])
        path = Path(os.path.abspath(address))
        if path.suffix.lower() in COMPRESSED:
            path = path.with_suffix("")
        last = path.name if os.path.isdir(address) else path.stem
        names = (re.sub(r"[^\w.-]+", "-", part) for part in (last, *reversed(path.parts[:-1])))
        return next(filter(None, (name[:60].strip("-._") for name in names)), "corpus")

    def chunks(self, on_end: Callable[[Divider], None] | None = None) -> Iterator[Chunk]:
        r"""Stream the text. A few blocks, or the longest document within a file, are in memory.

        If files are documents, a chunk has about 2**20 characters. It ends after a newline if it
        contains one, and never between "\r" and "\n". An empty file is not a document. If files are
        divided, each chunk is a document (see ``division``).

        Args:
            on_end: called after the last chunk with the divider, which has the counts.

        Raises:
            CorpusError: if a file can't be read, is binary or can't be decoded, or if a document
                within a file has more than ``LONGEST_LINE`` characters.
        """
        divider = Divider(self.division)
        yield from self._chunks(divider)
        if on_end is not None:
            on_end(divider)

    def _chunks(self, divider: Divider) -> Iterator[Chunk]:
        chunks = self._all_chunks(divider)
        return _without_copies(chunks, self.notes) if self.dedupe else chunks

    def _all_chunks(self, divider: Divider) -> Iterator[Chunk]:
        for source in self.sources:
            if isinstance(source, TableSource):
                yield from self._records(source, divider)
                continue
            for read in source.documents(
                self.encoding,
                self.decode_errors,
                legacy=self.legacy,
                notes=self.notes,
            ):
                blocks = normalized_blocks(read, self.normalize)
                if self.division.within_files:
                    for document in divider.documents(blocks, source.name):
                        yield Chunk(document.text, ends_document=True)
                else:
                    yield from _cut_blocks(blocks)

    def _records(self, source: TableSource, divider: Divider) -> Iterator[Chunk]:
        records = source.records(self.division, self.encoding, self.decode_errors, self.notes)
        for record in records:
            text = "".join(normalized_blocks((record.text,), self.normalize))
            if is_blank(text):
                divider.blank += 1
            else:
                yield Chunk(text, ends_document=True)

    def check_division(self) -> None:
        """Check that the options for dividing text and for tables fit the files.

        Raises:
            UsageError: if a table is to be divided like plain text, or if table options are given
                and no file is a table.
        """
        tables = [source for source in self.sources if isinstance(source, TableSource)]
        unit = self.division.unit
        check_unit(self.sources, unit)
        is_asked = self.division.columns or self.division.keep_breaks
        if not tables and unit == "file" and is_asked:
            with self.notes.kept_by_errors():
                raise no_table_error(self.addresses)

    def as_tables(self) -> Corpus:
        """Return the corpus with records as documents if all of its files are tables.

        If only some files are tables, their records are documents, and so is each other file.

        Raises:
            CorpusError: if it is not clear which column of the first file contains text.
            UsageError: as for ``check_division``.
        """
        self.check_division()
        tables = [source for source in self.sources if isinstance(source, TableSource)]
        unit = self.division.unit
        if len(tables) < len(self.sources):
            of_files = self.division.replace(unit="file") if tables else FILES
            return replace(self, division=of_files) if unit == "record" else self
        if self.division.columns and unit == "record":
            return self
        columns = self.division.columns or (
            tables[0].text_column(self.encoding, self.decode_errors, self.notes),
        )
        return replace(self, division=self.division.replace(unit="record", columns=columns))

    def fingerprint(
        self,
        watch: Callable[[str], None] | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Fingerprint:
        """Hash and count the text in one pass (characters are code points).

        Args:
            watch: called with the text of every chunk.
            on_bytes: called every mebibyte with the number of bytes read so far, as UTF-8.

        Raises:
            CorpusError: as for ``chunks()``, and if the corpus is empty.
        """
        unit, divider, list_finder = self.division.unit, Divider(self.division), ListFinder()
        # 0xFF never occurs in UTF-8, so it can mark the end of a document.
        digest = hashlib.sha256(f"{unit}s".encode() + b"\xff")
        characters = documents = read = reported = 0
        for text, ends_document in self._chunks(divider):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(data + b"\xff" * ends_document)
            read += len(data)
            if on_bytes is not None and read - reported >= REPORT_EVERY:
                reported = read
                on_bytes(read)
            characters += len(text)
            documents += ends_document
            if watch is not None:
                watch(text)
            if unit == "file":
                list_finder.add(text)
        if not characters:
            raise empty_error(self.addresses)
        return Fingerprint(
            digest.hexdigest(),
            characters,
            documents,
            blank=divider.blank,
            delimiters=divider.delimiters,
            nearest=divider.nearest,
            is_list=list_finder.found,
            may_be_list=list_finder.may_be_short,
        )


def empty_error(addresses: Sequence[str]) -> CorpusError:
    """Return the error for a text without characters."""
    if tuple(addresses) == (STDIN,):
        return CorpusError("stdin is empty.")
    return CorpusError(f"{', '.join(addresses)}: the text is empty.")


# A text as Python programs name it: addresses, as on the command line, or a corpus.
Address: TypeAlias = str | os.PathLike[str]
TextInput: TypeAlias = Address | Sequence[Address] | Corpus


def open_corpus(
    addresses: Sequence[str],
    *,
    encoding: str = "utf-8",
    decode_errors: DecodeErrors = "strict",
    division: Division = FILES,
    normalize: Normalization = "none",
    choice: FileChoice = ALL,
    dedupe: bool = False,
    stdin: Path | None = None,
    legacy: bool = False,
) -> Corpus:
    """Return the corpus of all files that the addresses name; a file named twice is read once.

    An address is a file, a folder (all its text files, recursively, sorted by path, without hidden
    ones), a glob pattern (the files that match it, sorted), ``-`` (stdin, which ``spool_stdin`` has
    written to the file ``stdin``), ``python-docs`` (the embedded corpus, unless a file has that
    name) or the name of a text in the catalog. Compressed files (.gz, .bz2, .xz, .zst) are
    decompressed.

    For ``choice``, and for ``legacy``, which finds the text of older checkpoints, see
    ``find_sources``. With ``dedupe``, only the first of equal documents is read.

    Raises:
        ConfigError: if ``encoding`` is not a text encoding.
        CorpusError: if an address names nothing that can be read as text.
        UsageError: if there is no address, or ``-`` without ``stdin``.
    """
    check_encoding(encoding)
    if not addresses:
        raise UsageError(f"no corpus was given. Give {ADDRESSES}.")
    notes = Notes()
    unique: dict[tuple[type[Source], str], Source] = {}
    for address in addresses:
        for source in find_sources(address, encoding, stdin, notes, choice=choice, legacy=legacy):
            unique.setdefault((type(source), os.path.realpath(source.path)), source)
    found = tuple(unique.values())
    if len(found) > 1 and any(each.path == stdin and each.size == 0 for each in found):
        notes.add("stdin is empty")
    if dedupe and not division.within_files:
        found = without_copies(found)
        notes.copies(len(unique) - len(found), files=True)
    return Corpus(
        found,
        encoding,
        decode_errors,
        division,
        normalize,
        tuple(addresses),
        notes,
        legacy,
        dedupe,
    )


def addresses_of(corpus: Address | Iterable[Address], name: str | None = None) -> tuple[str, ...]:
    """Return one or several addresses as strings.

    Args:
        corpus: the addresses.
        name: the argument that they were given as, for the message; ``None`` for the text itself.

    Raises:
        ConfigError: if one is neither a string nor a path.
    """
    if isinstance(corpus, str | os.PathLike):
        return (str(os.fspath(corpus)),)
    addresses = tuple(corpus) if isinstance(corpus, Iterable) else (corpus,)
    for address in addresses:
        if not isinstance(address, str | os.PathLike):
            raise ConfigError(
                f"the text is {address!r}: expected a path. Give text itself as `texts`."
                if name is None
                else f"`{name}` is {address!r}: expected a string."
            )
    return tuple(str(os.fspath(address)) for address in addresses)


def corpus_of(
    text: TextInput | None,
    texts: Sequence[str] | None = None,
    text_format: TextFormat = "auto",
    *,
    encoding: str = "utf-8",
    decode_errors: DecodeErrors = "strict",
) -> Corpus:
    """Return the corpus that a Python program names or gives as strings.

    Args:
        text: a file, a folder or a glob pattern, a list of these, or a corpus.
        texts: the text itself, as a list of strings, each of which is treated like a file.
        text_format: the format of the files.
        encoding: the encoding of the files.
        decode_errors: whether an undecodable byte is an error or becomes U+FFFD.

    Raises:
        ConfigError: if ``texts`` is one string, or ``encoding`` is not a text encoding.
        CorpusError: if an address does not name text that can be read.
        UsageError: if neither or both are given.
    """
    if text is not None and texts is not None:
        raise UsageError("`text` can't be combined with `texts`.")
    if text is None and texts is None:
        raise UsageError("one of `text` and `texts` is required.")
    if texts is not None:
        return Corpus.of_texts(texts)
    if isinstance(text, Corpus):
        return text
    choice = FileChoice(text_format)
    return open_corpus(
        addresses_of(text or ()),
        encoding=encoding,
        decode_errors=decode_errors,
        choice=choice,
    )


def _without_copies(chunks: Iterator[Chunk], notes: Notes) -> Iterator[Chunk]:
    """Skip documents of one chunk that equal an earlier one, and note how many were skipped."""
    from charlstm.corpus.line_hashes import SeenLines  # imports NumPy only when needed

    seen, begins, copies = SeenLines(), True, 0
    for chunk in chunks:
        if begins and chunk.ends_document and not seen.is_new(chunk.text):
            copies += 1
            continue
        begins = chunk.ends_document
        yield chunk
    notes.copies(copies)


def _cut_blocks(blocks: Iterable[str]) -> Iterator[Chunk]:
    text = ""
    for block in blocks:
        if cut := _cut_point(text):
            yield Chunk(text[:cut], ends_document=False)
        text = text[cut:] + block
    if text:
        yield Chunk(text, ends_document=True)


def _cut_point(text: str) -> int:
    r"""Return the index after the last line end, else of the last space, else of the end.

    A "\r" at the end stays for the next chunk, since its "\n" may follow.
    """
    end = len(text) - text.endswith("\r")
    newline = max(text.rfind("\n", 0, end), text.rfind("\r", 0, end)) + 1
    return newline or max(text.rfind(" ", 0, end), 0) or end
