"""``charlstm export``: a trained model for other programs, or smaller for this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.options import OptionGroup, checkpoint_argument, grouped_command
from charlstm.cli.output import note, write_json, write_text
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.engine.graph import EnginePrecision

# What is put after the name of a checkpoint.
SUFFIXES = {"onnx": ".onnx", "keras": ".keras", "checkpoint": "-8bit"}

options = OptionGroup()


@grouped_command(
    "export",
    "charlstm export checkpoints/names",
    "charlstm export checkpoints/shakespeare --precision int8 -o phone.onnx",
    "charlstm export checkpoints/shakespeare --format keras",
    "charlstm export checkpoints/shakespeare --format checkpoint -o shakespeare-small",
)
@checkpoint_argument(required=False)
@options.choice(
    "--format",
    "form",
    among=list(SUFFIXES),
    default="onnx",
    help="onnx: one graph of standard operators, for ONNX Runtime in any language. keras: stock "
    "layers, for keras.models.load_model; writing it loads TensorFlow. checkpoint: a folder for "
    "charlstm itself, with weights of 8 bits, a quarter of the size.",
)
@options.output(
    kind="PATH",
    help="What to write; default NAME.onnx, NAME.keras or NAME-8bit here.",
)
@options.choice(
    "--precision",
    among=["float32", "int8"],
    help="Weights of an ONNX file: exact and any number of symbols in a call (the default), or a "
    "quarter of the size, several times faster and one symbol a row in a call.",
)
@options.flag("--overwrite", help="Replace a file that is there.")
@options.quiet("No notes.")
@options.json("Print one JSON object instead of the file's path.")
def command(
    checkpoint: Path | None,
    form: str,
    output: Path | None,
    precision: EnginePrecision | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the model of CHECKPOINT as a file that needs no charlstm, or as a small checkpoint.

    A file also holds the vocabulary, as JSON: in an ONNX file under the metadata key charlstm, in a
    .keras file (a zip archive) as charlstm.json. The path goes to stdout. Without CHECKPOINT it is
    $CHARLSTM_CHECKPOINT, or the one you trained last.
    """
    from charlstm.checkpoint.names import default_checkpoint

    checkpoint = checkpoint or default_checkpoint()
    path = output or Path(f"{checkpoint.resolve().name or 'model'}{SUFFIXES[form]}")
    _check(form, path, precision)

    from charlstm.checkpoint.reader import read_checkpoint
    from charlstm.export import check_free, export_checkpoint, export_keras, export_onnx

    if form != "checkpoint":
        check_free(path, overwrite)
    loaded = read_checkpoint(checkpoint)
    if form == "checkpoint":
        export_checkpoint(loaded, path, overwrite=overwrite)
    elif form == "keras":
        if not quiet:
            note("loading TensorFlow, which .keras files are written with")
        export_keras(loaded, path, overwrite=overwrite)
    else:
        export_onnx(loaded, path, precision=precision or "float32", overwrite=overwrite)
    if as_json:
        stored = "int8" if form == "checkpoint" else precision or "float32"
        facts = {"file": str(path), "format": form, "precision": stored}
        files = path.iterdir() if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files)
        write_json(facts | {"bytes": size, "parameters": loaded.config.model.parameters})
    else:
        write_text(f"{path}\n")


def _check(form: str, path: Path, precision: EnginePrecision | None) -> None:
    """Refuse options that contradict each other."""
    possible = {"onnx": ("float32", "int8"), "keras": ("float32",), "checkpoint": ("int8",)}[form]
    if precision not in (None, *possible):
        raise UsageError(
            f"--format {form} has weights of {possible[0]} only: leave --precision {precision} out "
            f"or choose --format onnx"
        )
    if form == "keras" and path.suffix != ".keras":
        raise UsageError(f"Keras opens no file named {path}: let -o end in .keras")
    if form == "onnx" and path.suffix == ".keras":
        raise UsageError(f"{path} is a name for Keras: add --format keras, or let -o end in .onnx")
