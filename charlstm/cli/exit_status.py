"""Exit statuses after signals, and what is said then."""

from __future__ import annotations

import signal

# What is printed where nothing had to be saved.
WORDS = {
    signal.SIGINT: "Interrupted.",
    signal.SIGTERM: "Terminated.",
    signal.SIGHUP: "The terminal was closed.",
}


def exit_status(number: int) -> int:
    """Return the exit status of a command stopped by a signal."""
    return 128 + number
