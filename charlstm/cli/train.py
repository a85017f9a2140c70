"""``charlstm train``: from options to a run, and from its outcome to what is printed."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.options import (
    Number,
    complete_checkpoints,
    complete_files,
    decoding_options,
    group_of,
    grouped_command,
    json_option,
)
from charlstm.cli.output import note
from charlstm.cli.signals import Signals, exit_status
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.training.options import TrainOptions

text = group_of("Text")
size = group_of("Size (default: from the length of the text)")
budget = group_of("Budget (default: epochs, from the length of the text)")
learning = group_of("Learning")
place = group_of("Checkpoint and output")


@grouped_command(
    "train",
    "charlstm train my.txt --minutes 10",
    "charlstm train names.txt --lines -o checkpoints/given-names",
    "gzip -c mail.txt | gunzip | charlstm train - --level word -o checkpoints/mail",
    "charlstm train python-docs --size tiny --epochs 2",
    when_memory_is_short="choose a smaller --size, fewer --streams or a shorter --sequence-length",
)
@click.argument("corpus", nargs=-1, shell_complete=complete_files)
@text(
    "--level",
    type=click.Choice(["char", "word"]),
    default="char",
    show_default=True,
    help="Predict characters, or words (rare ones are spelled). Words suit prose of a megabyte "
    "and more; characters suit everything else.",
)
@text(
    "--lines",
    is_flag=True,
    help="Each line is a document of its own (names, titles, log lines); default: each file is.",
)
@text(
    "--no-index",
    is_flag=True,
    help="With --lines, don't keep hashes of the training lines in the checkpoint. They tell new "
    "samples from copies; but whoever has the checkpoint can test whether a line was trained on.",
)
@decoding_options(text)
@text(
    "--valid",
    multiple=True,
    shell_complete=complete_files,
    metavar="FILE",
    help="Validate on this text instead of a part of the corpus; repeatable.",
)
@text(
    "--valid-fraction",
    type=Number(0, 1, min_open=True, max_open=True),
    metavar="FRACTION",
    default=0.1,
    show_default=True,
    help="Part of the corpus that validates: its end, or lines drawn by seed.",
)
@text(
    "--vocab-size",
    type=click.IntRange(1),
    metavar="N",
    help="Words in the vocabulary at word level; default 20000. Lower it for speed.",
)
@text(
    "--min-count",
    type=click.IntRange(1),
    metavar="N",
    help="Occurrences a word needs to be in the vocabulary at word level; default 2.",
)
@size(
    "--size",
    type=click.Choice(["auto", "tiny", "small", "medium", "large"]),
    default="auto",
    show_default=True,
    help="1x128, 2x256, 2x512 or 3x1024 (layers x units).",
)
@size("--layers", type=click.IntRange(1, 64), metavar="N", help="LSTM layers.")
@size("--units", type=click.IntRange(1, 16384), metavar="N", help="Width of each layer.")
@size("--embedding", type=click.IntRange(1, 16384), metavar="N", help="Width of the embedding.")
@size(
    "--tie/--no-tie",
    "tie",
    default=None,
    help="Use the embedding as output projection; needs equal widths. Default: at word level.",
)
@budget(
    "--epochs",
    type=Number(0, 1e9, min_open=True),
    metavar="X",
    help="Read the text X times; default 8 for a million tokens, more for less (at most 60).",
)
@budget("--steps", type=click.IntRange(1), metavar="N", help="Take N optimizer steps.")
@budget(
    "--minutes",
    type=Number(0, 1e9, min_open=True),
    metavar="X",
    help="Be back after X minutes, the command's start included.",
)
@budget(
    "--patience",
    type=click.IntRange(1),
    metavar="N",
    help="Stop after N evaluations without a better one; default a fifth of all, at least 5.",
)
@budget(
    "--eval-every",
    type=click.IntRange(1),
    metavar="STEPS",
    help="Evaluate every so many steps; default each epoch, ten times a run at least; with "
    "--minutes ten times, or less often where that would take more than a twentieth of the time.",
)
@learning(
    "--dropout",
    type=Number(0, 1, max_open=True),
    metavar="P",
    help="Dropout on each layer's output; default 0.3, 0.5 for words and short texts, reached in "
    "the first readings of the text. Raise it when the run says that it overfits.",
)
@learning(
    "--dropout-ramp",
    type=Number(0, 1e6),
    metavar="EPOCHS",
    help="Let dropout rise from 0 over the first readings of the text; default 4, or no "
    "rise where --dropout is given.",
)
@learning(
    "--learning-rate",
    type=Number(0, 1e3, min_open=True),
    metavar="X",
    help="Peak rate; default 0.008 for 48 streams of 512 units with adamw, 7 with sgd. Lower it "
    "if the loss jumps.",
)
@learning(
    "--warmup-steps",
    type=click.IntRange(0),
    metavar="N",
    help="Steps of linear warm-up; default 100, but at most a tenth of the run, or 50 a minute "
    "with --minutes.",
)
@learning(
    "--final-rate",
    type=Number(0, 1),
    metavar="X",
    help="Rate at the end, as a share of the peak; default 0.02.",
)
@learning(
    "--weight-decay",
    type=Number(0, 1e3),
    metavar="X",
    help="Decoupled weight decay of AdamW and Lion; default 0.05.",
)
@learning(
    "--clip-norm",
    type=Number(0, 1e9, min_open=True),
    metavar="X",
    help="Clip the gradient to this global norm; default 1.0, with sgd 0.25.",
)
@learning(
    "--optimizer",
    type=click.Choice(["adamw", "adam", "lion", "rmsprop", "sgd"]),
    help="Default adamw, for words sgd (with momentum), which there learns what holds for other "
    "texts.",
)
@learning(
    "--streams",
    type=click.IntRange(1, 65536),
    metavar="N",
    help="Parallel streams, the batch; default 48, 16 for words, fewer for short texts.",
)
@learning(
    "--sequence-length",
    type=click.IntRange(1, 65536),
    metavar="N",
    help="Tokens that gradients reach back; default 32, 16 for very short texts.",
)
@learning(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    help="Number type of matrix products; default auto: bfloat16 where the processor has it.",
)
@learning(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    metavar="N",
    default=1,
    show_default=True,
    help="Determines weights, batches, dropout and drawn lines.",
)
@place(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the checkpoint goes; default checkpoints/NAME, NAME-2 and so on.",
)
@place("--overwrite", is_flag=True, help="Replace a checkpoint that -o already holds.")
@place(
    "--resume",
    type=click.Path(path_type=Path),
    shell_complete=complete_checkpoints,
    metavar="CHECKPOINT",
    help="Go on with an interrupted run; takes no other setting.",
)
@place(
    "--from",
    "from_checkpoint",
    type=click.Path(path_type=Path),
    shell_complete=complete_checkpoints,
    metavar="CHECKPOINT",
    help="Fine-tune a trained model on this corpus; new symbols are added.",
)
@place("--dry-run", is_flag=True, help="Say what would be done and stop.")
@place(
    "--sample-every",
    type=click.IntRange(0),
    metavar="N",
    help="Show a short sample after every Nth evaluation; default five times a run, 0 never.",
)
@place(
    "--save-every",
    type=Number(0, min_open=True),
    metavar="SECONDS",
    help="Save what --resume needs at least so often; default 60 seconds, or longer where saves "
    "would take more than a fiftieth of the time.",
)
@place(
    "--threads", type=click.IntRange(1, 1024), metavar="N", help="Processor threads; default all."
)
@place("-q", "--quiet", is_flag=True, help="No progress and no notes, only warnings.")
@json_option(place, "Print one JSON object at the end instead of the checkpoint's path.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Train a language model on CORPUS and save it as a checkpoint.

    CORPUS is one or more files, folders, glob patterns, - for standard input, or python-docs, a
    text that comes with Python; .gz, .bz2, .xz and .zst are read through. Size, regularization and
    budget are chosen from the length of the text. Ctrl-C saves; --resume goes on.

    The checkpoint's path goes to stdout, all else to stderr.
    """
    from charlstm.training.options import request_of

    chosen = _chosen(ctx, options)
    _check(ctx, options["corpus"], chosen)
    say = None if options["quiet"] else note
    with Signals() as signals:
        from charlstm.cli.train_report import OtherReport, TrainReport
        from charlstm.distributed.workers import workers_in_environment
        from charlstm.training.run import train_run
        from charlstm.training.setup import prepared_run

        with workers_in_environment(_kind(options), say) as workers:
            shown = {"quiet": options["quiet"], "as_json": options["as_json"]}
            report = workers.observer(TrainReport(signals, **shown), OtherReport(signals, **shown))
            request = request_of(options["corpus"], chosen)
            if options["dry_run"]:
                with prepared_run(request, workers) as run:
                    report.on_plan(run)
                report.show_plan(run)
                return
            with contextlib.closing(report):
                run, result = train_run(request, report, began=ctx.obj, workers=workers)
            report.show_result(run, result, workers)
            if result.stop_reason == "interrupted":
                # A worker that no signal came to has been asked by another one.
                raise click.exceptions.Exit(exit_status(signals.number or signal.SIGTERM))


