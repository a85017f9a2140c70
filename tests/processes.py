"""Command lines that tests run, in this process or in others, and the imports of programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_here(arguments: list[str], stdin: bytes, capfd, monkeypatch) -> tuple[int, str, str]:
    """Run a command line in this process; return exit status, stdout and stderr."""
    from charlstm.cli.app import run_command_line

    read, write = os.pipe()
    os.write(write, stdin)
    os.close(write)
    capfd.readouterr()
    with os.fdopen(read) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        status = run_command_line(arguments)
    captured = capfd.readouterr()
    return status, captured.out, captured.err


def in_a_shell(
    line: str, folder: Path | None = None, *, timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a line in bash with the tested ``charlstm`` first in PATH and with ``pipefail``."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--norc", "-o", "pipefail", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def modules_loaded_by(program: str, folder: Path | None = None, **variables: str) -> set[str]:
    """Run a program in a new interpreter, and return the modules that are loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint()\nprint(*sys.modules)"],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def modules_loaded_by_command(
    *arguments: object, folder: Path | None = None, **variables: str
) -> set[str]:
    """Run a command line in a new interpreter, and return the modules that it loads."""
    given = [str(argument) for argument in arguments]
    program = (
        "from charlstm.cli.app import run_command_line\n"
        f"status = run_command_line({given!r})\n"
        "assert status == 0, status"
    )
    return modules_loaded_by(program, folder, **variables)
