"""Files that are whole or not there, and folders that one process keeps for itself.

A file gets a temporary name, fsync, its own name, and fsync of the folder. This module knows file
systems. It does not know what the bytes mean.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from charlstm.errors import StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your disk quota is used up: free some space",
    errno.EROFS: "the file system is read-only: make it writable or name another place",
    errno.EACCES: "permission denied: get the right to write there or name another place",
    errno.EPERM: "permission denied: get the right to write there or name another place",
    errno.ENOENT: "its folder is not there: create it or name another place",
    errno.ENOTDIR: "a part of the path is a file, not a folder: name another place",
}


@contextlib.contextmanager
def storage_errors(path: Path, otherwise: str = "") -> Iterator[None]:
    """Turn an ``OSError`` on writing ``path`` into a ``StorageError`` that says what to do.

    Args:
        path: what is written.
        otherwise: the end of the message, if there is something else to do.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        reason = _REASONS.get(code, f"{os.strerror(code) if code else error}: try another place")
        raise StorageError(f"can't write {path}: {reason}{otherwise}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that ``path`` is, at every moment, its old content or its new one.

    Raises:
        StorageError: if the file system refuses; ``path`` is then as it was, or, where only its
            name could not be made durable, new.
    """
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replaced_atomically(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """Let the body write a file of another name, which then takes the place of ``path``.

    Args:
        path: what is replaced, unless the body fails.
        suffix: the end of the temporary name, which stands in the same folder.

    Raises:
        StorageError: as ``write_atomically`` does.
    """
    with storage_errors(path):
        temporary = _created_beside(path, suffix)
        try:
            yield temporary
            sync_file(temporary)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_file(path.parent)


def _created_beside(path: Path, suffix: str) -> Path:
    """Create an empty file of a new name in the folder of ``path``.

    The system applies the umask. To read it, a process must change it for a moment, and what other
    threads create in that moment could be written by anybody.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    while True:
        temporary = path.parent / f".{path.name}.{os.urandom(4).hex()}{suffix}"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(temporary, flags, 0o666))
            return temporary


def sync_file(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path, *, shared: bool = False, otherwise: bool = True) -> Iterator[bool]:
    """Try to keep a folder for this process; tell whether no other process has it.

    The lock is on the folder itself, so that it leaves no file behind, and the system drops it when
    the process ends, however it ends.

    Args:
        folder: what to keep.
        shared: refuse nobody else who asks for a shared lock too.
        otherwise: what to tell on a file system that has no such locks.

    Raises:
        StorageError: if the folder is not there or can't be opened.
    """
    with storage_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Whoever had it before may have removed it, and another one may be in its place.
        told = _lock(descriptor, shared, otherwise)
        yield told and identity(folder) == _identity(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another one of the same name; ``None`` if there is none."""
    try:
        return _identity(os.stat(folder))
    except OSError:
        return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _lock(descriptor: int, shared: bool, otherwise: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return otherwise
    return True
