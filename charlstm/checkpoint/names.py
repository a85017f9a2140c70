"""Which folder is meant where a checkpoint is named: a path, one of the user's own, a shipped one.

A name goes in and a folder comes out. This module looks for files; it does not read them.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from charlstm.checkpoint.schema import FILES, MODEL
from charlstm.errors import CheckpointMissing

# Where checkpoints go, and are looked for, unless another folder is named.
CHECKPOINTS = Path("checkpoints")

# The environment variable that names the default checkpoint.
CHECKPOINT_VARIABLE = "CHARLSTM_CHECKPOINT"

# The models that come with charlstm.
SHIPPED = ("english", "shakespeare")


def holds_checkpoint(folder: Path) -> bool:
    """Whether a folder contains any file of a checkpoint, finished or not."""
    with contextlib.suppress(OSError):  # a name that is too long, a folder that may not be read
        return any((folder / name).exists() for name in FILES)
    return False


def shipped_folder() -> Path:
    """Return the folder of the shipped models: in the package or, in a clone, beside it."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent / CHECKPOINTS


def shipped_checkpoints() -> list[Path]:
    """Return the folders of the shipped models that are there."""
    folders = (shipped_folder() / name for name in SHIPPED)
    return [folder for folder in folders if holds_checkpoint(folder)]


def own_checkpoints() -> list[Path]:
    """Return the folders of the checkpoints under ``checkpoints/``, without those shipped."""
    shipped = {folder.resolve() for folder in shipped_checkpoints()}
    with contextlib.suppress(OSError):
        found = [path for path in sorted(CHECKPOINTS.iterdir()) if holds_checkpoint(path)]
        return [folder for folder in found if folder.resolve() not in shipped]
    return []


def find_checkpoint(given: str | os.PathLike[str]) -> Path:
    """Return the folder that a path or name means, that of the path itself if there is none.

    A folder that holds a checkpoint is taken first, then one of that name under ``checkpoints/``,
    then the shipped model of that name. What is written as a path, like ``./english``, is no name.
    """
    path = Path(given)
    if holds_checkpoint(path) or path.name != os.fspath(given) or path.name in ("", ".."):
        return path
    own, shipped = CHECKPOINTS / path, shipped_folder() / path
    if path.name in SHIPPED and own.resolve() == shipped.resolve():
        own = shipped  # in a clone, where both are one folder
    candidates = [own, *([shipped] if path.name in SHIPPED else [])]
    return next(filter(holds_checkpoint, candidates), path)


def default_checkpoint() -> Path:
    """Return what ``$CHARLSTM_CHECKPOINT`` means, or the user's own checkpoint trained last.

    Raises:
        CheckpointMissing: if there is neither.
    """
    if named := os.environ.get(CHECKPOINT_VARIABLE):
        return find_checkpoint(named)
    trained = [folder for folder in own_checkpoints() if (folder / MODEL).exists()]
    if not trained:
        shipped = " or ".join(folder.name for folder in shipped_checkpoints())
        remedy = f", or {shipped}, which came with charlstm" if shipped else ""
        raise CheckpointMissing(
            f"no checkpoint is named, {CHECKPOINT_VARIABLE} is not set and {CHECKPOINTS}/ holds "
            f"none that you trained: name a folder that charlstm train has written{remedy}"
        )
    return max(trained, key=lambda folder: (folder / MODEL).stat().st_mtime)
