"""``charlstm evaluate``: loss, accuracy and other figures of a model on a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.evaluation_table import rows_of
from charlstm.cli.kinds import Number
from charlstm.cli.options import (
    OptionGroup,
    checkpoint_argument,
    files_argument,
    grouped_command,
)
from charlstm.cli.output import note, notes_of_errors, tell, write_json, write_text
from charlstm.cli.progress_bar import ProgressBar
from charlstm.cli.scores import SAME_TOKENIZER
from charlstm.cli.texts import (
    check_tables,
    dividing_options,
    format_for,
    given_division,
    text_options,
)
from charlstm.cli.unicode_form import FormNote
from charlstm.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from charlstm.api import LanguageModel
    from charlstm.config import Division
    from charlstm.corpus.documents import Corpus
    from charlstm.evaluation.keystrokes import WordFigures
    from charlstm.evaluation.text_metrics import Texts

words = OptionGroup("Next words")
dynamic = OptionGroup("Dynamic evaluation")
memorization = OptionGroup("Memorization")
output = OptionGroup("Output")

TEXT_FACTS = (
    "loss",
    "bits_per_character",
    "perplexity",
    "perplexity_known",
    "word_perplexity",
    "tokens",
    "characters",
    "words",
    "unknown",
)
DYNAMIC_OPTIONS = ("dynamic_rate", "dynamic_decay", "dynamic_tokens")
MEMORIZATION_SAMPLE = 20_000
_TYPED = click.core.ParameterSource.COMMANDLINE


@grouped_command(
    "evaluate",
    "charlstm evaluate checkpoints/shakespeare test.txt",
    "charlstm evaluate checkpoints/news new.txt --dynamic",
    "charlstm evaluate checkpoints/names names.txt --sample 0 --against names.txt --json",
)
@checkpoint_argument()
@files_argument("FILE...")
@words.count(
    "--sample",
    least=0,
    default=2000,
    help="Measure next-word accuracy and keystrokes saved on N random words of the text. 0 is off. "
    "Four times as many words halve the standard errors.",
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
    """
    _check(ctx, checkpoint, files, options)

    from charlstm.api import load
    from charlstm.corpus.spool import spooled_stdin

    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    division = given_division(options, model.checkpoint.config.corpus.division)
    with notes_of_errors(), spooled_stdin(files + options["against"]) as stdin:
        corpus = _open(model, files, options, division, stdin)
        texts = model.texts_of(corpus, division)
        facts = _evaluate(model, corpus, texts, options)
        if facts["unknown"]:
            FormNote(model, quiet=options["quiet"]).check_all(texts)
        if options["dynamic"]:
            facts["dynamic"] = _dynamic(model, texts, options)
        if options["against"]:
            against = _open(model, options["against"], options, division, stdin)
            training = model.texts_of(against, division)
            facts["memorization"] = _memorization(model, texts, training, options)
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
        raise CorpusError(
            f"{file} is a checkpoint, not a text. Evaluate {checkpoint} and {file} one at a time."
        )
    for name in DYNAMIC_OPTIONS:
        if options[name] is not None and not options["dynamic"]:
            raise UsageError(f"--{name.replace('_', '-')} needs --dynamic.")
    if not options["against"] and ctx.get_parameter_source("against_sample") is _TYPED:
        raise UsageError("--against-sample needs --against.")


def _open(
    model: LanguageModel,
    addresses: tuple[str, ...],
    options: dict[str, Any],
    division: Division | None,
    stdin: Path | None,
) -> Corpus:
    """Return texts, after a check that they can be divided as asked."""
    from charlstm.corpus.documents import open_corpus
    from charlstm.corpus.sources import FileChoice

    corpus = open_corpus(
        addresses,
        encoding=options["encoding"],
        decode_errors=options["decode_errors"],
        choice=FileChoice(format_for(model, options)),
        stdin=stdin,
    )
    with corpus.notes.kept_by_errors():
        check_tables(corpus.sources, division, options)
    return corpus


# The figures


def _evaluate(
    model: LanguageModel, corpus: Corpus, texts: Texts, options: dict[str, Any]
) -> dict[str, Any]:
    from charlstm.corpus.reading import total_size
    from charlstm.evaluation.text_metrics import evaluate_text
    from charlstm.evaluation.word_metrics import evaluate_words

    engine, tokenizer = model.engine, model.tokenizer
    shown = not options["quiet"]
    with ProgressBar(total_size(corpus.sources), "char", name="scoring", shown=shown) as bar:
        found = evaluate_text(engine, tokenizer, texts, on_progress=bar.advance)
    facts = {name: getattr(found, name) for name in TEXT_FACTS}
    if options["sample"]:
        with ProgressBar(options["sample"], "word", name="words", shown=shown) as bar:
            figures = evaluate_words(
                engine,
                tokenizer,
                texts,
                sample=options["sample"],
                seed=options["seed"],
                on_progress=bar.advance,
            )
        facts |= _word_facts(figures, options["seed"])
    return facts


def _word_facts(figures: WordFigures, seed: int) -> dict[str, Any]:
    accuracy: dict[str, Any] = {str(rank): share for rank, share in figures.accuracy.items()}
    accuracy["standard_error"] = {
        str(rank): error for rank, error in figures.accuracy_errors.items()
    }
    return {
        "next_word_accuracy": accuracy,
        "keystrokes_saved": figures.keystrokes_saved,
        "keystrokes_saved_standard_error": figures.keystrokes_saved_error,
        "sample": figures.sample,
        "seed": seed,
    }


def _dynamic(model: LanguageModel, texts: Texts, options: dict[str, Any]) -> dict[str, Any]:
    from charlstm.evaluation.dynamic import evaluate_dynamic

    given = {"rate": options["dynamic_rate"], "decay": options["dynamic_decay"]}
    if options["dynamic_tokens"] is not None:
        given["tokens"] = options["dynamic_tokens"]
    note("Loading TensorFlow for dynamic evaluation.")
    with ProgressBar(None, "token", name="learning", shown=not options["quiet"]) as bar:
        found = evaluate_dynamic(
            model.engine,
            model.checkpoint,
            texts,
            threads=options["threads"],
            on_progress=bar.advance,
            **given,
        )
    static = found.static
    if found.loss > static.loss:
        note("Warning: the dynamic loss is worse than the static loss. Lower --dynamic-rate.")
    return {
        "tokens": static.tokens,
        "characters": static.characters,
        "static": {
            "loss": static.loss,
            "bits_per_character": static.bits_per_character,
            "perplexity": static.perplexity,
        },
        "loss": found.loss,
        "bits_per_character": found.bits_per_character,
        "perplexity": found.perplexity,
        "rate": found.rate,
        "decay": found.decay,
        "segment": found.segment,
    }


def _memorization(
    model: LanguageModel, texts: Texts, training: Texts, options: dict[str, Any]
) -> dict[str, Any]:
    from charlstm.corpus.division import NAMES
    from charlstm.evaluation.memorization import measure_memorization

    found = measure_memorization(
        model.engine,
        model.tokenizer,
        training,
        texts,
        characters=options["against_sample"],
        ends=model.checkpoint.config.provenance.ends,
        seed=options["seed"],
    )
    facts: dict[str, Any] = {"characters": found.characters, "seed": found.seed}
    for name, overlap in (("generated", found.generated), ("text", found.text)):
        if overlap is not None:
            facts[name] = {str(length): share for length, share in overlap.shares.items()}
            if training.within_files:
                facts[name][NAMES[training.unit]] = overlap.documents
    return facts
