"""Texts that commands read with a trained model: files, or stdin line by line as it arrives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from charlstm.cli.corpus_options import table_options
from charlstm.cli.options import Function, OptionGroup
from charlstm.errors import CorpusError, UsageError

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel
    from charlstm.config import TextFormat
    from charlstm.corpus.notes import Notes
    from charlstm.corpus.reading import Source

Item = TypeVar("Item")

# Limits of a group of lines, which is scored in batches and then printed.
GROUP_LINES = 512
GROUP_CHARACTERS = 2**18

reading = OptionGroup("Reading")
running = OptionGroup("Running")


def text_options(function: Function) -> Function:
    """Add the options for how texts are decoded and how the model runs."""
    quiet = running.quiet()
    decorated: Function = quiet(function)
    return reading.decoding(running.engine(decorated))


def open_texts(
    files: tuple[str, ...], encoding: str, notes: Notes, text_format: TextFormat
) -> list[Source]:
    """Return the texts named by arguments: files as for ``charlstm train``, or ``-`` for stdin.

    Skipped files are added to ``notes``.

    Raises:
        ConfigError: if ``encoding`` is not a text encoding.
        CorpusError: if a file does not exist or can't be read as text.
        UsageError: if stdin is named but closed.
    """
    from charlstm.corpus.reading import STDIN, check_encoding
    from charlstm.corpus.sources import FileChoice, find_sources, is_checkpoint

    check_encoding(encoding)
    for file in files:
        if is_checkpoint(file):
            raise CorpusError(f"{file} is a checkpoint, not text.")
    return [
        source
        for file in files or (STDIN,)
        for source in (
            [_standard_input(text_format)]
            if file == STDIN
            else find_sources(file, encoding, None, notes, choice=FileChoice(text_format))
        )
    ]


def _standard_input(text_format: TextFormat) -> Source:
    from charlstm.corpus.reading import STDIN, StreamSource
    from charlstm.corpus.table_source import as_table

    if sys.stdin is None:
        raise UsageError("stdin is closed. Pipe a text in, or give a file.")
    stream = StreamSource("stdin", Path(STDIN), sys.stdin.buffer)  # type: ignore[arg-type]
    return stream if text_format in ("auto", "text") else as_table(stream, text_format, "")


def format_for(model: LanguageModel, options: dict[str, Any]) -> TextFormat:
    """Return the format of texts: the one given, or plain text if the model was trained so."""
    given: TextFormat = options["format"]
    learned = model.checkpoint.config.corpus.format
    return "text" if given == "auto" and learned == "text" else given


class Line(NamedTuple):
    """A line and its line end."""

    text: str
    end: str


def line_groups(blocks: Iterable[str], *, rules: int) -> Iterator[list[Line]]:
    r"""Split blocks of a text into lines, and yield the lines in groups.

    A group has the lines that are available now, so a pipe that delivers one line at a time
    gives groups of one.

    Args:
        blocks: the text in pieces.
        rules: the rules for line ends that ``line_rules`` returns for the model.
    """
    from charlstm.corpus.lines import split_lines

    advice = "which is too long. Break it up, or score the whole text with score --whole."
    for lines, end in split_lines(blocks, "the text", advice, rules=rules):
        yield from limited((Line(line, end) for line in lines), lambda line: len(line.text))


def limited(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Yield items in groups of ``GROUP_LINES``, or smaller ones if they have many characters."""
    group: list[Item] = []
    characters = 0
    for item in items:
        group.append(item)
        characters += size(item)
        if len(group) == GROUP_LINES or characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def dividing_options(function: Function) -> Function:
    """Add the options that divide texts into documents in another way than the training text.

    They include the options for tables.
    """
    paragraphs = reading.flag(
        "--paragraphs",
        help="Treat each paragraph as a document, instead of splitting the text like the training "
        "text.",
    )
    delimiter = reading.text(
        "--delimiter", help="Split the text into documents at lines equal to TEXT."
    )
    decorated: Function = paragraphs(delimiter(table_options(reading)(function)))
    return decorated
