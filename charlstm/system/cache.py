"""The user's cache folder: results that take long to build, such as token stores and graphs.

Entries are folders, written under a temporary name and renamed when they are complete. When the
cache exceeds its limit, the least recently used entries are removed. Anything in the folder can be
deleted at any time and is built again when needed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
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
# The number of attempts at an operation that other processes may disturb.
ATTEMPTS = 10

# What reading an entry raises if it is missing, damaged or being removed.
DAMAGED = (ValueError, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)

# The file with the hashes of an entry's files, in the format of sha256sum.
DIGESTS = "SHA256SUMS"

# The file that marks a folder as our cache; nothing is removed from a folder without it.
# Source: the Cache Directory Tagging Specification.
TAG = "CACHEDIR.TAG"
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of charlstm.\n"


@dataclass(frozen=True)
class Entry:
    """A complete cache entry: its path, its size in bytes, and its last use in Unix time."""

    path: Path
    size: int
    used: float


def cache_folder() -> Path:
    """Return the cache folder: ``$CHARLSTM_CACHE`` or the platform's cache folder for charlstm."""
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
            f"CHARLSTM_CACHE_MB is {value!r}: expected a whole number of megabytes, such as 4096."
        )
    return int(value) * 1_000_000


def entries() -> list[Entry]:
    """Return the complete entries, most recently used first."""
    folders = [path for path in _children() if not path.name.startswith(".")]
    complete = [entry for entry in map(_entry, folders) if entry.used]
    return sorted(complete, key=lambda entry: -entry.used)


def obtain(key: str, build: Callable[[Path], None], read: Callable[[Path], Value]) -> Value:
    """Return what ``read`` returns for the entry ``key``; if there is no entry, build it first.

    The files are checked against hashes from when the entry was built. If one is damaged or
    missing, the entry is built again. Other processes may remove entries at any time, so an
    unfinished entry is locked, and it is read before it gets its name.

    Args:
        key: the name of the entry; it must depend on everything that the content depends on.
        build: fills an empty folder with files.
        read: reads the folder. The folder may be removed afterwards; files that are open or mapped
            stay readable.

    Raises:
        StorageError: if the file system refuses.
    """
    limit()  # raises an error before any work if the limit is not a number
    folder = cache_folder()
    path = folder / key
    with storage_errors(folder, f"Set {VARIABLE} to another folder."):
        try:
            return _use(path, read)
        except DAMAGED:
            with contextlib.suppress(OSError):
                _remove(path)
        except OSError:  # a temporary fault, such as too many open files: the entry may be good
            pass
        value = _build(path, build, read)
    with contextlib.suppress(OSError):
        evict(keep=path)
    return value


def _use(path: Path, read: Callable[[Path], Value]) -> Value:
    """Check and read an entry, and set the time of its last use.

    Raises:
        OSError: if the entry does not exist or a file can't be read.
        ValueError: if a file has changed.
    """
    with contextlib.suppress(OSError):  # the entry may belong to another user
        os.utime(path)
    _check(path)
    return read(path)


def _build(path: Path, build: Callable[[Path], None], read: Callable[[Path], Value]) -> Value:
    """Build an entry, read it and rename it; start over if other processes remove its files."""
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
            _remove_tree(unfinished, ignore_errors=True)


def _remove_tree(folder: Path, *, ignore_errors: bool = False) -> None:
    import shutil  # with which commands that only read the cache would start later

    shutil.rmtree(folder, ignore_errors=ignore_errors)


def _seal(folder: Path) -> None:
    """Write the hashes of an entry's files, and sync all files to disk."""
    (folder / DIGESTS).write_text(_digests(folder))
    for file in folder.iterdir():
        sync_file(file)


def _check(folder: Path) -> None:
    """Check that an entry has not changed since it was sealed.

    Raises:
        OSError: if a file can't be read.
        ValueError: if a file is missing or has changed.
    """
    if (folder / DIGESTS).read_text() != _digests(folder):
        raise ValueError(f"{folder} has changed since it was written")


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
        ConfigError: if the folder contains files and is not our cache.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if _is_ours(folder):
        return
    others = [path for path in folder.iterdir() if not path.name.startswith(f".{TAG}.")]
    if others and not _is_ours(folder):  # another process may have tagged it meanwhile
        raise ConfigError(
            f"the cache folder {folder} contains other files. Set {VARIABLE} to a new or empty "
            f"folder."
        )
    write_atomically(folder / TAG, SIGNATURE.encode())


def _is_ours(folder: Path) -> bool:
    """Return whether a folder has our tag, and not that of another program."""
    try:
        return (folder / TAG).read_text() == SIGNATURE
    except (OSError, UnicodeDecodeError):
        return False


def _publish(unfinished: Path, path: Path) -> None:
    """Rename a complete entry to its final name."""
    try:
        unfinished.rename(path)
    except OSError as error:
        # Another process may have built the same entry meanwhile, which is just as good.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def evict(keep: Path) -> None:
    """Remove the least recently used entries, except ``keep``, until the cache is within its limit.

    Unfinished entries of killed processes are removed too, since nothing locks them any more.
    """
    for path in _children():
        # A process that has just made a folder may not have locked it yet.
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
    """Remove all entries except unfinished ones in use, and return the complete ones.

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
        path: the folder of the entry.
        without_locks: whether to remove the entry on a file system without locks.
    """
    try:
        # Removing it under the lock makes sure that a process that has just made it notices.
        with locked(path, otherwise=without_locks) as is_abandoned:
            if is_abandoned:
                _remove(path)
    except StorageError:
        if path.exists():
            raise


def _remove(path: Path) -> None:
    """Remove a folder, even if other processes remove it at the same time."""
    attempts = 0
    while path.exists():
        attempts += 1
        try:
            _remove_tree(path)
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
    except FileNotFoundError:  # another process has just removed it
        return []


def _entry(path: Path) -> Entry:
    try:
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return Entry(path, size, path.stat().st_mtime)
    except OSError:  # another process has just removed it, or it belongs to another user
        return Entry(path, 0, 0.0)
