"""A trained model on disk: one folder of safetensors and JSON, data and never code.

    config.json         format version, every setting, provenance; written once
    tokenizer.json      written once
    lines.safetensors   hashes of the training lines, where lines are documents; written once
    model.safetensors   the best weights; figures, hashes and a digest in its metadata
    history.jsonl       one line per evaluation
    resume.safetensors  all that a run needs to go on, the full addresses of its text included;
                        removed when the run is finished
    stdin.txt           the text that came through a pipe, as long as the run may need it

What changes together is one file, and every file is written atomically, so a reader or a crash at
any moment finds an old or a new state that is whole.

A checkpoint may come from anybody. Whatever is read is checked against the configuration before it
is used (see ``untrusted`` and ``tensors``). This module does not know how weights come about or are
run.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.bounded import decode, opened, read_bytes, stands
from charlstm.checkpoint.safetensors import (
    CONFIG,
    Natural,
    check_shapes,
    digest_of,
    read_header,
    read_tensors,
    write_tensors,
)
from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.errors import (
    CheckpointBusy,
    CheckpointDamaged,
    CheckpointExists,
    CheckpointMissing,
    CheckpointTooNew,
    StorageError,
    harmless,
)
from charlstm.system.files import locked, storage_errors, write_atomically
from charlstm.tokenizer.base import LARGEST_JSON, Tokenizer, largest_json, tokenizer_from_json

# From the first release on, every change of what is written raises it: an older charlstm then says
# that it is too old, and not that a file is damaged.
# Format 2: the full addresses of the text stand in the resume file, no longer in ``config.json``.
FORMAT = 2

# Where checkpoints go, and are looked for, unless another folder is named.
CHECKPOINTS = Path("checkpoints")

TOKENIZER = "tokenizer.json"
MODEL = "model.safetensors"
HISTORY = "history.jsonl"
RESUME = "resume.safetensors"
STDIN = "stdin.txt"
LINES = "lines.safetensors"
FILES = (RESUME, MODEL, HISTORY, STDIN, CONFIG, TOKENIZER, LINES)
# Where a checkpoint that is being overwritten lies until the new one can be resumed.
REPLACED = ".replaced"

# Bytes that files may have; several times what any run writes.
_LARGEST = {CONFIG: 2**25, TOKENIZER: LARGEST_JSON, HISTORY: 2**28}
# Bytes of addresses in a resume file: a text may be named by as many files as a command takes.
_LARGEST_ADDRESSES = 2**25
# Sizes of weights up to which no sum of products overflows float32; far beyond any that learn.
_LARGEST_WEIGHT = 1e15
_MOST_SLOTS = 4  # numbers that are kept for each weight, itself included; no optimizer has more

Weights = Mapping[str, NDArray[np.float32]]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model comes from: its text, in numbers and hashes, and when it was begun.

    ``sources`` and ``parent`` are names to show, not paths (see ``addresses.display_name``).
    ``train_lines`` and ``lines_sha256`` tell how many hashes ``lines.safetensors`` holds and which.
    """

    corpus_sha256: str
    sources: tuple[str, ...]
    documents: Natural
    characters: Natural
    train_tokens: Natural
    valid_tokens: Natural
    valid_characters: Natural
    valid_words: Natural
    created: str
    parent: str | None = None
    train_lines: Natural = 0
    lines_sha256: str | None = None


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of ``config.json``.

    Of the text's addresses it holds what may be shown; those that the text is found by are in
    ``Progress``. In format 1 they are here.
    """

    format: int
    charlstm: str
    corpus: CorpusConfig
    tokenizer: TokenizerConfig
    model: ModelConfig
    train: TrainConfig
    provenance: Provenance


class Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One evaluation. Losses are nats per token; ``None`` before the first evaluation."""

    step: Natural
    epoch: float
    tokens: Natural
    seconds: float
    learning_rate: float
    train_loss: float | None = None
    valid_loss: float | None = None
    valid_bits_per_character: float | None = None
    valid_perplexity: float | None = None
    valid_word_perplexity: float | None = None


