"""Downloads texts of the catalog, with a progress bar."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.progress_bar import ProgressBar

if TYPE_CHECKING:
    from charlstm.corpus.catalog import KnownText


def fetch_with_bar(entry: KnownText, *, quiet: bool) -> Path:
    """Return the path of a text of the catalog; download it first if necessary."""
    from charlstm.corpus.catalog import fetch

    if entry.is_here:
        return entry.path
    with ProgressBar(entry.bytes, "B", name=entry.name, shown=not quiet) as bar:
        return fetch(entry, bar.advance)


def fetch_named(addresses: Iterable[str], *, quiet: bool) -> None:
    """Download the texts of the catalog among addresses, unless a file or folder has the name."""
    from charlstm.corpus.catalog import find_entry

    for address in addresses:
        if not os.path.exists(address) and (entry := find_entry(address)) is not None:
            fetch_with_bar(entry, quiet=quiet)
