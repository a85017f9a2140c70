"""Writes results to stdout, as text or JSON, and notes to stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charlstm.cli.argument_names import as_typed
from charlstm.errors import CharlstmError, StorageError

if TYPE_CHECKING:
    from charlstm.corpus.notes import Notes


def json_of(value: Any) -> str:
    """Return a value as JSON on one line. NaN and infinities become null."""
    import msgspec

    return msgspec.json.encode(value).decode()


def write_json(value: Any) -> None:
    """Write one line of JSON to stdout."""
    write_text(json_of(value) + "\n")


def write_text(text: str) -> None:
    """Write text to stdout as UTF-8, without changing line ends, and flush it."""
    _write(text.encode("utf-8", "replace"))


def write_path(path: Path) -> None:
    """Write a path to stdout on a line, byte for byte: its name may be in any encoding."""
    _write(os.fsencode(path) + b"\n")


def _write(data: bytes) -> None:
    if sys.stdout is None:
        raise StorageError("stdout is closed. Redirect it to a file or a pipe.")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Write a line to stderr, unless the command has ``--quiet``.

    A line that can't be written is dropped, because it must not end a run.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.params.get("quiet"):
        return
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def note_all(sentences: Iterable[str]) -> None:
    """Write notes of the library to stderr, with options in place of its arguments."""
    for sentence in sentences:
        note(f"Note: {as_typed(sentence.removeprefix('Note: ').rstrip('.'))}.")


def tell(notes: Notes) -> None:
    """Write the notes on a text that have not been written yet."""
    note_all(notes.untold())


@contextlib.contextmanager
def notes_of_errors() -> Iterator[None]:
    """Write the notes attached to an error before the error itself is printed."""
    try:
        yield
    except CharlstmError as error:
        note_all(getattr(error, "__notes__", ()))
        raise
