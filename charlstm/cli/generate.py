"""``charlstm generate``: generate text with a trained model."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.generate_notes import (
    CutSamples,
    note_fewer,
    note_unread_input,
    warn_if_untrained,
    warn_of_ends,
    warn_of_impossible,
)
from charlstm.cli.options import (
    OptionGroup,
    checkpoint_argument,
    grouped_command,
)
from charlstm.cli.output import note, tell
from charlstm.cli.progress_bar import ProgressBar
from charlstm.cli.prompts import note_long, prompts_of, warn_of_unknown
from charlstm.cli.samples import Printer, Stopwatch, legend, separator_of
from charlstm.cli.sampling import given_sampling_options, sampling_options
from charlstm.cli.unicode_form import FormNote
from charlstm.config import SampleConfig
from charlstm.errors import UsageError
from charlstm.generation.options import UNTIL_LENGTH, SampleOptions, TextLimits, sample_config

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.generation.samples import Sample

DEFAULTS = SampleConfig()
PROMPT_OPTIONS = ("--prompt", "--prompt-file", "--prompts")
# Sampling options that also apply to beam search, because they constrain the text.
CONSTRAINING = ("--bias", "--ban")
# Options that have no effect without one of the others.
NEEDED = {
    "--repetition-window": ("--repetition-penalty", "--presence-penalty", "--frequency-penalty"),
    "--mirostat-rate": ("--mirostat",),
    **dict.fromkeys(("--loop-length", "--loop-base", "--loop-window"), ("--loop-penalty",)),
}

prompting = OptionGroup("Prompt")
length = OptionGroup("Length and end")
what = OptionGroup("Samples")
output = OptionGroup("Output")


@grouped_command(
    "generate",
    "charlstm generate checkpoints/shakespeare -p 'ROMEO:' -n 300 --seed 7",
    "charlstm generate checkpoints/names -c 20 --novel | sort -u",
    "charlstm generate checkpoints/names -c 5 --match '[a-d][a-z]{3,8}'",
    "charlstm generate english -p 'The old house' --until paragraph",
    "printf 'It was' | charlstm generate --prompt-file - --until sentence --json",
)
@checkpoint_argument(required=False)
@prompting.text(
    "-p",
    "--prompt",
    show_default="start a new document",
    help="Text to continue. With -, read it from stdin and drop one newline at its end.",
)
@prompting.file(
    "--prompt-file",
    help="Read the prompt from a file, or from - for stdin, and drop one newline at its end.",
)
@prompting.file("--prompts", help="Continue each line of a file, or of - for stdin, in one batch.")
@length.count(
    "-n",
    "--length",
    metavar="TOKENS",
    show_default=f"{DEFAULTS.length}, or {UNTIL_LENGTH:,} with --until",
    help="Maximum number of tokens. A sample may end earlier.",
)
@length.count(
    "--min-length",
    least=0,
    default=DEFAULTS.min_length,
    metavar="TOKENS",
    help="Minimum number of tokens.",
)
@length.text(
    "--stop",
    multiple=True,
    help="End a sample before this text. Repeatable.",
)
@length.choice(
    "--until",
    among=["sentence", "line", "paragraph", "document"],
    help="End a sample at the end of its sentence, line, paragraph or document. Sentences work in "
    "any script, and don't end after 'Mr.', 'e.g.', initials or decimal points.",
)
@what.count(
    "-c",
    "--count",
    most=2**31 - 1,
    default=1,
    help="Number of samples per prompt, generated in one batch.",
)
@what.seed(
    show_default="a new seed, printed on stderr",
    help="Random seed. The same seed gives the same text.",
)
@what.text(
    "--match",
    metavar="REGEX",
    help="Generate only text that matches a regular expression, prompt included, such as "
    "'[A-Z][a-z]{3,8}son'. Look-around and back-references are not supported. Can't be combined "
    "with --stop, --until, --min-length or --ban.",
)
@what.flag("--unique", help="Reject samples that repeat an earlier one.")
@what.flag(
    "--novel",
    help="Reject samples that occur in the training text as a line or document. Needs a model "
    "trained with --lines, --paragraphs, --delimiter or on a table.",
)
@what.file(
    "--against",
    multiple=True,
    help="Reject samples that occur in this file as a line or document. Repeatable.",
)
@what.flag(
    "--finished",
    help="Reject samples cut off by --length, and generate others.",
)
@what.count(
    "--beam",
    most=1024,
    help="Find the most likely texts by beam search with N beams, instead of sampling. -c sets the "
    "number of texts. 8 beams are a lot.",
)
@sampling_options
@output.flag("--no-prompt", help="Print the samples without their prompt.")
@output.json("Print each sample as a line of JSON.")
@output.flag(
    "--show-probs",
    help="Color each token by its probability on a terminal. With --json, add its log-probability.",
)
@output.count(
    "--alternatives",
    least=0,
    most=1000,
    help="With --json, add the N most likely tokens at each position.",
)
@output.flag("-v", "--verbose", help="Print the generation speed.")
@output.quiet()
@output.engine
@click.pass_context
def command(context: click.Context, /, checkpoint: Path | None, **options: Any) -> None:
    """Generate text with CHECKPOINT and print it to stdout.

    A sample ends after --length tokens, where the model ends the document, before a --stop text,
    or with the unit given by --until. Tokens are characters, pieces of words or words.

    CHECKPOINT defaults to $CHARLSTM_CHECKPOINT, or to the newest checkpoint in checkpoints/.
    """
    _check(context, options)
    chosen: Any = {name: options[name] for name in SampleOptions.__annotations__}
    config = sample_config(chosen)
    from charlstm.checkpoint.names import default_checkpoint

    folder = checkpoint or default_checkpoint()

    from charlstm.api.generation import fresh_seed
    from charlstm.api.model import load
    from charlstm.generation.rejection import check_finished

    model = load(folder, precision=options["precision"], threads=options["threads"])
    prompts = prompts_of(options, model)
    known = _known(model, options)
    check_finished(config, model.tokenizer, ends=model.checkpoint.config.provenance.ends)
    warn_of_ends(model, options)
    warn_if_untrained(model)
    form = FormNote(model, quiet=options["quiet"])
    warn_of_unknown(model, prompts, form, options["prompt"])
    warn_of_impossible(model, prompts, options, form)
    note_long(model, prompts)
    unread = not options["quiet"] and all(options[_name(name)] is None for name in PROMPT_OPTIONS)
    unread = unread and not note_unread_input()
    seed = fresh_seed() if options["seed"] is None else options["seed"]
    printer = _printer(model, options)
    samples = _samples(model, prompts, known, config, seed, options, printer)
    facts = [] if checkpoint else [str(folder)]
    facts += [] if options["beam"] else [f"seed {seed}"]
    if facts:
        note(", ".join(facts))
    if printer.colors:
        note(legend())
    stopwatch = Stopwatch()
    total = len(prompts) * options["count"]
    # A bar would interfere with text on the same terminal.
    shown = not options["quiet"] and total > 1 and not sys.stdout.isatty()
    cut = CutSamples(model, options, config.length)
    with ProgressBar(total, "sample", shown=shown) as bar:
        for sample in samples:
            printer.print(sample)
            cut.count(sample)
            bar.advance()
    cut.tell()
    note_fewer(printer.printed, total, options)
    if unread:
        note_unread_input()  # which may have arrived only now
    if options["verbose"]:
        stopwatch.report(printer.tokens)


def _printer(model: LanguageModel, options: dict[str, Any]) -> Printer:
    from charlstm.generation.decoder import split_prompt

    division = model.checkpoint.config.corpus.division
    return Printer(
        separator=separator_of(division),
        echo=not options["no_prompt"],
        as_json=options["as_json"],
        show_probs=options["show_probs"],
        hidden=lambda prompt: len(split_prompt(model.tokenizer, model.normalized(prompt))[1]),
    )


def _check(context: click.Context, options: dict[str, Any]) -> None:
    """Check that options don't contradict each other, and that none is without effect."""
    named = [name for name in PROMPT_OPTIONS if options[_name(name)] is not None]
    if len(named) > 1:
        raise UsageError(f"{named[0]} can't be combined with {named[1]}.")
    if options["alternatives"] is not None and not options["as_json"]:
        raise UsageError("--alternatives needs --json.")
    if "-" in options["against"]:
        raise UsageError("--against can't read stdin. Name a file.")
    given = given_sampling_options(context)
    if options["beam"] is not None:
        _check_beam(options, given)
    for name, needed in NEEDED.items():
        if name in given and not any(other in given for other in needed):
            raise UsageError(f"{name} needs {_either(needed)}.")


