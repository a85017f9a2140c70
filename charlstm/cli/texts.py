"""Texts that commands read after training: files, standard input as it arrives, lines in groups."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.options import Function, decoding_options, engine_options, group_of
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.corpus.reading import Source

# A group of lines is scored as batches of rows and then shown: at most so much at once.
GROUP_LINES = 512
GROUP_CHARACTERS = 2**18

reading = group_of("Reading")
running = group_of("Running")
reading_options = decoding_options(reading)


def running_options(function: Function) -> Function:
    """Add the options that say how the model runs."""
    quiet = running("-q", "--quiet", is_flag=True, help="No note and no progress bar on stderr.")
    return engine_options(running)(quiet(function))


def open_texts(files: tuple[str, ...], encoding: str) -> list[Source]:
    """Return the texts that arguments name: files as ``charlstm train`` takes them, or ``-``.

    Raises:
        ConfigError: if ``encoding`` is no text encoding.
        CorpusError: if a name stands for nothing that can be read as text.
        UsageError: if standard input is asked for and closed.
    """
    from charlstm.corpus.reading import STDIN, check_encoding
    from charlstm.corpus.sources import find_sources

    check_encoding(encoding)
    return [
        source
        for file in files or (STDIN,)
        for source in ([_standard_input()] if file == STDIN else find_sources(file, encoding, None))
    ]


def _standard_input() -> Source:
    from charlstm.corpus.reading import STDIN, StreamSource

    if sys.stdin is None:
        raise UsageError("standard input is closed: pipe a text in, or name a file")
    return StreamSource("stdin", Path(STDIN), sys.stdin.buffer)  # type: ignore[arg-type]


def line_groups(blocks: Iterable[str]) -> Iterator[list[str]]:
    r"""Divide blocks of a text into lines with their "\n", in groups.

    A group holds what is there: of a pipe that brings one line now and then, one line.
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
