"""Reads sources: decompresses and decodes them, and refuses binary files.

A file, a stream or strings go in, blocks of text come out, never the whole text at once. A
compressed file that expands far beyond its size is refused. This module does not know how sources
are found, nor how their text is divided.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

from charlstm.errors import ConfigError, CorpusError, UsageError, harmless
from charlstm.system.files import storage_errors

if TYPE_CHECKING:
    from lzma import LZMADecompressor

DecodeErrors = Literal["strict", "replace"]

STDIN = "-"
EMBEDDED = "python-docs"
# The address of texts that a Python program gives as strings, unless a file has this name.
STRINGS = "python-strings"
# Ends each of these texts in the spooled file: this byte never occurs in UTF-8.
_END_OF_STRING = b"\xff"
ADDRESSES = f"a file, a folder, a glob pattern, {STDIN} for standard input, or {EMBEDDED}"
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
BLOCK = 2**20
SNIFF = 8 * 2**10

# Encodings of host names, whose time grows with the square of the text's length.
_OF_NAMES = ("idna", "punycode")

# A compressed file may expand to EXPANDED bytes or to EXPANSION times its size, whichever is more.
# Text is rarely compressed to less than a hundredth; bombs are compressed to a thousandth or less.
EXPANDED, EXPANSION = 2**30, 250
# The most memory in bytes for decompressing a file; xz -9 needs a quarter of it.
DICTIONARY = 2**28

_REASONS = {
    errno.ENOENT: f"there is nothing of that name: name {ADDRESSES}",
    errno.EACCES: "permission denied: ask for the right to read it, or name another file",
    errno.EPERM: "permission denied: ask for the right to read it, or name another file",
    errno.EISDIR: "it is a folder: redirect a file instead",
}


@dataclass(frozen=True)
class Source:
    """A text file, compressed or not: one document.

    Attributes:
        name: its name in messages and in a checkpoint; valid UTF-8 whatever the path is.
        path: its path.
    """

    name: str
    path: Path

    def documents(self, encoding: str, decode_errors: DecodeErrors) -> Iterator[Iterable[str]]:
        """Yield each document as blocks of text; read them before asking for the next document.

        Raises:
            CorpusError: if the file can't be read, is binary or doesn't decode.
        """
        blocks = _without_nul(
            self.name, _read(self.name, self.path), nul_is_text=has_nul_bytes(encoding)
        )
        yield _decode(self.name, blocks, encoding, decode_errors)


@dataclass(frozen=True)
class EmbeddedSource(Source):
    """The reference text in this Python's ``pydoc_data``: each topic is a document."""

    def documents(
        self,
        encoding: str,  # noqa: ARG002 (the text is in memory, decoded)
        decode_errors: DecodeErrors,  # noqa: ARG002
    ) -> Iterator[Iterable[str]]:
        """Yield the topics in the order of their names."""
        from pydoc_data.topics import topics

        for name in sorted(topics):
            yield (topics[name],)


@dataclass(frozen=True)
class StringSource(Source):
    """A string in memory: one document, or none if it is empty."""

    text: str

    def documents(
        self,
        encoding: str,  # noqa: ARG002 (the text is in memory, decoded)
        decode_errors: DecodeErrors,  # noqa: ARG002
    ) -> Iterator[Iterable[str]]:
        """Yield the one document."""
        yield (self.text,)


class SpooledStrings(Source):
    """Strings that ``spool_strings`` has written to one file: each is a document, in UTF-8."""

    def documents(
        self,
        encoding: str,  # noqa: ARG002 (it is known)
        decode_errors: DecodeErrors,
    ) -> Iterator[Iterable[str]]:
        """Yield the texts in their order; for the errors see ``Source.documents``."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise unreadable_error(self.name, error) from error
        for text in data.split(_END_OF_STRING)[:-1]:
            blocks = _without_nul(self.name, iter((text,)), nul_is_text=False)
            yield _decode(self.name, blocks, "utf-8", decode_errors)


@dataclass(frozen=True)
class StreamSource(Source):
    """A stream that is read once, as it arrives: a block is what has arrived."""

    stream: BufferedReader

    def documents(self, encoding: str, decode_errors: DecodeErrors) -> Iterator[Iterable[str]]:
        """Yield the one document; for the errors see ``Source.documents``."""
        blocks = _without_nul(self.name, self._blocks(), nul_is_text=has_nul_bytes(encoding))
        yield _decode(self.name, blocks, encoding, decode_errors)

    def _blocks(self) -> Iterator[bytes]:
        try:
            while block := self.stream.read1(BLOCK):
                yield block
        except OSError as error:
            raise unreadable_error(self.name, error) from error


def spool_stdin(stream: BinaryIO, path: Path) -> None:
    """Copy a stream that can be read only once to a file, block by block.

    Raises:
        CorpusError: if the stream can't be read.
        StorageError: if the file can't be written; it is removed then.
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
    """Write texts to a file from which ``SpooledStrings`` reads them.

    Raises:
        UsageError: if one contains a lone surrogate, which UTF-8 can't encode.
        StorageError: if the file can't be written.
    """
    with storage_errors(path), path.open("wb") as file:
        for number, text in enumerate(texts):
            try:
                file.write(text.encode() + _END_OF_STRING)
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"text {number} has a lone surrogate at character {error.start}, which is no "
                    f"text: decode it with errors='replace'"
                ) from None


