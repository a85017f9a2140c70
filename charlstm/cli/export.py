"""``charlstm export``: a trained model as one file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.options import OptionGroup, checkpoint_argument, grouped_command
from charlstm.cli.output import note, write_json, write_text
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.engine.graph import EnginePrecision

SUFFIXES = {"onnx": ".onnx", "keras": ".keras"}

options = OptionGroup()


@grouped_command(
    "export",
    "charlstm export checkpoints/names",
    "charlstm export checkpoints/shakespeare --precision int8 -o phone.onnx",
    "charlstm export checkpoints/shakespeare --format keras",
)
@checkpoint_argument()
@options.choice(
    "--format",
    "form",
    among=list(SUFFIXES),
    default="onnx",
    help="onnx: one graph of standard operators, for ONNX Runtime in any language. keras: stock "
    "layers, for keras.models.load_model; writing it loads TensorFlow.",
)
@options.output(
    kind="FILE",
    help="The file to write; default NAME.onnx or NAME.keras here.",
)
@options.choice(
    "--precision",
    among=["float32", "int8"],
    default="float32",
    help="Weights of an ONNX file: exact and any number of symbols in a call, or a quarter of the "
    "size, several times faster and one symbol a row in a call.",
)
@options.flag("--overwrite", help="Replace a file that is there.")
@options.quiet("No notes.")
@options.json("Print one JSON object instead of the file's path.")
def command(
    checkpoint: Path,
    form: str,
    output: Path | None,
    precision: EnginePrecision,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the model of CHECKPOINT as one file that needs nothing of charlstm.

    It also holds the vocabulary, as JSON: in an ONNX file under the metadata key charlstm, in a
    .keras file (a zip archive) as charlstm.json. The file's path goes to stdout.
    """
    path = output or Path(f"{checkpoint.resolve().name or 'model'}{SUFFIXES[form]}")
    _check(form, path, precision)

    from charlstm.checkpoint.reader import read_checkpoint
    from charlstm.export import check_free, export_keras, export_onnx

    check_free(path, overwrite)
    loaded = read_checkpoint(checkpoint)
    if form == "keras":
        if not quiet:
            note("loading TensorFlow, which .keras files are written with")
        export_keras(loaded, path, overwrite=overwrite)
    else:
        export_onnx(loaded, path, precision=precision, overwrite=overwrite)
    if as_json:
        facts = {"file": str(path), "format": form, "precision": precision}
        model = loaded.config.model
        write_json(facts | {"bytes": path.stat().st_size, "parameters": model.parameters})
    else:
        write_text(f"{path}\n")


def _check(form: str, path: Path, precision: EnginePrecision) -> None:
    """Refuse options that contradict each other."""
    if form == "keras" and precision != "float32":
        raise UsageError("--precision int8 is for ONNX: leave it out or choose --format onnx")
    if form == "keras" and path.suffix != ".keras":
        raise UsageError(f"Keras opens no file named {path}: let -o end in .keras")
    if form == "onnx" and path.suffix == ".keras":
        raise UsageError(f"{path} is a name for Keras: add --format keras, or let -o end in .onnx")
