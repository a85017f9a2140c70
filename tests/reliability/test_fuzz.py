"""A few hundred hostile checkpoints and corpora, always the same; for more use ``make fuzz``."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from charlstm.checkpoint import safetensors
from charlstm.cli.options import GroupedCommand
from charlstm.corpus import reading
from charlstm.errors import CheckpointDamaged
from tests.reliability import bounded, checkpoints, corpora
from tests.reliability.bounded import Finding, Report, check_message, judged, run_all, run_case

CHECKPOINTS, CORPORA = 300, 200  # corpora take longer


def findings(maker, folder, numbers):
    """Run cases in this process, without a memory limit."""
    case = maker(1, folder)
    report = Report()
    with warnings.catch_warnings():
        bounded.refuse_warnings()
        for number in numbers:
            report.add(run_case(case, number))
    assert report.cases == len(numbers)
    return report


def test_hostile_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    report = findings(checkpoints.maker, tmp_path, range(CHECKPOINTS))
    assert report.findings == []
    assert {outcome for _, outcome in report.counts} > {"ran", "CheckpointDamaged"}


def test_hostile_corpora(tmp_path, monkeypatch):
    for name in ("EXPANDED", "EXPANSION"):
        monkeypatch.setattr(reading, name, getattr(reading, name))
    for name in ("MEMORY", "GROWTH"):
        monkeypatch.setattr(bounded, name, getattr(bounded, name))
    monkeypatch.setitem(corpora.CONTENTS, "lines of 1 to 50 MB", (0, corpora._huge_line))
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    report = findings(corpora.maker, tmp_path, range(CORPORA))
    assert report.findings == []
    assert {outcome for _, outcome in report.counts} > {"ran", "CorpusError"}


@pytest.mark.slow
def test_hostile_texts_are_trained_on():
    arguments = ("trainings", "--count", "8", "--seed", "5", "--workers", "1")
    command = [sys.executable, "-m", "tests.reliability.fuzz", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| mutation | cases | ran |")


# The harness itself: findings are detected, reported with their number, and survived.


def _dangerous(seed, folder):
    def case(number):
        match number:
            case 2:
                raise ValueError("odd")
            case 3:
                os._exit(7)
            case 5:
                return "kind", judged(lambda: _refuse("line\x85break"))
            case 6:
                return "kind", judged(lambda: _refuse("x" * 600))
            case 7:
                return "kind", judged(_ask_for_memory)
            case 8:
                raise Finding("wrong")
            case 9 | 10:
                return "kind", judged(_find_too_large, huge=number == 10)
            case 11:
                _ = bytearray(1 << 33)
        return "kind", judged(lambda: _refuse("a sentence about it"), named="it")

    return case


def _refuse(message):
    raise CheckpointDamaged(message)


def _ask_for_memory():
    command = GroupedCommand("greedy", callback=lambda: bytearray(1 << 33))
    with command.make_context("greedy", []) as context:
        command.invoke(context)


def _find_too_large():
    raise safetensors.too_large_error(Path("/model"), 1 << 40)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded as Linux does")
def test_crashes_are_findings_and_the_other_cases_run():
    report = run_all(_dangerous, 1, 0, 12, workers=2, shown=False)
    found = {case["number"]: case["finding"] for case in report.findings}
    assert report.cases == 12
    assert sorted(found) == [2, 3, 6, 7, 8, 9, 11]
    assert "ValueError: odd" in found[2]
    assert found[3] == "the process ended with 7"
    assert "600 characters" in found[6]
    assert found[7].startswith("memory ran out: out of memory")
    assert found[9].startswith("memory ran out: /model: 1,099.5 GB")
    assert "MemoryError" in found[11]
    assert report.counts["kind", "CheckpointError"] == 1
    assert report.counts["kind", "CheckpointDamaged"] == 4  # the message of case 5 was escaped
    assert "| all | 12 | 4 | 1 | 7 |" in report.table()


def test_slow_cases_are_findings(monkeypatch, tmp_path):
    monkeypatch.setattr(bounded, "SECONDS", 0.05)

    def endless(number):
        while True:
            pass

    assert "took too long" in run_case(endless, 0)["finding"]


@pytest.mark.parametrize("message", ["", " ", "a\nb", "\x1b[2J", "\u202e", "x" * 501, "of another"])
def test_messages_that_are_not_a_clear_sentence(message):
    with pytest.raises(Finding):
        check_message(message, "it")
    check_message("a sentence about /a/very/" + "long/" * 200 + "it", "it")
