"""Exit statuses after signals, and the message for each."""

from __future__ import annotations

import signal

# Printed when a signal comes before there is anything to save.
WORDS = {
    signal.SIGINT: "Interrupted.",
    signal.SIGTERM: "Terminated.",
    signal.SIGHUP: "The terminal was closed.",
}


def exit_status(number: int) -> int:
    """Return the exit status of a command stopped by a signal."""
    return 128 + number
