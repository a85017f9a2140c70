"""Runs charlstm as a user would, on the shipped models, and reads the JSON it prints."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[1]
SHAKESPEARE = TREE / "checkpoints" / "shakespeare"


def charlstm(*arguments: str | float | Path) -> list[Any]:
    """Run ``charlstm ARGUMENTS --json`` and return the objects it prints.

    Raises:
        subprocess.CalledProcessError: if the command fails.
    """
    command = [sys.executable, "-m", "charlstm", *map(str, arguments), "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return [json.loads(line) for line in done.stdout.splitlines()]


def seconds_to_output(*arguments: str | float | Path) -> float:
    """Return how long ``charlstm ARGUMENTS`` takes to the first byte it prints.

    Raises:
        subprocess.CalledProcessError: if the command fails.
    """
    command = [sys.executable, "-m", "charlstm", *map(str, arguments)]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        seconds = time.perf_counter() - begin
        process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds
