"""Runs many hostile cases in worker processes, with limits on time and memory.

A case is a pure function of a seed and a number, so any finding can be reproduced. Workers run
cases one after the other and report each. A worker that crashes, hangs or grows is ended, and
another one continues after the case that caused it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import json
import math
import multiprocessing
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click

from charlstm.cli.app import cli
from charlstm.errors import CharlstmError, CharlstmWarning, OutOfMemory

SECONDS = 30.0  # CPU time limit of a case, thousands of times what one takes
DEEP = 90.0  # CPU time after which a worker that ignored the limit is killed
SILENCE = 1200.0  # wall-clock time after which it is killed too, because it waits for something
MEMORY = 1 << 30  # maximum memory that a worker may reserve beyond what it has at the start
GROWTH = 384 << 20  # maximum growth of a worker's used memory, over all its cases
MESSAGE = 500  # maximum characters of a message
CASES = 4000  # number of cases after which a worker is replaced

# Characters that control a terminal or change the direction of text.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# Part of the message for checkpoints that don't fit into memory.
_TOO_LARGE = "more than the memory of this machine can hold"
# Paths, which messages name in full. A long path doesn't make a message too long.
_PATH = re.compile(r"(?:/[^/\s]{0,255}){2,}")


class Finding(Exception):
    """Something that no input may cause."""


class _Slow(BaseException):
    """A case took too long. It is not an Exception, so that no handler catches it."""


@dataclass
class Report:
    """The results: how many cases of each kind ended how, and the findings."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        return self.counts.total()

    def add(self, case: dict[str, Any]) -> None:
        self.counts[case["kind"], case["outcome"]] += 1
        if "finding" in case:
            self.findings.append(case)

    def table(self) -> str:
        """Return the counts as a table, with a row per kind and a column per outcome."""
        outcomes = sorted({outcome for _, outcome in self.counts}, key=lambda o: (o != "ran", o))
        kinds = sorted({kind for kind, _ in self.counts})
        lines = ["| mutation | cases | " + " | ".join(outcomes) + " |"]
        lines.append("| --- |" + " ---: |" * (len(outcomes) + 1))
        for kind in (*kinds, None):
            row = [
                sum(n for (k, o), n in self.counts.items() if kind in (k, None) and o == outcome)
                for outcome in outcomes
            ]
            cells = " | ".join(f"{number:,}" if number else "" for number in row)
            lines.append(f"| {kind or 'all'} | {sum(row):,} | {cells} |")
        return "\n".join(lines)


# A case returns its kind. ``judged`` reports what it raises.
Case = Callable[[int], tuple[str, str]]
# Called in a worker, with its own folder.
Maker = Callable[[int, Path], Case]


