"""A few hundred hostile checkpoints and corpora, each time the same; many more: ``make fuzz``."""

from __future__ import annotations

import os
import sys

import pytest

from charlstm import reading
from charlstm.errors import CheckpointDamaged
from tests.reliability import bounded, checkpoints, corpora
from tests.reliability.bounded import Finding, Report, check_message, judged, run_all, run_case

CASES = 300


def findings(maker, folder, numbers):
    """Run cases in this process, where there is no bound of memory."""
    case = maker(1, folder)
    report = Report()
    for number in numbers:
        report.add(run_case(case, number))
    assert report.cases == len(numbers)
    return report


def test_hostile_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    report = findings(checkpoints.maker, tmp_path, range(CASES))
    assert report.findings == []
    assert {outcome for _, outcome in report.counts} > {"ran", "CheckpointDamaged"}


def test_hostile_corpora(tmp_path, monkeypatch):
    for name in ("EXPANDED", "EXPANSION"):
        monkeypatch.setattr(reading, name, getattr(reading, name))
    for name in ("MEMORY", "GROWTH"):
        monkeypatch.setattr(bounded, name, getattr(bounded, name))
    monkeypatch.setitem(corpora.CONTENTS, "lines of 1 to 50 MB", (0, corpora._huge_line))
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    report = findings(corpora.maker, tmp_path, range(CASES))
    assert report.findings == []
    assert {outcome for _, outcome in report.counts} > {"ran", "CorpusError"}


# The harness itself: what must not be is found, told with its number, and outlived.


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
                _ = bytearray(1 << 33)
            case 8:
                raise Finding("wrong")
        return "kind", judged(lambda: _refuse("a sentence about it"), named="it")

    return case


def _refuse(message):
    raise CheckpointDamaged(message)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded as Linux does")
def test_crashes_are_findings_and_the_rest_goes_on():
    report = run_all(_dangerous, 1, 0, 12, workers=2, shown=False)
    found = {case["number"]: case["finding"] for case in report.findings}
    assert report.cases == 12
    assert sorted(found) == [2, 3, 6, 7, 8]
    assert "ValueError: odd" in found[2]
    assert found[3] == "the process ended with 7"
    assert "600 characters" in found[6]
    assert "MemoryError" in found[7]
    assert report.counts["kind", "CheckpointDamaged"] == 7  # case 5's message was made harmless
    assert "| all | 12 | 7 | 5 |" in report.table()


def test_slow_cases_are_findings(monkeypatch, tmp_path):
    monkeypatch.setattr(bounded, "SECONDS", 0.05)

    def endless(number):
        while True:
            pass

    assert "took too long" in run_case(endless, 0)["finding"]


@pytest.mark.parametrize("message", ["", " ", "a\nb", "\x1b[2J", "\u202e", "x" * 501, "of another"])
def test_messages_that_are_no_clear_sentence(message):
    with pytest.raises(Finding):
        check_message(message, "it")
    check_message("a sentence about /a/very/" + "long/" * 200 + "it", "it")
