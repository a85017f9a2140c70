"""Token ids on disk: a file of training text, one of validation text, and one of starts.

The files are read as memory-mapped arrays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.tokenizer.base import END_OF_DOCUMENT

StoredIds = NDArray[np.unsignedinteger]

TRAIN_FILE = "train.bin"
VALID_FILE = "valid.bin"
STARTS_FILE = "starts.bin"

_BLOCK = 2**18  # ids that are counted at a time
_BYTES = 2**8  # values of a byte


class Encoded(NamedTuple):
    """The ids of a chunk of text, [N]."""

    validates: bool
    ids: StoredIds
    ends_document: bool


@dataclass(frozen=True)
class TokenStore:
    """The ids of the training and the validation text, [N] each, memory-mapped, of one dtype.

    ``END_OF_DOCUMENT`` is before and after every document, but not after the training part of a
    document that is cut into training and validation text. If no document ends in the training
    text, ``END_OF_DOCUMENT`` is not at the end of the validation text either, since the model can't
    have learned to predict it.

    ``starts`` are positions in ``train`` where training may begin a text, int64 [N], ascending (see
    ``beginnings``). It is empty if the text has enough documents.
    """

    train: StoredIds
    valid: StoredIds
    starts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def train_tokens(self) -> int:
        """The number of tokens that an epoch predicts."""
        return ring_of(self.train).size

    @property
    def valid_tokens(self) -> int:
        """The number of tokens that validation predicts: all except the first."""
        return max(0, self.valid.size - 1)


def ring_of(train: StoredIds) -> StoredIds:
    """Return a training text without the ``END_OF_DOCUMENT`` at its end, to read it as a ring, [N].

    In the ring, the ``END_OF_DOCUMENT`` at the start follows the last token.
    """
    return train[:-1] if train.size > 1 and train[-1] == END_OF_DOCUMENT else train


def token_counts(ids: StoredIds, vocab_size: int) -> NDArray[np.int64]:
    """Return the count of each id, int64 [vocab_size]; the ids are read block by block."""
    if ids.dtype == np.uint8:
        return _byte_counts(ids)[:vocab_size]
    counts = np.zeros(vocab_size, np.int64)
    for start in range(0, ids.size, _BLOCK):
        counts += np.bincount(ids[start : start + _BLOCK], minlength=vocab_size)
    return counts


def _byte_counts(ids: StoredIds) -> NDArray[np.int64]:
    """Return the count of each byte, int64 [256]; counting pairs takes a third of the time."""
    pairs = np.zeros(_BYTES**2, np.int64)
    for start in range(0, ids.size - 1, _BLOCK):
        block = ids[start : start + _BLOCK]
        even = np.ascontiguousarray(block[: block.size & ~1])
        pairs += np.bincount(even.view(np.uint16), minlength=pairs.size)
    table = pairs.reshape(_BYTES, _BYTES)
    last = np.bincount(ids[ids.size & ~1 :], minlength=_BYTES)
    counts: NDArray[np.int64] = table.sum(axis=0) + table.sum(axis=1) + last
    return counts


def smallest_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger]:
    """Return the smallest of uint8, uint16 and uint32 that can represent every id."""
    return next(
        np.dtype(kind)
        for kind in (np.uint8, np.uint16, np.uint32)
        if vocab_size - 1 <= np.iinfo(kind).max
    )


def write_store(folder: Path, pieces: Iterable[Encoded], vocab_size: int) -> None:
    """Write ``pieces`` to the files of a token store as they arrive, with empty ``starts``.

    Raises:
        OSError: if a file can't be written.
    """
    write_starts(folder, np.empty(0, np.int64))
    dtype = smallest_dtype(vocab_size)
    mark = np.array([END_OF_DOCUMENT], dtype).tobytes()
    with contextlib.ExitStack() as stack:
        files: list[BinaryIO] = [
            stack.enter_context((folder / name).open("wb")) for name in (TRAIN_FILE, VALID_FILE)
        ]
        at_start, training_ends = [True, True], False
        for piece in pieces:
            file = files[piece.validates]
            if at_start[piece.validates]:
                file.write(mark)
            file.write(piece.ids.astype(dtype).tobytes())
            at_start[piece.validates] = piece.ends_document
            training_ends |= piece.ends_document and not piece.validates
        for file, document_ended in zip(files, at_start, strict=True):
            if file.tell() and document_ended and training_ends:
                file.write(mark)


def read_store(folder: Path, vocab_size: int) -> TokenStore:
    """Map the token store in ``folder`` into memory.

    Raises:
        OSError: if a file is missing.
    """
    dtype = smallest_dtype(vocab_size)
    return TokenStore(
        read_train(folder, vocab_size),
        _map(folder / VALID_FILE, dtype),
        _map(folder / STARTS_FILE, np.dtype(np.int64)),
    )


def write_starts(folder: Path, starts: NDArray[np.int64]) -> None:
    """Write the positions where training may begin a text.

    Raises:
        OSError: if the file can't be written.
    """
    starts.astype(np.int64).tofile(folder / STARTS_FILE)


def read_train(folder: Path, vocab_size: int) -> StoredIds:
    """Map the training text in ``folder`` into memory.

    Raises:
        OSError: if the file is missing.
    """
    return _map(folder / TRAIN_FILE, smallest_dtype(vocab_size))


def _map(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    if path.stat().st_size == 0:  # an empty file can't be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")
