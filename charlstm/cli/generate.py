"""``charlstm generate``: write text with a trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from charlstm.cli.common import (
    GroupedCommand,
    Number,
    complete_checkpoints,
    complete_files,
    group_of,
    newest_checkpoint,
    note,
    write_json,
    write_text,
)
from charlstm.config import SampleConfig
from charlstm.errors import CorpusError, UsageError

DEFAULTS = SampleConfig()

what = group_of("What to write")
sampling = group_of("Sampling (applied in this order; --temperature last)")
output = group_of("Output")


@click.command(
    cls=GroupedCommand,
    name="generate",
    epilog="Examples: charlstm generate checkpoints/shakespeare -p 'ROMEO:' -n 300 --seed 7. "
    "charlstm generate checkpoints/names -c 20 | sort -u. "
    "echo 'It was' | charlstm generate --prompt-file - --json",
)
@click.argument(
    "checkpoint",
    type=click.Path(path_type=Path),
    required=False,
    shell_complete=complete_checkpoints,
)
@what(
    "-p",
    "--prompt",
    metavar="TEXT",
    help="Text to continue; - reads it from standard input. Default: begin a document.",
)
@what(
    "--prompt-file",
    metavar="FILE",
    shell_complete=complete_files,
    help="Read the prompt from a file, all of it, or from -.",
)
@what(
    "-n",
    "--length",
    type=click.IntRange(1),
    default=DEFAULTS.length,
    show_default=True,
    metavar="TOKENS",
    help="Write so many characters (or words) at most; a document may end before.",
)
@what(
    "-c",
    "--count",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Write N samples, as one batch.",
)
@what(
    "--match",
    metavar="REGEX",
    help="Write only what matches as a whole, the prompt included: '[A-Z][a-z]{3,8}son'. No "
    "look-around, no back-references.",
)
@what("--stop", multiple=True, metavar="TEXT", help="End a sample before this text; repeatable.")
@what(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="The same seed writes the same text; default: a new one, told on stderr.",
)
@sampling(
    "--repetition-penalty",
    type=Number(1),
    metavar="X",
    default=DEFAULTS.repetition_penalty,
    show_default=True,
    help="Make symbols of the window less likely; 1 is off, 1.2 helps words against loops.",
)
@sampling(
    "--presence-penalty",
    type=Number(-1e3, 1e3),
    metavar="NATS",
    default=DEFAULTS.presence_penalty,
    show_default=True,
    help="Subtract this from the logit of symbols in the window, once each; 0 is off.",
)
@sampling(
    "--frequency-penalty",
    type=Number(-1e3, 1e3),
    metavar="NATS",
    default=DEFAULTS.frequency_penalty,
    show_default=True,
    help="Subtract this for each time that a symbol stands in the window; 0 is off.",
)
@sampling(
    "--repetition-window",
    type=click.IntRange(1),
    default=DEFAULTS.repetition_window,
    show_default=True,
    metavar="TOKENS",
    help="How far back these three look.",
)
@sampling(
    "--loop-penalty",
    type=Number(0),
    metavar="NATS",
    default=DEFAULTS.loop_penalty,
    show_default=True,
    help="DRY: hold against symbols that go on with a repetition; 0 is off, 0.8 ends loops.",
)
@sampling(
    "--loop-length",
    type=click.IntRange(1),
    default=DEFAULTS.loop_length,
    show_default=True,
    metavar="TOKENS",
    help="Repetitions of this length cost; lower it to 4 or so for words.",
)
@sampling(
    "--loop-base",
    type=Number(1, 1e3),
    default=DEFAULTS.loop_base,
    show_default=True,
    metavar="X",
    help="The cost of a repetition grows so many times with each symbol more.",
)
@sampling(
    "--loop-window",
    type=click.IntRange(1),
    default=DEFAULTS.loop_window,
    show_default=True,
    metavar="TOKENS",
    help="How far back repetitions are looked for.",
)
@sampling(
    "--top-k",
    type=click.IntRange(0),
    default=DEFAULTS.top_k,
    show_default=True,
    metavar="N",
    help="Draw from the N most likely symbols; 0 is off.",
)
@sampling(
    "--typical",
    type=Number(0, 1, min_open=True),
    default=DEFAULTS.typical,
    show_default=True,
    metavar="P",
    help="Draw from the symbols of nearest to expected surprise, of probability P; 1 is off.",
)
@sampling(
    "--top-p",
    type=Number(0, 1, min_open=True),
    default=DEFAULTS.top_p,
    show_default=True,
    metavar="P",
    help="Draw from the most likely symbols that together have probability P; 1 is off.",
)
@sampling(
    "--min-p",
    type=Number(0, 1, max_open=True),
    default=DEFAULTS.min_p,
    show_default=True,
    metavar="P",
    help="Leave out symbols less likely than P times the most likely one; 0 is off.",
)
@sampling(
    "--mirostat",
    type=Number(0),
    default=DEFAULTS.mirostat,
    show_default=True,
    metavar="BITS",
    help="Hold the mean surprise of a symbol at so many bits (Mirostat 2); 0 is off. Try 1.5 for "
    "characters, 5 for words.",
)
@sampling(
    "--mirostat-rate",
    type=Number(0, 1, min_open=True),
    default=DEFAULTS.mirostat_rate,
    show_default=True,
    metavar="X",
    help="How fast it corrects.",
)
@sampling(
    "-t",
    "--temperature",
    type=Number(0),
    default=DEFAULTS.temperature,
    show_default=True,
    metavar="T",
    help="Below 1 safer, above 1 wilder; 0 always takes the most likely symbol.",
)
@output("--no-prompt", is_flag=True, help="Do not repeat the prompt before the text.")
@output("--json", "as_json", is_flag=True, help="One JSON object a sample and line.")
@output("-q", "--quiet", is_flag=True, help="Do not tell the seed.")
@output(
    "--precision",
    type=click.Choice(["int8", "float32"]),
    default="int8",
    show_default=True,
    help="Small and fast, or exact.",
)
@output(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Processor threads; default: what is fastest.",
)
def command(checkpoint: Path | None, **options: Any) -> None:
    """Write text with CHECKPOINT (default: $CHARLSTM_CHECKPOINT, or the newest in checkpoints/).

    The text goes to stdout as it is drawn. A sample ends after --length symbols, where the model
    ends the document, or before a --stop text.
    """
    if options["prompt"] is not None and options["prompt_file"] is not None:
        raise UsageError("--prompt and --prompt-file both name a prompt: give one of them")
    config = SampleConfig(**{name: options[name] for name in SampleConfig.__struct_fields__})
    folder = checkpoint or newest_checkpoint()

    from charlstm.api import fresh_seed, load
    from charlstm.tokenizer import describe_unknown

    model = load(folder, precision=options["precision"], threads=options["threads"])
    lines = model.checkpoint.config.corpus.lines
    prompt = _prompt(options, lines)
    if unknown := model.tokenizer.unknown_characters(prompt):
        note(f"Warning: the prompt has {describe_unknown(unknown)} that the model never saw")
    seed = fresh_seed() if options["seed"] is None else options["seed"]
    if not options["quiet"]:
        named = "" if checkpoint else f"{folder}, "
        note(f"{named}seed {seed}")
    _Writer(prompt, lines, options).write(model, config, seed)


def _prompt(options: dict[str, Any], lines: bool) -> str:
    """Return the prompt from wherever it comes.

    It is not changed, but for a model of lines, which begins inside a line: there the newline at
    the end of a file or of ``echo`` is no part of the prompt.
    """
    given, file = options["prompt"], options["prompt_file"]
    if given is not None and given != "-":
        return _valid_text(given)
    if given is None and file is None:
        return ""
    source = "-" if given == "-" else file
    if source == "-" and sys.stdin is None:
        raise UsageError("standard input is closed: pipe a prompt in, or use --prompt")
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return data.decode().removesuffix("\n" if lines else "")
    except OSError as error:
        raise CorpusError(f"can't read the prompt file {source}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"the prompt in {source} is not UTF-8: byte 0x{error.object[error.start]:02x} at "
            f"offset {error.start} doesn't decode; convert it, for example with iconv"
        ) from None


def _valid_text(text: str) -> str:
    """Refuse arguments whose bytes are not UTF-8, which Python marks with surrogates."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError("--prompt is not valid UTF-8: give it in UTF-8 or use --prompt-file")
    return text


class _Writer:
    """Prints samples: JSON Lines, one text streamed as it is drawn, or many texts in order."""

    def __init__(self, prompt: str, lines: bool, options: dict[str, Any]) -> None:
        self.echo = "" if options["no_prompt"] else prompt
        self.prompt = prompt
        self.count = options["count"]
        self.as_json = options["as_json"]
        self.separator = "" if lines else "\n"

    def write(self, model: Any, config: SampleConfig, seed: int) -> None:
        """Draw and print all samples."""
        streams = self.count == 1 and not self.as_json
        if streams:
            write_text(self.echo)
        on_text = (lambda _, piece: write_text(piece)) if streams else None
        samples = model.stream(self.prompt, config, count=self.count, seed=seed, on_text=on_text)
        for sample in samples:
            if self.as_json:
                write_json(sample)
                continue
            text = self.echo + sample.text
            end = "" if text.endswith("\n") else "\n"
            last = sample.index == self.count - 1
            write_text(("" if streams else text) + end + ("" if last else self.separator))
