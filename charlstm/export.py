"""A checkpoint for others: a file, ONNX or ``.keras``, a Keras model, or a small checkpoint.

The files need no charlstm: the network consists of standard operators or stock layers, and a
description in the file says how text becomes ids. They contain no trace of where the training text
came from; a small checkpoint, which is for charlstm, has all that the large one tells of it. This
module does not know how models are trained or sampled.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from charlstm.checkpoint.folder import create_checkpoint, lock_folder
from charlstm.checkpoint.names import find_checkpoint, holds_checkpoint
from charlstm.checkpoint.quantization import quantize_weights
from charlstm.checkpoint.reader import (
    is_finished,
    read_checkpoint,
    read_history,
    read_lines_index,
)
from charlstm.checkpoint.schema import FORMAT as CHECKPOINT_FORMAT
from charlstm.checkpoint.schema import Checkpoint
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.corpus.sources import display_name
from charlstm.engine.graph import EnginePrecision, build_graph
from charlstm.errors import CheckpointExists, CheckpointMissing, ConfigError
from charlstm.system.files import replaced_atomically
from charlstm.tokenizer.base import (
    BEGIN_SPELLING,
    END_OF_DOCUMENT,
    END_SPELLING,
    UNKNOWN,
    Tokenizer,
)
from charlstm.tokenizer.segmentation import TOKEN_PATTERNS
from charlstm.version import __version__

if TYPE_CHECKING:
    import keras

# Of the description. Format 2: ``division`` and ``normalize``; format 3: ``merges``.
FORMAT = 4
METADATA = "charlstm"  # its key in the metadata of an ONNX file
DESCRIPTION = "charlstm.json"  # its name within a .keras file

ONNX_USAGE = """\
A language model written by charlstm: an LSTM network that predicts the next symbol.
Inputs: ids int64 [{time}, batch]; state float32 [{states}, batch, {units}], each layer's hidden
state, then each layer's cell state, zeros at the start of a text.
Outputs: logits float32 [{time}, batch, {vocab_size}] of the symbol after each id; new_state.
Every text begins with the id {end_of_document}, the end of the text before it. The metadata
"charlstm" is JSON: its vocabulary holds the text of each id."""


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a program must know to turn text into ids and back, ready for JSON.

    ``vocabulary[id]`` is the text of an id. If ``normalize`` is ``nfc``, texts are composed first.
    At word and subword level the words of a text are the matches of ``token_pattern`` (in Python's
    syntax, with a dot that matches newlines). At word level, one that is not in the vocabulary
    becomes ``begin_spelling``, its characters, ``end_spelling``; if it is one character,
    ``unknown``. At subword level, a word is the ids of its characters, in which the first pair of
    ``merges`` that occurs is replaced by the id of its joined text, until none occurs.
    """
    tokenizer, division = checkpoint.tokenizer, checkpoint.config.corpus.division
    return {
        "format": FORMAT,
        "charlstm": __version__,
        "level": tokenizer.level,
        "lines": division.are_lines,
        "division": {
            "unit": division.unit,
            "delimiter": division.delimiter,
            "columns": division.columns,
        },
        "normalize": checkpoint.config.corpus.normalize,
        "token_pattern": TOKEN_PATTERNS[tokenizer.segmentation] if tokenizer.joins_spaces else None,
        "reserved": _reserved(tokenizer),
        "vocabulary": tokenizer.pieces,
        "merges": tokenizer.merges,
        "model": checkpoint.config.model,
    }


def _reserved(tokenizer: Tokenizer) -> dict[str, int]:
    ids = {"end_of_document": END_OF_DOCUMENT, "unknown": UNKNOWN}
    spelling = {"begin_spelling": BEGIN_SPELLING, "end_spelling": END_SPELLING}
    return ids | spelling if tokenizer.spells else ids


def export_onnx(
    checkpoint: Checkpoint,
    path: Path,
    *,
    precision: EnginePrecision = "float32",
    overwrite: bool = False,
) -> None:
    """Write the graph that charlstm itself runs, with its description in the metadata.

    Args:
        checkpoint: the model.
        path: the file to write.
        precision: of the weights; with ``"int8"`` a call takes one token per row.
        overwrite: whether ``path`` may exist; it is then replaced.

    Raises:
        CheckpointExists: if ``path`` exists and ``overwrite`` is false, or is no regular file.
        ConfigError: if the model is too large for the format.
        StorageError: if the file can't be written.
    """
    check_free(path, overwrite)
    model = checkpoint.config.model
    usage = ONNX_USAGE.format(
        time="time" if precision == "float32" else 1,
        states=2 * model.layers,
        units=model.units,
        vocab_size=model.vocab_size,
        end_of_document=END_OF_DOCUMENT,
    )
    metadata = {METADATA: msgspec.json.encode(describe(checkpoint)).decode()}
    graph = build_graph(model, checkpoint.weights, precision, description=usage, metadata=metadata)
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(graph)


