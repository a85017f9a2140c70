"""Tests of ``tests.messages``: parts are found as whole words, and no snapshot is left over."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests.messages import (
    assert_error,
    assert_misuse,
    assert_names,
    assert_warning,
    names,
    raises_naming,
)

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("message", "part", "expected"),
    [
        ("length is 600: raise it", 600, True),
        ("length is 600: raise it", 60, False),
        ("length is 600: raise it", "00", False),
        ("length is 600.", 600, True),
        ("length is 600.5", 600, False),
        ("length is 10,600", 600, False),
        ("length is 0.5", 5, False),
        ("length is -1", 1, False),
        ("length is -1", -1, True),
        ("give --min-length or -n", "--min-length", True),
        ("give --min-length or -n", "--min", False),
        ("give --min-length or -n", "-length", False),
        ("give --min-length or -n", "-n", True),
        ("give '--bias'", "--bias", True),
        ("can't read a/b.txt: it is gone", "a/b.txt", True),
        ("can't read a/b.txt: it is gone", "b.txt", True),
        ("can't read a/b.txt: it is gone", "a/b", False),
        ("can't read a/b.txt.gz", "b.txt", False),
        ("the pattern 'a+' matches nothing", "'a+'", True),
        ("the pattern 'a+' matches nothing", "match", False),
    ],
)
def test_a_part_is_named_as_a_whole(message, part, expected):
    assert names(message, part) == expected


@pytest.mark.parametrize("message", ["", " ", "a\nb", "a\x85b", "Traceback (most recent call"])
def test_a_message_is_one_line(message):
    with pytest.raises(AssertionError):
        assert_names(message)


@pytest.mark.parametrize(
    "result",
    [
        (1, "", "Error: --top is 5\n"),
        (2, "5", "Error: --top is 5\n"),
        (2, "", "Error: --top is 5"),
        (2, "", "--top is 5\n"),
        (2, "", "Error: --top is 50\n"),
        (2, "", "Error: --top is 5\nError: 3\n"),
        (2, "", "Warning: 3\nError: --top is 5\n"),
        subprocess.CompletedProcess([], 1, "", "Error: --top is 5\n"),
    ],
)
def test_assert_error_refuses_other_results(result):
    assert_error((2, "", "Error: --top is 5\n"), 2, "--top", 5)
    with pytest.raises(AssertionError):
        assert_error(result, 2, "--top", 5)


def test_errors_of_processes_misuse_and_warnings():
    assert_error(subprocess.CompletedProcess([], 2, "a", "Error: --top\n"), 2, "--top", out="a")
    see = "See charlstm score --help.\n"
    assert_misuse((2, "", f"Error: --top is 5\n{see}"), "--top", 5)
    assert_warning((0, "text", "Warning: 5 are unknown\nseed 1\n"), 5)
    for wrong in ((0, "", f"Error: --top\n{see}"), (2, "", f"Error: a\n{see}")):
        with pytest.raises(AssertionError):
            assert_misuse(wrong, "--top")
    for wrong in ((1, "", "Warning: 5\n"), (0, "", "5\n"), (0, "", "Warning: 5\nWarning: 5\n")):
        with pytest.raises(AssertionError):
            assert_warning(wrong, 5)


def test_exceptions_that_name_the_parts():
    with raises_naming(ValueError, "units", 0) as caught:
        raise ValueError("units is 0")
    assert str(caught.value) == "units is 0"
    with pytest.raises(AssertionError), raises_naming(ValueError, "units", 1):
        raise ValueError("units is 0")


def with_sentences(module):
    """Return the names of the tests of a module that have snapshots."""
    functions = (n for n in ast.walk(ast.parse(module)) if isinstance(n, ast.FunctionDef))
    return {each.name for each in functions if "sentence" in {a.arg for a in each.args.args}}


def test_no_snapshot_is_left_over(request):
    """Snapshots of tests or test modules that no longer exist must be deleted."""
    from tests import snapshots

    for path in HERE.rglob("snapshots/test_*.txt"):
        module = path.parent.parent / f"{path.stem}.py"
        known = with_sentences(module.read_text()) if module.exists() else set()
        assert {*snapshots.read(path)} <= known, path
