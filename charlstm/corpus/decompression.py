"""Opens files for reading what they hold, decompressed by their suffix.

A path goes in, a file to read in blocks comes out, with the exceptions of reading it. This module
does not limit how far a file may expand.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lzma import LZMADecompressor

# The most memory in bytes for decompressing a file; xz -9 needs a quarter of it.
DICTIONARY = 2**28
# Bytes of an .xz file that are read at once.
_BLOCK = 2**20


class Readable(Protocol):
    """A file that is read in blocks of at most a given size."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        ...


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
            elif self._decompressor.needs_input and not (data := self._file.read(_BLOCK)):
                raise EOFError("it ends before its end mark")
            if text := self._decompressor.decompress(data, size):
                return text

    def _next_stream(self) -> bytes:
        """Return the beginning of the next stream, without the zero bytes before it."""
        data = self._decompressor.unused_data.lstrip(b"\0")
        while not data and (block := self._file.read(_BLOCK)):
            data = block.lstrip(b"\0")
        return data

    def _new(self) -> LZMADecompressor:
        import lzma

        return lzma.LZMADecompressor(memlimit=DICTIONARY)


def opener_of(
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
