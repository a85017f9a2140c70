"""``charlstm train``: from options to a run, and from its outcome to what is printed."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

import click

from charlstm.cli.corpus_options import (
    check_given,
    dividing_options,
    given_options,
    level_option,
    normalization_option,
)
from charlstm.cli.exit_status import exit_status
from charlstm.cli.fetching import fetch_named
from charlstm.cli.options import Number, OptionGroup, files_argument, grouped_command
from charlstm.cli.output import note, notes_of_errors
from charlstm.cli.signals import Signals

text = OptionGroup("Text")
size = OptionGroup("Size (default: from the length of the text)")
budget = OptionGroup("Budget (default: epochs, from the length of the text)")
learning = OptionGroup("Learning")
output = OptionGroup("Checkpoint and output")


@grouped_command(
    "train",
    "charlstm train my.txt --minutes 10",
    "charlstm train names.txt --lines -o checkpoints/given-names",
    "gzip -c mail.txt | gunzip | charlstm train - --level word -o checkpoints/mail",
    "charlstm train python-docs --size tiny --epochs 2",
    when_memory_is_short="choose a smaller --size, fewer --streams or a shorter --sequence-length",
)
@files_argument("[CORPUS]...", name="corpus")
@level_option(text)
@dividing_options(text)
@text.flag(
    "--no-index",
    help="Of lines, records and other parts of files, don't keep hashes of the training documents "
    "in the checkpoint. They tell new samples from copies; but whoever has the checkpoint can test "
    "whether a document was trained on.",
)
@text.decoding
@normalization_option(text)
@text.file(
    "--valid",
    multiple=True,
    help="Validate on this text instead of a part of the corpus; repeatable.",
)
@text.number(
    "--valid-fraction",
    within=Number(0, 1, max_open=True),
    metavar="FRACTION",
    default=0.1,
    help="Part of the corpus that validates: its end, or lines, paragraphs or delimited documents "
    "drawn by seed. 0: train on all of it, without early stopping, and keep the last weights.",
)
@text.count(
    "--vocab-size",
    help="Words, or pieces of words, besides characters; default 20000 words, 64 to 2000 pieces by "
    "the length of the text.",
)
@text.count(
    "--min-count",
    help="Occurrences a word needs to be in the vocabulary at word level; default 2.",
)
@size.choice(
    "--size",
    among=["auto", "tiny", "small", "medium", "large"],
    default="auto",
    help="1x128, 2x256, 2x512 or 3x1024 (layers x units).",
)
@size.count("--layers", most=64, help="LSTM layers.")
@size.count("--units", most=16384, help="Width of each layer.")
@size.count("--embedding", most=16384, help="Width of the embedding.")
@size(
    "--tie/--no-tie",
    "tie",
    default=None,
    help="Use the embedding as output projection; needs equal widths. Default: at word level.",
)
@budget.number(
    "--epochs",
    within=Number(0, 1e9, min_open=True),
    help="Read the text X times; default 8 for a million tokens, more for less (at most 60), fewer "
    "for more, at most about two hours on two cores.",
)
@budget.count("--steps", help="Take N optimizer steps.")
@budget.number(
    "--minutes",
    within=Number(0, 1e9, min_open=True),
    help="Be back after X minutes, the command's start included.",
)
@budget.count(
    "--patience",
    help="Stop after N evaluations without a better one; default a fifth of all, at least 5.",
)
@budget.count(
    "--eval-every",
    metavar="STEPS",
    help="Evaluate every so many steps; default soon after the beginning, then each epoch or ten "
    "times a run (with --minutes ten times), or less often where that would take more than a "
    "twentieth of the run.",
)
@learning.number(
    "--dropout",
    within=Number(0, 1, max_open=True),
    metavar="P",
    help="Dropout on each layer's output, and none of anything else; default by how often the text "
    "is read: up to 0.3, short texts 0.4, pieces 0.45, words 0.5.",
)
@learning.number(
    "--dropout-ramp",
    within=Number(0, 1e6),
    metavar="EPOCHS",
    help="Let dropout rise from 0 over the first readings of the text; default 4, or no "
    "rise where --dropout is given.",
)
@learning.number(
    "--learning-rate",
    within=Number(0, 1e3, min_open=True),
    help="Peak rate; default 0.008 for 48 streams of 512 units with adamw, 7 with sgd. Lower it "
    "if the loss jumps.",
)
@learning.count(
    "--warmup-steps",
    least=0,
    help="Steps of linear warm-up; default 100, but at most a tenth of the run, or 50 a minute "
    "with --minutes.",
)
@learning.number(
    "--final-rate",
    within=Number(0, 1),
    help="Rate at the end, as a share of the peak; default 0.02.",
)
@learning.number(
    "--weight-decay",
    within=Number(0, 1e3),
    help="Decoupled weight decay of AdamW and Lion; default 0.05.",
)
@learning.number(
    "--clip-norm",
    within=Number(0, 1e9, min_open=True),
    help="Clip the gradient to this global norm; default 1.0, with sgd 0.25.",
)
@learning.choice(
    "--optimizer",
    among=["adamw", "adam", "lion", "rmsprop", "sgd"],
    help="Default adamw, for words sgd (with momentum), which there learns what holds for other "
    "texts.",
)
@learning.count(
    "--streams",
    most=65536,
    help="Parallel streams, the batch; default 48, 16 for words, fewer for short texts.",
)
@learning.count(
    "--sequence-length",
    most=65536,
    help="Tokens that gradients reach back; default 32, 16 for very short texts.",
)
@learning.choice(
    "--precision",
    among=["auto", "float32", "bfloat16"],
    help="Number type of matrix products; default auto: bfloat16 where the processor has it.",
)
@learning.seed(
    default=1,
    help="Determines weights, batches, dropout and drawn lines; with --from, the model's own seed "
    "draws the lines.",
)
@output.output(
    kind="FOLDER",
    help="Where the checkpoint goes; default checkpoints/NAME, NAME-2 and so on.",
)
@output.flag("--overwrite", help="Replace a checkpoint that -o already holds.")
@output.checkpoint("--resume", help="Go on with an interrupted run; takes no other setting.")
@output.checkpoint(
    "--from",
    "from_checkpoint",
    help="Start from a trained model; new symbols are added. On the text it was trained on, "
    "training goes on.",
)
@output.flag(
    "--dry-run",
    help="Check all that a run would, say what it would do, and stop: nothing is written.",
)
@output.count(
    "--sample-every",
    least=0,
    help="Show a short sample after the first evaluation and every Nth after it; default about "
    "five times a run, 0 never.",
)
@output.number(
    "--save-every",
    within=Number(0, min_open=True),
    metavar="SECONDS",
    help="Save what --resume needs at least so often; default 60 seconds, or longer where saves "
    "would take more than a fiftieth of the time.",
)
@output.count("--threads", most=1024, help="Processor threads; default all.")
@output.quiet("No progress and no notes, only warnings.")
@output.json("Print one JSON object at the end instead of the checkpoint's path.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Train a language model on CORPUS and save it as a checkpoint.

    CORPUS is one or more files, folders, glob patterns, - for standard input, a name from charlstm
    corpora, or python-docs, a text that comes with Python; .gz, .bz2, .xz and .zst are read
    through, and of a table each record is a document. Size, regularization and
    budget are chosen from the length of the text. Ctrl-C saves; --resume goes on.

    The checkpoint's path goes to stdout, all else to stderr.
    """
    from charlstm.training.options import request_of

    chosen = given_options(ctx, besides=("corpus", "quiet", "as_json", "dry_run"))
    check_given(ctx, options["corpus"], chosen)
    say = None if options["quiet"] else note
    with Signals() as signals, notes_of_errors(quiet=options["quiet"]):
        from charlstm.cli.train_report import OtherReport, TrainReport
        from charlstm.distributed.workers import workers_in_environment
        from charlstm.training.run import rehearse_run, train_run

        with workers_in_environment(_kind(options), say) as workers:
            shown = {"quiet": options["quiet"], "as_json": options["as_json"]}
            report = workers.observer(TrainReport(signals, **shown), OtherReport(signals, **shown))
            fetch_named(options["corpus"], quiet=options["quiet"])
            request = request_of(options["corpus"], chosen)
            with contextlib.closing(report):
                if options["dry_run"]:
                    report.show_plan(rehearse_run(request, report, began=ctx.obj, workers=workers))
                    return
                run, result = train_run(request, report, began=ctx.obj, workers=workers)
            report.show_result(run, result, workers)
            if result.stop_reason == "interrupted":
                # A worker that no signal came to has been asked by another one.
                raise click.exceptions.Exit(exit_status(signals.number or signal.SIGTERM))


def _kind(options: dict[str, Any]) -> str:
    """Return the command as far as it decides what workers tell each other."""
    kinds = {"resume": "--resume", "from_checkpoint": "--from", "dry_run": "--dry-run"}
    return " ".join(["charlstm train", *(kinds[name] for name in kinds if options[name])])
