"""A progress bar on stderr, for whatever takes long and can be counted."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.corpus.reading import Source


class ProgressBar:
    """A progress bar, if it is wanted and a terminal is there to show it.

    Args:
        total: how much there is to do; None if that is not known.
        unit: what is counted.
        name: what is done, if a command does several things.
        shown: whether it is wanted.
    """

    def __init__(
        self, total: float | None, unit: str, *, name: str | None = None, shown: bool
    ) -> None:
        self._bar: Any = None
        if not shown or not sys.stderr.isatty():
            return
        from tqdm import tqdm

        self._bar = tqdm(
            total=total, desc=name, unit=unit, unit_scale=True, dynamic_ncols=True, leave=False
        )

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def shown(self) -> bool:
        """Whether there is a bar to be seen."""
        return self._bar is not None

    def advance(self, amount: float = 1, total: float | None = None) -> None:
        """Move on by an amount; ``total`` replaces a total that was not known before."""
        if self._bar is not None:
            self._bar.total = total or self._bar.total
            self._bar.update(amount)

    def advance_over(self, texts: Iterable[str], encoding: str) -> None:
        """Move on by the bytes that texts have in a file."""
        if self._bar is not None:
            self._bar.update(sum(bytes_of(text, encoding) for text in texts))


def bytes_of(text: str, encoding: str) -> int:
    """Return how many bytes a text has in a file."""
    return len(text.encode(encoding, "replace"))


def bar_over_files(sources: Iterable[Source], *, shown: bool) -> ProgressBar:
    """Return a bar over the bytes of files; none is shown where they can't be told."""
    total = total_size(sources)
    return ProgressBar(total, "B", shown=shown and total is not None)


def total_size(sources: Iterable[Source]) -> int | None:
    """Return the bytes of text in all files, None where one can't be told."""
    sizes = [size_of(source) for source in sources]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def size_of(source: Source) -> int | None:
    """Return the bytes of text in a regular file, None where that can't be told."""
    from charlstm.corpus.reading import COMPRESSED, EmbeddedSource, StreamSource

    if isinstance(source, EmbeddedSource | StreamSource):
        return None
    if source.path.suffix.lower() in COMPRESSED:
        return None
    return os.path.getsize(source.path)
