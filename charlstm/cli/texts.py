"""Texts that commands read after training: files, standard input as it arrives, lines in groups."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from charlstm.cli.common import Function, engine_options, group_of
from charlstm.errors import UsageError

if TYPE_CHECKING:
    from charlstm.api import LanguageModel
    from charlstm.reading import Source

# A group of lines is scored as batches of rows and then shown: at most so much at once.
GROUP_LINES = 512
GROUP_CHARACTERS = 2**18

reading = group_of("Reading")
running = group_of("Running")


def reading_options(function: Function) -> Function:
    """Add the options that say how text is decoded."""
    for option in (
        reading(
            "--decode-errors",
            type=click.Choice(["strict", "replace"]),
            default="strict",
            show_default=True,
            help="Fail on bytes that don't decode, or put U+FFFD in their place.",
        ),
        reading("--encoding", default="utf-8", show_default=True, help="Encoding of the text."),
    ):
        function = option(function)
    return function


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
    from charlstm.addresses import find_sources
    from charlstm.reading import STDIN, check_encoding

    check_encoding(encoding)
    return [
        source
        for file in files or (STDIN,)
        for source in ([_standard_input()] if file == STDIN else find_sources(file, encoding, None))
    ]


def _standard_input() -> Source:
    from charlstm.reading import STDIN, StreamSource

    if sys.stdin is None:
        raise UsageError("standard input is closed: pipe a text in, or name a file")
    return StreamSource("stdin", Path(STDIN), sys.stdin.buffer)  # type: ignore[arg-type]


def line_groups(blocks: Iterable[str]) -> Iterator[list[str]]:
    r"""Divide blocks of a text into lines with their "\n", in groups.

    A group holds what is there: of a pipe that brings one line now and then, one line.
    """
    from charlstm.corpus import split_lines

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


def keeps_returns(model: LanguageModel) -> bool:
    r"""Whether a "\r" at the end of a line is text: lines that had it were learned with it."""
    return model.checkpoint.config.corpus.lines and "\r" in model.tokenizer.pieces


def without_end(line: str, returns_kept: bool) -> str:
    """Return a line without its end."""
    line = line.removesuffix("\n")
    return line if returns_kept else line.removesuffix("\r")


class Progress:
    """A progress bar over the bytes of regular files, if a terminal is there to show it.

    Args:
        sources: what is read.
        shown: whether it is wanted.
    """

    def __init__(self, sources: list[Source], *, shown: bool) -> None:
        self._bar: Any = None
        total = total_size(sources)
        if not shown or not sys.stderr.isatty() or total is None:
            return
        from tqdm import tqdm

        self._bar = tqdm(total=total, unit="B", unit_scale=True, dynamic_ncols=True, leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def shown(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def advance(self, size: float) -> None:
        """Move on by so many bytes."""
        if self._bar is not None:
            self._bar.update(size)

    def advance_over(self, lines: Iterable[str], encoding: str) -> None:
        """Move on by lines that have been scored."""
        if self._bar is not None:
            self._bar.update(sum(bytes_of(line, encoding) for line in lines))


class Advance(Protocol):
    """Moves a progress bar on."""

    def __call__(self, amount: float, total: float | None = None, /) -> None:
        """Move on by an amount, of a total if that was not known before."""


@contextmanager
def progress_bar(name: str, total: float | None, unit: str, *, quiet: bool) -> Iterator[Advance]:
    """Show a progress bar, if a terminal is there to show it."""
    if quiet or not sys.stderr.isatty():
        yield lambda amount, total=None: None  # noqa: ARG005
        return
    from tqdm import tqdm

    with tqdm(
        total=total, desc=name, unit=unit, unit_scale=True, dynamic_ncols=True, leave=False
    ) as bar:

        def advance(amount: float, total: float | None = None, /) -> None:
            bar.total = total or bar.total
            bar.update(amount)

        yield advance


def bytes_of(text: str, encoding: str) -> int:
    """Return how many bytes a text has in a file."""
    return len(text.encode(encoding, "replace"))


def total_size(sources: Iterable[Source]) -> int | None:
    """Return the bytes of text in all files, None where one can't be told."""
    sizes = [size_of(source) for source in sources]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def size_of(source: Source) -> int | None:
    """Return the bytes of text in a regular file, None where that can't be told."""
    from charlstm.reading import COMPRESSED, EmbeddedSource, StreamSource

    if isinstance(source, EmbeddedSource | StreamSource):
        return None
    if source.path.suffix.lower() in COMPRESSED:
        return None
    return os.path.getsize(source.path)
