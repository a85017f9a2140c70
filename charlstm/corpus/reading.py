"""Reads sources (files, streams, strings) as blocks of text: decompresses and decodes them.

The whole text is never in memory at once. Binary files are refused, and so is a compressed file
that expands far beyond its size.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Literal

from charlstm.corpus.decoding import Decoding
from charlstm.corpus.decompression import Readable, misnamed_as, opener_of
from charlstm.corpus.encodings import AUTO, without_mark
from charlstm.corpus.formats import HEAD, Format
from charlstm.corpus.notes import Notes
from charlstm.errors import ConfigError, CorpusError, UsageError, harmless
from charlstm.system.files import storage_errors

DecodeErrors = Literal["strict", "replace"]

STDIN = "-"
# The name of stdin in messages and in checkpoints.
STDIN_NAME = "stdin"
EMBEDDED = "python-docs"
# The address of texts that a Python program gives as strings.
STRINGS = "python-strings"
# Ends each string in the spooled file: this byte never occurs in UTF-8.
_END_OF_STRING = b"\xff"
ADDRESSES = (
    f"a file, a folder, a glob pattern, {STDIN} for stdin, or a corpus name (see charlstm corpora)"
)
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
BLOCK = 2**20

# Encodings for host names, whose decoding time grows with the square of the length of the text.
_OF_NAMES = ("idna", "punycode")

# A compressed file may expand to EXPANDED bytes or to EXPANSION times its size, whichever is more.
# Text rarely shrinks to less than a hundredth; bombs expand by a factor of a thousand or more.
EXPANDED, EXPANSION = 2**30, 250

_REASONS = {
    errno.ENOENT: f"no such file or folder. Give {ADDRESSES}",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EISDIR: "this is a folder. Redirect a file instead",
}


@dataclass(frozen=True)
class Source:
    """A text file, compressed or not: one document.

    Attributes:
        name: the name in messages and in a checkpoint; always valid UTF-8, even if the path is not.
        path: the path of the file.
    """

    name: str
    path: Path

    @property
    def size(self) -> int | None:
        """The size of the text in bytes; ``None`` if unknown, as for compressed files."""
        if _is_compressed(self.path):
            return None
        with contextlib.suppress(OSError):
            return os.path.getsize(self.path)
        return None

    def documents(
        self,
        encoding: str,
        decode_errors: DecodeErrors,
        *,
        legacy: bool = False,
        notes: Notes | None = None,
    ) -> Iterator[Iterable[str]]:
        """Yield each document as blocks of text, to be read before the next document.

        A byte-order mark at the beginning is not part of the text, and overrides ``encoding`` among
        the encodings of Unicode.

        Args:
            encoding: the encoding of the file, or ``auto``: as the byte-order mark says, UTF-8 if
                the file is valid UTF-8, or a guess.
            decode_errors: whether an undecodable byte is an error or becomes U+FFFD.
            legacy: whether to decode by the rules 1 (see ``Decoding``).
            notes: collects notes for the user.

        Raises:
            CorpusError: if the file can't be read, is binary or can't be decoded.
        """
        decoding = Decoding(self.name, encoding, decode_errors, notes, self._named_in_shell, legacy)
        if encoding == AUTO:
            decoding = decoding.found(_read(self.name, self.path))
        yield decoding.texts(_read(self.name, self.path))

    @property
    def _named_in_shell(self) -> str:
        """The name of the decompressed file in suggested shell commands."""
        if self.name == STDIN_NAME:
            return "FILE"
        return str(Path(self.name).with_suffix("")) if _is_compressed(self.path) else self.name

    def digest(self) -> bytes:
        """Return the SHA-256 of the decompressed content of the file.

        Raises:
            CorpusError: if the file can't be read.
        """
        found = hashlib.sha256()
        for block in _read(self.name, self.path):
            found.update(block)
        return found.digest()

    def foreign_format(self, encoding: str, *, legacy: bool = False) -> Format | None:
        """Return the format of the file if it does not begin like text, else ``None``.

        For the arguments see ``documents``.

        Raises:
            CorpusError: if the file can't be read.
        """
        with _opened(self.name, self.path) as stream:
            return Decoding(self.name, encoding, legacy=legacy).refusal(stream.read(HEAD))


@dataclass(frozen=True)
class EmbeddedSource(Source):
    """The reference text in this Python's ``pydoc_data``: each topic is a document."""

    @property
    def size(self) -> None:
        """Not known."""
        return None

    def documents(
        self,
        encoding: str,  # noqa: ARG002 (the text is in memory, decoded)
        decode_errors: DecodeErrors,  # noqa: ARG002
        *,
        legacy: bool = False,  # noqa: ARG002
        notes: Notes | None = None,  # noqa: ARG002
    ) -> Iterator[Iterable[str]]:
        """Yield the topics, sorted by name."""
        from pydoc_data.topics import topics

        for name in sorted(topics):
            yield (topics[name],)


@dataclass(frozen=True)
class StringSource(Source):
    """A string in memory: one document, or none if it is empty."""

    text: str

    @property
    def size(self) -> None:
        """Not known."""
        return None

    def documents(
        self,
        encoding: str,  # noqa: ARG002 (the text is in memory, decoded)
        decode_errors: DecodeErrors,  # noqa: ARG002
        *,
        legacy: bool = False,
        notes: Notes | None = None,  # noqa: ARG002
    ) -> Iterator[Iterable[str]]:
        """Yield the one document."""
        yield (self.text if legacy else without_mark(self.text),)


