"""Ends this process, with a reason on stderr, when it is stuck in code that can't be interrupted.

This module does not know what the process is doing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

# A process that is to end may end by an error of its own for so many seconds.
GRACE = 5.0

# Ends a process that lets nothing of its own run any more, but speaks first. Its standard input
# ends with that process, and it with both.
WATCHDOG = """
{ sleep "$1"; printf '%s\\n' "$3" >&2; kill -ALRM "$2"; } &
read nothing
kill -KILL 0
"""


@contextlib.contextmanager
def ended_after(seconds: int, sentence: str) -> Iterator[None]:
    """End this process by SIGALRM, with an error on stderr, if the body takes too long.

    A process of its own watches, because the body may let no other thread run. Where none can be
    started, the signal comes without a word.
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
