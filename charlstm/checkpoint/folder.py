"""The folder of a checkpoint: found, locked by the run that writes to it, created and replaced.

This module knows the names of the files; it does not know what is in them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from charlstm.checkpoint.safetensors import write_tensors
from charlstm.checkpoint.schema import CONFIG, FILES, LINES, MODEL, TOKENIZER, RunConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.errors import CheckpointBusy, CheckpointExists, CheckpointMissing, StorageError
from charlstm.system.files import locked, storage_errors, write_atomically
from charlstm.tokenizer.base import Tokenizer

# Where checkpoints go, and are looked for, unless another folder is named.
CHECKPOINTS = Path("checkpoints")

# Names the checkpoint that commands use by default.
CHECKPOINT_VARIABLE = "CHARLSTM_CHECKPOINT"
# Where a checkpoint that is being overwritten lies until the new one can be resumed.
REPLACED = ".replaced"


# Writing


def holds_checkpoint(folder: Path) -> bool:
    """Whether any file of a checkpoint, finished or not, stands in ``folder``."""
    return any((folder / name).exists() for name in FILES)


def already_exists_error(folder: Path) -> CheckpointExists:
    """Return the error for a folder that already holds a checkpoint."""
    return CheckpointExists(
        f"{folder} already holds a checkpoint: choose another folder with -o, continue it with "
        f"--resume {folder}, or replace it with --overwrite"
    )


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep ``folder``, made if need be, for the run of this process alone.

    If the body fails, the folders that were made are removed again, as far as they are empty.

    Raises:
        CheckpointBusy: if another process trains into it.
        StorageError: if the file system refuses.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with _removed_on_failure(made), storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as is_ours:
        if not is_ours:
            raise _busy(folder)
        with _removed_on_failure(made):
            yield


@contextlib.contextmanager
def _removed_on_failure(folders: Iterable[Path]) -> Iterator[None]:
    """Remove folders, as far as they are empty, if the body fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in folders:
                path.rmdir()
        raise


def check_idle(folder: Path) -> None:
    """Raise ``CheckpointBusy`` if another process trains into ``folder`` now."""
    if folder.is_dir():
        with locked(folder, shared=True) as is_idle:
            if not is_idle:
                raise _busy(folder)


def _busy(folder: Path) -> CheckpointBusy:
    return CheckpointBusy(
        f"another process is training into {folder}: let it end or stop it, or train into another "
        f"folder"
    )


@contextlib.contextmanager
def create_checkpoint(
    folder: Path,
    config: RunConfig,
    tokenizer: Tokenizer,
    lines: LineHashes | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[None]:
    """Begin a checkpoint in a folder that ``lock_folder`` keeps: write what never changes.

    If the body fails, whatever was written is removed again, so that no run leaves a checkpoint
    that can be neither used nor resumed, and what was to be overwritten is there as before.

    Raises:
        CheckpointExists: if ``folder`` holds a checkpoint and ``overwrite`` is false.
        StorageError: if the file system refuses.
    """
    if holds_checkpoint(folder) and not overwrite:
        raise already_exists_error(folder)
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
    """Move an old checkpoint out of the way; one that a killed run had set aside stays there."""
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
    """Remove what was set aside."""
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
    """Remove temporary files that a process left behind when it was killed in a save."""
    with storage_errors(folder):
        for name in FILES:
            for leftover in folder.glob(f".{name}.*.tmp"):
                leftover.unlink(missing_ok=True)


def _pretty(config: RunConfig) -> bytes:
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def free_folder(parent: Path, name: str) -> Path:
    """Return ``parent/name``, or the first of ``name-2``, ``name-3``... that is not there yet."""
    candidates = (parent / (name if n == 1 else f"{name}-{n}") for n in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())


def newest_checkpoint() -> Path:
    """Return ``$CHARLSTM_CHECKPOINT``, or the checkpoint under ``checkpoints/`` trained last.

    Raises:
        CheckpointMissing: if there is neither.
    """
    if named := os.environ.get(CHECKPOINT_VARIABLE):
        return Path(named)

    found = sorted(CHECKPOINTS.glob(f"*/{MODEL}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise CheckpointMissing(
            f"no checkpoint is named, {CHECKPOINT_VARIABLE} is not set and {CHECKPOINTS}/ holds "
            f"none: name a folder that charlstm train has written"
        )
    return found[-1].parent