def export_checkpoint(checkpoint: Checkpoint, folder: Path, *, overwrite: bool = False) -> None:
    """Write a checkpoint whose weights have 8 bits, a quarter of the size, for every command.

    The figures are those of the model that it is made from; the hashes of its lines and its history
    come with it.

    Args:
        checkpoint: the model.
        folder: where to write it.
        overwrite: whether to replace a checkpoint that ``folder`` holds.

    Raises:
        CheckpointExists: if ``folder`` is no folder, or holds a checkpoint and ``overwrite`` is
            false.
        CheckpointMissing: if the run of the checkpoint is not finished.
        ConfigError: if ``folder`` is that of the checkpoint itself.
        StorageError: if it can't be written.
    """
    if folder.resolve() == checkpoint.folder.resolve():
        raise ConfigError(f"{folder} is the checkpoint itself: choose another folder with -o")
    if folder.exists() and not folder.is_dir():
        raise CheckpointExists(f"{folder} is no folder: choose another name with -o")
    if not overwrite and holds_checkpoint(folder):
        raise CheckpointExists(_taken(folder))
    if not is_finished(checkpoint.folder):
        raise CheckpointMissing(
            f"the run of {checkpoint.folder} is not finished: end it with charlstm train --resume "
            f"{checkpoint.folder}"
        )
    history, lines = read_history(checkpoint.folder), read_lines_index(checkpoint.folder)
    corpus = checkpoint.config.corpus
    config = msgspec.structs.replace(
        checkpoint.config,
        format=CHECKPOINT_FORMAT,
        weights="int8",
        corpus=corpus.replace(  # format 1 has full addresses
            addresses=tuple(map(display_name, corpus.addresses)),
            valid=tuple(map(display_name, corpus.valid)),
        ),
    )
    stored = quantize_weights(config.model, checkpoint.weights)
    with (
        lock_folder(folder),
        create_checkpoint(folder, config, checkpoint.tokenizer, lines, overwrite=overwrite),
    ):
        writer = CheckpointWriter(folder)
        writer.model(stored, checkpoint.figures)
        writer.history(history)


def load_keras_model(path: str | Path) -> keras.Model:
    """Return a Keras model of stock layers with the weights of a checkpoint.

    Inputs: token ids int32 [batch, time] and, for each layer, h and c float32 [batch, units].
    Outputs: logits float32 [batch, time, vocab_size] and the states after the last token, in the
    same order. Every document starts from zero states. Imports TensorFlow.

    Raises:
        CheckpointError: if the checkpoint can't be read.
    """
    from charlstm.network.model import plain_keras_model

    checkpoint = read_checkpoint(find_checkpoint(path))
    return plain_keras_model(checkpoint.config.model, checkpoint.weights)


def export_keras(checkpoint: Checkpoint, path: Path, *, overwrite: bool = False) -> None:
    """Write a ``.keras`` file of stock layers, which contains the description as a file.

    ``keras.models.load_model`` opens it without charlstm; ``charlstm.load_keras_model`` describes
    its inputs and outputs. Imports TensorFlow.

    Args:
        checkpoint: the model.
        path: the file to write; its name must end in ``.keras``, as Keras demands.
        overwrite: whether ``path`` may exist; it is then replaced.

    Raises:
        CheckpointExists: if ``path`` exists and ``overwrite`` is false, or is no regular file.
        ConfigError: if the name of ``path`` does not end in ``.keras``.
        StorageError: if the file can't be written.
    """
    check_free(path, overwrite)
    if path.suffix != ".keras":
        raise ConfigError(f"{path}: Keras opens no file of this name, let it end in .keras")

    from charlstm.network.model import plain_keras_model

    network = plain_keras_model(checkpoint.config.model, checkpoint.weights)
    with replaced_atomically(path, ".keras") as temporary:
        network.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(DESCRIPTION, msgspec.json.encode(describe(checkpoint)))


def check_free(path: Path, overwrite: bool) -> None:
    """Check that a file may be written.

    Raises:
        CheckpointExists: if ``path`` is no regular file, or exists and ``overwrite`` is false.
    """
    if str(path) == "-" or (path.exists() and not path.is_file()):
        raise CheckpointExists(f"{path} is no regular file: choose another name with -o")
    if path.exists() and not overwrite:
        raise CheckpointExists(_taken(path))


def _taken(path: Path) -> str:
    return f"{path} is there already: choose another name with -o, or replace it with --overwrite"
