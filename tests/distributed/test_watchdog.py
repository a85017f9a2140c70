"""A process that is stuck in code that can't be interrupted is ended, with an error."""

import signal
import subprocess
import sys

from charlstm.distributed import watchdog

STUCK = """
import ctypes
from charlstm.distributed import watchdog
with watchdog.ended_after(1, "it's \\"stuck\\" $HOME: 100% `so`"):
    ctypes.PyDLL(None).sleep(60)  # which lets no other thread run
"""


def test_a_stuck_process_ends_with_an_error():
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGALRM, "")
    assert done.stderr == 'Error: it\'s "stuck" $HOME: 100% `so`\n'


def test_a_process_that_is_not_stuck_continues_unwatched(monkeypatch):
    started, popen = [], subprocess.Popen

    def start(*given, **more):
        started.append(popen(*given, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with watchdog.ended_after(60, "no"):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 60
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert [watchdog.returncode for watchdog in started] == [-signal.SIGKILL]


def test_the_watchdog_ends_with_the_process():
    """Otherwise readers of its stderr would wait for it."""
    program = (
        "import os, signal\nfrom charlstm.distributed import watchdog\n"
        "with watchdog.ended_after(500, 'no'):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, b"")
