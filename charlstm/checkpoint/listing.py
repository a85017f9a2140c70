"""Lists the user's checkpoints and the shipped ones, best first.

Only configurations and figures are read, not weights, so that long lists are quick. A checkpoint
that can't be read is listed with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from charlstm.checkpoint.folder import check_idle
from charlstm.checkpoint.names import find_checkpoint, own_checkpoints, shipped_checkpoints
from charlstm.checkpoint.reader import is_finished, read_config, read_figures
from charlstm.checkpoint.schema import MODEL, Figures, RunConfig
from charlstm.errors import CheckpointBusy, CheckpointError, CheckpointTooNew, StorageError

RunState: TypeAlias = Literal["finished", "unfinished", "training"]
State: TypeAlias = RunState | Literal["damaged", "too new"]


@dataclass(frozen=True)
class Listed:
    """A checkpoint in a list.

    Attributes:
        folder: its folder.
        shipped: whether it came with charlstm.
        state: the state of its run; ``damaged`` or ``too new`` if it can't be read.
        config: its configuration; ``None`` if it can't be read.
        figures: its figures; ``None`` before the first evaluation.
        size: size of the weights in bytes; 0 if there are none yet.
        problem: why it can't be read.
    """

    folder: Path
    shipped: bool
    state: State
    config: RunConfig | None = None
    figures: Figures | None = None
    size: int = 0
    problem: str | None = None

    @property
    def name(self) -> str:
        """The name that selects the checkpoint: its path, if another one has the name."""
        name = self.folder.name
        return name if find_checkpoint(name) == self.folder else str(self.folder)

    @property
    def bits_per_character(self) -> float | None:
        """Bits per validation character; ``None`` without validation."""
        return self.figures.valid_bits_per_character if self.figures else None


def list_checkpoints() -> list[Listed]:
    """Return those in ``checkpoints/`` and the shipped ones, fewest bits per character first.

    Checkpoints without validation come last, by name.
    """
    found = [*_listed(own_checkpoints(), False), *_listed(shipped_checkpoints(), True)]

    def place(each: Listed) -> tuple[float, str]:
        bits = each.bits_per_character
        return math.inf if bits is None else bits, each.name

    return sorted(found, key=place)


def _listed(folders: Iterable[Path], shipped: bool) -> Iterable[Listed]:
    for folder in folders:
        try:
            config, path = read_config(folder), folder / MODEL
            figures = read_figures(folder) if path.exists() else None
            size = path.stat().st_size if figures else 0
            listed = Listed(folder, shipped, state_of(folder), config, figures, size)
        except CheckpointTooNew as error:
            listed = Listed(folder, shipped, "too new", problem=str(error))
        except (CheckpointError, StorageError, OSError) as error:
            listed = Listed(folder, shipped, "damaged", problem=str(error))
        yield listed


def state_of(folder: Path) -> RunState:
    """Return the state of a run: ``training`` if another process trains it.

    Raises:
        CheckpointError: if the checkpoint can't be read.
        StorageError: if the folder can't be opened.
    """
    try:
        check_idle(folder)
    except CheckpointBusy:
        return "training"
    return "finished" if is_finished(folder) else "unfinished"
