"""A trained model on disk: one folder of safetensors and JSON, data and never code.

    config.json         format version, every setting, provenance; written once
    tokenizer.json      written once
    lines.safetensors   hashes of the training lines, where lines are documents; written once
    model.safetensors   the best weights; figures, hashes and a digest in its metadata
    history.jsonl       one line per evaluation
    resume.safetensors  all that a run needs to go on; removed when the run is finished
    stdin.txt           the text that came through a pipe, as long as the run may need it

What changes together is one file, and every file is written atomically, so a reader or a crash at
any moment finds an old or a new state that is whole. Whatever is read is checked against the
configuration before it is used. This module does not know how weights come about or are run.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
from charlstm.errors import (
    CharlstmError,
    CheckpointBusy,
    CheckpointDamaged,
    CheckpointExists,
    CheckpointMissing,
    CheckpointTooNew,
    StorageError,
)
from charlstm.files import locked, replaced_atomically, storage_errors, write_atomically
from charlstm.novelty import LineHashes
from charlstm.tokenizer import Tokenizer, tokenizer_from_json

FORMAT = 1

# Where checkpoints go, and are looked for, unless another folder is named.
CHECKPOINTS = Path("checkpoints")

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
MODEL = "model.safetensors"
HISTORY = "history.jsonl"
RESUME = "resume.safetensors"
STDIN = "stdin.txt"
LINES = "lines.safetensors"
FILES = (RESUME, MODEL, HISTORY, STDIN, CONFIG, TOKENIZER, LINES)

Weights = Mapping[str, NDArray[np.float32]]
Json = TypeVar("Json")


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model comes from: its text, in numbers and hashes, and when it was begun.

    ``train_lines`` and ``lines_sha256`` tell how many hashes ``lines.safetensors`` holds and which.
    """

    corpus_sha256: str
    sources: tuple[str, ...]
    documents: int
    characters: int
    train_tokens: int
    valid_tokens: int
    valid_characters: int
    valid_words: int
    created: str
    parent: str | None = None
    train_lines: int = 0
    lines_sha256: str | None = None


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of ``config.json``."""

    format: int
    charlstm: str
    corpus: CorpusConfig
    tokenizer: TokenizerConfig
    model: ModelConfig
    train: TrainConfig
    provenance: Provenance


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One evaluation. Losses are nats per token; ``None`` before the first evaluation."""

    step: int
    epoch: float
    tokens: int
    seconds: float
    learning_rate: float
    train_loss: float | None = None
    valid_loss: float | None = None
    valid_bits_per_character: float | None = None
    valid_perplexity: float | None = None
    valid_word_perplexity: float | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a run has come; with the tensors beside it, all it needs to go on.

    Attributes:
        step: steps taken.
        seconds: since the command began, over all its resumptions.
        first_step_at: of these, how many were over when the first step was done.
        learning_rate: of the last step.
        train_loss_sum: of the steps since the last evaluation.
        train_loss_steps: how many those are.
        best: the figures of the weights that are kept.
        waited: evaluations since then.
        evaluated: the step of the last evaluation; ``None`` in files that don't tell it, which
            were written only after an evaluation was complete.
    """

    step: int
    seconds: float
    first_step_at: float = 0.0
    learning_rate: float = 0.0
    train_loss_sum: float = 0.0
    train_loss_steps: int = 0
    best: Figures | None = None
    waited: int = 0
    evaluated: int | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read and found sound; ``sha256`` is of its weights and figures."""

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    weights: Weights
    figures: Figures
    sha256: str


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight; names are ``layer/weight`` as in stock Keras."""
    gates = 4 * config.units
    shapes: dict[str, tuple[int, ...]] = {
        "embedding/embeddings": (config.vocab_size, config.embedding)
    }
    for layer in range(config.layers):
        shapes[f"lstm_{layer}/kernel"] = (config.input_width(layer), gates)
        shapes[f"lstm_{layer}/recurrent_kernel"] = (config.units, gates)
        shapes[f"lstm_{layer}/bias"] = (gates,)
    if not config.tied:
        shapes["output/kernel"] = (config.units, config.vocab_size)
    shapes["output/bias"] = (config.vocab_size,)
    return shapes


# Reading


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and check everything that is needed to use a trained model.

    Raises:
        CheckpointMissing: if there is no checkpoint or a file of it is missing.
        CheckpointDamaged: if a file is truncated, altered or does not fit the others.
        CheckpointTooNew: if it has a later format.
    """
    config, tokenizer = read_config(folder), read_tokenizer(folder)
    path = folder / MODEL
    if not path.exists():
        remedy = (
            f"go on with its training, charlstm train --resume {folder}"
            if (folder / RESUME).exists()
            else f"restore the file or train again with -o {folder} --overwrite"
        )
        raise CheckpointMissing(f"{folder} holds no trained weights ({MODEL} is missing): {remedy}")
    tensors, metadata = _read_tensors(path, expected_shapes(config.model))
    _check_hashes(folder, metadata)
    if tokenizer.vocab_size != config.model.vocab_size:
        raise CheckpointDamaged(
            f"{folder / TOKENIZER} has {tokenizer.vocab_size} symbols but the model has "
            f"{config.model.vocab_size}: restore the original file or train again"
        )
    figures = _decode(metadata.get("figures", "").encode(), Figures, path)
    return Checkpoint(folder, config, tokenizer, tensors, figures, metadata["sha256"])


