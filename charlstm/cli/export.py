"""``charlstm export``: write a trained model for other programs, or as a smaller checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.options import OptionGroup, checkpoint_argument, grouped_command
from charlstm.cli.output import note, write_json, write_path
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.engine.graph import EnginePrecision

# Appended to the name of the checkpoint.
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
    help="Format to write. onnx is a graph of standard operators for ONNX Runtime. keras is a "
    "model of stock layers for keras.models.load_model, and loads TensorFlow. checkpoint is a "
    "checkpoint with 8-bit weights, a quarter of the size.",
)
@options.output(
    kind="PATH",
    show_default="NAME.onnx, NAME.keras or NAME-8bit",
    help="File to write, or folder for --format checkpoint.",
)
@options.choice(
    "--precision",
    among=["float32", "int8"],
    show_default="float32",
    help="Weights of an ONNX file. float32 is exact and takes any number of tokens per call. int8 "
    "is a quarter of the size and several times faster, but takes one token per row and call.",
)
@options.flag("--overwrite", help="Replace the output if it exists.")
@options.quiet()
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
    """Export CHECKPOINT to a file that works without charlstm, or to a smaller checkpoint.

    The file also contains the vocabulary as JSON: an ONNX file under the metadata key charlstm, a
    .keras file (a zip archive) in charlstm.json. The path is printed to stdout.

    CHECKPOINT defaults to $CHARLSTM_CHECKPOINT, or to the newest checkpoint in checkpoints/.
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
    if loaded.backward is not None and form != "checkpoint" and not quiet:
        note("Note: the backward network is not exported.")
    if form == "checkpoint":
        export_checkpoint(loaded, path, overwrite=overwrite)
    elif form == "keras":
        note("Loading TensorFlow to write the .keras file.")
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
        write_path(path)


def _check(form: str, path: Path, precision: EnginePrecision | None) -> None:
    """Check that options don't contradict each other."""
    possible = {"onnx": ("float32", "int8"), "keras": ("float32",), "checkpoint": ("int8",)}[form]
    if precision not in (None, *possible):
        raise UsageError(
            f"--format {form} can't be combined with --precision {precision}: its weights are "
            f"always {possible[0]}."
        )
    if form == "keras" and path.suffix != ".keras":
        raise UsageError(f"{path}: Keras only opens files whose names end in .keras.")
    if form == "onnx" and path.suffix == ".keras":
        raise UsageError(f"{path}: a .keras file needs --format keras.")
