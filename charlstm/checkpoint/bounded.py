"""Reads single files that may be hostile: only regular ones, only up to a given size.

A path and a bound go in, bytes or decoded JSON come out. Messages quote at most ``QUOTED``
characters of a file. This module does not know which files a checkpoint has.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec

from charlstm.errors import CharlstmError, CheckpointDamaged, CheckpointMissing, harmless

# A count; at most what a signed 64-bit integer holds.
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

QUOTED = 200  # the most characters of a message that come from a file

Json = TypeVar("Json")


def exists(path: Path) -> bool:
    """Whether a path exists.

    Raises:
        CheckpointMissing: if the system can't say.
    """
    try:
        return path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise _cannot_read(path, error) from None


def _cannot_read(path: Path, error: OSError) -> CheckpointMissing:
    denied = error.errno in (errno.EACCES, errno.EPERM)
    remedy = "make the file readable" if denied else "check the path"
    return CheckpointMissing(f"can't read {path}: {error.strerror}; {remedy}")


@contextlib.contextmanager
def open_regular_file(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file, yield it and its size in bytes. Reading a pipe might never end.

    Raises:
        CheckpointMissing: if it does not exist, can't be read or is not a regular file.
    """
    try:
        if path.exists() and not path.is_file():
            raise _not_regular(path)
        # If it has become a pipe since, opening it must not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _not_regular(path)
            yield file, status.st_size
    except FileNotFoundError:
        raise CheckpointMissing(
            f"{path} is missing: restore it or train again, a checkpoint needs all its files"
        ) from None
    except OSError as error:
        raise _cannot_read(path, error) from None


def _not_regular(path: Path) -> CheckpointMissing:
    return CheckpointMissing(
        f"can't read {path}: it is not a regular file; restore the original or train again"
    )


def damaged_error(path: Path, reason: str) -> CheckpointDamaged:
    """Return the error for a file with other content than was written."""
    return CheckpointDamaged(
        f"{path} is damaged ({harmless(reason, QUOTED)}): restore the original file or train again"
    )


def read_bytes(path: Path, largest: int) -> bytes:
    """Return the content of a file of at most ``largest`` bytes.

    Raises:
        CheckpointMissing: if it does not exist, can't be read or is not a regular file.
        CheckpointDamaged: if it is larger, or changes while it is read.
    """
    with open_regular_file(path) as (file, size):
        if size > largest:
            raise damaged_error(path, f"it has {size:,} bytes, and may have {largest:,}")
        data = file.read(size + 1)
    if len(data) != size:
        raise damaged_error(path, "it changes while it is read")
    return data


def decode(
    data: bytes, kind: type[Json], path: Path, upgrade: Callable[[Any], Any] | None = None
) -> Json:
    """Return JSON as an object of type ``kind``.

    Args:
        data: the JSON.
        kind: the type.
        path: the file it is from, for messages.
        upgrade: turns decoded JSON of an older format into that of ``kind``.

    Raises:
        CheckpointDamaged: if it is not JSON of that type.
    """
    try:
        if upgrade is None:
            return msgspec.json.decode(data, type=kind)
        return msgspec.convert(upgrade(msgspec.json.decode(data)), kind)
    except (ValueError, CharlstmError, RecursionError) as error:
        raise damaged_error(path, str(error).rstrip(".").replace("`", "'")) from None
