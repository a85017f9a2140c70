"""Reads checkpoints, which may come from anybody.

Whatever is read is checked against the configuration before it is used (see ``bounded`` and
``safetensors``). This module does not know how weights come about or are run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.bounded import decode, exists, open_regular_file, read_bytes
from charlstm.checkpoint.safetensors import check_shapes, digest_of, read_header, read_tensors
from charlstm.checkpoint.schema import (
    CONFIG,
    FORMAT,
    HISTORY,
    LINES,
    MODEL,
    RESUME,
    TOKENIZER,
    Checkpoint,
    Figures,
    Progress,
    RunConfig,
    expected_shapes,
)
from charlstm.corpus.line_hashes import LineHashes
from charlstm.errors import CheckpointDamaged, CheckpointMissing, CheckpointTooNew, harmless
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.storage import LARGEST_JSON, largest_json, tokenizer_from_json

# Bytes that files may have; several times what any run writes.
_LARGEST = {CONFIG: 2**25, TOKENIZER: LARGEST_JSON, HISTORY: 2**28}
# Bytes of addresses in a resume file: a text may be named by as many files as a command takes.
_LARGEST_ADDRESSES = 2**25
# Sizes of weights up to which no sum of products overflows float32; far beyond any that learn.
_LARGEST_WEIGHT = 1e15
_MOST_SLOTS = 4  # numbers that are kept for each weight, itself included; no optimizer has more


# Reading


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and check everything that is needed to use a trained model.

    Raises:
        CheckpointMissing: if there is no checkpoint or a file of it is missing.
        CheckpointDamaged: if a file is truncated, altered or does not fit the others.
        CheckpointTooNew: if it has a later format.
        CheckpointError: if the memory of this machine can't hold it.
    """
    config_data = _config_data(folder)
    config = _parsed_config(folder, config_data)
    tokenizer_data = read_bytes(folder / TOKENIZER, largest_json(config.model.vocab_size))
    tokenizer = _parsed_tokenizer(folder, tokenizer_data, config)
    path = folder / MODEL
    if not path.exists():
        remedy = (
            f"go on with its training, charlstm train --resume {folder}"
            if (folder / RESUME).exists()
            else f"restore the file or train again with -o {folder} --overwrite"
        )
        raise CheckpointMissing(f"{folder} holds no trained weights ({MODEL} is missing): {remedy}")
    tensors, metadata = read_tensors(path, expected_shapes(config.model), largest=_LARGEST_WEIGHT)
    # Of what was parsed, not of what the files hold by now.
    _check_hashes(folder, metadata, _hashes_of(config_data, tokenizer_data))
    figures = decode(metadata.get("figures", "").encode(), Figures, path)
    return Checkpoint(folder, config, tokenizer, tensors, figures, metadata["sha256"])


def read_config(folder: Path) -> RunConfig:
    """Read ``config.json`` (for the errors see ``read_checkpoint``)."""
    return _parsed_config(folder, _config_data(folder))


def _config_data(folder: Path) -> bytes:
    if not exists(folder / CONFIG):
        if not exists(folder):
            raise CheckpointMissing(f"there is no checkpoint {folder}: check the path")
        raise CheckpointMissing(
            f"{folder} is not a checkpoint ({CONFIG} is missing): name a folder that "
            f"charlstm train has written"
        )
    return read_bytes(folder / CONFIG, _LARGEST[CONFIG])


def _parsed_config(folder: Path, data: bytes) -> RunConfig:
    path = folder / CONFIG
    version = decode(data, _Versioned, path).format
    if version > FORMAT:
        raise CheckpointTooNew(
            f"{folder} has checkpoint format {harmless(str(version), 40)} and this charlstm reads "
            f"up to {FORMAT}: upgrade charlstm"
        )
    return decode(data, RunConfig, path)