def check_encoding(encoding: str) -> None:
    """Raise ``ConfigError`` unless Python has a text encoding of that name."""
    try:
        "a".encode(encoding)
        codecs.getincrementaldecoder(encoding)
        known = codecs.lookup(encoding).name not in _OF_NAMES
    except (LookupError, ValueError):
        known = False
    if not known:
        raise ConfigError(
            f"{harmless(repr(encoding), 100)} is no text encoding: give one that Python knows, "
            "such as utf-8, utf-16, latin-1 or cp1252"
        )


def has_nul_bytes(encoding: str) -> bool:
    """Whether NUL bytes occur in ordinary text of this encoding, as in UTF-16."""
    return b"\0" in "a".encode(encoding)


def _decode(
    name: str, blocks: Iterable[bytes], encoding: str, decode_errors: DecodeErrors
) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(decode_errors)
    read = 0
    for block in itertools.chain(blocks, (b"",)):
        read += len(block)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            raise _undecodable(name, encoding, error, read) from error
        if text:
            yield text


def _undecodable(name: str, encoding: str, error: UnicodeError, read: int) -> CorpusError:
    where = "its text"
    if isinstance(error, UnicodeDecodeError):
        # What the decoder looked at ends where the bytes read so far end.
        offset = read - len(error.object) + error.start
        where = f"byte 0x{error.object[error.start]:02x} at offset {offset}"
    return CorpusError(
        f"{name}: {where} is not {encoding}: name the right encoding with --encoding, "
        "or put U+FFFD in its place with --decode-errors replace"
    )


def _without_nul(name: str, blocks: Iterable[bytes], *, nul_is_text: bool) -> Iterator[bytes]:
    read = 0
    for block in blocks:
        if not nul_is_text and (nul := block.find(b"\0")) >= 0:
            raise CorpusError(
                f"{name} looks like a binary file (a NUL byte at offset {read + nul}): name "
                "text files, with --encoding if they are in UTF-16 or UTF-32"
            )
        read += len(block)
        yield block


def _read(name: str, path: Path) -> Iterator[bytes]:
    with _opened(name, path) as stream:
        compressed = path.suffix.lower() in COMPRESSED
        left = max(EXPANDED, EXPANSION * os.path.getsize(path)) if compressed else math.inf
        while block := stream.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise CorpusError(
                    f"{name} expands to more than {EXPANSION} times its size: if you trust it, "
                    f"decompress it first and name the text itself"
                )
            yield block


def _read_block(stream: BinaryIO) -> bytes:
    try:
        return stream.read(BLOCK)
    except OSError as error:
        raise unreadable_error("stdin", error) from error


class _Readable(Protocol):
    """A file that is read in blocks of at most a given size."""

    def read(self, size: int, /) -> bytes: ...


class _Xz:
    """An .xz or .lzma file, read within ``DICTIONARY`` bytes; Python's reader has no limit."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._decompressor = self._new()

    def __enter__(self) -> _Xz:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` decompressed bytes; none at the end.

        Raises:
            LZMAError: if the file is broken or needs too much memory.
            EOFError: if it is truncated.
        """
        while True:
            data = b""
            if self._decompressor.eof:
                if not (data := self._next_stream()):
                    return b""
                self._decompressor = self._new()
            elif self._decompressor.needs_input and not (data := self._file.read(BLOCK)):
                raise EOFError("it ends before its end mark")
            if text := self._decompressor.decompress(data, size):
                return text

    def _next_stream(self) -> bytes:
        """Return the beginning of the next stream, without the zero bytes before it."""
        data = self._decompressor.unused_data.lstrip(b"\0")
        while not data and (block := self._file.read(BLOCK)):
            data = block.lstrip(b"\0")
        return data

    def _new(self) -> LZMADecompressor:
        import lzma

        return lzma.LZMADecompressor(memlimit=DICTIONARY)


@contextlib.contextmanager
def _opened(name: str, path: Path) -> Iterator[_Readable]:
    try:
        opener, failures = _format(path)
    except ImportError as error:
        raise CorpusError(
            f"{name}: this Python can't read {path.suffix} files ({error}): decompress it first"
        ) from error
    try:
        with opener(path) as stream:
            yield stream
    except failures as error:
        raise unreadable_error(name, error) from error


def _format(
    path: Path,
) -> tuple[Callable[[Path], BufferedIOBase | _Xz], tuple[type[Exception], ...]]:
    """Return the function that opens a file, by its suffix, and the exceptions of reading it."""
    match path.suffix.lower():
        case ".gz":
            import gzip
            import zlib

            return gzip.GzipFile, (OSError, EOFError, zlib.error)
        case ".bz2":
            import bz2

            return bz2.BZ2File, (OSError, EOFError)
        case ".xz":
            import lzma

            return _Xz, (OSError, EOFError, lzma.LZMAError)
        case ".zst":
            from backports import zstd

            return zstd.ZstdFile, (OSError, EOFError, zstd.ZstdError)
        case _:
            return lambda path: path.open("rb"), (OSError,)


def unreadable_error(name: str, error: Exception) -> CorpusError:
    """Return the error for a file that can't be read or decompressed."""
    code = getattr(error, "errno", None)
    if code is None:  # only decompressors raise errors without one
        return CorpusError(
            f"{name} can't be decompressed ({error}): the file is broken or truncated, "
            "so fetch or compress it again"
        )
    return CorpusError(f"can't read {name}: {_REASONS.get(code, os.strerror(code))}")


def is_text(source: Source) -> bool:
    """Whether the first ``SNIFF`` bytes of a file contain no NUL byte."""
    with _opened(source.name, source.path) as stream:
        return b"\0" not in stream.read(SNIFF)
