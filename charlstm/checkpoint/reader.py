"""Reads and checks checkpoints, which may be hostile.

Configuration, tokenizer, weights and the state of an unfinished run are checked against the
configuration before they are used (see ``bounded`` and ``safetensors``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from charlstm.arrays import Weights
from charlstm.checkpoint.bounded import (
    damaged_error,
    decode,
    exists,
    open_regular_file,
    read_bytes,
    reason_of,
)
from charlstm.checkpoint.quantization import LEVELS, DequantizedWeights, quantized_types
from charlstm.checkpoint.safetensors import (
    TensorType,
    digest_of,
    floats,
    read_header,
    read_tensors,
)
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
    RunConfig,
    by_network,
    check_format,
    expected_shapes,
    of_networks,
)
from charlstm.errors import CheckpointDamaged, CheckpointMissing
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.storage import LARGEST_JSON, largest_json, tokenizer_from_json

if TYPE_CHECKING:
    from charlstm.corpus.line_hashes import LineHashes

# Maximum size of each file in bytes, several times what any run writes.
_LARGEST = {CONFIG: 2**25, TOKENIZER: LARGEST_JSON, HISTORY: 2**28}
# Maximum absolute weight, so that sums of products can't overflow float32. Real ones are smaller.
_LARGEST_WEIGHT = 1e12


_EXPORTED = (".onnx", ".keras")
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z")


# Reading


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and check all files that are needed to use a trained model.

    Raises:
        CheckpointMissing: if there is no checkpoint, or one of its files is missing.
        CheckpointDamaged: if a file is truncated, altered or doesn't match the others.
        CheckpointTooNew: if the format is later than ``FORMAT``.
        CheckpointError: if the weights don't fit into the memory of this machine.
    """
    config_data = _config_data(folder)
    config = _parsed_config(folder, config_data)
    tokenizer_data = read_bytes(folder / TOKENIZER, largest_json(config.model.vocab_size))
    tokenizer = _parsed_tokenizer(folder, tokenizer_data, config)
    path = folder / MODEL
    if not path.exists():
        remedy = (
            f"Continue the training with charlstm train --resume {folder}."
            if (folder / RESUME).exists()
            else f"Restore it, or train again with `output` {folder} and `overwrite`."
        )
        raise CheckpointMissing(f"{folder}: no trained weights ({MODEL} is missing). {remedy}")
    weights, backward, metadata = _read_weights(path, config)
    # The hashes are of the parsed bytes, because the files may have changed since.
    check_hashes(folder, metadata, _hashes_of(config_data, tokenizer_data))
    figures = decode(metadata.get("figures", "").encode(), Figures, path)
    return Checkpoint(folder, config, tokenizer, weights, figures, metadata["sha256"], backward)


def _read_weights(path: Path, config: RunConfig) -> tuple[Weights, Weights | None, dict[str, str]]:
    """Return the float32 weights of both networks and the metadata of ``model.safetensors``."""
    model, is_small = config.model, config.weights == "int8"
    tensors, metadata = read_tensors(
        path,
        _expected_tensors(config),
        largest=_LARGEST_WEIGHT / LEVELS if is_small else _LARGEST_WEIGHT,
        beside=4 * model.networks * model.parameters if is_small else 0,
    )
    networks: list[Weights] = [
        DequantizedWeights(own, path) if is_small else own for own in by_network(tensors)
    ]
    return networks[0], networks[1] if model.bidirectional else None, metadata


def _expected_tensors(config: RunConfig) -> dict[str, TensorType]:
    """Return the type of each tensor of ``model.safetensors`` by name."""
    if config.weights == "float32":
        return of_networks(config.model, floats(expected_shapes(config.model)))
    return quantized_types(config.model)


def read_figures(folder: Path) -> Figures:
    """Read the figures of a model without its weights (raises as ``read_checkpoint`` does)."""
    path, expected = folder / MODEL, _expected_tensors(read_config(folder))
    with open_regular_file(path) as (file, size):
        _, metadata = read_header(file, size, path, len(expected))
    return decode(metadata.get("figures", "").encode(), Figures, path)


def read_config(folder: Path) -> RunConfig:
    """Read ``config.json`` (raises as ``read_checkpoint`` does)."""
    return _parsed_config(folder, _config_data(folder))


def _config_data(folder: Path) -> bytes:
    if not exists(folder / CONFIG):
        if not exists(folder):
            raise CheckpointMissing(
                f"{folder}: no such checkpoint. Check the path, or see charlstm models."
            )
        if folder.is_file() and folder.suffix.lower() in _EXPORTED:
            raise CheckpointMissing(
                f"{folder}: an exported model, not a checkpoint. Name the checkpoint that it was "
                f"made from."
            )
        if folder.is_file() and folder.suffix.lower() in _ARCHIVES:
            raise CheckpointMissing(
                f"{folder}: an archive, not a checkpoint. Unpack it and name the folder in it."
            )
        raise CheckpointMissing(
            f"{folder}: not a checkpoint ({CONFIG} is missing). Name a folder that charlstm train "
            f"has written."
        )
    return read_bytes(folder / CONFIG, _LARGEST[CONFIG])


