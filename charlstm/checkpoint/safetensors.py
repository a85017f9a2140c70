"""Reads and writes safetensors files with a digest.

Reading allocates nothing before it is certain that the file contains exactly the expected tensors
and has their size. That is why the format, which is simple, is implemented here.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.bounded import QUOTED, Natural, damaged_error, decode, open_regular_file
from charlstm.checkpoint.schema import CONFIG
from charlstm.errors import CheckpointError, harmless
from charlstm.system.files import replaced_atomically

_LARGEST_HEADER, _HEADER_PER_TENSOR = 2**16, 2**10
# Files of at least this size must not be mostly holes, which take memory but no disk space.
_MAY_HAVE_HOLES = 2**28


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor as described in a safetensors file; offsets count from the end of the header."""

    dtype: str
    shape: tuple[Natural, ...]
    data_offsets: tuple[Natural, Natural]


class TensorType(NamedTuple):
    """The required shape and dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] = np.dtype(np.float32)


def floats(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorType]:
    """Return the types of float32 tensors with these shapes."""
    return {name: TensorType(shape) for name, shape in shapes.items()}


def read_tensors(
    path: Path,
    expected: Mapping[str, TensorType],
    *,
    largest: float = math.inf,
    metadata_bytes: int = 0,
    beside: int = 0,
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a file that must contain exactly the given tensors and match its digest.

    Args:
        path: the file.
        expected: type of each tensor by name.
        largest: maximum absolute value of a number.
        metadata_bytes: as for ``read_header``.
        beside: additional memory that the caller needs, in bytes.

    Returns:
        The tensors by name, and the metadata with the digest as ``sha256``.

    Raises:
        CheckpointMissing: if the file doesn't exist or can't be read.
        CheckpointDamaged: if it contains anything else, or NaN, infinite or too large numbers.
        CheckpointError: if it doesn't fit into the memory of this machine.
    """
    with open_regular_file(path) as (file, size):
        described, metadata = read_header(file, size, path, len(expected), metadata_bytes)
        check_types(path, described, expected)
        start = file.tell()
        _check_extent(path, described, size - start, expected)
        _check_memory(path, file, size, size + beside)
        try:
            tensors = {
                name: _read_tensor(file, start + described[name].data_offsets[0], *kind)
                for name, kind in expected.items()
            }
        except EOFError:
            raise damaged_error(path, "changed while it was read") from None
        except MemoryError:
            raise too_large_error(path, size) from None
    signature = metadata.pop("sha256", "")
    if signature != digest_of(tensors, metadata):
        raise damaged_error(path, "the content doesn't match its sha256")
    for name, tensor in tensors.items():
        _check_numbers(path, name, tensor, largest)
    metadata["sha256"] = signature
    return tensors, metadata


def read_header(
    file: BinaryIO, size: int, path: Path, tensors: int, metadata_bytes: int = 0
) -> tuple[dict[str, Described], dict[str, str]]:
    """Read the descriptions of the tensors and the metadata; leave the file at the first tensor.

    Args:
        file: the file, at its start.
        size: its size in bytes.
        path: its path, for messages.
        tensors: maximum number of tensors; it bounds the size of the header.
        metadata_bytes: maximum size of metadata beyond that bound.

    Raises:
        CheckpointDamaged: if the file has no valid header.
    """
    length = int.from_bytes(file.read(8), "little")
    if size < 8:
        raise damaged_error(path, "truncated")
    if length > _LARGEST_HEADER + _HEADER_PER_TENSOR * tensors + metadata_bytes:
        raise damaged_error(path, "not a safetensors file")
    if length > size - 8:
        raise damaged_error(path, "truncated")
    header = decode(file.read(length), dict[str, msgspec.Raw], path)
    metadata = decode(bytes(header.pop("__metadata__", b"{}")), dict[str, str], path)
    return {name: decode(bytes(raw), Described, path) for name, raw in header.items()}, metadata


def _check_extent(
    path: Path,
    described: Mapping[str, Described],
    size: int,
    expected: Mapping[str, TensorType],
) -> None:
    """Check that the tensors are contiguous and fill the rest of the file."""
    position = 0
    for name, tensor in sorted(described.items(), key=lambda item: item[1].data_offsets):
        begin, end = tensor.data_offsets
        itemsize = expected[name].dtype.itemsize
        if begin != position or end - begin != itemsize * math.prod(tensor.shape):
            raise damaged_error(path, "tensors are not contiguous")
        position = end
    if position != size:
        raise damaged_error(path, f"{size:,} bytes of tensors instead of {position:,}")