class SpooledStrings(Source):
    """Strings that ``spool_strings`` has written to one file: each is a document, in UTF-8."""

    def documents(
        self,
        encoding: str,  # noqa: ARG002 (it is known)
        decode_errors: DecodeErrors,
        *,
        legacy: bool = False,
        notes: Notes | None = None,
    ) -> Iterator[Iterable[str]]:
        """Yield the strings in order. For the errors see ``Source.documents``."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise unreadable_error(self.name, error) from error
        decoding = Decoding(self.name, "utf-8", decode_errors, notes, legacy=legacy)
        for text in data.split(_END_OF_STRING)[:-1]:
            yield decoding.texts((text,))


@dataclass(frozen=True)
class StreamSource(Source):
    """A stream that is read once, in blocks of the bytes that have arrived."""

    stream: BufferedReader

    @property
    def size(self) -> None:
        """Not known."""
        return None

    def documents(
        self,
        encoding: str,
        decode_errors: DecodeErrors,
        *,
        legacy: bool = False,
        notes: Notes | None = None,
    ) -> Iterator[Iterable[str]]:
        """Yield the one document. With the encoding ``auto``, the stream is read to its end first.

        Raises:
            CorpusError: as for ``Source.documents``.
            StorageError: if the temporary file for ``auto`` can't be written.
        """
        decoding = Decoding(self.name, encoding, decode_errors, notes, legacy=legacy)
        if encoding != AUTO:
            yield decoding.texts(self._blocks())
            return
        import tempfile  # importing it takes longer than reading a short text

        with tempfile.TemporaryDirectory(prefix="charlstm-") as folder:
            path = Path(folder) / STDIN_NAME
            spool_stdin(self.stream, path)
            yield from Source(self.name, path).documents(encoding, decode_errors, notes=notes)

    def _blocks(self) -> Iterator[bytes]:
        try:
            while block := self.stream.read1(BLOCK):
                yield block
        except OSError as error:
            raise unreadable_error(self.name, error) from error


def total_size(sources: Iterable[Source]) -> int | None:
    """Return the total size of all sources in bytes, or ``None`` if any size is unknown."""
    total = 0
    for source in sources:
        size = source.size
        if size is None:
            return None
        total += size
    return total


def spool_stdin(stream: BinaryIO, path: Path) -> None:
    """Copy a stream that can be read only once to a file, block by block.

    Raises:
        CorpusError: if the stream can't be read.
        StorageError: if the file can't be written; it is removed in this case.
    """
    with storage_errors(path), path.open("wb") as file:
        try:
            while block := _read_block(stream):
                file.write(block)
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def spool_strings(texts: Iterable[str], path: Path) -> None:
    """Write texts to a file for ``SpooledStrings``.

    Raises:
        UsageError: if a text contains a lone surrogate, which UTF-8 can't encode.
        StorageError: if the file can't be written.
    """
    with storage_errors(path), path.open("wb") as file:
        for number, text in enumerate(texts):
            try:
                file.write(text.encode() + _END_OF_STRING)
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"text {number} has a lone surrogate at character {error.start}. Decode the "
                    f"text with errors='replace'."
                ) from None


def check_encoding(encoding: str) -> None:
    """Raise ``ConfigError`` unless ``encoding`` is ``auto`` or a text encoding of Python."""
    if encoding == AUTO:
        return
    try:
        "a".encode(encoding)
        codecs.getincrementaldecoder(encoding)
        known = codecs.lookup(encoding).name not in _OF_NAMES
    except (LookupError, ValueError):
        known = False
    if not known:
        raise ConfigError(
            f"{harmless(repr(encoding), 100)} is not a text encoding. Give one that Python knows, "
            "such as utf-8, utf-16, latin-1 or cp1252."
        )


def _read(name: str, path: Path) -> Iterator[bytes]:
    with _opened(name, path) as stream:
        left = math.inf
        if _is_compressed(path):
            left = max(EXPANDED, EXPANSION * os.path.getsize(path))
        while block := stream.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise CorpusError(
                    f"{name} expands to more than {EXPANSION} times its size. If you trust it, "
                    f"decompress it first."
                )
            yield block


def _is_compressed(path: Path) -> bool:
    return path.suffix.lower() in COMPRESSED


def _read_block(stream: BinaryIO) -> bytes:
    try:
        return stream.read(BLOCK)
    except OSError as error:
        raise unreadable_error("stdin", error) from error


@contextlib.contextmanager
def _opened(name: str, path: Path) -> Iterator[Readable]:
    try:
        opener, failures = opener_of(path)
    except ImportError as error:
        raise CorpusError(
            f"{name}: this Python can't read {path.suffix} files ({error}). Decompress it first."
        ) from error
    try:
        with opener(path) as stream:
            yield stream
    except failures as error:
        if getattr(error, "errno", None) is None and (foreign := misnamed_as(path)):
            raise CorpusError(f"{name} is not {foreign} file.") from error
        raise unreadable_error(name, error) from error


def unreadable_error(name: str, error: Exception) -> CorpusError:
    """Return the error for a file that can't be read or decompressed."""
    code = getattr(error, "errno", None)
    if code is None and "memory usage limit" in str(error).lower():  # of xz and zstd
        return CorpusError(f"{name}: needs too much memory to decompress. Decompress it first.")
    if code is None:  # only decompressors raise errors without one
        return CorpusError(
            f"{name}: the file is damaged or truncated, so it can't be decompressed ({error})."
        )
    reason = _REASONS.get(code) or os.strerror(code)
    return CorpusError(f"{name}: {reason[0].lower()}{reason[1:]}.")