def _parsed_config(folder: Path, data: bytes) -> RunConfig:
    path = folder / CONFIG
    version = decode(data, _Versioned, path).format
    check_format(version, folder)
    if version == FORMAT:
        return decode(data, RunConfig, path)
    from charlstm.checkpoint.upgrade import upgraded_config

    return decode(data, RunConfig, path, partial(upgraded_config, version=version))


class _Versioned(msgspec.Struct, frozen=True):
    format: Annotated[int, msgspec.Meta(ge=1)]


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json`` (raises as ``read_checkpoint`` does)."""
    config = read_config(folder)
    data = read_bytes(folder / TOKENIZER, largest_json(config.model.vocab_size))
    return _parsed_tokenizer(folder, data, config)


def _parsed_tokenizer(folder: Path, data: bytes, config: RunConfig) -> Tokenizer:
    """Parse a tokenizer and check that it has as many ids as the network."""
    path, wanted = folder / TOKENIZER, config.model.vocab_size
    try:
        tokenizer = tokenizer_from_json(data, wanted)
    except CheckpointDamaged as error:
        raise damaged_error(path, reason_of(str(error))) from None
    if tokenizer.vocab_size != wanted:
        raise damaged_error(path, f"{tokenizer.vocab_size:,} tokens, but the model has {wanted:,}")
    if tokenizer.level != config.tokenizer.level:
        levels = tokenizer.level, config.tokenizer.level
        raise damaged_error(path, f"level {levels[0]}, but {CONFIG} has level {levels[1]}")
    return tokenizer


def read_lines_index(folder: Path) -> LineHashes | None:
    """Read the hashes of the lines that a model was trained on; ``None`` if there are none.

    There are none if lines are not documents, if the model was trained without hashes, or if the
    user has removed the file.

    Raises:
        CheckpointMissing: if there is no checkpoint, or the file can't be read.
        CheckpointDamaged: if the file is truncated, altered or belongs to another model.
    """
    origin, path = read_config(folder).provenance, folder / LINES
    if origin.lines_sha256 is None or not path.exists():
        return None
    tensors, _ = read_tensors(path, {"hashes": TensorType((origin.indexed,), np.dtype(np.uint64))})
    from charlstm.corpus.line_hashes import LineHashes

    lines = LineHashes(tensors["hashes"])
    if lines_digest(lines) != origin.lines_sha256:
        raise damaged_error(path, "not the file that the weights were saved with")
    if (lines.hashes[1:] <= lines.hashes[:-1]).any():
        raise damaged_error(path, "hashes out of order")
    return lines


def lines_digest(lines: LineHashes) -> str:
    """Return the hash of ``lines.safetensors`` as stored in the configuration."""
    return digest_of({"hashes": lines.hashes}, {})


def read_history(folder: Path) -> list[Figures]:
    """Return the evaluations of a run, oldest first; empty if there is no history yet."""
    path = folder / HISTORY
    if not path.exists():
        return []
    data = read_bytes(path, _LARGEST[HISTORY])
    return [decode(line, Figures, path) for line in data.splitlines()]


def is_finished(folder: Path) -> bool:
    """Return whether the run of a checkpoint is finished, not just interrupted.

    A run without a resume file is not finished if it should have been validated but was not. Raises
    as ``read_checkpoint`` does.
    """
    if not (folder / MODEL).exists() or (folder / RESUME).exists():
        return False
    return not read_config(folder).corpus.validates or read_figures(folder).valid_loss is not None


def read_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of ``config.json`` and ``tokenizer.json``, as stored with the weights."""
    names = (CONFIG, TOKENIZER)
    return _hashes_of(*(read_bytes(folder / name, _LARGEST[name]) for name in names))


def _hashes_of(config: bytes, tokenizer: bytes) -> dict[str, str]:
    pairs = ((CONFIG, config), (TOKENIZER, tokenizer))
    return {f"{name}_sha256": hashlib.sha256(data).hexdigest() for name, data in pairs}


def check_hashes(folder: Path, metadata: Mapping[str, str], hashes: Mapping[str, str]) -> None:
    """Check that the metadata of weights has the hashes of the files they were saved with.

    Raises:
        CheckpointDamaged: if a file has changed since.
    """
    for name, expected in hashes.items():
        if metadata.get(name) != expected:
            path = folder / name.removesuffix("_sha256")
            raise damaged_error(path, "not the file that the weights were saved with")
