"""Finds the folder that the name of a checkpoint stands for: a path, an own or a shipped model.

This module looks for files but doesn't read them.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from charlstm.checkpoint.bounded import exists
from charlstm.checkpoint.schema import FILES, MODEL
from charlstm.errors import CheckpointMissing

# Where checkpoints are saved and looked for by default.
CHECKPOINTS = Path("checkpoints")

# The environment variable that names the default checkpoint.
CHECKPOINT_VARIABLE = "CHARLSTM_CHECKPOINT"

# The models that come with charlstm.
SHIPPED = ("english", "shakespeare")


def holds_checkpoint(folder: Path) -> bool:
    """Return whether a folder contains any file of a checkpoint, finished or not."""
    with contextlib.suppress(OSError):  # the name is too long, or the folder is not readable
        return any((folder / name).exists() for name in FILES)
    return False


def shipped_folder() -> Path:
    """Return the folder of the shipped models: in the package or, in a clone, next to it."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent / CHECKPOINTS


def shipped_checkpoints() -> list[Path]:
    """Return the folders of the shipped models that exist."""
    folders = (shipped_folder() / name for name in SHIPPED)
    return [folder for folder in folders if holds_checkpoint(folder)]


def own_checkpoints() -> list[Path]:
    """Return the folders of the checkpoints in ``checkpoints/`` except the shipped ones."""
    shipped = {folder.resolve() for folder in shipped_checkpoints()}
    with contextlib.suppress(OSError):
        found = [path for path in sorted(CHECKPOINTS.iterdir()) if holds_checkpoint(path)]
        return [folder for folder in found if folder.resolve() not in shipped]
    return []


def find_checkpoint(given: str | os.PathLike[str]) -> Path:
    """Return the folder for a path or name; the path itself if there is no such checkpoint.

    A folder at the path comes first, then one of that name in ``checkpoints/``, then the shipped
    model of that name. Something written as a path, such as ``./english``, is not a name.
    """
    path = Path(given)
    if holds_checkpoint(path) or path.name != os.fspath(given) or path.name in ("", ".."):
        return path
    own, shipped = CHECKPOINTS / path, shipped_folder() / path
    if path.name in SHIPPED and own.resolve() == shipped.resolve():
        own = shipped  # in a clone, where they are the same folder
    candidates = [own, *([shipped] if path.name in SHIPPED else [])]
    return next(filter(holds_checkpoint, candidates), path)


def shown_name(folder: Path) -> str:
    """Return a folder for messages: its name if a shipped model has it, otherwise its path."""
    is_shipped = folder.name in SHIPPED and folder == shipped_folder() / folder.name
    is_found = is_shipped and find_checkpoint(folder.name) == folder
    return folder.name if is_found else str(folder)


def default_checkpoint() -> Path:
    """Return the checkpoint of ``$CHARLSTM_CHECKPOINT``, or the newest own checkpoint.

    Raises:
        CheckpointMissing: if there is none, or the variable names none.
    """
    if named := os.environ.get(CHECKPOINT_VARIABLE):
        folder = find_checkpoint(named)
        if not exists(folder):
            raise CheckpointMissing(
                f"{CHECKPOINT_VARIABLE} is {named}: no such checkpoint. Check the path, or see "
                f"charlstm models."
            )
        return folder
    trained = [folder for folder in own_checkpoints() if (folder / MODEL).exists()]
    if not trained:
        shipped = " or ".join(folder.name for folder in shipped_checkpoints())
        remedy = f"Give {shipped}, which come with charlstm, or train" if shipped else "Train"
        raise CheckpointMissing(
            f"no checkpoint is given, {CHECKPOINT_VARIABLE} is not set, and {CHECKPOINTS}/ "
            f"contains none of yours. {remedy} one with charlstm train."
        )
    return max(trained, key=lambda folder: (folder / MODEL).stat().st_mtime)
