"""Opens files for reading, decompressed as their suffix says.

The reader in ``reading`` limits how far a file may expand; this module only limits the memory for
decompressing it.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lzma import LZMADecompressor

# The most memory for decompressing a file, in bytes. Files of xz -9 need a quarter of it.
DICTIONARY = 2**28
# Bytes of an .xz file that are read at a time.
_BLOCK = 2**20


# How files begin, by suffix, and what they are called.
_BEGINNINGS: dict[str, tuple[str, tuple[bytes, ...]]] = {
    ".gz": ("a gzip", (b"\x1f\x8b",)),
    ".bz2": ("a bzip2", (b"BZh",)),
    ".xz": ("an xz", (b"\xfd7zXZ\0", b"\x5d")),
    ".zst": ("a zstd", (b"\x28\xb5\x2f\xfd",)),
}


class Readable(Protocol):
    """A file that is read in blocks of at most a given size."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, or none at the end."""
        ...


class _Xz:
    """An .xz or .lzma file, read within ``DICTIONARY`` bytes; ``lzma.LZMAFile`` has no limit."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._decompressor = self._new()

    def __enter__(self) -> _Xz:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` decompressed bytes, or none at the end.

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
                raise EOFError("it ends before its end marker")
            if text := self._decompressor.decompress(data, size):
                return text

    def _next_stream(self) -> bytes:
        """Return the first bytes of the next stream, without the zero padding before it."""
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
    """Return the function that opens a file with this suffix, and what reading it may raise."""
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


def misnamed_as(path: Path) -> str | None:
    """Return what the suffix says a file is, such as ``a gzip``, if it does not begin like one."""
    name, beginnings = _BEGINNINGS.get(path.suffix.lower(), ("", (b"",)))
    with path.open("rb") as file:
        begins = file.read(6)
    return None if begins.startswith(beginnings) else name