class Progress(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How far a run has come; with the tensors beside it, all it needs to go on.

    Attributes:
        step: steps taken.
        seconds: since the command began, over all its resumptions.
        first_step_at: of these, how many were over when the first step was done.
        done: the share of the budget that was used when the last step began.
        learning_rate: of the last step.
        train_loss_sum: of the steps since the last evaluation.
        train_loss_steps: how many those are.
        best: the figures of the weights that are kept.
        waited: evaluations since then.
        evaluation_seconds: how long the last one took.
        evaluated: the step of the last evaluation, 0 before the first; ``None`` in files that
            don't tell it, which were written only after an evaluation was complete.
        corpus: where the text is found; ``None`` in format 1, whose ``config.json`` tells.
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
    corpus: CorpusConfig | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read and found sound; ``sha256`` is of its weights and figures."""

    folder: Path
    config: RunConfig
    tokenizer: Tokenizer
    weights: Weights
    figures: Figures
    sha256: str

    def __repr__(self) -> str:
        return f"<Checkpoint {self.summary}>"

    @property
    def summary(self) -> str:
        """One line: the folder, the level, layers x units, and how well it predicts."""
        model, bits = self.config.model, self.figures.valid_bits_per_character
        reached = "not validated" if bits is None else f"{bits:.4f} bits per character"
        size = f"{model.layers}x{model.units}"
        return f"{harmless(str(self.folder))}: {self.config.tokenizer.level}, {size}, {reached}"


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
    if not stands(folder / CONFIG):
        if not stands(folder):
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
        raise nothing_to_resume(folder)
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
        raise nothing_to_resume(folder)
    with opened(path) as (file, size):
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
    with _removed_on_failure(made), storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as is_ours:
        if not is_ours:
            raise _busy(folder)
        with _removed_on_failure(made):
            yield


@contextlib.contextmanager
def _removed_on_failure(folders: Iterable[Path]) -> Iterator[None]:
    """Remove folders, as far as they are empty, if the body fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in folders:
                path.rmdir()
        raise


def check_idle(folder: Path) -> None:
    """Raise ``CheckpointBusy`` if another process trains into ``folder`` now."""
    if folder.is_dir():
        with locked(folder, shared=True) as is_idle:
            if not is_idle:
                raise _busy(folder)


def _busy(folder: Path) -> CheckpointBusy:
    return CheckpointBusy(
        f"another process is training into {folder}: let it end or stop it, or train into another "
        f"folder"
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
    that can be neither used nor resumed, and what was to be overwritten is there as before.

    Raises:
        CheckpointExists: if ``folder`` holds a checkpoint and ``overwrite`` is false.
        StorageError: if the file system refuses.
    """
    if holds_checkpoint(folder) and not overwrite:
        raise taken(folder)
    try:
        _set_aside(folder)
        write_atomically(folder / TOKENIZER, tokenizer.to_json())
        write_atomically(folder / CONFIG, _pretty(config))
        if lines is not None:
            write_tensors(folder / LINES, {"hashes": lines.hashes}, {})
        yield
    except BaseException:
        with contextlib.suppress(OSError, StorageError):
            _remove_files(folder)
            _move(folder / REPLACED, folder)
            (folder / REPLACED).rmdir()
        raise
    _discard(folder / REPLACED)


def _set_aside(folder: Path) -> None:
    """Move an old checkpoint out of the way; one that a killed run had set aside stays there."""
    aside = folder / REPLACED
    with storage_errors(folder):
        if holds_checkpoint(folder) and not aside.exists():
            aside.mkdir()
            _move(folder, aside)
    _remove_files(folder)


def _move(folder: Path, target: Path) -> None:
    """Move the files of a checkpoint from one folder into another on the same file system."""
    for name in FILES:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).replace(target / name)


def _discard(aside: Path) -> None:
    """Remove what was set aside."""
    with contextlib.suppress(OSError):
        for name in FILES:
            (aside / name).unlink(missing_ok=True)
        aside.rmdir()


def _remove_files(folder: Path) -> None:
    with storage_errors(folder):
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
    remove_leftovers(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that a process left behind when it was killed in a save."""
    with storage_errors(folder):
        for name in FILES:
            for leftover in folder.glob(f".{name}.*.tmp"):
                leftover.unlink(missing_ok=True)


def _pretty(config: RunConfig) -> bytes:
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def free_folder(parent: Path, name: str) -> Path:
    """Return ``parent/name``, or the first of ``name-2``, ``name-3``... that is not there yet."""
    candidates = (parent / (name if n == 1 else f"{name}-{n}") for n in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())
