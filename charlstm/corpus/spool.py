"""Copies text from stdin or from strings to a temporary file.

The file exists while the body of a ``with`` statement runs.
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
    """Copy stdin to a temporary file and yield its path; yield ``None`` if ``-`` is not an address.

    Raises:
        CorpusError: if stdin can't be read.
        UsageError: if stdin is closed, or ``-`` is an address twice.
    """
    if addresses.count(STDIN) > 1:
        raise UsageError(f"{STDIN} is given twice, but stdin can be read only once.")
    if STDIN not in addresses:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="charlstm-") as folder:
        stream = getattr(sys.stdin, "buffer", None)
        if stream is None:
            raise UsageError("stdin is closed. Pipe a text in, or give a file.")
        path = Path(folder) / NAME
        spool_stdin(stream, path)
        yield path


@contextlib.contextmanager
def spooled_strings(strings: Sequence[str], addresses: Sequence[str]) -> Iterator[Path]:
    """Write strings to a temporary file for the address ``STRINGS``, and yield its path.

    Raises:
        UsageError: if ``-`` is an address too.
    """
    if STDIN in addresses:
        raise UsageError(f"{STDIN} can't be combined with `texts`. Read stdin and add its text.")
    with tempfile.TemporaryDirectory(prefix="charlstm-") as folder:
        path = Path(folder) / NAME
        spool_strings(strings, path)
        yield path
