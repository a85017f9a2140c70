"""Signals: with nothing to save yet they end a run, afterwards they ask it to save and stop.

A run treats Ctrl-C (SIGINT), SIGTERM and a closed terminal (SIGHUP) alike; the exit status says
which it was, as shells expect. Does not know what a run is.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from charlstm.cli.exit_status import WORDS


class Stopped(KeyboardInterrupt):
    """A signal came while nothing had to be saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """A context in which signals raise ``Stopped`` or, once deferred, are remembered.

    A signal that is ignored on entry, such as SIGHUP under ``nohup``, stays ignored. Of deferred
    signals the first counts; Ctrl-C after it ends the process at once, wherever it is.

    Attributes:
        number: the number of the first signal received, or 0.
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

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def defer(self) -> None:
        """From now on only remember a signal, because there is something to save."""
        self._deferred = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if not self._deferred:
            raise Stopped(number)  # an import may swallow it; then the run stops as it starts
        if signal.SIGINT in self._previous:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
