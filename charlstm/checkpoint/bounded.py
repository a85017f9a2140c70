"""Reads single files that may be hostile: only regular files, only up to a given size.

Error messages quote at most ``QUOTED`` characters of a file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec

from charlstm.errors import CharlstmError, CheckpointDamaged, CheckpointMissing, harmless

# A count, at most the largest signed 64-bit integer.
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

# Messages of msgspec.
_MISSING = re.compile(r"Object missing required field '(.*)'")
_UNKNOWN = re.compile(r"Object contains unknown field '(.*)'", re.DOTALL)

QUOTED = 200  # maximum number of characters in a message that come from a file

Json = TypeVar("Json")


def exists(path: Path) -> bool:
    """Return whether a path exists.

    Raises:
        CheckpointMissing: if the system can't tell.
    """
    try:
        return path.exists()
    except OSError as error:  # the name is too long, or a folder is not searchable
        raise _cannot_read(path, error) from None


def _cannot_read(path: Path, error: OSError) -> CheckpointMissing:
    denied = error.errno in (errno.EACCES, errno.EPERM)
    remedy = "Make the file readable" if denied else "Check the path"
    return CheckpointMissing(f"{path}: can't be read ({error.strerror}). {remedy}.")


@contextlib.contextmanager
def open_regular_file(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file; yield it and its size in bytes. A pipe might never end.

    Raises:
        CheckpointMissing: if the file doesn't exist, can't be read or is not a regular file.
    """
    try:
        if path.exists() and not path.is_file():
            raise _not_regular(path)
        # If the file has become a pipe in the meantime, opening it must not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _not_regular(path)
            yield file, status.st_size
    except FileNotFoundError:
        raise CheckpointMissing(f"{path}: no such file. Restore it, or train again.") from None
    except OSError as error:
        raise _cannot_read(path, error) from None


def _not_regular(path: Path) -> CheckpointMissing:
    return CheckpointMissing(f"{path}: not a regular file. Restore it, or train again.")


def damaged_error(path: Path, reason: str) -> CheckpointDamaged:
    """Return the error for a file whose content has changed since it was written."""
    return CheckpointDamaged(
        f"{path} is damaged ({harmless(reason, QUOTED)}). Restore it, or train again."
    )


def reason_of(problem: str) -> str:
    """Return a problem with JSON in plain words: "model.units: expected int, got str"."""
    problem = problem.rstrip(".").replace("`", "'")
    problem, _, place = problem.partition(" - at '$")
    place = place.strip(".'")
    if missing := _MISSING.fullmatch(problem):
        return f"{place}.{missing[1]}".lstrip(".") + " is missing"
    if unknown := _UNKNOWN.fullmatch(problem):
        return "unknown field " + f"{place}.{unknown[1]}".lstrip(".")
    if problem.startswith("Expected "):
        problem = f"expected {problem.removeprefix('Expected ')}".replace("'", "")
    return f"{place}: {problem}" if place else problem


def read_bytes(path: Path, largest: int) -> bytes:
    """Return the content of a file of at most ``largest`` bytes.

    Raises:
        CheckpointMissing: if the file doesn't exist, can't be read or is not a regular file.
        CheckpointDamaged: if the file is larger, or changes while it is read.
    """
    with open_regular_file(path) as (file, size):
        if size > largest:
            raise damaged_error(path, f"{size:,} bytes, at most {largest:,} are allowed")
        data = file.read(size + 1)
    if len(data) != size:
        raise damaged_error(path, "changed while it was read")
    return data


def decode(
    data: bytes, kind: type[Json], path: Path, upgrade: Callable[[Any], Any] | None = None
) -> Json:
    """Decode JSON to an object of type ``kind``.

    Args:
        data: the JSON.
        kind: the type.
        path: the file that the JSON is from, for messages.
        upgrade: converts decoded JSON of an older format to the current one.

    Raises:
        CheckpointDamaged: if the data is not JSON of that type.
    """
    try:
        if upgrade is None:
            return msgspec.json.decode(data, type=kind)
        return msgspec.convert(upgrade(msgspec.json.decode(data)), kind)
    except (ValueError, CharlstmError, RecursionError) as error:
        raise damaged_error(path, reason_of(str(error))) from None