def read_config(folder: Path) -> RunConfig:
    """Read ``config.json`` (for the errors see ``read_checkpoint``)."""
    if not (folder / CONFIG).exists():
        if not folder.exists():
            raise CheckpointMissing(f"there is no checkpoint {folder}: check the path")
        raise CheckpointMissing(
            f"{folder} is not a checkpoint ({CONFIG} is missing): name a folder that "
            f"charlstm train has written"
        )
    path = folder / CONFIG
    data = _read_bytes(path)
    version = _decode(data, _Versioned, path).format
    if version > FORMAT:
        raise CheckpointTooNew(
            f"{folder} has checkpoint format {version} and this charlstm reads up to {FORMAT}: "
            f"upgrade charlstm"
        )
    return _decode(data, RunConfig, path)


class _Versioned(msgspec.Struct, frozen=True):
    format: Annotated[int, msgspec.Meta(ge=1)]


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json`` (for the errors see ``read_checkpoint``)."""
    path = folder / TOKENIZER
    try:
        return tokenizer_from_json(_read_bytes(path))
    except CheckpointDamaged as error:
        raise CheckpointDamaged(f"{path}: {error}") from None


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
    tensors, _ = _read_tensors(path, {"hashes": (origin.train_lines,)}, np.dtype(np.uint64))
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
    return _digest({"hashes": lines.hashes}, {})


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
        raise nothing_to_resume(folder)
    tensors, metadata = _read_tensors(path, shapes)
    _check_hashes(folder, metadata)
    return tensors, _decode(metadata.get("progress", "").encode(), Progress, path)


def nothing_to_resume(folder: Path) -> CheckpointMissing:
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
    return [_decode(line, Figures, path) for line in _read_bytes(path).splitlines()]


def is_finished(folder: Path) -> bool:
    """Whether the run that wrote ``folder`` has ended by itself."""
    return (folder / MODEL).exists() and not (folder / RESUME).exists()


def read_hashes(folder: Path) -> dict[str, str]:
    """Return the hashes that tie weights to the files that are written once."""
    return {
        f"{name}_sha256": hashlib.sha256(_read_bytes(folder / name)).hexdigest()
        for name in (CONFIG, TOKENIZER)
    }


def _check_hashes(folder: Path, metadata: Mapping[str, str]) -> None:
    for name, expected in read_hashes(folder).items():
        if metadata.get(name) != expected:
            raise CheckpointDamaged(
                f"{folder / name.removesuffix('_sha256')} is not the file the weights were saved "
                f"with: restore the original file or train again"
            )


def _check_regular(path: Path) -> None:
    """Refuse pipes and devices, which would be waited for without end."""
    if path.exists() and not path.is_file():
        raise CheckpointMissing(
            f"can't read {path}: it is not a regular file; restore the original or train again"
        )


def _read_bytes(path: Path) -> bytes:
    _check_regular(path)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CheckpointMissing(
            f"{path} is missing: restore it or train again, a checkpoint needs all its files"
        ) from None
    except OSError as error:
        raise CheckpointMissing(
            f"can't read {path}: {error.strerror}; make the file readable"
        ) from None


def _decode(data: bytes, kind: type[Json], path: Path) -> Json:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, CharlstmError, UnicodeError, RecursionError) as error:
        reason = str(error).rstrip(".").replace("`", "'")
        raise CheckpointDamaged(
            f"{path} is damaged ({reason}): restore the original file or train again"
        ) from None


def _read_tensors(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: np.dtype[Any] = np.dtype(np.float32),  # noqa: B008 (immutable)
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a safetensors file that must hold just ``shapes``, of one type, and match its digest."""
    from safetensors import SafetensorError, safe_open

    _check_regular(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            _check_shapes(path, {key: file.get_slice(key) for key in file.keys()}, shapes, dtype)  # noqa: SIM118
            tensors = {key: file.get_tensor(key) for key in shapes}
    except PermissionError as error:
        raise CheckpointMissing(
            f"can't read {path}: {error.strerror}; make the file readable"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointDamaged(
            f"{path} is damaged ({str(error).splitlines()[0]}): restore the original file or "
            f"train again"
        ) from None
    signature = metadata.pop("sha256", "")
    if signature != _digest(tensors, metadata):
        raise CheckpointDamaged(
            f"{path} has been altered, its content does not match its sha256: restore the "
            f"original file or train again"
        )
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise CheckpointDamaged(f"{path}: {name} holds NaN or infinite weights: train again")
    metadata["sha256"] = signature
    return tensors, metadata


def _check_shapes(
    path: Path,
    found: Mapping[str, Any],
    expected: Mapping[str, tuple[int, ...]],
    dtype: np.dtype[Any],
) -> None:
    kind = _kind(dtype)
    for name in sorted(found.keys() ^ expected.keys()):
        what = "lacks" if name in expected else "has an unexpected"
        raise CheckpointDamaged(
            f"{path} {what} tensor {name}: it doesn't fit {CONFIG}; restore the original files "
            f"or train again"
        )
    for name, shape in expected.items():
        actual = tuple(found[name].get_shape())
        if actual != shape or found[name].get_dtype() != kind:
            raise CheckpointDamaged(
                f"{path}: {name} has shape {list(actual)} and type {found[name].get_dtype()} but "
                f"{CONFIG} asks for {list(shape)} and {kind}: restore the original files or "
                f"train again"
            )


def _digest(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    """Return the sha256 of the metadata and of every tensor, with names and shapes."""
    digest = hashlib.sha256(msgspec.json.encode(dict(sorted(metadata.items()))))
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(np.asarray(tensor, order="C").data)
    return digest.hexdigest()


# Writing


def holds_checkpoint(folder: Path) -> bool:
    """Whether any file of a checkpoint, finished or not, stands in ``folder``."""
    return any((folder / name).exists() for name in FILES)


def taken(folder: Path) -> CheckpointExists:
    """Return the error for a folder that already holds a checkpoint."""
    return CheckpointExists(
        f"{folder} already holds a checkpoint: choose another folder with -o, continue it with "
        f"--resume {folder}, or replace it with --overwrite"
    )


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep ``folder``, made if need be, for the run of this process alone.

    If the body fails, the folders that were made are removed again, as far as they are empty.

    Raises:
        CheckpointBusy: if another process trains into it.
        StorageError: if the file system refuses.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with locked(folder) as is_ours:
            if not is_ours:
                raise _busy(folder)
            yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()
        raise


def check_idle(folder: Path) -> None:
    """Raise ``CheckpointBusy`` if another process trains into ``folder`` now."""
    if folder.is_dir():
        with locked(folder) as is_idle:
            if not is_idle:
                raise _busy(folder)


def _busy(folder: Path) -> CheckpointBusy:
    return CheckpointBusy(
        f"another process is training into {folder}: let it end or stop it, or choose another "
        f"folder with -o"
    )


@contextlib.contextmanager
def created(
    folder: Path,
    config: RunConfig,
    tokenizer: Tokenizer,
    lines: LineHashes | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[None]:
    """Begin a checkpoint in a folder that has been ``claimed``: write what never changes.

    If the body fails, whatever was written is removed again, so that no run leaves a checkpoint
    that can be neither used nor resumed.

    Raises:
        CheckpointExists: if ``folder`` holds a checkpoint and ``overwrite`` is false.
        StorageError: if the file system refuses.
    """
    if holds_checkpoint(folder) and not overwrite:
        raise taken(folder)
    try:
        _remove_files(folder)
        write_atomically(folder / TOKENIZER, tokenizer.to_json())
        write_atomically(folder / CONFIG, _pretty(config))
        if lines is not None:
            _write_tensors(folder / LINES, {"hashes": lines.hashes}, {})
        yield
    except BaseException:
        with contextlib.suppress(OSError, StorageError):
            _remove_files(folder)
        raise


def _remove_files(folder: Path) -> None:
    with storage_errors(folder):
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    remove_leftovers(folder)


def write_model(
    folder: Path, weights: Weights, figures: Figures, hashes: Mapping[str, str] | None = None
) -> None:
    """Replace the best weights and the figures they reached, as one file.

    Args:
        folder: the checkpoint.
        weights: by name, float32.
        figures: what they reached.
        hashes: what ``read_hashes`` returned when the run began; by default it is asked now.
    """
    metadata = {"figures": msgspec.json.encode(figures).decode()}
    _write_tensors(folder / MODEL, weights, {**metadata, **(hashes or read_hashes(folder))})


def write_resume(
    folder: Path,
    tensors: Mapping[str, NDArray[Any]],
    progress: Progress,
    hashes: Mapping[str, str] | None = None,
) -> None:
    """Replace the state that an interrupted run goes on from (for ``hashes`` see write_model)."""
    metadata = {"progress": msgspec.json.encode(progress).decode()}
    _write_tensors(folder / RESUME, tensors, {**metadata, **(hashes or read_hashes(folder))})


def write_history(folder: Path, history: Iterable[Figures]) -> None:
    """Replace the history."""
    lines = b"".join(msgspec.json.encode(figures) + b"\n" for figures in history)
    write_atomically(folder / HISTORY, lines)


def finish(folder: Path) -> None:
    """Remove what only an unfinished run needs."""
    with storage_errors(folder):
        (folder / RESUME).unlink(missing_ok=True)
        (folder / STDIN).unlink(missing_ok=True)
    remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that a process left behind when it was killed in a save."""
    with storage_errors(folder):
        for name in FILES:
            for leftover in folder.glob(f".{name}.*.tmp"):
                leftover.unlink(missing_ok=True)


def _write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write a signed safetensors file without a copy of the tensors, which may be large."""
    arrays = {name: _little_endian(tensor) for name, tensor in sorted(tensors.items())}
    signed = {**metadata, "sha256": _digest(arrays, metadata)}
    header: dict[str, Any] = {"__metadata__": signed}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        offsets = {"shape": array.shape, "data_offsets": (start, end)}
        header[name] = {"dtype": _kind(array.dtype), **offsets}
    encoded = msgspec.json.encode(header)
    encoded += b" " * (-len(encoded) % 8)
    with replaced_atomically(path) as temporary, temporary.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for array in arrays.values():
            file.write(array.data)


def _little_endian(tensor: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(tensor, tensor.dtype.newbyteorder("<"), order="C")


def _kind(dtype: np.dtype[Any]) -> str:
    """Return the name that safetensors has for a type of numbers: F32, U64."""
    return f"{dtype.kind.upper()}{8 * dtype.itemsize}"


def _pretty(config: RunConfig) -> bytes:
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def free_folder(parent: Path, name: str) -> Path:
    """Return ``parent/name``, or the first of ``name-2``, ``name-3``... that is not there yet."""
    candidates = (parent / (name if n == 1 else f"{name}-{n}") for n in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())
