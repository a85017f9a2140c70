"""Writes results to stdout, as text or JSON, and notes to stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from charlstm.errors import CharlstmError, StorageError

if TYPE_CHECKING:
    from charlstm.corpus.notes import Notes


def json_of(value: Any) -> str:
    """Return a value as JSON on one line; NaN and infinities become null."""
    import msgspec

    return msgspec.json.encode(value).decode()


def write_json(value: Any) -> None:
    """Write one line of JSON to stdout."""
    write_text(json_of(value) + "\n")


def write_text(text: str) -> None:
    """Write text to stdout as UTF-8, without changing line ends, and flush it."""
    if sys.stdout is None:
        raise StorageError("standard output is closed: let it go to a file, a pipe or a terminal")
    stream = sys.stdout.buffer
    stream.write(text.encode("utf-8", "replace"))
    stream.flush()


def note(text: str) -> None:
    """Write a line to stderr; if it can't be written, that must not end a run."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


@contextlib.contextmanager
def notes_of_errors(*, quiet: bool) -> Iterator[None]:
    """Write the notes that an error has kept before it is told itself."""
    try:
        yield
    except CharlstmError as error:
        for sentence in () if quiet else getattr(error, "__notes__", ()):
            note(sentence)
        raise


def tell(notes: Notes) -> None:
    """Write the notes on a text that have not been written yet."""
    for sentence in notes.untold():
        note(sentence)
