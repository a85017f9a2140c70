"""The user's cache folder: results that take long to build, such as token stores and graphs.

A key and two functions, one that builds an entry and one that reads it, go in; what was read comes
out. Entries are folders, written under a temporary name and renamed when complete. When the cache
outgrows its limit, the least recently used are removed. Anything here can be deleted at any time
and is built again when needed. This module does not know what an entry contains.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from charlstm.errors import ConfigError, StorageError
from charlstm.system.files import locked, storage_errors, sync_file, write_atomically

Value = TypeVar("Value")

VARIABLE = "CHARLSTM_CACHE"
DEFAULT_LIMIT_MB = 4096
YOUNG_SECONDS = 60
# Attempts at an operation that other processes may disturb.
ATTEMPTS = 10

# How an entry fails that is missing, damaged or being removed.
DAMAGED = (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)

# The hashes of an entry's files, as sha256sum writes them.
DIGESTS = "SHA256SUMS"

# Marks a folder as our cache: nothing is removed from a folder without it.
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
    """Return the size limit of the cache in bytes: ``$CHARLSTM_CACHE_MB``, by default 4096 MB.

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
    complete = [entry for entry in map(_entry, folders) if entry.used]
    return sorted(complete, key=lambda entry: -entry.used)


def obtain(key: str, build: Callable[[Path], None], read: Callable[[Path], Value]) -> Value:
    """Return what ``read`` returns for the entry ``key``; without an entry, ``build`` it first.

    The files are compared with hashes from when the entry was built. If one is damaged or missing,
    the entry is built again. Other processes may remove entries at any time, so that an unfinished
    entry is locked, and read before it gets its name.

    Args:
        key: the name of the entry; it must depend on everything that the content depends on.
        build: fills an empty folder with files.
        read: reads the folder. The folder may go afterwards; files that are open or mapped stay
            readable.

    Raises:
        StorageError: if the file system refuses.
    """
    limit()  # raises before any work if it is not a number
    folder = cache_folder()
    path = folder / key
    with storage_errors(folder, f", or let {VARIABLE} name another folder"):
        try:
            return _use(path, read)
        except DAMAGED:
            with contextlib.suppress(OSError):
                _remove(path)
        except OSError:  # a passing fault, such as too many open files: the entry may be good
            pass
        value = _build(path, build, read)
    with contextlib.suppress(OSError):
        evict(keep=path)
    return value


def _use(path: Path, read: Callable[[Path], Value]) -> Value:
    """Check and read an entry, and set its time of use to now.

    Raises:
        OSError: if it does not exist or a file can't be read.
        ValueError: if a file has changed.
    """
    with contextlib.suppress(OSError):  # it may belong to somebody else
        os.utime(path)
    _check(path)
    return read(path)


def _build(path: Path, build: Callable[[Path], None], read: Callable[[Path], Value]) -> Value:
    """Build an entry, read it and rename it; start again if other processes remove its files."""
    attempts = 0
    while True:
        attempts += 1
        unfinished = path.parent / f".{path.name}.{os.urandom(4).hex()}"
        try:
            _claim(path.parent)
            unfinished.mkdir(mode=0o700)
            with locked(unfinished) as is_ours:
                if not is_ours:  # another process is about to remove it
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                build(unfinished)
                _seal(unfinished)
                value = read(unfinished)
                _publish(unfinished, path)
                return value
        except (OSError, StorageError) as error:
            cause = error.__cause__ if isinstance(error, StorageError) else error
            if attempts == ATTEMPTS or not isinstance(cause, FileNotFoundError):
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _seal(folder: Path) -> None:
    """Write the hashes of an entry's files and make all of them durable."""
    (folder / DIGESTS).write_text(_digests(folder))
    for file in folder.iterdir():
        sync_file(file)


def _check(folder: Path) -> None:
    """Check that an entry is as it was sealed.

    Raises:
        OSError: if a file can't be read.
        ValueError: if one is missing or has changed.
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
    """Create and tag the cache folder.

    Raises:
        ConfigError: if it contains files and is not our cache.
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


def _publish(unfinished: Path, path: Path) -> None:
    """Give a complete entry its name."""
    try:
        unfinished.rename(path)
    except OSError as error:
        # Another process may have built the same entry meanwhile; either can be used.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def evict(keep: Path) -> None:
    """Remove the least recently used entries, but not ``keep``, until the cache fits its limit.

    Unfinished entries of killed processes are removed too: nobody holds their locks.
    """
    for path in _children():
        # Whoever has just made a folder may not have locked it yet.
        if path.name.startswith(".") and time.time() - _entry(path).used >= YOUNG_SECONDS:
            with contextlib.suppress(OSError, StorageError):
                _remove_unfinished(path, without_locks=False)
    total = 0
    for entry in entries():
        total += entry.size
        if total > limit() and entry.path != keep:
            with contextlib.suppress(OSError):
                _remove(entry.path)


def clear() -> list[Entry]:
    """Remove all entries except unfinished ones in use; return the complete ones.

    Raises:
        StorageError: if the file system refuses.
    """
    removed = entries()
    for path in _children():
        with storage_errors(path):
            if path.name.startswith("."):
                _remove_unfinished(path, without_locks=True)
            else:
                _remove(path)
    return removed


def _remove_unfinished(path: Path, *, without_locks: bool) -> None:
    """Remove an unfinished entry unless a process is building it.

    Args:
        path: its folder.
        without_locks: whether to remove it on a file system without locks.
    """
    try:
        # It is removed under the lock, so that a process that has just made it notices.
        with locked(path, otherwise=without_locks) as is_abandoned:
            if is_abandoned:
                _remove(path)
    except StorageError:
        if path.exists():
            raise


def _remove(path: Path) -> None:
    """Remove a folder, which other processes may be doing at the same time."""
    attempts = 0
    while path.exists():
        attempts += 1
        try:
            shutil.rmtree(path)
            return
        except OSError as error:
            if attempts == ATTEMPTS or error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise


def _children() -> list[Path]:
    folder = cache_folder()
    if not _is_ours(folder):
        return []
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except FileNotFoundError:  # it has just been removed
        return []


def _entry(path: Path) -> Entry:
    try:
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return Entry(path, size, path.stat().st_mtime)
    except OSError:  # another process has just removed it, or it belongs to somebody else
        return Entry(path, 0, 0.0)
