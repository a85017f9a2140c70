"""Assertions about messages. They test the parts that matter, not the wording.

A message must name the option or argument, the path, the number, the remedy. The full sentences are
in ``snapshots/`` folders next to the tests. ``tests/cli/test_snapshots.py`` writes those of the
command line, the fixture ``sentence`` the others. After a change of wording, ``make snapshots``
writes them again, and the diff shows what users will read.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest


class Outcome(NamedTuple):
    """How a command ended, whether it ran in this process or another."""

    status: int
    out: str
    err: str

    @classmethod
    def of(cls, result) -> Outcome:
        if isinstance(result, subprocess.CompletedProcess):
            return cls(result.returncode, result.stdout, result.stderr)
        return cls(*result)


def names(message: object, part: object) -> bool:
    """Return whether a message contains a part as a whole word or number.

    60 is not in 600, and ``--min`` is not in ``--min-p``. An end of the part that is punctuation,
    such as a quote, can have anything next to it.
    """
    text = str(part)
    before = r"(?<![\w-])" if text.startswith("-") else r"(?<!\w)(?<!\d[.,])(?<!\s-)"
    if not re.match(r"[\w-]", text):
        before = ""
    after = r"(?![\w-]|[.,]\w)" if re.search(r"\w$", text) else ""
    return re.search(before + re.escape(text) + after, str(message)) is not None


def assert_names(message: object, *parts: object) -> None:
    """Assert that a message is one line that contains all the parts."""
    text = str(message)
    assert text.strip()
    assert len(text.splitlines()) == 1, text
    assert "Traceback" not in text
    missing = [part for part in parts if not names(text, part)]
    assert not missing, f"{text!r} does not name {missing}"


def assert_error(result, status: int, *parts: object, out: str | None = "") -> None:
    """Assert that a command failed with a status and one line on stderr that names the parts.

    ``out`` is the expected stdout; ``None`` skips this check.
    """
    outcome = Outcome.of(result)
    assert outcome.status == status, outcome
    assert out is None or outcome.out == out
    assert outcome.err.endswith("\n")
    assert outcome.err.startswith("Error: ")
    assert_names(outcome.err.removeprefix("Error: "), *parts)


def assert_misuse(result, *parts: object) -> None:
    """Assert that a command line was refused: an error that names the parts, then where to read."""
    outcome = Outcome.of(result)
    error, *rest = outcome.err.splitlines()
    assert len(rest) == 1, outcome
    assert re.fullmatch(r"See charlstm( \w+)? --help\.", rest[0])
    assert_error(outcome._replace(err=f"{error}\n"), 2, *parts)


def assert_warning(result, *parts: object) -> None:
    """Assert that a command succeeded with exactly one warning, which names the parts."""
    outcome = Outcome.of(result)
    assert outcome.status == 0, outcome
    warnings = [line for line in outcome.err.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == 1, outcome
    assert_names(warnings[0].removeprefix("Warning: "), *parts)


@contextlib.contextmanager
def raises_naming(
    error: type[BaseException], *parts: object
) -> Iterator[pytest.ExceptionInfo[BaseException]]:
    """Assert that an exception is raised and that its message names the parts."""
    with pytest.raises(error) as caught:
        yield caught
    assert_names(caught.value, *parts)
