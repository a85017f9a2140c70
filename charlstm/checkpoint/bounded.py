"""One file of a checkpoint that anybody may have written: a regular one, of a bounded size.

A file's size is known before it is read, and what it holds is quoted in messages only so far as
people can read it. This module does not know what the files of a checkpoint are.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import msgspec

from charlstm.errors import CharlstmError, CheckpointDamaged, CheckpointMissing, harmless

# A number of things; JSON has no larger ones that all programs can read.
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

QUOTED = 200  # characters of a reason, which may quote what is in a file

Json = TypeVar("Json")


def exists(path: Path) -> bool:
    """Whether there is such a path.

    Raises:
        CheckpointMissing: if that can't be told.
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
    """Open a regular file and tell its size; pipes and devices would be waited for without end.

    Raises:
        CheckpointMissing: if it is not there, can't be read or is no regular file.
    """
    try:
        if path.exists() and not path.is_file():
            raise _not_regular(path)
        # Should it have become a pipe since, opening it does not wait either.
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
    """Return the error for a file that is not what was written."""
    return CheckpointDamaged(
        f"{path} is damaged ({harmless(reason, QUOTED)}): restore the original file or train again"
    )


def read_bytes(path: Path, largest: int) -> bytes:
    """Return the content of a file that may have ``largest`` bytes.

    Raises:
        CheckpointMissing: if it is not there, can't be read or is no regular file.
        CheckpointDamaged: if it is larger, or changes meanwhile.
    """
    with open_regular_file(path) as (file, size):
        if size > largest:
            raise damaged_error(path, f"it has {size:,} bytes, and may have {largest:,}")
        data = file.read(size + 1)
    if len(data) != size:
        raise damaged_error(path, "it changes while it is read")
    return data


def decode(data: bytes, kind: type[Json], path: Path) -> Json:
    """Return what JSON holds; ``path`` is where it comes from.

    Raises:
        CheckpointDamaged: if it is not JSON of that kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, CharlstmError, RecursionError) as error:
        raise damaged_error(path, str(error).rstrip(".").replace("`", "'")) from None
