"""A progress bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charlstm.corpus.reading import Source


class ProgressBar:
    """A progress bar, shown only if it is wanted and stderr is a terminal.

    Args:
        total: the number of units, None if it is not known.
        unit: the name of a unit.
        name: the name of the task, if a command has several.
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
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    @property
    def shown(self) -> bool:
        """Whether the bar is on the screen."""
        return self._bar is not None

    def advance(self, amount: float = 1, total: float | None = None) -> None:
        """Advance by a number of units; ``total`` replaces a total that was not known before."""
        if self._bar is not None:
            self._bar.total = total or self._bar.total
            self._bar.update(amount)

    def advance_over(self, texts: Iterable[str], encoding: str) -> None:
        """Advance by the size of texts in a file, in bytes."""
        if self._bar is not None:
            self._bar.update(sum(bytes_of(text, encoding) for text in texts))


class ReadingBars:
    """A progress bar for each pass over a text, one after the other.

    Args:
        shown: whether they are wanted.
    """

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._task: tuple[str, int | None] = ("", None)
        self._bar: ProgressBar | None = None
        self._done = 0

    def tell(self, task: str, done: int, total: int | None) -> None:
        """Show how far a task has come; the bar of the one before it vanishes."""
        if self._bar is None or (task, total) != self._task or done < self._done:
            self.close()
            # Bytes or characters: a unit would be wrong for one of them.
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
    """Return the size of a text in a file, in bytes."""
    return len(text.encode("utf-8" if encoding == "auto" else encoding, "replace"))


def bar_over_files(sources: Iterable[Source], *, shown: bool) -> ProgressBar:
    """Return a bar over the bytes of files; not shown if their size is not known."""
    from charlstm.corpus.reading import total_size

    total = total_size(sources)
    return ProgressBar(total, "B", shown=shown and total is not None)
