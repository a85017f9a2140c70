"""Atomic file writes, locks on folders, and storage errors as exceptions.

A file is written under a temporary name, synced and renamed; then its folder is synced.
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
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "the folder does not exist",
    errno.EEXIST: "it is a file, not a folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
}


@contextlib.contextmanager
def storage_errors(path: Path, remedy: str = "") -> Iterator[None]:
    """Turn an ``OSError`` raised in the body into a ``StorageError`` with a clear message.

    Args:
        path: the file or folder to write.
        remedy: a sentence to add to the message.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        reason = _REASONS.get(code) or (os.strerror(code).lower() if code else str(error))
        message = f"can't write {path}: {reason}."
        raise StorageError(f"{message} {remedy}" if remedy else message) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it always has either its old or its new content.

    Raises:
        StorageError: if the file system refuses. The file is then unchanged, or new if only the
            sync of its folder failed.
    """
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replaced_atomically(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """Let the body write a temporary file, then rename it to ``path``.

    Args:
        path: the file to replace; it does not change if the body fails.
        suffix: the end of the temporary name; the temporary file is in the folder of ``path``.

    Raises:
        StorageError: as for ``write_atomically``.
    """
    with storage_errors(path):
        temporary = _create_beside(path, suffix)
        try:
            yield temporary
            sync_file(temporary)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        sync_file(path.parent)


def _create_beside(path: Path, suffix: str) -> Path:
    """Create an empty file with a new name in the folder of ``path``.

    The system applies the umask. A process can read its umask only by changing it for a moment,
    and files that other threads create in that moment would be writable by all users.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    while True:
        temporary = path.parent / f".{path.name}.{os.urandom(4).hex()}{suffix}"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(temporary, flags, 0o666))
            return temporary


def check_writable(folder: Path, name: str) -> None:
    """Check that a file with this name can be written, without leaving anything behind.

    Raises:
        StorageError: if the file system refuses.
    """
    with storage_errors(folder / name):
        _create_beside(folder / name, ".tmp").unlink()


def sync_file(path: Path) -> None:
    """Sync the content of a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path, *, shared: bool = False, otherwise: bool = True) -> Iterator[bool]:
    """Try to lock a folder, and yield whether that succeeded.

    The lock is on the folder itself, so it leaves no file behind. The system releases it when the
    process ends, even if it is killed.

    Args:
        folder: the folder to lock.
        shared: whether other processes may have a shared lock at the same time.
        otherwise: what to yield on a file system without locks.

    Raises:
        StorageError: if the folder does not exist or can't be opened.
    """
    with storage_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The process that had the lock may have removed the folder, and a new one may exist by now.
        is_locked = _lock(descriptor, shared, otherwise)
        yield is_locked and identity(folder) == _identity(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def identity(folder: Path) -> tuple[int, int] | None:
    """Return the device and inode of a folder, or ``None`` if it does not exist."""
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
