"""``charlstm fill``: words for the gaps in a line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.kinds import Text
from charlstm.cli.line_ends import line_rules, one_line
from charlstm.cli.options import OptionGroup, checkpoint_argument, grouped_command
from charlstm.cli.output import note, write_json, write_text
from charlstm.cli.prompts import UnknownOnce, lines_of_stdin, note_long
from charlstm.cli.shares import show_share
from charlstm.corpus.encodings import without_mark
from charlstm.errors import UsageError
from charlstm.prediction.gaps import GAP, MOST_FILLINGS, split_at_gaps
from charlstm.validation import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from charlstm.prediction.filler import FilledText, Filler

what = OptionGroup("Filling")
output = OptionGroup("Output")


@grouped_command(
    "fill",
    "charlstm fill english 'The old man ___ slowly down the street.'",
    "charlstm fill checkpoints/shakespeare 'to be or ? to be' --gap ? -k 3",
    "printf 'I do not ___ what you mean.\\n' | charlstm fill english -",
)
@checkpoint_argument()
@click.argument("text", required=False, type=Text())
@what.text("--gap", default=GAP, show_default=True, help="Text that marks a gap.")
@what.count(
    "-k", "--top", most=MOST_FILLINGS, default=5, help="Maximum number of words for each gap."
)
@output.json("Print one JSON object. Texts read line by line always get one.")
@output.quiet()
@output.engine
def command(checkpoint: Path, text: str | None, **options: Any) -> None:
    """Find the words for the gaps in TEXT that make the whole text most probable.

    A gap stands for one word, or for the rest of one: ___ by default. The words are those that the
    model expects after the text on the left and, if it was trained with --bidirectional, before the
    text on the right. Each is judged by the probability of the whole text with it. Several gaps are
    filled in order, each with the best word in those before it. The probabilities are shares among
    the words examined.

    Without TEXT, or with -, each line of stdin is a text and gets one line of JSON at once. A line
    may be without a gap.
    """
    split_at_gaps("", options["gap"])  # raises an error for an empty marker before anything is read
    lines = text in (None, "-")
    if lines and sys.stdin is None:
        raise UsageError("stdin is closed. Pipe lines in, or give a text.")
    if text is None and sys.stdin.isatty():
        raise UsageError("TEXT is missing. Give one, or - to type texts line by line.")
    if not lines:
        text = without_mark(text or "")
        _check_gap(text, options["gap"])

    from charlstm.api.model import load

    model = load(checkpoint, precision=options["precision"], threads=options["threads"])
    filler = model.filler()
    unknown = UnknownOnce(model, "the text", quiet=options["quiet"])
    if lines:
        for line in lines_of_stdin(line_rules(model)):
            write_json(_fill(filler, line, unknown, options).to_dict())
        return
    note_long(model, [text or ""], "the text")
    found = _fill(filler, text or "", unknown, options)
    for number, words in enumerate(found.gaps, 1):
        if not words:
            note(f"Note: no word was found for gap {number}.")
    if options["as_json"]:
        write_json(found.to_dict())
    else:
        write_text("".join(_rows(found)))


def _check_gap(text: str, gap: str) -> None:
    if gap not in text:
        raise UsageError(f"{quoted(text)} has no gap. Write {gap} in place of a word.")


def _fill(filler: Filler, text: str, unknown: UnknownOnce, options: dict[str, Any]) -> FilledText:
    gap = options["gap"]
    unknown.check("".join(split_at_gaps(text, gap)))
    return filler.fill_text(text, gap=gap, top=options["top"])


def _rows(found: FilledText) -> Iterator[str]:
    """Yield a row for each word, with the number of its gap if there are several."""
    for number, words in enumerate(found.gaps, 1):
        gap = f"\t{number}" if len(found.gaps) > 1 else ""
        for word in words:
            yield f"{show_share(word.probability)}\t{one_line(word.text)}{gap}\n"
