"""Texts that can be read only once, or are in no file, in a temporary file as long as it takes."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from charlstm.corpus.reading import STDIN, spool_stdin, spool_strings
from charlstm.errors import UsageError

NAME = "text"


@contextlib.contextmanager
def spooled_stdin(addresses: Sequence[str]) -> Iterator[Path | None]:
    """Keep what comes through standard input in a temporary file, if an address asks for it."""
    if addresses.count(STDIN) > 1:
        raise UsageError("standard input is named twice and can be read only once: name it once")
    if STDIN not in addresses:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="charlstm-") as folder:
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise UsageError("standard input is closed: pipe a text in, or name a file")
        path = Path(folder) / NAME
        spool_stdin(stream, path)
        yield path


@contextlib.contextmanager
def spooled_strings(strings: Sequence[str], addresses: Sequence[str]) -> Iterator[Path]:
    """Keep texts in a temporary file, for the address that stands for them.

    Raises:
        UsageError: if the addresses beside them ask for standard input.
    """
    if STDIN in addresses:
        raise UsageError(f"{STDIN} can't be read beside texts: read it and give it as a text")
    with tempfile.TemporaryDirectory(prefix="charlstm-") as folder:
        path = Path(folder) / NAME
        spool_strings(strings, path)
        yield path
