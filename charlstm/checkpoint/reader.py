"""Reads and checks checkpoints, which may be hostile.

A folder goes in; configuration, tokenizer, weights and the state of an unfinished run come out.
Everything is checked against the configuration before it is used (see ``bounded`` and
``safetensors``). This module does not know how weights are trained or run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from charlstm.arrays import Weights
from charlstm.checkpoint.bounded import decode, exists, open_regular_file, read_bytes
from charlstm.checkpoint.quantization import LEVELS, dequantize_weights, quantized_types
from charlstm.checkpoint.safetensors import (
    TensorType,
    digest_of,
    floats,
    read_header,
    read_tensors,
    too_large_error,
)
from charlstm.checkpoint.schema import (
    CONFIG,
    HISTORY,
    LINES,
    MODEL,
    RESUME,
    TOKENIZER,
    Checkpoint,
    Figures,
    RunConfig,
    check_format,
    expected_shapes,
)
from charlstm.checkpoint.upgrade import upgraded_config
from charlstm.corpus.line_hashes import LineHashes
from charlstm.errors import CheckpointDamaged, CheckpointMissing
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.storage import LARGEST_JSON, largest_json, tokenizer_from_json

# The most bytes of each file; several times what any run writes.
_LARGEST = {CONFIG: 2**25, TOKENIZER: LARGEST_JSON, HISTORY: 2**28}
# The largest absolute weight: sums of products can't overflow float32. Trained ones are smaller.
_LARGEST_WEIGHT = 1e15


_EXPORTED = (".onnx", ".keras")
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z")


# Reading


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and check all files that using a trained model needs.

    Raises:
        CheckpointMissing: if there is no checkpoint or one of its files is missing.
        CheckpointDamaged: if a file is truncated, altered or does not fit the others.
        CheckpointTooNew: if its format is later than ``FORMAT``.
        CheckpointError: if it is larger than the memory of this machine.
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
    weights, metadata = _read_weights(path, config)
    # The hashes are of the bytes that were parsed: the files may have changed since.
    check_hashes(folder, metadata, _hashes_of(config_data, tokenizer_data))
    figures = decode(metadata.get("figures", "").encode(), Figures, path)
    return Checkpoint(folder, config, tokenizer, weights, figures, metadata["sha256"])


def _read_weights(path: Path, config: RunConfig) -> tuple[Weights, dict[str, str]]:
    """Return the weights, float32, and the metadata of ``model.safetensors``."""
    expected = _expected_tensors(config)
    if config.weights == "float32":
        return read_tensors(path, expected, largest=_LARGEST_WEIGHT)
    tensors, metadata = read_tensors(
        path, expected, largest=_LARGEST_WEIGHT / LEVELS, beside=4 * config.model.parameters
    )
    try:
        return dequantize_weights(tensors), metadata
    except MemoryError:
        raise too_large_error(path, 4 * config.model.parameters) from None


def _expected_tensors(config: RunConfig) -> dict[str, TensorType]:
    """Return the type of each tensor of ``model.safetensors`` by its name."""
    if config.weights == "float32":
        return floats(expected_shapes(config.model))
    return quantized_types(config.model)


def read_figures(folder: Path) -> Figures:
    """Read the figures of a model without its weights (for the errors see ``read_checkpoint``)."""
    path, expected = folder / MODEL, _expected_tensors(read_config(folder))
    with open_regular_file(path) as (file, size):
        _, metadata = read_header(file, size, path, len(expected))
    return decode(metadata.get("figures", "").encode(), Figures, path)


def read_config(folder: Path) -> RunConfig:
    """Read ``config.json`` (for the errors see ``read_checkpoint``)."""
    return _parsed_config(folder, _config_data(folder))


def _config_data(folder: Path) -> bytes:
    if not exists(folder / CONFIG):
        if not exists(folder):
            raise CheckpointMissing(
                f"there is no checkpoint {folder}: check the path, or see charlstm models"
            )
        if folder.is_file() and folder.suffix.lower() in _EXPORTED:
            raise CheckpointMissing(
                f"{folder} is an exported model, for other programs: name the checkpoint that it "
                f"was made from"
            )
        if folder.is_file() and folder.suffix.lower() in _ARCHIVES:
            raise CheckpointMissing(
                f"{folder} is an archive: unpack it and name the folder that was in it"
            )
        raise CheckpointMissing(
            f"{folder} is not a checkpoint ({CONFIG} is missing): name a folder that "
            f"charlstm train has written"
        )
    return read_bytes(folder / CONFIG, _LARGEST[CONFIG])


def _parsed_config(folder: Path, data: bytes) -> RunConfig:
    path = folder / CONFIG
    version = decode(data, _Versioned, path).format
    check_format(version, folder)
    return decode(data, RunConfig, path, partial(upgraded_config, version=version))


class _Versioned(msgspec.Struct, frozen=True):
    format: Annotated[int, msgspec.Meta(ge=1)]


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json`` (for the errors see ``read_checkpoint``)."""
    config = read_config(folder)
    data = read_bytes(folder / TOKENIZER, largest_json(config.model.vocab_size))
    return _parsed_tokenizer(folder, data, config)


def _parsed_tokenizer(folder: Path, data: bytes, config: RunConfig) -> Tokenizer:
    """Parse a tokenizer, which must have as many ids as the network."""
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
    """Read the hashes of the lines of a model's text; ``None`` if there are none.

    There are none if its lines are not documents, if it was trained without them, or if the file
    has been removed, which is allowed.

    Raises:
        CheckpointMissing: if there is no checkpoint or the file can't be read.
        CheckpointDamaged: if the file is truncated, altered or that of another model.
    """
    origin, path = read_config(folder).provenance, folder / LINES
    if origin.lines_sha256 is None or not path.exists():
        return None
    tensors, _ = read_tensors(path, {"hashes": TensorType((origin.indexed,), np.dtype(np.uint64))})
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
    """Return the hash of ``lines.safetensors`` that is stored in the configuration."""
    return digest_of({"hashes": lines.hashes}, {})


def read_history(folder: Path) -> list[Figures]:
    """Return the evaluations of a run, oldest first; empty if there is no history yet."""
    path = folder / HISTORY
    if not path.exists():
        return []
    data = read_bytes(path, _LARGEST[HISTORY])
    return [decode(line, Figures, path) for line in data.splitlines()]


def is_finished(folder: Path) -> bool:
    """Whether the run of a checkpoint is finished, and not only interrupted."""
    return (folder / MODEL).exists() and not (folder / RESUME).exists()


def read_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of the files written once, which the files of weights contain."""
    names = (CONFIG, TOKENIZER)
    return _hashes_of(*(read_bytes(folder / name, _LARGEST[name]) for name in names))


def _hashes_of(config: bytes, tokenizer: bytes) -> dict[str, str]:
    pairs = ((CONFIG, config), (TOKENIZER, tokenizer))
    return {f"{name}_sha256": hashlib.sha256(data).hexdigest() for name, data in pairs}


def check_hashes(folder: Path, metadata: Mapping[str, str], hashes: Mapping[str, str]) -> None:
    """Check that metadata of weights has the hashes of the files they were saved with.

    Raises:
        CheckpointDamaged: if a file is another one now.
    """
    for name, expected in hashes.items():
        if metadata.get(name) != expected:
            raise CheckpointDamaged(
                f"{folder / name.removesuffix('_sha256')} is not the file the weights were saved "
                f"with: restore the original file or train again"
            )
