"""``charlstm train``: from options to a run, and from its outcome to what is printed."""

from __future__ import annotations

import contextlib
import math
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.common import (
    Number,
    complete_checkpoints,
    complete_files,
    decoding_options,
    group_of,
    grouped_command,
    json_option,
)
from charlstm.cli.output import note, write_json, write_text
from charlstm.cli.signals import Signals, exit_status
from charlstm.cluster import Party, cluster_of, waiting_seconds
from charlstm.config import BUDGETS
from charlstm.errors import StorageError, UsageError

if TYPE_CHECKING:
    from charlstm.run import Request, Run
    from charlstm.training import Outcome

text = group_of("Text")
size = group_of("Size (default: from the length of the text)")
budget = group_of("Budget (default: epochs, from the length of the text)")
learning = group_of("Learning")
place = group_of("Checkpoint and output")

# Options that set fields of the model's and the training's configuration.
SETTINGS = (
    *BUDGETS,
    *("layers", "units", "embedding", "tied", "patience", "eval_every"),
    *("dropout", "dropout_ramp", "learning_rate", "warmup_steps", "final_rate", "weight_decay"),
    *("clip_norm", "optimizer", "streams", "sequence_length", "precision", "seed"),
    *("sample_every", "save_every"),
)

# Options that may stand beside --resume: they say nothing about what the run does.
WITH_RESUME = {"resume", "quiet", "as_json", "threads", "dry_run"}


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
    "tied",
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
    "parent",
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
    text that comes with Python; .gz, .bz2, .xz and .zst are read through. Size, regularisation and
    budget are chosen from the length of the text. Ctrl-C saves; --resume goes on.

    The checkpoint's path goes to stdout, all else to stderr.
    """
    _check(ctx, options)
    cluster = cluster_of()
    say = None if options["quiet"] else note
    party = Party(cluster, wait=waiting_seconds(), command=_kind(options), say=say)
    with Signals() as signals, party:
        from charlstm.reading import spooled_stdin
        from charlstm.run import fetched, new_run, resumed_run

        if options["resume"]:
            run = resumed_run(fetched(options["resume"], party))
            _carry_out(run, options, signals, party)
            return

        with spooled_stdin(options["corpus"] + options["valid"]) as stdin:
            run = new_run(_request(options, party), stdin, party.size)
            _carry_out(run, options, signals, party)


def _kind(options: dict[str, Any]) -> str:
    """Return the command as far as it decides what workers tell each other."""
    kinds = {"resume": "--resume", "parent": "--from", "dry_run": "--dry-run"}
    return " ".join(["charlstm train", *(kinds[name] for name in kinds if options[name])])


def _given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _check(ctx: click.Context, options: dict[str, Any]) -> None:
    """Refuse options that contradict each other."""
    given = {name for name in options if _given(ctx, name) and options[name] not in (None, ())}
    if options["resume"] and given - WITH_RESUME:
        other = _option_name(ctx, sorted(given - WITH_RESUME)[0])
        raise UsageError(
            f"--resume continues a run as it was begun and can't be combined with {other}: leave "
            f"{other} out, or begin a new run with --from {options['resume']}"
        )
    if not options["resume"] and not options["corpus"]:
        raise UsageError(
            "no corpus is named: name files, folders, - for standard input, or python-docs "
            "(see charlstm train --help)"
        )
    budgets = [f"--{name}" for name in BUDGETS if options[name] is not None]
    if len(budgets) > 1:
        raise UsageError(f"{' and '.join(budgets)} are both budgets: give one of them")
    if options["overwrite"] and not options["output"]:
        raise UsageError("--overwrite replaces the folder named with -o: add -o FOLDER")
    if options["valid"] and "valid_fraction" in given:
        raise UsageError("--valid names the validation text, so leave --valid-fraction out")
    if options["parent"]:
        fixed = {"level", "vocab_size", "min_count", "size", "layers", "units", "embedding", "tied"}
        for name in sorted(given & fixed):
            raise UsageError(
                f"--from keeps the network and the tokenizer of {options['parent']}: leave "
                f"{_option_name(ctx, name)} out"
            )
    elif options["level"] == "char":
        for name in sorted(given & {"vocab_size", "min_count"}):
            raise UsageError(
                f"{_option_name(ctx, name)} is for words: add --level word or leave it out"
            )
    if options["no_index"] and not options["lines"]:
        raise UsageError("--no-index is for lines: add --lines or leave it out")


def _option_name(ctx: click.Context, parameter: str) -> str:
    if parameter == "corpus":
        return "CORPUS"
    return next(p.opts[-1] for p in ctx.command.params if p.name == parameter)


def _request(options: dict[str, Any], party: Party) -> Request:
    from charlstm.config import CorpusConfig, TokenizerConfig
    from charlstm.run import Request, fetched

    words = {key: options[key] for key in ("vocab_size", "min_count") if options[key] is not None}
    return Request(
        corpus=CorpusConfig(
            addresses=options["corpus"],
            valid=options["valid"],
            encoding=options["encoding"],
            decode_errors=options["decode_errors"],
            lines=options["lines"],
            valid_fraction=options["valid_fraction"],
            seed=options["seed"],
            index=not options["no_index"],
        ),
        tokenizer=TokenizerConfig(level=options["level"], **words),
        size=options["size"],
        choices={name: options[name] for name in SETTINGS},
        output=options["output"] if party.is_chief else None,
        overwrite=options["overwrite"],
        parent=fetched(options["parent"], party) if options["parent"] else None,
        threads=options["threads"],
    )


def _carry_out(run: Run, options: dict[str, Any], signals: Signals, party: Party) -> None:
    """Train, and say so; of several workers the chief speaks."""
    from charlstm.cli.progress import Watcher, describe_plan

    quiet = options["quiet"] or not party.is_chief
    if not quiet:
        note(describe_plan(run))
    if party.is_chief:
        _warn_unknown(run)
        _warn_memory(run)
    if options["dry_run"]:
        if options["as_json"] and party.is_chief:
            write_json(_planned(run))
        return

    from charlstm.run import execute

    watcher = Watcher(run, signals, quiet=quiet, silent=not party.is_chief)
    with contextlib.closing(watcher):
        outcome = execute(
            run,
            watcher,
            began=click.get_current_context().obj,
            overwrite=options["overwrite"],
            threads=options["threads"],
            party=party,
        )
    interrupted = outcome.stop_reason == "interrupted"
    if party.is_chief:
        _tell(run, outcome, options)
    if party.missed and not quiet:
        note(
            f"Note: {party.missed} has ended before it said that it was done, which nothing here "
            f"depends on any more"
        )
    if interrupted and party.size > 1 and not options["quiet"]:
        asked = "This worker" if signals.number else "Another worker"
        note(f"{asked} was asked to stop; the chief has saved.")
    if interrupted:
        # A worker that no signal came to has been asked by another one.
        raise click.exceptions.Exit(exit_status(signals.number or signal.SIGTERM))


def _tell(run: Run, outcome: Outcome, options: dict[str, Any]) -> None:
    quiet, interrupted = options["quiet"], outcome.stop_reason == "interrupted"
    _warn_outcome(run, outcome, quiet)
    if not quiet and interrupted:
        note(f"Interrupted and saved; go on with: charlstm train --resume {run.folder}")
    elif not quiet and run.config.train.minutes is not None:
        note(_equivalent(run, outcome))
    # A terminal that was closed takes nothing more, which is no other end than the signal's.
    closed = (OSError, StorageError) if interrupted else ()
    with contextlib.suppress(*closed):
        if options["as_json"]:
            write_json(_summary(run, outcome))
        else:
            write_text(f"{run.folder}\n")


def _planned(run: Run) -> dict[str, Any]:
    return {
        "checkpoint": str(run.folder),
        "size": run.plan.size,
        "parameters": run.config.model.parameters,
        "steps": run.plan.steps,
        "train_tokens": run.prepared.store.train_tokens,
        "valid_tokens": run.prepared.store.valid_tokens,
        "minutes": run.plan.minutes,
        "memory_mb": run.plan.memory / 1e6,
        "model": run.config.model,
        "train": run.config.train,
    }


def _warn_outcome(run: Run, outcome: Outcome, quiet: bool) -> None:
    """Say what the figures alone don't: that the run stopped early, or learned nothing."""
    best = outcome.best
    if outcome.stop_reason == "early stopping" and not quiet:
        note(
            f"Stopped early at step {outcome.step:,}: no evaluation was better than that of step "
            f"{best.step:,} for {run.config.train.patience} evaluations (--patience)"
        )
    guess = math.log(run.config.model.vocab_size)
    if best.valid_loss is not None and best.valid_loss > guess:
        note(
            f"Warning: the model predicts worse than chance ({best.valid_loss:.3g} against "
            f"{guess:.3g} nats): train longer, or with a lower --learning-rate than "
            f"{run.config.train.learning_rate:g}"
        )