def _kind(options: dict[str, Any]) -> str:
    """Return the command as far as it decides what workers tell each other."""
    kinds = {"resume": "--resume", "from_checkpoint": "--from", "dry_run": "--dry-run"}
    return " ".join(["charlstm train", *(kinds[name] for name in kinds if options[name])])


def _chosen(ctx: click.Context, options: dict[str, Any]) -> TrainOptions:
    """Return what was given on the command line, but for what says only how to show it."""
    shown = ("corpus", "quiet", "as_json", "dry_run")
    return {  # type: ignore[return-value]
        name: value
        for name, value in options.items()
        if name not in shown
        and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }


def _check(ctx: click.Context, corpus: tuple[str, ...], options: TrainOptions) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: if some do, or nothing is to be trained on.
    """
    from charlstm.training.options import check_options

    class CommandLine:
        """Options as they are written on the command line."""

        output = ("-o", "-o FOLDER")

        def name(self, option: str) -> str:
            if option == "corpus":
                return "CORPUS"
            return next(p.opts[-1] for p in ctx.command.params if p.name == option)

        def setting(self, option: str, value: object) -> str:
            return self.name(option) if value is True else f"{self.name(option)} {value}"

    if "resume" not in options and not corpus:
        raise UsageError(
            "no corpus is named: name files, folders, - for standard input, or python-docs "
            "(see charlstm train --help)"
        )
    check_options(options, has_corpus=bool(corpus), spelling=CommandLine())
