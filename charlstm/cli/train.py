"""``charlstm train``: turns options into a run, and prints its result."""

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
from charlstm.cli.kinds import Number
from charlstm.cli.options import OptionGroup, files_argument, grouped_command
from charlstm.cli.output import note, notes_of_errors
from charlstm.cli.signals import Signals

text = OptionGroup("Text")
validation = OptionGroup("Validation")
size = OptionGroup("Network (default: chosen by the length of the text)")
budget = OptionGroup("Length of training (default: epochs chosen by the length of the text)")
learning = OptionGroup("Optimization")
checkpoint = OptionGroup("Checkpoint")
output = OptionGroup("Output")


@grouped_command(
    "train",
    "charlstm train my.txt --minutes 10",
    "charlstm train names.txt --lines -o checkpoints/given-names",
    "gzip -c mail.txt | gunzip | charlstm train - --level word -o checkpoints/mail",
    "charlstm train python-docs --size tiny --epochs 2",
    when_memory_is_short="Lower --size, --streams or --sequence-length.",
)
@files_argument("[CORPUS]...", name="corpus")
@level_option(text)
@dividing_options(text)
@text.flag(
    "--no-index",
    help="Don't store hashes of documents (lines, records) in the checkpoint. generate --novel "
    "needs them, but they let anybody who has the checkpoint test whether a document was in the "
    "training text.",
)
@text.decoding
@normalization_option(text)
@text.count(
    "--vocab-size",
    show_default="20000 words, or enough pieces for 128 to 2048 tokens",
    help="Number of words, or of pieces of words, in the vocabulary in addition to characters.",
)
@text.count(
    "--min-count",
    show_default="2",
    help="Minimum number of occurrences of a word in the vocabulary, with --level word.",
)
@validation.file(
    "--valid",
    multiple=True,
    help="Validate on this text instead of a part of the corpus. Repeatable.",
)
@validation.number(
    "--valid-fraction",
    within=Number(0, 1, max_open=True),
    metavar="FRACTION",
    default=0.1,
    help="Fraction of the corpus to validate on: its end, or documents chosen by seed if files are "
    "split into documents. 0 trains on the whole corpus without early stopping and keeps the last "
    "weights.",
)
@validation.count(
    "--eval-every",
    metavar="STEPS",
    show_default="soon after the start, then each epoch or ten times a run, for at most 5% of "
    "its time",
    help="Evaluate every STEPS steps.",
)
@validation.count(
    "--patience",
    show_default="a fifth of all evaluations, at least 5",
    help="Stop after N evaluations without improvement.",
)
@size.choice(
    "--size",
    among=["auto", "tiny", "small", "medium", "large"],
    default="auto",
    help="Layers x units: 1x128 (tiny), 2x256 (small), 2x512 (medium) or 3x1024 (large).",
)
@size.count("--layers", most=64, help="Number of LSTM layers.")
@size.count("--units", most=16384, help="Number of units per layer.")
@size.count("--embedding", most=16384, help="Width of the embedding.")
@size(
    "--tie/--no-tie",
    "tie",
    default=None,
    show_default="tie with --level word",
    help="Use the embedding as the output projection. Needs --embedding equal to --units.",
)
@size.count(
    "--attention",
    bare=64,
    most=256,
    show_default="none, 64 without a number",
    help="Let the top layer attend to its last N outputs. Helps with texts that repeat themselves "
    "exactly.",
)
@size.flag(
    "--bidirectional",
    help="Also train a network of the same size that reads the text from its end. With it, fill "
    "finds the right word more often. Training takes twice as long.",
)
@budget.number(
    "--epochs",
    within=Number(0, 1e9, min_open=True),
    show_default="8 for a million tokens, up to 70 for less, fewer for more, about two hours at "
    "most on two cores",
    help="Train for X epochs.",
)
@budget.count("--steps", help="Train for N optimizer steps.")
@budget.number(
    "--minutes",
    within=Number(0, 1e9, min_open=True),
    help="Finish within X minutes, including the start of the command.",
)
@learning.number(
    "--dropout",
    within=Number(0, 1, max_open=True),
    metavar="P",
    show_default="by epochs, at most 0.3, short texts 0.4, pieces 0.45, words 0.5",
    help="Dropout on the output of each layer. Turns other kinds of dropout off.",
)
@learning.number(
    "--dropout-ramp",
    within=Number(0, 1e6),
    metavar="EPOCHS",
    show_default="4, or 0 with --dropout",
    help="Raise dropout from 0 over the first EPOCHS epochs.",
)
@learning.number(
    "--learning-rate",
    within=Number(0, 1e3, min_open=True),
    show_default="adamw 0.008 for 48 streams of 512 units, sgd 7",
    help="Peak learning rate. Lower it if the loss jumps.",
)
@learning.count(
    "--warmup-steps",
    least=0,
    show_default="100, at most a tenth of the run, or 50 per minute with --minutes",
    help="Number of steps of linear warm-up.",
)
@learning.number(
    "--final-rate",
    within=Number(0, 1),
    show_default="0.02",
    help="Learning rate at the end, as a fraction of the peak.",
)
@learning.number(
    "--weight-decay",
    within=Number(0, 1e3),
    show_default="0.05",
    help="Decoupled weight decay of AdamW and Lion.",
)
@learning.number(
    "--clip-norm",
    within=Number(0, 1e9, min_open=True),
    show_default="1.0, sgd 0.25",
    help="Clip gradients to this global norm.",
)
@learning.choice(
    "--optimizer",
    among=["adamw", "adam", "lion", "rmsprop", "sgd"],
    show_default="adamw, or sgd with --level word",
    help="Optimizer. sgd has momentum, and generalizes better on words.",
)
@learning.count(
    "--streams",
    most=65536,
    show_default="48, words 16, fewer for short texts",
    help="Number of parallel streams: the batch size.",
)
@learning.count(
    "--sequence-length",
    most=65536,
    show_default="32, or 16 for very short texts",
    help="Number of tokens of truncated backpropagation through time.",
)
@learning.choice(
    "--precision",
    among=["auto", "float32", "bfloat16"],
    show_default="auto",
    help="Number type of matrix multiplications. With auto, bfloat16 if the CPU supports it.",
)
@learning.seed(
    default=1,
    help="Random seed of weights, batches, dropout and validation documents. With --from, the "
    "parent's seed chooses the validation documents.",
)
@learning.count("--threads", most=1024, show_default="all", help="Number of CPU threads.")
@checkpoint.output(
    kind="FOLDER",
    show_default="checkpoints/NAME, then NAME-2 and so on",
    help="Folder of the checkpoint.",
)
@checkpoint.flag("--overwrite", help="Replace the checkpoint in the folder given with -o.")
@checkpoint.checkpoint(
    "--resume",
    help="Resume an interrupted run. Combine it only with --threads, --dry-run, --quiet and "
    "--json.",
)
@checkpoint.checkpoint(
    "--from",
    "from_checkpoint",
    help="Fine-tune a trained checkpoint. New characters are added to its vocabulary. On the same "
    "text, its training continues.",
)
@checkpoint.number(
    "--save-every",
    within=Number(0, min_open=True),
    metavar="SECONDS",
    show_default="60, or more if saving takes over 2% of the time",
    help="Save the state that --resume needs every SECONDS seconds.",
)
@output.flag("--dry-run", help="Check everything, print the plan and stop without training.")
@output.count(
    "--sample-every",
    least=0,
    show_default="about five times a run",
    help="Print a short sample after the first evaluation and every Nth one. 0 is off.",
)
@output.quiet()
@output.json("Print one JSON object at the end instead of the checkpoint's path.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Train a language model on CORPUS and save it as a checkpoint.

    CORPUS is one or more files, folders or glob patterns, - for stdin, a name from charlstm
    corpora, or python-docs (a text that comes with Python). Files may be compressed (.gz, .bz2,
    .xz, .zst). Each record of a table is a document.

    By default, the size, the regularization and the length of training depend on the length of the
    text. Ctrl-C saves the run, and --resume continues it. The checkpoint's path is printed to
    stdout, everything else to stderr.
    """
    from charlstm.training.options import request_of

    chosen = given_options(ctx, besides=("corpus", "quiet", "as_json", "dry_run"))
    check_given(ctx, options["corpus"], chosen)
    say = None if options["quiet"] else note
    with Signals(is_new="resume" not in chosen) as signals, notes_of_errors():
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
                # A worker without a signal of its own was asked to stop by another one.
                raise click.exceptions.Exit(exit_status(signals.number or signal.SIGTERM))


def _kind(options: dict[str, Any]) -> str:
    """Return the parts of the command that all workers must have in common."""
    kinds = {"resume": "--resume", "from_checkpoint": "--from", "dry_run": "--dry-run"}
    return " ".join(["charlstm train", *(kinds[name] for name in kinds if options[name])])
