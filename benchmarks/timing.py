"""Measures wall-clock times of whole processes."""

import platform
import statistics
import subprocess
import sys
import time


def seconds_of(*arguments, until_output=False):
    """Return the seconds that ``charlstm ARGUMENTS`` takes, in all or until its first character."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "charlstm", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        first = process.stdout.read(1)
        first_seconds = time.perf_counter() - begin
        process.stdout.read()
    if process.returncode or not first:
        raise SystemExit(f"{' '.join(command)} failed")
    return first_seconds if until_output else time.perf_counter() - begin


def median_of(runs, measure):
    """Return the median of ``runs`` measurements, after one that doesn't count."""
    measure()
    return statistics.median(measure() for _ in range(runs))


def processor():
    """Return the number and the name of the CPUs."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if "model name" in line]
        return f"{len(names)} x {names[0]}"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()
