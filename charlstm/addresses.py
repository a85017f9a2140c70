"""What the addresses of a corpus stand for: files, folders, glob patterns, stdin, embedded text.

This module finds sources; it does not read them, but for the first bytes of a folder's files.
"""

from __future__ import annotations

import fnmatch
import glob
import importlib.util
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from charlstm.errors import CorpusError, UsageError
from charlstm.reading import (
    ADDRESSES,
    EMBEDDED,
    STDIN,
    EmbeddedSource,
    Source,
    has_nul_bytes,
    is_text,
    unreadable,
)


def find_sources(address: str, encoding: str, stdin: Path | None) -> Iterable[Source]:
    """Return what an address stands for; ``stdin`` is where standard input has been spooled.

    Raises:
        CorpusError: if it stands for nothing that can be read as text.
        UsageError: if it is ``-`` and ``stdin`` is not given.
    """
    if address == STDIN:
        return [_spooled(stdin)]
    if os.path.isfile(address):
        return [_source(Path(address))]
    if address == EMBEDDED:
        return [_embedded()]
    if os.path.isdir(address):
        return _folder(address, encoding)
    if paths := _glob(address):
        return map(_source, paths)
    raise _nothing(address)


def _source(path: Path) -> Source:
    return Source(str(path).encode("utf-8", "backslashreplace").decode(), path)


def _spooled(stdin: Path | None) -> Source:
    if stdin is None:
        raise UsageError(f"{STDIN} stands for standard input, which is not given: name a file")
    return Source("stdin", stdin)


def _embedded() -> Source:
    spec = importlib.util.find_spec("pydoc_data.topics")
    if spec is None or spec.origin is None:
        raise CorpusError(f"{EMBEDDED} is missing from this Python: name a file of your own")
    return EmbeddedSource(EMBEDDED, Path(spec.origin))


def _folder(address: str, encoding: str) -> list[Source]:
    sources = map(_source, sorted(_walk(address)))
    text = [source for source in sources if has_nul_bytes(encoding) or is_text(source)]
    if not text:
        raise CorpusError(f"{address} is a folder without text files: name {ADDRESSES}")
    return text


def _walk(folder: str) -> Iterator[Path]:
    """Yield the files below a folder, through symbolic links, each folder once, no hidden names."""
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=_raise_unreadable, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(here, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if os.path.isfile(path))


def _raise_unreadable(error: OSError) -> None:
    raise unreadable(str(error.filename), error) from error


def _glob(pattern: str) -> list[Path]:
    """Return the files a pattern matches; "**" goes by ``_walk``, since glob's may never end."""
    parts = pattern.split("/")
    if "**" not in parts:
        return [Path(name) for name in sorted(glob.glob(pattern)) if os.path.isfile(name)]
    deep = parts.index("**")
    start = "/".join(parts[:deep]) + "/" if deep else "."
    return sorted(
        path
        for root in glob.glob(start)
        for path in _walk(root)
        if _matches(path.relative_to(root).parts, parts[deep:])
    )


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _nothing(address: str) -> CorpusError:
    if glob.has_magic(address):
        return CorpusError(f"no file matches the pattern {address}: name {ADDRESSES}")
    try:
        os.stat(address)
    except OSError as error:
        return unreadable(address or "''", error)
    return CorpusError(f"{address} is not a regular file: pipe it in and name {STDIN} instead")
