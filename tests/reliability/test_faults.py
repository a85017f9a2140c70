"""The fault harness detects what is wrong, and a file survives a disk that fails during a write."""

import json
import os
import subprocess
import sys

import pytest

from charlstm.checkpoint import schema
from charlstm.errors import StorageError
from charlstm.system.files import write_atomically
from tests.reliability.dying import OPERATIONS
from tests.reliability.faults import (
    FAULTS,
    Bench,
    Outcome,
    Skipped,
    describe,
    fault,
    fill,
    judge_exhausted,
)
from tests.reliability.folders import leftovers


class Ended:
    """A process that has ended."""

    def __init__(self, status, errors):
        self.popen = self
        self.returncode = status
        self.errors = errors
        self.sentence = errors.strip().splitlines()[-1]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("status", "errors", "wrong"),
    [
        (1, "Error: the disk is full\n", ()),
        (2, "Error: the disk is full\n", ("status 2, not 1",)),
        (1, "Error: no\n", ("does not say 'the disk is full'",)),
        (1, "Traceback (most recent call last):\nOSError: the disk is full", ("a traceback",)),
    ],
)
def test_the_harness_detects_what_is_wrong_in_the_output(bench, status, errors, wrong):
    outcome = bench.judge(Ended(status, errors), None, 1, "the disk is full")
    assert outcome.wrong == wrong
    assert (outcome.status, outcome.disk) == (status, "no checkpoint")


def test_the_harness_detects_what_is_wrong_on_disk(bench):
    folder = bench.new_folder()
    assert bench.look(folder, ()) == ("no checkpoint", [])
    (folder / f".{schema.MODEL}.x.tmp").touch()
    (folder / schema.CONFIG).write_text("{")
    (folder / schema.RESUME).write_text("")
    wrong = bench.look(folder, (schema.MODEL,))[1]
    assert [what.split()[0] for what in wrong] == [schema.MODEL, "leftovers", "damaged:"]


def test_a_row_names_fault_sentence_status_time_and_disk():
    outcome = Outcome("Error: a | b", 130, "a model", (), 1.25)
    assert describe("Ctrl-C", outcome) == "| Ctrl-C | Error: a \\| b | 130, 1.2 s | a model |"


WARNING = "Warning: the run needs about 9.0 GB of memory: choose fewer --streams\n"
EXHAUSTED = "Error: out of memory: choose fewer --streams\n"


@pytest.mark.parametrize(
    ("status", "errors", "wrong"),
    [
        (1, WARNING + EXHAUSTED, ()),
        (1, EXHAUSTED, ()),
        (1, WARNING + "Error: something else\n", ("does not end with 'out of memory'",)),
        (1, WARNING, ("does not end with 'out of memory'",)),
        (-11, WARNING, ()),
        (-11, "training: --streams\n", ("does not say 'Warning: the run needs about'",)),
        (0, WARNING, ("status 0, not 1 or -11 or -6 or -9",)),
    ],
)
def test_a_run_without_memory_reports_or_has_warned_of_it(bench, status, errors, wrong):
    assert judge_exhausted(bench, Ended(status, errors)).wrong == wrong


def test_no_two_faults_share_a_name():
    name = next(iter(FAULTS))
    with pytest.raises(ValueError, match=name):
        fault(name)(lambda bench: None)
    provoked = list(FAULTS.values())
    assert len(set(provoked)) == len(provoked)
    assert all(callable(function) for function in provoked)


def test_the_old_file_stays_if_the_disk_is_full(bench):
    try:
        with bench.small_disk("64k") as disk:
            path = disk / schema.MODEL
            write_atomically(path, b"old" * 4096)
            fill(disk)
            with pytest.raises(StorageError, match=r"full|space"):
                write_atomically(path, b"new" * 8192)
            assert path.read_bytes() == b"old" * 4096
            assert sorted(os.listdir(disk)) == ["filler", schema.MODEL]
    except Skipped as reason:
        pytest.skip(str(reason))


WRITER = """
import json, sys
from pathlib import Path
from tests.reliability.dying import Death, watch_files
watch_files(Death(json.loads(sys.argv[1])))
from charlstm.errors import StorageError
from charlstm.system.files import write_atomically
try:
    write_atomically(Path(sys.argv[2]), b"new" * 1000)
except StorageError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(("operation", "when"), OPERATIONS)
def test_a_file_is_old_or_new_whichever_operation_fails(tmp_path, operation, when):
    path = tmp_path / schema.HISTORY
    path.write_bytes(b"old")
    plan = {"event": f"{operation} {path.name}", "when": when, "do": "EDQUOT"}
    command = [sys.executable, "-c", WRITER, json.dumps(plan), path]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "quota" in done.stderr
    replaced = (operation, when) == ("replace", "after")
    assert path.read_bytes() == (b"new" * 1000 if replaced else b"old")
    assert leftovers(tmp_path) == []
