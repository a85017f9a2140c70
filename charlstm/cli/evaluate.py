"""``charlstm evaluate``: loss, accuracy and other figures of a model on a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from charlstm.cli.evaluation_table import rows_of
from charlstm.cli.kinds import Number
from charlstm.cli.measuring import (
    dynamic_figures,
    figures_of_text,
    memorization_figures,
    open_text,
)
from charlstm.cli.model_list import ModelsCommand, models_option
from charlstm.cli.options import OptionGroup, checkpoint_argument, files_argument, grouped_command
from charlstm.cli.output import note, notes_of_errors, tell, write_json, write_text
from charlstm.cli.scores import SAME_TOKENIZER
from charlstm.cli.texts import dividing_options, text_options
from charlstm.cli.unicode_form import FormNote
from charlstm.errors import CorpusError, UsageError

comparison = OptionGroup("Comparison")
words = OptionGroup("Next words")
dynamic = OptionGroup("Dynamic evaluation")
memorization = OptionGroup("Memorization")
output = OptionGroup("Output")

DYNAMIC_OPTIONS = ("dynamic_rate", "dynamic_decay", "dynamic_tokens")
MEMORIZATION_SAMPLE = 20_000
_TYPED = click.core.ParameterSource.COMMANDLINE


@grouped_command(
    "evaluate",
    "charlstm evaluate checkpoints/shakespeare test.txt",
    "charlstm evaluate checkpoints/news new.txt --dynamic",
    "charlstm evaluate checkpoints/names names.txt --sample 0 --against names.txt --json",
    "charlstm evaluate --models checkpoints/shakespeare checkpoints/news -- new.txt",
    cls=ModelsCommand,
)
@checkpoint_argument()
@files_argument("FILE...")
@models_option(comparison)
@words.count(
    "--sample",
    least=0,
    default=2000,
    help="Measure next-word accuracy and keystrokes saved on N random words of the text. 0 is off. "
    "Four times as many words halve the standard errors.",
)
@words.flag(
    "--gaps",
    help="Also hide 300 random words, or --sample, one at a time, and measure how often each is "
    "found from the rest of its line, as charlstm fill does, and from the text on its left alone.",
)
@words.seed(default=1, help="Random seed of the words, and of the samples for --against.")
@dynamic.flag(
    "--dynamic",
    help="Also evaluate the model while it learns from the text it has read. Loads TensorFlow and "
    "reads a few hundred tokens per second.",
)
@dynamic.number(
    "--dynamic-rate",
    within=Number(0, 1000),
    show_default="0.25 for characters, 1 for words",
    help="Learning rate. Lower it if the loss gets worse.",
)
@dynamic.number(
    "--dynamic-decay",
    within=Number(0, 1),
    show_default="0.002",
    help="How far each step moves back to the trained weights, from 0 (not at all) to 1 (fully).",
)
@dynamic.count(
    "--dynamic-tokens",
    least=0,
    show_default="50000",
    help="Read only the first N tokens. 0 reads all.",
)
@memorization.file(
    "--against",
    multiple=True,
    help="Measure how much of the model's own samples occurs word for word in this text, which "
    "should be the training text. Repeatable.",
)
@memorization.count(
    "--against-sample",
    default=MEMORIZATION_SAMPLE,
    help="Number of characters to generate for --against.",
)
@output.json("Print one JSON object instead of a table.")
@dividing_options
@text_options
@click.pass_context
def command(
    ctx: click.Context, /, checkpoint: Path, files: tuple[str, ...], **options: Any
) -> None:
    """Evaluate CHECKPOINT on the text in FILE (files, folders, glob patterns, or - for stdin).

    Prints the loss, bits per character and perplexity, computed as for validation during training;
    how often the next word is among the 1, 3 and 5 most likely words; and the share of keystrokes
    that a keyboard with three suggestions would save.

    Use a text that the model was not trained on. It is split into documents like the training text.

    With --models, several checkpoints are measured on the same text and compared in one table.
    """
    _check(ctx, checkpoint, files, options)
    if options["models"]:
        from charlstm.cli.evaluate_models import compare_models

        compare_models(options["models"], files, options)
        return

    from charlstm.api.model import load
    from charlstm.corpus.division import given_division
    from charlstm.corpus.spool import spooled_stdin

    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    division = given_division(options, model.checkpoint.config.corpus.division)
    with notes_of_errors(), spooled_stdin(files + options["against"]) as stdin:
        corpus = open_text(model, files, options, division, stdin)
        texts = model.texts_of(corpus, division)
        facts = figures_of_text(model, corpus, texts, options)
        if facts["unknown"]:
            FormNote(model, quiet=options["quiet"]).check_all(texts)
        if options["dynamic"]:
            facts["dynamic"] = dynamic_figures(model, texts, options)
        if options["against"]:
            against = open_text(model, options["against"], options, division, stdin)
            training = model.texts_of(against, division)
            facts["memorization"] = memorization_figures(model, texts, training, options)
            corpus.notes.take(against.notes)
    tell(corpus.notes)
    if options["as_json"]:
        write_json(facts)
    else:
        note(SAME_TOKENIZER)
        write_text("".join(f"{name:<24}{value}\n" for name, value in rows_of(facts)))


def _check(
    ctx: click.Context, checkpoint: Path, files: tuple[str, ...], options: dict[str, Any]
) -> None:
    """Check that there is a text, no second checkpoint, and no option without effect."""
    from charlstm.corpus.reading import ADDRESSES
    from charlstm.corpus.sources import is_checkpoint

    if not files:
        raise UsageError(f"FILE is missing. Give {ADDRESSES}.")
    for file in filter(is_checkpoint, files):
        models = options["models"] or (checkpoint,)
        raise CorpusError(
            f"{file} is a checkpoint, not a text. To compare models, use charlstm evaluate "
            f"--models {' '.join(map(str, models))} {file} -- FILE."
        )
    if options["models"] and options["against"]:
        raise UsageError("--against can't be combined with --models. Measure one model at a time.")
    if options["gaps"] and ctx.get_parameter_source("sample") is _TYPED:
        options["hidden"] = options["sample"]
    if options["gaps"] and not options["sample"]:
        raise UsageError("--gaps needs a --sample of 1 word or more.")
    for name in DYNAMIC_OPTIONS:
        if options[name] is not None and not options["dynamic"]:
            raise UsageError(f"--{name.replace('_', '-')} needs --dynamic.")
    if not options["against"] and ctx.get_parameter_source("against_sample") is _TYPED:
        raise UsageError("--against-sample needs --against.")
