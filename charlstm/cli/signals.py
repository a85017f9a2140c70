"""Signals during training: they end a run with nothing to save, and otherwise save and stop it.

Ctrl-C (SIGINT), SIGTERM and a closed terminal (SIGHUP) have the same effect. The exit status
depends on the signal, as shells expect.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from charlstm.cli.exit_status import WORDS


class Stopped(KeyboardInterrupt):
    """A signal came before there was anything to save.

    Attributes:
        number: the number of the signal.
        is_new: whether the run was a new one, so that nothing of it is saved.
    """

    def __init__(self, number: int, *, is_new: bool = True) -> None:
        super().__init__(number)
        self.number, self.is_new = number, is_new


class Signals:
    """A context in which signals raise ``Stopped`` or, after ``defer``, are remembered.

    A signal that is ignored on entry, such as SIGHUP under ``nohup``, stays ignored. The first
    deferred signal counts. Ctrl-C after it ends the process at once.

    Args:
        is_new: whether the run is a new one, not resumed.

    Attributes:
        number: the number of the first signal received, or 0.
    """

    def __init__(self, *, is_new: bool = True) -> None:
        self.number, self._is_new = 0, is_new
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
        """From now on only remember signals, because there is something to save."""
        self._deferred = True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if not self._deferred:
            raise Stopped(
                number, is_new=self._is_new
            )  # an import may swallow it, then the run stops at its start
        if signal.SIGINT in self._previous:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
