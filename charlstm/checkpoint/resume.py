"""The state from which an interrupted run continues: its progress, and how to read and check it.

The resume file contains this record and all tensors of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from charlstm.checkpoint.bounded import Natural, damaged_error, decode, exists, open_regular_file
from charlstm.checkpoint.names import shown_name
from charlstm.checkpoint.reader import check_hashes, is_finished, read_checkpoint, read_hashes
from charlstm.checkpoint.safetensors import (
    Described,
    check_types,
    floats,
    read_header,
    read_tensors,
)
from charlstm.checkpoint.schema import (
    BACKWARD,
    CONFIG,
    MODEL,
    RESUME,
    Figures,
    RunConfig,
    expected_shapes,
)
from charlstm.config import CorpusConfig
from charlstm.errors import CheckpointMissing

# Maximum size of the addresses in a resume file: there may be as many as on a command line.
_LARGEST_ADDRESSES = 2**25
_MOST_SLOTS = 4  # maximum numbers per weight: itself, its average and the optimizer's slots


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """The full addresses of the text and of its validation text.

    Files of earlier versions also contain other settings of the text, duplicated from
    ``config.json``. Earlier versions can read this record.
    """

    addresses: tuple[str, ...] = ()
    valid: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that these can be the addresses of a text.

        Raises:
            ConfigError: if no file can have such a name.
        """
        CorpusConfig(addresses=self.addresses, valid=self.valid)


class Progress(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """The progress of a run: all that resuming needs besides the tensors of the resume file.

    Attributes:
        step: number of steps taken.
        seconds: running time, summed over all resumptions, including the start of each command.
        first_step_at: ``seconds`` when the first step was done.
        done: share of the budget that was used when the last step started, 0 to 1.
        learning_rate: learning rate of the last step.
        train_loss_sum: sum of the training losses since the last evaluation, in nats.
        train_loss_steps: number of these losses.
        backward_loss_sum: their sum for the backward network, if there is one.
        best: figures of the best weights; without validation, of the last stored weights.
        waited: number of evaluations since then.
        evaluation_seconds: duration of the last evaluation.
        evaluated: step of the last evaluation, 0 before the first; ``None`` in old files, which
            were written only when an evaluation was complete.
        corpus: full addresses of the text; ``None`` in format 1, which has them in
            ``config.json``.
    """

    step: Natural
    seconds: float
    first_step_at: float = 0.0
    done: float = 0.0
    learning_rate: float = 0.0
    train_loss_sum: float = 0.0
    train_loss_steps: Natural = 0
    backward_loss_sum: float = 0.0
    best: Figures | None = None
    waited: Natural = 0
    evaluation_seconds: float = 0.0
    evaluated: Natural | None = None
    corpus: Addresses | None = None


def read_resume(
    folder: Path, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, NDArray[Any]], Progress]:
    """Read the tensors, which must have the given shapes, and the progress of an unfinished run.

    Raises:
        CheckpointMissing: if the run is finished, or was stopped before its first save.
        CheckpointDamaged: if the file is truncated, altered or doesn't match ``shapes``.
    """
    path = folder / RESUME
    if not path.exists():
        raise nothing_to_resume_error(folder)
    tensors, metadata = read_tensors(path, floats(shapes), metadata_bytes=_LARGEST_ADDRESSES)
    check_hashes(folder, metadata, read_hashes(folder))
    return tensors, decode(metadata.get("progress", "").encode(), Progress, path)


def check_resumable(folder: Path, config: RunConfig) -> Progress:
    """Check that a run can be resumed, before its text is read or a network is built.

    Args:
        folder: the checkpoint.
        config: the content of its ``config.json``.

    Returns:
        The progress of the run.

    Raises:
        CheckpointMissing: if the run is finished, or was stopped before its first save.
        CheckpointDamaged: if a file is truncated, altered or doesn't match the others.
    """
    path, weights = folder / RESUME, expected_shapes(config.model)
    if not path.exists():
        raise nothing_to_resume_error(folder)
    if config.weights != "float32":
        raise damaged_error(folder / CONFIG, "8-bit weights in an unfinished run")
    described, _ = _read_resume_header(path, config)
    for prefix in ("weights/", f"{BACKWARD}weights/")[: config.model.networks]:
        kept = {n.removeprefix(prefix): d for n, d in described.items() if n.startswith(prefix)}
        check_types(path, kept, floats(weights))
    _, progress = read_resume(folder, {name: tensor.shape for name, tensor in described.items()})
    if (folder / MODEL).exists():
        read_checkpoint(folder)
    return progress


def read_progress(folder: Path, config: RunConfig) -> Progress | None:
    """Return the progress of an unfinished run without its tensors; ``None`` if it is finished.

    Raises:
        CheckpointDamaged: if the resume file is truncated or altered.
    """
    path = folder / RESUME
    if not exists(path):
        return None
    _, metadata = _read_resume_header(path, config)
    return decode(metadata.get("progress", "").encode(), Progress, path)


def _read_resume_header(
    path: Path, config: RunConfig
) -> tuple[dict[str, Described], dict[str, str]]:
    """Return the types of the tensors and the metadata of a resume file."""
    with open_regular_file(path) as (file, size):
        # The weights, each with the optimizer's slots, two states per layer and the window.
        most = _MOST_SLOTS * len(expected_shapes(config.model)) + 2 * config.model.layers + 2
        most *= config.model.networks
        return read_header(file, size, path, most, _LARGEST_ADDRESSES)


def nothing_to_resume_error(folder: Path) -> CheckpointMissing:
    """Return the error for a checkpoint without a resume file."""
    name = shown_name(folder)
    if is_finished(folder):
        return CheckpointMissing(
            f"{name}: nothing to resume: {RESUME} is missing, so the run is finished, or the file "
            f"was removed. To train it further, use charlstm train CORPUS --from {name}."
        )
    if (folder / MODEL).exists():
        return CheckpointMissing(
            f"{name}: the run was interrupted, but can't be resumed, because {RESUME} is "
            f"missing. Restore it, or use charlstm train CORPUS --from {name}."
        )
    return CheckpointMissing(
        f"{name}: nothing to resume: the run was stopped before its first save. Train again "
        f"with `output` {name} and `overwrite`."
    )
