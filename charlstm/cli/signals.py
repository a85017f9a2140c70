"""What signals do to a run: before there is anything to save they end it, then they ask it to save.

Ctrl-C (SIGINT), a request to end (SIGTERM) and a closed terminal (SIGHUP) are one and the same to a
run; the exit status tells which it was, as shells expect it. This module does not know what a run
is.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

# What is said where nothing had to be saved.
WORDS = {
    signal.SIGINT: "Interrupted.",
    signal.SIGTERM: "Terminated.",
    signal.SIGHUP: "The terminal was closed.",
}


class Stopped(KeyboardInterrupt):
    """A signal came while nothing had to be saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_status(number: int) -> int:
    """Return the exit status of a command that a signal has stopped."""
    return 128 + number


class Signals:
    """Catches signals as long as it is entered.

    What is ignored, such as SIGHUP under ``nohup``, stays ignored. Of those that are deferred the
    first counts; Ctrl-C after it ends the process at once, wherever it is.

    Attributes:
        number: of the first signal that came, or 0.
    """

    def __init__(self) -> None:
        self.number = 0
        self._deferred = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Signals:
        for number in WORDS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def defer(self) -> None:
        """From now on only remember a signal, because there is something to save."""
        self._deferred = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if not self._deferred:
            raise Stopped(number)  # which some import may swallow; then a run stops as it begins
        if signal.SIGINT in self._previous:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
