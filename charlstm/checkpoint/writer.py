"""Writes the files of a checkpoint that change during a run: weights, history and resume file.

A writer is bound to the folder in which the run started and to its configuration. It notices if the
folder is replaced, and readers notice if the configuration is edited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
from numpy.typing import NDArray

from charlstm.arrays import Weights
from charlstm.checkpoint.folder import remove_leftovers
from charlstm.checkpoint.reader import read_hashes
from charlstm.checkpoint.resume import Progress
from charlstm.checkpoint.safetensors import write_tensors
from charlstm.checkpoint.schema import HISTORY, MODEL, RESUME, STDIN_FILE, Figures
from charlstm.errors import StorageError
from charlstm.system.files import identity, storage_errors, write_atomically


class Writer(Protocol):
    """Saves the state of a run; each method replaces one file atomically.

    Raises:
        StorageError: in any method, if the folder was moved or the file system refuses.
    """

    def model(self, weights: Weights, figures: Figures) -> None:
        """Replace the best weights and their figures, as one file."""

    def history(self, history: Iterable[Figures]) -> None:
        """Replace the history."""

    def resume(self, tensors: Mapping[str, NDArray[Any]], progress: Progress) -> None:
        """Replace the state from which an interrupted run resumes."""

    def finish(self) -> None:
        """Remove the files that only an unfinished run needs."""

    def check_folder(self) -> None:
        """Raise ``StorageError`` unless this is still the folder in which the run started."""


class CheckpointWriter:
    """Writes to a checkpoint that ``create_checkpoint`` has created.

    Args:
        folder: the checkpoint.

    Raises:
        CheckpointError: if ``config.json`` or ``tokenizer.json`` can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hashes = read_hashes(folder)
        self._identity = identity(folder)

    def model(self, weights: Weights, figures: Figures) -> None:
        """Replace the best weights (by name, float32) and their figures, as one file."""
        self.check_folder()
        metadata = {"figures": msgspec.json.encode(figures).decode()}
        write_tensors(self.folder / MODEL, weights, metadata | self._hashes)

    def history(self, history: Iterable[Figures]) -> None:
        """Replace the history."""
        self.check_folder()
        lines = b"".join(msgspec.json.encode(figures) + b"\n" for figures in history)
        write_atomically(self.folder / HISTORY, lines)

    def resume(self, tensors: Mapping[str, NDArray[Any]], progress: Progress) -> None:
        """Replace the state from which an interrupted run resumes."""
        self.check_folder()
        metadata = {"progress": msgspec.json.encode(progress).decode()}
        write_tensors(self.folder / RESUME, tensors, metadata | self._hashes)

    def finish(self) -> None:
        """Remove the files that only an unfinished run needs."""
        self.check_folder()
        with storage_errors(self.folder):
            (self.folder / RESUME).unlink(missing_ok=True)
            (self.folder / STDIN_FILE).unlink(missing_ok=True)
        remove_leftovers(self.folder)

    def check_folder(self) -> None:
        """Check that this is still the folder that the run has locked.

        Raises:
            StorageError: if the folder was moved, removed or replaced.
        """
        if identity(self.folder) != self._identity:
            raise StorageError(
                f"{self.folder}: folder was moved or removed during the run. If you moved it, "
                f"continue with charlstm train --resume NEW_FOLDER."
            )


class NullWriter:
    """Writes nothing, for workers that leave writing to the chief."""

    def model(self, weights: Weights, figures: Figures) -> None:
        """Write nothing."""

    def history(self, history: Iterable[Figures]) -> None:
        """Write nothing."""

    def resume(self, tensors: Mapping[str, NDArray[Any]], progress: Progress) -> None:
        """Write nothing."""

    def finish(self) -> None:
        """Remove nothing."""

    def check_folder(self) -> None:
        """Check nothing."""
