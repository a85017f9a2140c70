"""Progress bars on stderr, and a clock for tasks that have no steps to count."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from charlstm.corpus.reading import Source

# The size of a terminal that reports a width or a height of 0, as after ``stty cols 0``.
_COLUMNS, _LINES = 80, 24
_TICK = 1.0  # seconds between two updates of a clock
_SHOWN_AFTER = 0.5  # seconds before a clock appears, because a short task doesn't need one


def on_terminal() -> bool:
    """Return whether stderr is a terminal."""
    return sys.stderr.isatty()


def open_bar(file: TextIO | None = None, **options: Any) -> Any:
    """Return a tqdm bar that is as wide as the terminal.

    Args:
        file: the terminal; by default stderr.
        **options: arguments for tqdm.
    """
    from tqdm import tqdm

    file = file or sys.stderr
    return tqdm(file=file, **_size(file), **options)


def _size(file: TextIO) -> dict[str, Any]:
    """Return the arguments for tqdm that set the size of a bar.

    If the terminal doesn't know its size, tqdm would show nothing. Like tqdm for other terminals,
    the bar leaves the last column and the last line free.
    """
    with contextlib.suppress(OSError, ValueError):
        columns, lines = os.get_terminal_size(file.fileno())
        if not (columns and lines):
            columns = columns or _columns_in_environment()
            return {"ncols": columns - 1, "nrows": (lines or _LINES) - 1}
    return {"dynamic_ncols": True}


def _columns_in_environment() -> int:
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) > 1 else _COLUMNS


class Ticker:
    """Calls a function about once a second from a thread, until it is closed.

    Args:
        tick: the function.
        after: seconds before the first call.
    """

    def __init__(self, tick: Callable[[], object], after: float = _TICK) -> None:
        self._tick, self._after = tick, after
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        seconds = self._after
        while not self._closed.wait(seconds):
            with contextlib.suppress(OSError):  # the terminal was closed
                self._tick()
            seconds = _TICK

    def close(self) -> None:
        """Stop, after a call in progress has returned."""
        self._closed.set()
        self._thread.join()


class Clock:
    """The name of a task and its time so far, shown only if stderr is a terminal.

    It keeps moving during the import of TensorFlow, which redirects file descriptor 2.

    Args:
        name: the name of the task.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Any = None
        self._ticker: Ticker | None = None
        if on_terminal():
            self._terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w")
            self._ticker = Ticker(self._tick, _SHOWN_AFTER)

    def _tick(self) -> None:
        if self._bar is None:
            form = "{desc} [{elapsed}]"
            self._bar = open_bar(self._terminal, desc=self._name, bar_format=form, leave=False)
        self._bar.refresh()

    def close(self) -> None:
        """Remove the clock."""
        if self._ticker is None:
            return
        self._ticker.close()
        self._ticker = None
        with contextlib.suppress(OSError), self._terminal:
            if self._bar is not None:
                self._bar.close()


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
        if shown and on_terminal():
            self._bar = open_bar(total=total, desc=name, unit=unit, unit_scale=True, leave=False)

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
