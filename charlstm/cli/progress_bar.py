"""A progress bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.corpus.reading import Source


class ProgressBar:
    """A progress bar, shown only if stderr is a terminal.

    Args:
        total: the number of units, ``None`` if unknown.
        unit: the name of a unit.
        name: the name of the task, for commands with several tasks.
        shown: whether to show it on a terminal.
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
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    @property
    def shown(self) -> bool:
        """Whether the bar is visible."""
        return self._bar is not None

    def advance(self, amount: float = 1, total: float | None = None) -> None:
        """Advance by a number of units. ``total``, if given, replaces the total."""
        if self._bar is not None:
            self._bar.total = total or self._bar.total
            self._bar.update(amount)

    def advance_over(self, texts: Iterable[str], encoding: str) -> None:
        """Advance by the size of texts in bytes, in the encoding of their file."""
        if self._bar is not None:
            self._bar.update(sum(bytes_of(text, encoding) for text in texts))


class ReadingBars:
    """A progress bar for each pass over a text, one after another.

    Args:
        shown: whether to show them on a terminal.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._task: tuple[str, int | None] = ("", None)
        self._bar: ProgressBar | None = None
        self._done = 0

    def tell(self, task: str, done: int, total: int | None) -> None:
        """Show the progress of a task, and remove the bar of the task before it."""
        if self._bar is None or (task, total) != self._task or done < self._done:
            self.close()
            # Some tasks count bytes, others characters, so the bar has no unit.
            self._bar = ProgressBar(total, "", name=task, shown=self._shown)
            self._task = (task, total)
        self._bar.advance(done - self._done)
        self._done = done

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._done = None, 0


def bytes_of(text: str, encoding: str) -> int:
    """Return the size of a text in bytes, in the encoding of its file."""
    return len(text.encode("utf-8" if encoding == "auto" else encoding, "replace"))


def bar_over_files(sources: Iterable[Source], *, shown: bool) -> ProgressBar:
    """Return a bar over the bytes of files, which is not shown if their size is unknown."""
    from charlstm.corpus.reading import total_size

    total = total_size(sources)
    return ProgressBar(total, "B", shown=shown and total is not None)
