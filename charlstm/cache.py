"""The user's cache folder: token stores and graphs that are used again.

Entries are folders, written under a temporary name and renamed when complete; the least recently
used go first when the cache outgrows its bound. Anything here can be deleted at any time at the
cost of building it again. This module does not know what an entry holds.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charlstm.errors import ConfigError, StorageError
from charlstm.files import locked, storage_errors, sync_file, write_atomically

VARIABLE = "CHARLSTM_CACHE"
DEFAULT_LIMIT_MB = 4096
YOUNG_SECONDS = 60

# The hashes of an entry's files, as sha256sum writes them.
DIGESTS = "SHA256SUMS"

# Says that a folder is a cache, and ours: nothing is removed from a folder without it.
# Source: the Cache Directory Tagging Specification.
TAG = "CACHEDIR.TAG"
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of charlstm.\n"


@dataclass(frozen=True)
class Entry:
    """A complete cache entry: its size in bytes and when it was last used (Unix time)."""

    path: Path
    size: int
    used: float


def cache_folder() -> Path:
    """Return the folder that ``VARIABLE`` names, or the platform's cache folder for charlstm."""
    from platformdirs import user_cache_path

    named = os.environ.get(VARIABLE)
    return Path(named) if named else user_cache_path("charlstm")


def limit() -> int:
    """Return how many bytes the cache may hold: ``$CHARLSTM_CACHE_MB``, by default 4096 MB.

    Raises:
        ConfigError: if the variable is not a whole number.
    """
    value = os.environ.get("CHARLSTM_CACHE_MB", str(DEFAULT_LIMIT_MB))
    if not value.isdecimal():
        raise ConfigError(
            f"CHARLSTM_CACHE_MB is {value!r}: expected a whole number of megabytes, such as 4096"
        )
    return int(value) * 1_000_000


def entries() -> list[Entry]:
    """Return the complete entries, most recently used first."""
    folders = [path for path in _children() if not path.name.startswith(".")]
    found = [entry for entry in map(_entry, folders) if entry.used]
    return sorted(found, key=lambda entry: -entry.used)


def obtain(key: str, build: Callable[[Path], None]) -> Path:
    """Return the entry ``key``; if there is none, let ``build`` fill an empty folder first.

    Raises:
        StorageError: if the file system refuses.
    """
    limit()  # a wrong bound is told before any work
    folder = cache_folder()
    path = folder / key
    with storage_errors(folder, f", or let {VARIABLE} name another folder"):
        if path.is_dir():
            os.utime(path)
            return path
        _claim(folder)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=folder))
        try:
            with locked(unfinished):
                build(unfinished)
                for file in unfinished.iterdir():
                    sync_file(file)
                _move_into_place(unfinished, path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    evict(keep=path)
    return path


def remove(path: Path) -> None:
    """Remove an entry that turned out to be damaged."""
    shutil.rmtree(path, ignore_errors=True)


def seal(folder: Path) -> None:
    """Write down the hashes of an entry's files, when all are there."""
    (folder / DIGESTS).write_text(_digests(folder))


def check(folder: Path) -> None:
    """Check that an entry is what was sealed.

    Raises:
        OSError: if a file is missing or can't be read.
        ValueError: if one has changed.
    """
    if (folder / DIGESTS).read_text() != _digests(folder):
        raise ValueError(f"{folder} is not what was written")


def _digests(folder: Path) -> str:
    lines = []
    for path in sorted(folder.iterdir()):
        if path.name != DIGESTS:
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    return "".join(lines)


def _claim(folder: Path) -> None:
    """Make and tag the cache folder.

    Raises:
        ConfigError: if it holds other things than a cache.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if _is_ours(folder):
        return
    others = [path for path in folder.iterdir() if not path.name.startswith(f".{TAG}.")]
    if others and not _is_ours(folder):  # which another process may have made it meanwhile
        raise ConfigError(
            f"the cache folder {folder} holds other things: let {VARIABLE} name a new or an "
            f"empty folder"
        )
    write_atomically(folder / TAG, SIGNATURE.encode())


def _is_ours(folder: Path) -> bool:
    """Whether the tag is there, and not one that another program has written."""
    try:
        return (folder / TAG).read_text() == SIGNATURE
    except (OSError, UnicodeDecodeError):
        return False


def _move_into_place(unfinished: Path, path: Path) -> None:
    try:
        unfinished.rename(path)
    except OSError as error:
        # Another process may have built the same entry meanwhile; either one serves.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def evict(keep: Path) -> None:
    """Remove the least recently used entries until the cache fits its bound, but not ``keep``.

    What killed processes have left unfinished goes too: nobody holds its lock.
    """
    for path in _children():
        if path.name.startswith(".") and _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
    total = 0
    for entry in entries():
        total += entry.size
        if total > limit() and entry.path != keep:
            shutil.rmtree(entry.path, ignore_errors=True)


def _is_abandoned(unfinished: Path) -> bool:
    if time.time() - _entry(unfinished).used < YOUNG_SECONDS:
        return False  # whoever has just made it may not have locked it yet
    try:
        with locked(unfinished, otherwise=False) as is_abandoned:
            return is_abandoned
    except StorageError:  # another process has removed it
        return False


def clear() -> list[Entry]:
    """Remove everything, unfinished entries too; return the complete entries removed."""
    removed = entries()
    for path in _children():
        with storage_errors(path):
            shutil.rmtree(path)
    return removed


def _children() -> list[Path]:
    folder = cache_folder()
    if not _is_ours(folder):
        return []
    return [path for path in folder.iterdir() if path.is_dir()]


def _entry(path: Path) -> Entry:
    try:
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return Entry(path, size, path.stat().st_mtime)
    except FileNotFoundError:  # another process has just removed it
        return Entry(path, 0, 0.0)