def _check_beam(options: dict[str, Any], given: list[str]) -> None:
    """Check that no option is given that beam search ignores."""
    beam = options["beam"]
    selecting = [name for name in ("--novel", "--unique", "--against") if options[_name(name)]]
    drawing = [name for name in given if name not in CONSTRAINING]
    drawing += ["--seed"] if options["seed"] is not None else []
    showing = ["--show-probs"] if options["show_probs"] else []
    showing += ["--alternatives"] if options["alternatives"] is not None else []
    if refused := selecting + drawing + showing:
        raise UsageError(f"--beam can't be combined with {refused[0]}.")
    if options["count"] > beam:
        raise UsageError(f"--count ({options['count']}) is greater than --beam ({beam}).")


def _either(names: tuple[str, ...]) -> str:
    """Return names as alternatives: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _name(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _samples(
    model: LanguageModel,
    prompts: list[str],
    known: Container[str] | None,
    config: SampleConfig,
    seed: int,
    options: dict[str, Any],
    printer: Printer,
) -> Iterable[Sample]:
    from msgspec.structs import asdict

    count = options["count"]
    if options["beam"]:
        chosen: Any = {name: getattr(config, name) for name in TextLimits.__annotations__}
        samples = chain.from_iterable(
            model.most_likely(prompt, beams=options["beam"], count=count, **chosen)
            for prompt in prompts
        )
        return (replace(sample, index=index) for index, sample in enumerate(samples))
    alternatives = options["alternatives"]
    if alternatives is None and options["show_probs"] and (options["as_json"] or printer.colors):
        alternatives = 0
    filters = known is not None or options["unique"] or config.finished
    streams = len(prompts) * count == 1 and not (filters or options["as_json"] or printer.colors)
    stream = model.stream(
        prompts,
        count=count,
        seed=seed,
        on_text=printer.stream if streams else None,
        alternatives=alternatives,
        known=known,
        unique=options["unique"],
        **asdict(config),
    )
    if streams:
        printer.begin_stream(prompts[0])
    return stream


def _known(model: LanguageModel, options: dict[str, Any]) -> Container[str] | None:
    """Return the lines to reject, ``None`` if there are none."""
    if not options["novel"] and not options["against"]:
        return None
    from charlstm.corpus.notes import Notes
    from charlstm.generation.known_texts import known_texts

    notes = Notes()
    known = known_texts(
        model.checkpoint, novel=options["novel"], against=options["against"], notes=notes
    )
    tell(notes)
    return known
