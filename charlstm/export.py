"""Export a checkpoint as an ONNX file, a ``.keras`` file, a Keras model or a small checkpoint.

ONNX and ``.keras`` files can be used without charlstm. The network consists of standard operators
or stock layers, and a description in the file says how text becomes ids. They contain the forward
network only, and nothing about where the training text came from. A small checkpoint contains
everything that the original does.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from charlstm.api.arguments import suggesting
from charlstm.checkpoint.folder import create_checkpoint, lock_folder
from charlstm.checkpoint.names import find_checkpoint, holds_checkpoint
from charlstm.checkpoint.quantization import quantize_weights
from charlstm.checkpoint.reader import (
    read_checkpoint,
    read_history,
    read_lines_index,
)
from charlstm.checkpoint.schema import FORMAT as CHECKPOINT_FORMAT
from charlstm.checkpoint.schema import RESUME, Checkpoint, joined
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import ModelConfig
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

# The version of the description. 2 added ``division`` and ``normalize``, 3 added ``merges``. Fields
# of ``model`` are added without a new version, because the file itself has the network.
FORMAT = 4
METADATA = "charlstm"  # the key of the description in the metadata of an ONNX file
DESCRIPTION = "charlstm.json"  # the name of the description in a .keras file

ONNX_USAGE = """\
A language model written by charlstm: an LSTM network that predicts the next token.
Inputs: ids int64 [{time}, batch]; state float32 [{states}, batch, {units}], each layer's hidden
state, then each layer's cell state, zeros at the start of a text.{window}
Outputs: logits float32 [{time}, batch, {vocab_size}] of the token after each id; {new_states}.
Every text begins with the id {end_of_document}, which ends a document. The metadata
"charlstm" is JSON; its vocabulary contains the text of each id."""
_WINDOW_USAGE = """
Further inputs for its attention: window {kind} [batch, {reach}, {units}], the last outputs of the
top layer; filled float32 [batch, 1], how many of them are of this text. Both are zeros at its
start."""


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a program needs to turn text into ids and back, ready for JSON.

    ``vocabulary[id]`` is the text of an id. If ``normalize`` is ``nfc``, normalize texts first. At
    word and subword level, the words of a text are the matches of ``token_pattern`` (in the syntax
    of Python's re module, with DOTALL).

    At word level, a word that is not in the vocabulary becomes ``begin_spelling``, its characters
    and ``end_spelling``; a single character becomes ``unknown``. At subword level, a word is first
    divided into the ids of its characters. Then, as long as any pair of ``merges`` occurs, the
    first such pair is replaced by the id of its joined text.
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
        "model": checkpoint.config.model.replace(bidirectional=False),
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
    """Write the graph that charlstm itself runs, with the description in its metadata.

    Args:
        checkpoint: the model.
        path: the file to write.
        precision: the precision of the weights. With ``"int8"``, a call takes one token per row.
        overwrite: whether to replace an existing file.

    Raises:
        CheckpointExists: if ``path`` exists and ``overwrite`` is false, or is not a regular file.
        ConfigError: if the model is too large for ONNX.
        StorageError: if the file can't be written.
    """
    check_free(path, overwrite)
    model = checkpoint.config.model
    usage = _onnx_usage(model, precision)
    metadata = {METADATA: msgspec.json.encode(describe(checkpoint)).decode()}
    graph = build_graph(model, checkpoint.weights, precision, description=usage, metadata=metadata)
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(graph)


def _onnx_usage(model: ModelConfig, precision: EnginePrecision) -> str:
    """Return a description of the inputs and outputs of a graph."""
    kind = "float32" if precision == "float32" else "uint8"
    window = _WINDOW_USAGE.format(kind=kind, reach=model.attention, units=model.units)
    return ONNX_USAGE.format(
        time="time" if precision == "float32" else 1,
        states=2 * model.layers,
        units=model.units,
        vocab_size=model.vocab_size,
        window=window if model.attention else "",
        new_states="new_state, new_window, new_filled" if model.attention else "new_state",
        end_of_document=END_OF_DOCUMENT,
    )


def export_checkpoint(checkpoint: Checkpoint, folder: Path, *, overwrite: bool = False) -> None:
    """Write a checkpoint with 8-bit weights, a quarter of the size. Every command can use it.

    Its figures are those of the original checkpoint. The hashes of lines and the history are
    copied.

    Args:
        checkpoint: the model.
        folder: the folder to write.
        overwrite: whether to replace an existing checkpoint.

    Raises:
        CheckpointExists: if ``folder`` is not a folder, or contains a checkpoint and ``overwrite``
            is false.
        CheckpointMissing: if the run of the checkpoint is not complete.
        ConfigError: if ``folder`` is that of the checkpoint itself.
        StorageError: if a file can't be written.
    """
    if folder.resolve() == checkpoint.folder.resolve():
        raise ConfigError(
            f"{folder}: this is the checkpoint to export. Choose another name with `output`."
        )
    if folder.exists() and not folder.is_dir():
        raise CheckpointExists(f"{folder}: not a folder. Choose another name with `output`.")
    if not overwrite and holds_checkpoint(folder):
        raise CheckpointExists(_taken(folder))
    if (checkpoint.folder / RESUME).exists():
        raise CheckpointMissing(
            f"{checkpoint.folder}: the run is unfinished. Run charlstm train --resume "
            f"{checkpoint.folder} first."
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
    weights = joined(checkpoint.weights, checkpoint.backward)
    stored = quantize_weights(config.model, weights)
    with (
        lock_folder(folder),
        create_checkpoint(folder, config, checkpoint.tokenizer, lines, overwrite=overwrite),
    ):
        writer = CheckpointWriter(folder)
        writer.model(stored, checkpoint.figures)
        writer.history(history)


@suggesting()
def load_keras_model(path: str | Path) -> keras.Model:
    """Return a Keras model of stock layers with the weights of a checkpoint.

    Inputs: token ids int32 [batch, time] and, for each layer, h and c float32 [batch, units].
    Outputs: logits float32 [batch, time, vocab_size] and the states after the last token, in the
    same order. Start every document with zero states. Imports TensorFlow.

    A model with attention looks back within a call only: the outputs that it attends to are not
    among the states. Give it each document in one call.

    Args:
        path: a checkpoint folder or a name, as for ``charlstm.load``.

    Raises:
        CheckpointError: if the checkpoint can't be read.
    """
    from charlstm.network.model import plain_keras_model

    checkpoint = read_checkpoint(find_checkpoint(path))
    return plain_keras_model(checkpoint.config.model, checkpoint.weights)


def export_keras(checkpoint: Checkpoint, path: Path, *, overwrite: bool = False) -> None:
    """Write a ``.keras`` file of stock layers. The description is a file in this archive.

    ``keras.models.load_model`` opens it without charlstm. The docstring of
    ``charlstm.load_keras_model`` describes its inputs and outputs. Imports TensorFlow.

    Args:
        checkpoint: the model.
        path: the file to write. Its name must end in ``.keras``, as Keras requires.
        overwrite: whether to replace an existing file.

    Raises:
        CheckpointExists: if ``path`` exists and ``overwrite`` is false, or is not a regular file.
        ConfigError: if the name of ``path`` does not end in ``.keras``.
        StorageError: if the file can't be written.
    """
    check_free(path, overwrite)
    if path.suffix != ".keras":
        raise ConfigError(f"{path}: the name of a Keras file must end in .keras.")

    from charlstm.network.model import plain_keras_model

    network = plain_keras_model(checkpoint.config.model, checkpoint.weights)
    with replaced_atomically(path, ".keras") as temporary:
        network.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(DESCRIPTION, msgspec.json.encode(describe(checkpoint)))


def check_free(path: Path, overwrite: bool) -> None:
    """Check that a file may be written.

    Raises:
        CheckpointExists: if ``path`` is not a regular file, or exists and ``overwrite`` is false.
    """
    if str(path) == "-" or (path.exists() and not path.is_file()):
        raise CheckpointExists(f"{path}: not a regular file. Choose another name with `output`.")
    if path.exists() and not overwrite:
        raise CheckpointExists(_taken(path))


def _taken(path: Path) -> str:
    kind = "folder contains a checkpoint" if path.is_dir() else "file exists"
    return f"{path}: the {kind}. Replace it with `overwrite`, or choose another name with `output`."