def _equivalent(run: Run, outcome: Outcome) -> str:
    """Say which options would repeat a run whose budget was in minutes, whatever the machine."""
    from charlstm.plan import SIZES

    train = run.config.train
    size = f"--size {run.plan.size} " if run.plan.size in SIZES else ""
    return (
        f"{train.minutes:g} min were {outcome.step:,} steps; to take as many elsewhere: "
        f"{size}--steps {outcome.step} --warmup-steps {train.warmup_steps}"
    )


def _warn_unknown(run: Run) -> None:
    from collections import Counter

    from charlstm.tokenizer import describe_unknown

    if unknown := run.prepared.statistics.valid_unknown:
        found = describe_unknown(Counter(unknown))
        note(f"Warning: the validation text has {found} that the training text lacks")


def _warn_memory(run: Run) -> None:
    """Say beforehand what the system, once it is out of memory, ends without a word."""
    from charlstm.processor import available_memory

    free = available_memory()
    if free is not None and run.plan.memory > free:
        note(
            f"Warning: the run needs about {run.plan.memory / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free; if it ends without a word, that is why: choose a "
            f"smaller --size, fewer --streams or a shorter --sequence-length"
        )


def _summary(run: Run, outcome: Outcome) -> dict[str, Any]:
    import resource

    return {
        "checkpoint": str(run.folder),
        "seed": run.config.train.seed,
        "parameters": run.config.model.parameters,
        "steps": outcome.step,
        "epochs": outcome.epochs,
        "tokens": outcome.tokens,
        "seconds": outcome.seconds,
        "tokens_per_second": outcome.tokens_per_second,
        "train_loss": outcome.best.train_loss,
        "valid_loss": outcome.best.valid_loss,
        "valid_bits_per_character": outcome.best.valid_bits_per_character,
        "valid_perplexity": outcome.best.valid_perplexity,
        "valid_word_perplexity": outcome.best.valid_word_perplexity,
        "best_step": outcome.best.step,
        "stop_reason": outcome.stop_reason,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
