"""Fetches texts of the catalog that a command names, with a progress bar."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.progress_bar import ProgressBar

if TYPE_CHECKING:
    from charlstm.corpus.catalog import KnownText


def fetch_with_bar(entry: KnownText, *, quiet: bool) -> Path:
    """Return the path of a text, which is fetched if it is not here."""
    from charlstm.corpus.catalog import fetch

    if entry.is_here:
        return entry.path
    with ProgressBar(entry.bytes, "B", name=entry.name, shown=not quiet) as bar:
        return fetch(entry, bar.advance)


def fetch_named(addresses: Iterable[str], *, quiet: bool) -> None:
    """Fetch the texts of the catalog among addresses, but for names that files or folders have."""
    from charlstm.corpus.catalog import find_entry

    for address in addresses:
        if not os.path.exists(address) and (entry := find_entry(address)) is not None:
            fetch_with_bar(entry, quiet=quiet)