class _Versioned(msgspec.Struct, frozen=True):
    format: Annotated[int, msgspec.Meta(ge=1)]


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json`` (for the errors see ``read_checkpoint``)."""
    config = read_config(folder)
    data = read_bytes(folder / TOKENIZER, largest_json(config.model.vocab_size))
    return _parsed_tokenizer(folder, data, config)


def _parsed_tokenizer(folder: Path, data: bytes, config: RunConfig) -> Tokenizer:
    """Read a vocabulary of as many symbols as the network has."""
    path, wanted = folder / TOKENIZER, config.model.vocab_size
    try:
        tokenizer = tokenizer_from_json(data, wanted)
    except CheckpointDamaged as error:
        raise CheckpointDamaged(f"{path}: {error}") from None
    if tokenizer.vocab_size != wanted:
        raise CheckpointDamaged(
            f"{path} has {tokenizer.vocab_size} symbols but the model has "
            f"{wanted}: restore the original file or train again"
        )
    if tokenizer.level != config.tokenizer.level:
        raise CheckpointDamaged(
            f"{path} is of {tokenizer.level} level but {CONFIG} of {config.tokenizer.level} level: "
            f"restore the original files or train again"
        )
    return tokenizer


def read_lines_index(folder: Path) -> LineHashes | None:
    """Read the hashes of the lines a model was trained on; ``None`` if it has none.

    A model has none if its lines are no documents, if none were asked for, or if the file has been
    removed, which nothing else minds.

    Raises:
        CheckpointMissing: if there is no checkpoint or the file can't be read.
        CheckpointDamaged: if the file is truncated, altered or not that of the configuration.
    """
    origin, path = read_config(folder).provenance, folder / LINES
    if origin.lines_sha256 is None or not path.exists():
        return None
    tensors, _ = read_tensors(path, {"hashes": (origin.train_lines,)}, np.dtype(np.uint64))
    lines = LineHashes(tensors["hashes"])
    if lines_digest(lines) != origin.lines_sha256:
        raise CheckpointDamaged(
            f"{path} is not the file the weights were saved with: restore the original file or "
            f"train again"
        )
    if (lines.hashes[1:] <= lines.hashes[:-1]).any():
        raise CheckpointDamaged(f"{path} is damaged (its hashes are not in order): train again")
    return lines


def lines_digest(lines: LineHashes) -> str:
    """Return what ties ``lines.safetensors`` to the configuration that the weights are tied to."""
    return digest_of({"hashes": lines.hashes}, {})


def read_resume(
    folder: Path, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, NDArray[Any]], Progress]:
    """Read the tensors and the progress of an unfinished run.

    Raises:
        CheckpointMissing: if the run is finished, or was stopped before its first save.
        CheckpointDamaged: if the file is truncated, altered or does not fit ``shapes``.
    """
    path = folder / RESUME
    if not path.exists():
        raise nothing_to_resume_error(folder)
    tensors, metadata = read_tensors(path, shapes, metadata_bytes=_LARGEST_ADDRESSES)
    _check_hashes(folder, metadata, read_hashes(folder))
    return tensors, decode(metadata.get("progress", "").encode(), Progress, path)


def check_resumable(folder: Path, config: RunConfig) -> Progress:
    """Check that a run can go on, before its text is looked for or a network is built.

    Args:
        folder: the checkpoint.
        config: what its ``config.json`` says.

    Returns:
        How far it came.

    Raises:
        CheckpointMissing: if the run is finished, or was stopped before its first save.
        CheckpointDamaged: if a file is truncated, altered or does not fit the others.
    """
    path, weights = folder / RESUME, expected_shapes(config.model)
    if not path.exists():
        raise nothing_to_resume_error(folder)
    with open_regular_file(path) as (file, size):
        # Beside each weight there are the optimizer's numbers, and for each layer two states.
        most = _MOST_SLOTS * len(weights) + 2 * config.model.layers
        described, _ = read_header(file, size, path, most, _LARGEST_ADDRESSES)
    prefix = "weights/"
    kept = {n.removeprefix(prefix): d for n, d in described.items() if n.startswith(prefix)}
    check_shapes(path, kept, weights, np.dtype(np.float32))
    _, progress = read_resume(folder, {name: tensor.shape for name, tensor in described.items()})
    if (folder / MODEL).exists():
        read_checkpoint(folder)
    return progress


def nothing_to_resume_error(folder: Path) -> CheckpointMissing:
    """Return the error for a folder without a resume file."""
    if is_finished(folder):
        return CheckpointMissing(
            f"{folder} has nothing to resume, its training is finished: to train on, use "
            f"charlstm train CORPUS --from {folder}"
        )
    return CheckpointMissing(
        f"{folder} has nothing to resume, its training was stopped before the first save: train "
        f"again with -o {folder} --overwrite"
    )


def read_history(folder: Path) -> list[Figures]:
    """Return the evaluations of a run, oldest first; none if there is no history yet."""
    path = folder / HISTORY
    if not path.exists():
        return []
    data = read_bytes(path, _LARGEST[HISTORY])
    return [decode(line, Figures, path) for line in data.splitlines()]


def is_finished(folder: Path) -> bool:
    """Whether the run that wrote ``folder`` has ended by itself."""
    return (folder / MODEL).exists() and not (folder / RESUME).exists()


def read_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes that tie weights to the files that are written once."""
    names = (CONFIG, TOKENIZER)
    return _hashes_of(*(read_bytes(folder / name, _LARGEST[name]) for name in names))


def _hashes_of(config: bytes, tokenizer: bytes) -> dict[str, str]:
    pairs = ((CONFIG, config), (TOKENIZER, tokenizer))
    return {f"{name}_sha256": hashlib.sha256(data).hexdigest() for name, data in pairs}


def _check_hashes(folder: Path, metadata: Mapping[str, str], hashes: Mapping[str, str]) -> None:
    for name, expected in hashes.items():
        if metadata.get(name) != expected:
            raise CheckpointDamaged(
                f"{folder / name.removesuffix('_sha256')} is not the file the weights were saved "
                f"with: restore the original file or train again"
            )
