"""Texts that commands read after training: files, or standard input as it arrives, in lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from charlstm.cli.options import Function, OptionGroup
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.config import Division
    from charlstm.corpus.notes import Notes
    from charlstm.corpus.reading import Source

Item = TypeVar("Item")

# A group of lines is scored in batches and then printed: at most so much at once.
GROUP_LINES = 512
GROUP_CHARACTERS = 2**18

reading = OptionGroup("Reading")
running = OptionGroup("Running")


def text_options(function: Function) -> Function:
    """Add the options for how texts are decoded and how the model runs."""
    quiet = running.quiet("No note and no progress bar on stderr.")
    decorated: Function = quiet(function)
    return reading.decoding(running.engine(decorated))


def open_texts(files: tuple[str, ...], encoding: str, notes: Notes) -> list[Source]:
    """Return the texts named by arguments: files as for ``charlstm train``, or ``-`` for stdin.

    ``notes`` is told which files are skipped.

    Raises:
        ConfigError: if ``encoding`` is not a text encoding.
        CorpusError: if a file does not exist or cannot be read as text.
        UsageError: if standard input is named but closed.
    """
    from charlstm.corpus.reading import STDIN, check_encoding
    from charlstm.corpus.sources import find_sources

    check_encoding(encoding)
    return [
        source
        for file in files or (STDIN,)
        for source in (
            [_standard_input()] if file == STDIN else find_sources(file, encoding, None, notes)
        )
    ]


def _standard_input() -> Source:
    from charlstm.corpus.reading import STDIN, StreamSource

    if sys.stdin is None:
        raise UsageError("standard input is closed: pipe a text in, or name a file")
    return StreamSource("stdin", Path(STDIN), sys.stdin.buffer)  # type: ignore[arg-type]


class Line(NamedTuple):
    """A line and its line end."""

    text: str
    end: str


def line_groups(blocks: Iterable[str], *, rules: int) -> Iterator[list[Line]]:
    r"""Split blocks of a text into lines, and yield these in groups.

    A group holds the lines available now: a pipe that delivers one line at a time gives groups
    of one.

    Args:
        blocks: the text in pieces.
        rules: where lines end, as ``line_rules`` decides for a model.
    """
    from charlstm.corpus.lines import split_lines

    advice = "too long to be taken as one: break it up, or score the text as a whole"
    for lines, end in split_lines(blocks, "the text", advice, rules=rules):
        yield from limited((Line(line, end) for line in lines), lambda line: len(line.text))


def limited(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Yield items in groups of ``GROUP_LINES``, or fewer if they have many characters."""
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
    """Add the options that divide texts into documents in another way than the training text."""
    paragraphs = reading.flag(
        "--paragraphs",
        help="Blank lines divide the text into documents. Default: as the training text was "
        "divided.",
    )
    delimiter = reading(
        "--delimiter", metavar="TEXT", help="Lines that equal TEXT divide it into documents."
    )
    decorated: Function = paragraphs(delimiter(function))
    return decorated


def given_division(options: dict[str, Any]) -> Division | None:
    """Return the division that ``dividing_options`` ask for, ``None`` if they are not given.

    Raises:
        UsageError: if both are given, or no line can equal the delimiter.
    """
    from charlstm.corpus.division import chosen_division

    given = {
        name: options[name]
        for name in ("paragraphs", "delimiter")
        if options[name] not in (None, False)
    }
    if not given:
        return None
    return chosen_division(given, {"paragraphs": "--paragraphs", "delimiter": "--delimiter"})
