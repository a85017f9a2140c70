"""Locks, creates and replaces checkpoint folders.

This module writes the files that never change, and knows only the names of the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from charlstm.checkpoint.names import holds_checkpoint
from charlstm.checkpoint.safetensors import write_tensors
from charlstm.checkpoint.schema import CONFIG, FILES, LINES, RESUME, TOKENIZER, RunConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.errors import CheckpointBusy, CheckpointExists, StorageError
from charlstm.system.files import locked, storage_errors, write_atomically
from charlstm.tokenizer.base import Tokenizer

# Subfolder with the old checkpoint, until the new one that replaces it can be resumed.
REPLACED = ".replaced"


# Writing


def already_exists_error(folder: Path) -> CheckpointExists:
    """Return the error for a folder that already contains a checkpoint."""
    if (folder / RESUME).exists():
        return CheckpointExists(
            f"{folder} already contains an unfinished run. Continue it with `resume` {folder}, or "
            f"replace it with `overwrite`."
        )
    return CheckpointExists(
        f"{folder} already contains a checkpoint. Replace it with `overwrite`, or choose another "
        f"folder with `output`."
    )


@contextlib.contextmanager
def lock_folder(folder: Path, *, keeps: bool = True) -> Iterator[None]:
    """Lock a folder for the run of this process, and create it if necessary.

    Created folders that are still empty are removed if the body fails, or in any case unless
    ``keeps`` is true.

    Raises:
        CheckpointBusy: if another process is training into the folder.
        StorageError: if the file system refuses.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    with _removed_on_failure(created), storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as is_ours:
        if not is_ours:
            raise _busy(folder)
        with _removed_on_failure(created):
            yield
        if not keeps:
            _remove_empty(created)


@contextlib.contextmanager
def _removed_on_failure(folders: Iterable[Path]) -> Iterator[None]:
    """Remove those folders that are empty if the body fails."""
    try:
        yield
    except BaseException:
        _remove_empty(folders)
        raise


def _remove_empty(folders: Iterable[Path]) -> None:
    with contextlib.suppress(OSError):
        for path in folders:
            path.rmdir()


def check_idle(folder: Path) -> None:
    """Raise ``CheckpointBusy`` if another process is training into a folder."""
    if folder.is_dir():
        with locked(folder, shared=True) as is_idle:
            if not is_idle:
                raise _busy(folder)


def _busy(folder: Path) -> CheckpointBusy:
    return CheckpointBusy(
        f"another process is training into {folder}. Wait for it, stop it, or train into another "
        f"folder."
    )


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise ``CheckpointExists`` if a folder contains a checkpoint that must not be replaced."""
    if holds_checkpoint(folder) and not overwrite:
        raise already_exists_error(folder)


@contextlib.contextmanager
def create_checkpoint(
    folder: Path,
    config: RunConfig,
    tokenizer: Tokenizer,
    lines: LineHashes | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[None]:
    """Write the files that never change into a folder that ``lock_folder`` has locked.

    The body writes the first files that make the checkpoint usable or resumable. If it fails, all
    files are removed, and a checkpoint that was being overwritten is restored.

    Args:
        folder: the locked folder.
        config: the content of ``config.json``.
        tokenizer: the tokenizer.
        lines: hashes of the lines or other documents, if they are stored.
        overwrite: whether to replace a checkpoint in the folder.

    Raises:
        CheckpointExists: if the folder contains a checkpoint and ``overwrite`` is false.
        StorageError: if the file system refuses.
    """
    check_free(folder, overwrite=overwrite)
    try:
        _set_aside(folder)
        write_atomically(folder / TOKENIZER, tokenizer.to_json())
        write_atomically(folder / CONFIG, _pretty(config))
        if lines is not None:
            write_tensors(folder / LINES, {"hashes": lines.hashes}, {})
        yield
    except BaseException:
        with contextlib.suppress(OSError, StorageError):
            _remove_files(folder)
            _move(folder / REPLACED, folder)
            (folder / REPLACED).rmdir()
        raise
    _discard(folder / REPLACED)


def _set_aside(folder: Path) -> None:
    """Move an old checkpoint to ``REPLACED``; keep one that a killed run has moved there."""
    aside = folder / REPLACED
    with storage_errors(folder):
        if holds_checkpoint(folder) and not aside.exists():
            aside.mkdir()
            _move(folder, aside)
    _remove_files(folder)


def _move(folder: Path, target: Path) -> None:
    """Move the files of a checkpoint from one folder into another on the same file system."""
    for name in FILES:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).replace(target / name)


def _discard(aside: Path) -> None:
    """Remove the old checkpoint."""
    with contextlib.suppress(OSError):
        for name in FILES:
            (aside / name).unlink(missing_ok=True)
        aside.rmdir()


def _remove_files(folder: Path) -> None:
    with storage_errors(folder):
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of a process that was killed during a save."""
    with storage_errors(folder):
        for name in FILES:
            for leftover in folder.glob(f".{name}.*.tmp"):
                leftover.unlink(missing_ok=True)


def _pretty(config: RunConfig) -> bytes:
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def free_folder(parent: Path, name: str) -> Path:
    """Return the first of ``parent/name``, ``name-2``, ``name-3``... that doesn't exist."""
    candidates = (parent / (name if n == 1 else f"{name}-{n}") for n in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())