def _check_memory(path: Path, file: BinaryIO, size: int, needed: int) -> None:
    """Refuse files larger than the memory, and sparse files, which would fill it."""
    if needed > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        raise too_large_error(path, size)
    if needed >= _MAY_HAVE_HOLES and _written_bytes(file.fileno(), size // 4) < size // 4:
        raise damaged_error(path, "most of it was never written")


def _written_bytes(descriptor: int, enough: int) -> int:
    """Count the bytes of a file that are not in holes, up to about ``enough``."""
    written = position = 0
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        while written < enough:
            begin = os.lseek(descriptor, position, os.SEEK_DATA)
            position = os.lseek(descriptor, begin, os.SEEK_HOLE)
            written += position - begin
    except OSError as error:
        if error.errno != errno.ENXIO:  # ENXIO: only a hole is left
            return enough  # the file system does not report holes
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)
    return written


def too_large_error(path: Path, size: int) -> CheckpointError:
    """Return the error for a file whose tensors don't fit into memory."""
    return CheckpointError(
        f"{path}: {size / 1e9:,.1f} GB, more than the memory of this machine can hold. Use a "
        f"machine with more memory, or train a smaller model."
    )


def _read_tensor(
    file: BinaryIO, position: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    tensor = np.empty(shape, dtype)
    file.seek(position)
    # A flat view, because ``readinto`` rejects arrays without dimensions or elements.
    if tensor.size and file.readinto(tensor.reshape(-1).view(np.uint8)) != tensor.nbytes:  # type: ignore[attr-defined]
        raise EOFError
    return tensor


def _check_numbers(path: Path, name: str, tensor: NDArray[Any], largest: float) -> None:
    with np.errstate(invalid="ignore"):
        low, high = float(tensor.min(initial=0)), float(tensor.max(initial=0))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise damaged_error(path, f"{name} contains NaN or infinite numbers")
    if max(-low, high) > largest:
        raise damaged_error(path, f"{name} contains numbers beyond {largest:g}")


def check_types(
    path: Path, described: Mapping[str, Described], expected: Mapping[str, TensorType]
) -> None:
    """Check that a file describes exactly the expected tensors.

    Raises:
        CheckpointDamaged: if it doesn't.
    """
    for name in sorted(described.keys() ^ expected.keys()):
        problem = "missing" if name in expected else "unexpected"
        reason = f"{problem} tensor {harmless(name, QUOTED)}"
        raise damaged_error(path, f"doesn't match {CONFIG}: {reason}")
    for name, (shape, dtype) in expected.items():
        kind, actual, actual_kind = _kind(dtype), described[name].shape, described[name].dtype
        if actual != shape or actual_kind != kind:
            wanted = f"{CONFIG} requires {list(shape)} and {kind}"
            stated = f"shape {list(actual)} and type {actual_kind}"
            raise damaged_error(path, f"{wanted} for {name}, which has {stated}")


def digest_of(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Return the sha256 of the metadata and of all tensors with their names and shapes."""
    digest = hashlib.sha256(msgspec.json.encode(dict(sorted(metadata.items()))))
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(np.asarray(tensor, order="C").data)
    return digest.hexdigest()


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file with a digest. The tensors, which may be large, are not copied.

    Raises:
        StorageError: if the file system refuses; the old file is then unchanged.
    """
    arrays = {name: _little_endian(tensor) for name, tensor in sorted(tensors.items())}
    signed = {**metadata, "sha256": digest_of(arrays, metadata)}
    header: dict[str, Any] = {"__metadata__": signed}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        offsets = {"shape": array.shape, "data_offsets": (start, end)}
        header[name] = {"dtype": _kind(array.dtype), **offsets}
    encoded = msgspec.json.encode(header)
    encoded += b" " * (-len(encoded) % 8)
    with replaced_atomically(path) as temporary, temporary.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for array in arrays.values():
            file.write(array.data)


def _little_endian(tensor: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(tensor, tensor.dtype.newbyteorder("<"), order="C")


def _kind(dtype: np.dtype[Any]) -> str:
    """Return the safetensors name of a dtype, such as F32 or U64."""
    return f"{dtype.kind.upper()}{8 * dtype.itemsize}"
