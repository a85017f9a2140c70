"""``charlstm plot``: plot the training and validation loss of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.options import OptionGroup, checkpoints_argument, grouped_command
from charlstm.cli.output import write_json, write_path, write_text
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.curves import Axis

options = OptionGroup()


@grouped_command(
    "plot",
    "charlstm plot checkpoints/shakespeare",
    "charlstm plot checkpoints/shakespeare checkpoints/names --over minutes",
    "charlstm plot checkpoints/shakespeare --json | python3 -m json.tool",
)
@checkpoints_argument()
@options.choice(
    "--over",
    among=["steps", "epochs", "minutes"],
    default="steps",
    help="Unit of the horizontal axis.",
)
@options.output(
    kind="FILE",
    show_default="a plot in the terminal",
    help="Picture to write, .svg or .png. Needs matplotlib.",
)
@options.flag("--overwrite", help="Replace the output if it exists.")
@options.quiet()
@options.json("Print one JSON object per run, with its points.")
def command(
    checkpoints: tuple[Path, ...],
    over: Axis,
    output: Path | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Plot the training and validation loss of one or more runs.

    Runs with the same tokenizer are compared in nats per token, others in bits per character.

    CHECKPOINT defaults to $CHARLSTM_CHECKPOINT, or to the newest checkpoint in checkpoints/.
    """
    if as_json and output:
        raise UsageError("--json can't be combined with -o.")
    if overwrite and not output:
        raise UsageError("--overwrite needs -o FILE.")

    from charlstm.checkpoint.names import default_checkpoint
    from charlstm.curves import check_picture, draw_text, read_curve, write_picture

    if output:
        check_picture(output, overwrite=overwrite)
    curves = [read_curve(folder, over) for folder in checkpoints or (default_checkpoint(),)]
    if as_json:
        for curve in curves:
            write_json(
                {
                    "checkpoint": curve.name,
                    over: curve.x,
                    "train_loss": curve.train,
                    "valid_loss": curve.valid,
                    "backward_valid_loss": curve.backward,
                    "best": curve.best,
                }
            )
    elif output:
        write_picture(curves, over, output, overwrite=overwrite)
        write_path(output)
    else:
        import shutil

        size = shutil.get_terminal_size((80, 24))
        write_text(draw_text(curves, over, max(20, min(size.columns, 120))))
