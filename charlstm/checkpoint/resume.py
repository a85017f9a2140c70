"""What an interrupted run continues from: its progress, and how that is read and checked.

The resume file holds this record beside all tensors. This module does not know how they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from charlstm.checkpoint.bounded import Natural, damaged_error, decode, open_regular_file
from charlstm.checkpoint.reader import check_hashes, is_finished, read_checkpoint, read_hashes
from charlstm.checkpoint.safetensors import check_types, floats, read_header, read_tensors
from charlstm.checkpoint.schema import CONFIG, MODEL, RESUME, Figures, RunConfig, expected_shapes
from charlstm.config import CorpusConfig
from charlstm.errors import CheckpointMissing

# The most bytes of addresses in a resume file: there may be as many as a command line can hold.
_LARGEST_ADDRESSES = 2**25
_MOST_SLOTS = 4  # the most numbers for each weight: itself, its average, those of the optimizer


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """The full addresses of a text, and of the text it validates on.

    Files of earlier versions have other settings of the text beside them, which ``config.json`` has
    too; an earlier version finds here what it needs.
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
    """The progress of a run; with the tensors of the resume file, all that resuming needs.

    Attributes:
        step: steps taken.
        seconds: since the command began, summed over all resumptions.
        first_step_at: ``seconds`` when the first step was done.
        done: the share of the budget that was used when the last step began, from 0 to 1.
        learning_rate: of the last step.
        train_loss_sum: the sum of the training losses since the last evaluation, in nats.
        train_loss_steps: the number of these losses.
        best: the figures of the best weights, or if nothing validates of the last ones stored.
        waited: evaluations since then.
        evaluation_seconds: the duration of the last evaluation.
        evaluated: the step of the last evaluation, 0 before the first; ``None`` in old files,
            which were written only after an evaluation was complete.
        corpus: the full addresses of the text; ``None`` in format 1, where they are in
            ``config.json``.
    """

    step: Natural
    seconds: float
    first_step_at: float = 0.0
    done: float = 0.0
    learning_rate: float = 0.0
    train_loss_sum: float = 0.0
    train_loss_steps: Natural = 0
    best: Figures | None = None
    waited: Natural = 0
    evaluation_seconds: float = 0.0
    evaluated: Natural | None = None
    corpus: Addresses | None = None


def read_resume(
    folder: Path, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, NDArray[Any]], Progress]:
    """Read the tensors, of the given shapes, and the progress of an unfinished run.

    Raises:
        CheckpointMissing: if the run is finished, or was stopped before its first save.
        CheckpointDamaged: if the file is truncated, altered or does not fit ``shapes``.
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
        CheckpointDamaged: if a file is truncated, altered or does not fit the others.
    """
    path, weights = folder / RESUME, expected_shapes(config.model)
    if not path.exists():
        raise nothing_to_resume_error(folder)
    if config.weights != "float32":
        raise damaged_error(folder / CONFIG, "weights of 8 bits are those of a finished run")
    with open_regular_file(path) as (file, size):
        # The weights with the optimizer's numbers for each, and two states for each layer.
        most = _MOST_SLOTS * len(weights) + 2 * config.model.layers
        described, _ = read_header(file, size, path, most, _LARGEST_ADDRESSES)
    prefix = "weights/"
    kept = {n.removeprefix(prefix): d for n, d in described.items() if n.startswith(prefix)}
    check_types(path, kept, floats(weights))
    _, progress = read_resume(folder, {name: tensor.shape for name, tensor in described.items()})
    if (folder / MODEL).exists():
        read_checkpoint(folder)
    return progress


def nothing_to_resume_error(folder: Path) -> CheckpointMissing:
    """Return the error for a checkpoint without a resume file."""
    if is_finished(folder):
        return CheckpointMissing(
            f"{folder} has nothing to resume, its training is finished: to train on, use "
            f"charlstm train CORPUS --from {folder}"
        )
    return CheckpointMissing(
        f"{folder} has nothing to resume, its training was stopped before the first save: train "
        f"again with -o {folder} --overwrite"
    )
