"""A checkpoint as one file for other programs: ONNX for any language, ``.keras`` for Keras.

The files need nothing of charlstm: the graph is in standard operators or stock layers, and a
description beside it says how text becomes ids. Nothing of where the text came from goes along.
This module does not know how models are trained or sampled.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import msgspec

from charlstm.checkpoint.schema import Checkpoint
from charlstm.engine.graph import EnginePrecision, build_graph
from charlstm.errors import CheckpointExists, ConfigError
from charlstm.system.files import replaced_atomically
from charlstm.tokenizer.base import (
    BEGIN_SPELLING,
    END_OF_DOCUMENT,
    END_SPELLING,
    UNKNOWN,
    Tokenizer,
)
from charlstm.tokenizer.segmentation import TOKEN_PATTERN
from charlstm.version import __version__

# Of the description; the key of an ONNX file's metadata and the name within a .keras file.
FORMAT = 1
METADATA = "charlstm"
DESCRIPTION = "charlstm.json"

ONNX_USAGE = """\
A language model written by charlstm: an LSTM network that predicts the next symbol.
Inputs: ids int64 [{time}, batch]; state float32 [{states}, batch, {units}], each layer's hidden
state, then each layer's cell state, zeros at the start of a text.
Outputs: logits float32 [{time}, batch, {vocab_size}] of the symbol after each id; new_state.
Every text begins with the id {end_of_document}, the end of the text before it. The metadata
"charlstm" is JSON: its vocabulary holds the text of each id."""


def describe(found: Checkpoint) -> dict[str, Any]:
    """Return what a program must know to turn text into ids and back, for JSON.

    ``vocabulary[id]`` is an id's text. At word level the matches of ``token_pattern`` (in Python's
    syntax, the dot matching newlines) are the tokens of a text; one that is not in the vocabulary
    is ``begin_spelling``, its characters, ``end_spelling``, or if it is one character ``unknown``.
    """
    tokenizer = found.tokenizer
    return {
        "format": FORMAT,
        "charlstm": __version__,
        "level": tokenizer.level,
        "lines": found.config.corpus.lines,
        "token_pattern": TOKEN_PATTERN if tokenizer.level == "word" else None,
        "reserved": _reserved(tokenizer),
        "vocabulary": tokenizer.pieces,
        "model": found.config.model,
    }


def _reserved(tokenizer: Tokenizer) -> dict[str, int]:
    ids = {"end_of_document": END_OF_DOCUMENT, "unknown": UNKNOWN}
    spelling = {"begin_spelling": BEGIN_SPELLING, "end_spelling": END_SPELLING}
    return ids | spelling if tokenizer.spells else ids


def export_onnx(
    found: Checkpoint,
    path: Path,
    *,
    precision: EnginePrecision = "float32",
    overwrite: bool = False,
) -> None:
    """Write the graph that charlstm itself runs, with its description in the file's metadata.

    Raises:
        CheckpointExists: if ``path`` is there and ``overwrite`` is false.
        ConfigError: if the model is too large for the format.
        StorageError: if the file system refuses.
    """
    check_free(path, overwrite)
    model = found.config.model
    usage = ONNX_USAGE.format(
        time="time" if precision == "float32" else 1,
        states=2 * model.layers,
        units=model.units,
        vocab_size=model.vocab_size,
        end_of_document=END_OF_DOCUMENT,
    )
    metadata = {METADATA: msgspec.json.encode(describe(found)).decode()}
    graph = build_graph(model, found.weights, precision, description=usage, metadata=metadata)
    with replaced_atomically(path) as temporary:
        temporary.write_bytes(graph)


def export_keras(found: Checkpoint, path: Path, *, overwrite: bool = False) -> None:
    """Write a ``.keras`` file of stock layers, with its description as ``charlstm.json`` within.

    It opens with plain ``keras.models.load_model``; for inputs and outputs see
    ``charlstm.load_keras_model``. TensorFlow is imported.

    Raises:
        CheckpointExists: if ``path`` is there and ``overwrite`` is false.
        ConfigError: if the name of ``path`` does not end in ``.keras``, as Keras asks for.
        StorageError: if the file system refuses.
    """
    check_free(path, overwrite)
    if path.suffix != ".keras":
        raise ConfigError(f"{path}: Keras opens no file of this name, let it end in .keras")

    from charlstm.network.model import plain_keras_model

    network = plain_keras_model(found.config.model, found.weights)
    with replaced_atomically(path, ".keras") as temporary:
        network.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(DESCRIPTION, msgspec.json.encode(describe(found)))


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse a file that is there, unless it may be replaced.

    Raises:
        CheckpointExists: if it is.
    """
    if str(path) == "-" or (path.exists() and not path.is_file()):
        raise CheckpointExists(f"{path} is no regular file: choose another name with -o")
    if path.exists() and not overwrite:
        raise CheckpointExists(
            f"{path} is there already: choose another name with -o, or replace it with --overwrite"
        )