def judged(function: Callable[[], object], *, named: str = "", huge: bool = False) -> str:
    """Run what a user would run; return ``ran`` or how it was refused.

    Args:
        function: raises ``CharlstmError`` or a Click error if it refuses.
        named: text that each refusal must contain.
        huge: whether there is a file that is really larger than memory, so that an error about
            memory is correct.

    Raises:
        Finding: if a refusal is not one short sentence about the input, or if memory ran out,
            because then the input made the command ask for too much.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CharlstmWarning)
            function()
    except CharlstmError as error:
        check_message(str(error), named)
        if isinstance(error, OutOfMemory) or (_TOO_LARGE in str(error) and not huge):
            raise Finding(f"memory ran out: {error}") from error
        return type(error).__name__
    except click.ClickException as error:
        return type(error).__name__
    return "ran"


def check_message(message: str, named: str = "") -> None:
    """Refuse a message that is long, has several lines, or controls the terminal."""
    if len(_PATH.sub("", message)) > MESSAGE:
        raise Finding(f"a message of {len(message)} characters: {message[:200]!r}")
    if found := _STEERING.search(message):
        raise Finding(f"{found[0]!r} in a message: {message[:300]!r}")
    if not message.strip() or named not in message:
        raise Finding(f"a message that does not name {named}: {message!r}")


def check_table(text: str) -> None:
    """Refuse output for people that controls the terminal."""
    for line in text.splitlines():
        if found := _STEERING.search(line):
            raise Finding(f"{found[0]!r} in what is shown: {line[:300]!r}")
        if len(line) > 4096:
            raise Finding(f"a line of {len(line)} characters is shown: {line[:200]!r}")


def command(*arguments: object, stdin: bytes = b"") -> tuple[str, str]:
    """Run a command line in this process; return its output, or raise what it raised."""
    streams = sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)))  # type: ignore[arg-type]
    sys.stdout, sys.stderr = out, err
    try:
        with cli.make_context("charlstm", [str(each) for each in arguments]) as context:
            cli.invoke(context)
    except click.exceptions.Exit as end:
        if end.exit_code:
            raise Finding(f"exit status {end.exit_code} without a message") from end
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
    return _written(out), _written(err)


def _written(stream: io.TextIOWrapper) -> str:
    data: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return data.decode()


def run_case(case: Case, number: int) -> dict[str, Any]:
    """Run one case with a time limit; return how it ended and what is wrong with that."""
    kind = "?"
    try:
        with _bounded_time():
            kind, outcome = case(number)
        return {"number": number, "kind": kind, "outcome": outcome}
    except Finding as error:
        finding = str(error)
    except _Slow:
        finding = "took too long\n" + traceback.format_exc(limit=-8)
    except BaseException:  # no input may cause it, whatever it is
        finding = traceback.format_exc(limit=-8)
    return {"number": number, "kind": "?", "outcome": "finding", "finding": finding[-3000:]}


@contextlib.contextmanager
def _bounded_time() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _Slow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def run_all(
    maker: Maker,
    seed: int,
    first: int,
    count: int,
    workers: int,
    *,
    minutes: float = math.inf,
    shown: bool = True,
) -> Report:
    """Run cases ``first`` to ``first + count`` in worker processes (see the module docstring).

    No case starts after ``minutes``.
    """
    began = time.monotonic()
    report = Report()
    spans = [
        (start, min(start + CASES, first + count)) for start in range(first, first + count, CASES)
    ]
    # Not "fork": a fork of a process with threads can wait forever for a lock that one held.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    running: dict[int, _Worker] = {}
    told = began
    while spans or running:
        while spans and len(running) < workers:
            worker = _Worker(context, maker, seed, *spans.pop(0))
            running[worker.reader.fileno()] = worker
        ready, _, _ = select.select(list(running), [], [], 1.0)
        for reader in ready:
            worker = running[reader]
            for case in worker.read():
                report.add(case)
                if shown and "finding" in case:
                    print(f"FINDING, case {case['number']}: {case['finding']}", file=sys.stderr)
        for reader, worker in list(running.items()):
            if (end := worker.ended(report)) is not None:
                del running[reader]
                if end < worker.stop:
                    spans.insert(0, (end, worker.stop))
        if time.monotonic() - began > 60 * minutes:
            spans.clear()
            for worker in running.values():
                worker.end()
            break
        if shown and time.monotonic() - told > 20:
            told = time.monotonic()
            print(
                f"{report.cases:,} of {count:,} cases in {told - began:.0f} s, "
                f"{len(report.findings)} findings",
                file=sys.stderr,
            )
    report.seconds = time.monotonic() - began
    return report


class _Worker:
    """A process that runs cases ``start`` to ``stop`` and writes a line about each."""

    def __init__(self, context: Any, maker: Maker, seed: int, start: int, stop: int) -> None:
        self.next, self.stop = start, stop
        self.reader, writer = context.Pipe(duplex=False)
        self._buffer = b""
        self._heard, self._used = time.monotonic(), 0.0
        self._folder = tempfile.mkdtemp(prefix="charlstm-fuzz-", dir=scratch())
        folder = Path(self._folder)
        self._process = context.Process(
            target=_work, args=(maker, seed, start, stop, folder, writer), daemon=True
        )
        self._process.start()
        writer.close()
        self._closed = False

    def _processor(self) -> float:
        """Return the CPU time of the process in seconds."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # the process has ended
            return self._used
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def read(self) -> list[dict[str, Any]]:
        data = os.read(self.reader.fileno(), 1 << 16)
        self._closed = not data
        self._heard, self._used = time.monotonic(), self._processor()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        cases = [json.loads(line) for line in lines]
        if cases:
            self.next = cases[-1]["number"] + 1
        return cases

    def end(self) -> None:
        """End the process, whatever it is doing."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        self.reader.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def ended(self, report: Report) -> int | None:
        """Return the next case to run if the process has ended; None while it is running."""
        silent = time.monotonic() - self._heard > SILENCE or self._processor() - self._used > DEEP
        if silent:
            os.kill(self._process.pid, signal.SIGKILL)
        elif not self._closed:
            return None
        self._process.join()
        self.reader.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._process.exitcode == 0:
            return self.next
        how = "hung" if silent else f"ended with {self._process.exitcode}"
        print(f"FINDING, case {self.next}: the process {how}", file=sys.stderr)
        report.add(
            {
                "number": self.next,
                "kind": "?",
                "outcome": "finding",
                "finding": f"the process {how}",
            }
        )
        return self.next + 1


def _work(maker: Maker, seed: int, start: int, stop: int, folder: Path, writer: Connection) -> None:
    faulthandler.enable()
    refuse_warnings()
    os.chdir(folder)
    os.environ["CHARLSTM_CACHE"] = str(folder / "cache")
    sys.stdin = open(os.devnull)  # noqa: SIM115
    case = maker(seed, folder)
    bound_memory()
    before = peak()
    parent = os.getppid()
    for number in range(start, stop):
        if os.getppid() != parent:  # the parent was killed, and nobody listens
            break
        ended = run_case(case, number)
        if peak() - before > GROWTH and "finding" not in ended:
            ended |= {
                "kind": "?",
                "outcome": "finding",
                "finding": f"memory grew by {(peak() - before) >> 20} MB",
            }
            before = peak()
        os.write(writer.fileno(), json.dumps(ended).encode() + b"\n")
        if number % 500 == 0:
            gc.collect()
    os._exit(0)


def refuse_warnings() -> None:
    """Turn warnings into errors, except those that Python doesn't show to users."""
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", DeprecationWarning)


def bound_memory() -> None:
    """Limit the memory that this process can reserve to ``MEMORY`` beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def peak() -> int:
    """Return the peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def scratch() -> str | None:
    """Return a folder in memory if there is one, because cases write many small files."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
