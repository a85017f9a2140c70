"""Texts that commands read after training: files, or standard input as it arrives, in lines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.options import Function, OptionGroup
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.corpus.notes import Notes
    from charlstm.corpus.reading import Source

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


def line_groups(blocks: Iterable[str]) -> Iterator[list[str]]:
    r"""Split blocks of a text into lines with their "\n", and yield these in groups.

    A group holds the lines available now: a pipe that delivers one line at a time gives groups
    of one.
    """
    from charlstm.corpus.lines import split_lines

    advice = "too long to be taken as one: break it up, or score the text as a whole"
    for lines, ended in split_lines(blocks, "the text", advice):
        if ended:
            yield from _divided(lines)
        else:
            yield lines


def _divided(lines: list[str]) -> Iterator[list[str]]:
    group: list[str] = []
    characters = 0
    for line in lines:
        group.append(line + "\n")
        characters += len(line)
        if len(group) == GROUP_LINES or characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
