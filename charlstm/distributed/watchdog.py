"""Ends this process, with an error on stderr, if it is stuck in code that can't be interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

# Seconds that a process has to end with its own error before it is killed.
GRACE = 5.0

# Prints an error and ends a process in which no other thread can run. Its stdin is a pipe from that
# process, so the watchdog ends when the pipe closes.
WATCHDOG = """
{ sleep "$1"; printf '%s\\n' "$3" >&2; kill -ALRM "$2"; } &
read nothing
kill -KILL 0
"""


@contextlib.contextmanager
def ended_after(seconds: int, sentence: str) -> Iterator[None]:
    """End this process by SIGALRM, with an error on stderr, if the body takes too long.

    A separate process watches, because the body may block all threads of this one. If it can't be
    started, the signal still ends this process, without an error message.
    """
    arguments = [str(seconds), str(os.getpid()), f"Error: {sentence}"]
    signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
    watchdog = None
    try:
        with contextlib.suppress(OSError):
            watchdog = subprocess.Popen(
                ["/bin/sh", "-c", WATCHDOG, "sh", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if watchdog is not None:
            with contextlib.suppress(OSError):
                os.killpg(watchdog.pid, signal.SIGKILL)
            watchdog.communicate()
