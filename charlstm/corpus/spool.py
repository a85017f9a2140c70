"""Keeps text that is not in a file, from standard input or strings, in a temporary file.

The file exists as long as the body of a ``with`` statement runs. This module does not read it.
"""

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
    """Copy standard input to a temporary file and yield its path, if ``-`` is an address.

    Raises:
        CorpusError: if standard input can't be read.
        UsageError: if it is closed, or ``-`` is an address twice.
    """
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
    """Write strings to a temporary file and yield its path, for the address ``STRINGS``.

    Raises:
        UsageError: if ``-`` is an address too.
    """
    if STDIN in addresses:
        raise UsageError(f"{STDIN} can't be read beside texts: read it and give it as a text")
    with tempfile.TemporaryDirectory(prefix="charlstm-") as folder:
        path = Path(folder) / NAME
        spool_strings(strings, path)
        yield path
