"""What the user sees and what is on disk when the machine lets a run down, with real faults.

    python -m tests.reliability.faults [--only NAME] [--list] [--folder FOLDER]

Each fault is provoked in the command itself, in a separate process. A full disk is a small tmpfs
that is filled, a read-only one is remounted, and a closed terminal is closed. Faults that can't be
provoked this way (a quota, a disk that is full for one file, a weight that is NaN) come from
``dying``. Faults that need root are skipped without it, with a note.

A run withstands a fault if it has the expected exit status, prints only sentences (no traceback),
leaves what was saved before intact, usable and resumable, and leaves no temporary file. The table
goes to stdout as Markdown, progress to stderr. The exit status is 1 if a run did not withstand a
fault.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from charlstm.checkpoint import folder as folder_module
from charlstm.checkpoint import reader as reader_module
from charlstm.checkpoint import schema
from charlstm.errors import CharlstmError
from tests.reliability.folders import check_sound, leftovers, step_on_disk, text

# Seconds within which a signal must end a run, even on a busy machine.
GENEROUS_SECONDS = 60.0

# Seconds that a process may take that should end on its own.
PATIENCE_SECONDS = 180.0

# Number of steps between evaluations.
EVERY = 160  # a multiple of the steps between two updates of the average

OPTIONS = (
    *("--units", "32", "--embedding", "32", "--layers", "2", "--streams", "8"),
    *(
        "--sequence-length",
        "8",
        "--steps",
        "1000000",
        "--eval-every",
        str(EVERY),
        "--patience",
        "99999",
    ),
    *("--sample-every", "0", "--save-every", "0.5", "--valid-fraction", "0.05"),
)
HUGE = (
    *("--units", "8192", "--layers", "3", "--streams", "8", "--sequence-length", "32"),
    *("--steps", "10", "--sample-every", "0"),
)


class Skipped(Exception):
    """The fault can't be provoked here; ``str()`` gives the reason."""


@dataclass(frozen=True)
class Outcome:
    """The result: what was said, the exit status, what is on disk, what was wrong."""

    says: str
    status: int | str
    disk: str
    wrong: tuple[str, ...] = ()
    seconds: float | None = None


Fault = Callable[["Bench"], Outcome]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    """Return a decorator that adds a fault to the table, under a unique name."""

    def add(function: Fault) -> Fault:
        if name in FAULTS:
            raise ValueError(f"two faults are called {name!r}")
        FAULTS[name] = function
        return function

    return add


class Process:
    """A running ``charlstm``, with its output in files."""

    def __init__(
        self,
        folder: Path,
        arguments: list[Any],
        plan: dict[str, Any] | None = None,
        wrapper: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        self.out, self.err = folder / "out", folder / "err"
        module = ["charlstm"] if plan is None else ["tests.reliability.dying", json.dumps(plan)]
        command = [*wrapper, sys.executable, "-m", *module, *map(str, arguments)]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err} | options
            self.popen = subprocess.Popen(
                command, env=os.environ | (environment or {}), start_new_session=True, **streams
            )

    def until(self, what: Callable[[], Any]) -> None:
        """Wait until a condition is true or the process has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not what() and self.popen.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)

    def until_saved(self, folder: Path) -> Process:
        """Wait until the run has saved after its start; return the process."""
        path = folder / schema.RESUME
        known = path.stat().st_mtime_ns if path.exists() else None

        def saved() -> bool:
            with contextlib.suppress(OSError):
                return path.stat().st_mtime_ns != known
            return False

        self.until(saved)
        return self

    def until_training(self) -> Process:
        """Wait until the first step starts; return the process."""
        self.until(lambda: b"training on" in self.err.read_bytes())
        return self

    def send(self, number: int) -> float:
        """Send a signal, wait for the end and return the seconds it took."""
        begin = time.monotonic()
        os.kill(self.popen.pid, number)
        self.end()
        return time.monotonic() - begin

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        try:
            return self.popen.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()

    @property
    def errors(self) -> str:
        """The content of stderr."""
        return self.err.read_text(errors="replace")

    @property
    def sentence(self) -> str:
        """The last line that the user sees."""
        lines = [line for line in re.split(r"[\r\n]+", self.errors) if line.strip()]
        return lines[-1].strip() if lines else "(nothing)"


class Bench:
    """A corpus, and a run that was killed after two evaluations, as a starting point."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.corpus = folder / "corpus.txt"
        self.corpus.write_text(text(800))
        self.base = folder / "base"
        self.number = 0

    def prepare(self) -> None:
        """Train the run to copy from."""
        process = self.start("train", self.corpus, "-o", self.base, *OPTIONS)
        process.until(
            lambda: len(reader_module.read_history(self.base)) >= 2 if self.base.exists() else False
        )
        process.until_saved(self.base)
        process.popen.kill()
        process.end()
        folder_module.remove_leftovers(self.base)
        check_sound(self.base)

    def new_folder(self) -> Path:
        """Return a new empty folder."""
        self.number += 1
        path = self.folder / f"folder-{self.number}"
        path.mkdir()
        return path

    def copy(self, parent: Path | None = None) -> Path:
        """Return a copy of the run that was killed."""
        target = (parent or self.new_folder()) / "model"
        shutil.copytree(self.base, target)
        return target

    def start(self, *arguments: Any, **options: Any) -> Process:
        """Start ``charlstm``."""
        return Process(self.new_folder(), list(arguments), **options)

    def resume(self, folder: Path, **options: Any) -> Process:
        """Start resuming a run and wait until it has saved."""
        return self.start("train", "--resume", folder, **options).until_saved(folder)

    @contextlib.contextmanager
    def small_disk(self, size: str) -> Iterator[Path]:
        """Mount a small disk."""
        if os.geteuid() != 0:
            raise Skipped("needs root, to mount a small disk")
        path = self.new_folder()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise Skipped("needs the right to mount a small disk")
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", str(path)], check=False)

    def judge(
        self,
        process: Process,
        folder: Path | None,
        status: int | tuple[int, ...],
        *phrases: str,
        seconds: float | None = None,
        has: tuple[str, ...] = (schema.MODEL, schema.RESUME),
    ) -> Outcome:
        """Check what a process has said and left behind.

        Args:
            process: it has ended.
            folder: the checkpoint; ``None`` if there should be none.
            status: the expected exit status, or several.
            phrases: text that must be in the output.
            seconds: how long the end took.
            has: files that must exist.
        """
        found, wrong = process.popen.returncode, []
        allowed = status if isinstance(status, tuple) else (status,)
        if found not in allowed:
            wrong.append(f"status {found}, not {' or '.join(map(str, allowed))}")
        if "Traceback" in process.errors:
            wrong.append("a traceback")
        if len(process.sentence) > 600 or re.search(r"0x[0-9a-f]{6}", process.sentence):
            wrong.append("no sentence for people")
        wrong += [f"does not say {phrase!r}" for phrase in phrases if phrase not in process.errors]
        disk = "no checkpoint"
        if folder is not None:
            disk, more = self.look(folder, has)
            wrong += more
        if seconds is not None and seconds > GENEROUS_SECONDS:
            wrong.append(f"took {seconds:.0f} s")
        return Outcome(self._general(process.sentence), found, disk, tuple(wrong), seconds)

    def _general(self, sentence: str) -> str:
        """Return a sentence with paths that make sense to any reader."""
        sentence = re.sub(rf"{re.escape(str(self.folder))}/folder-\d+/", "", sentence)
        return sentence.replace(f"{self.folder}/", "")

    def look(self, folder: Path, has: tuple[str, ...]) -> tuple[str, list[str]]:
        """Return a description of what is in a folder, and what is wrong with it."""
        wrong = []
        if not folder.exists():
            return "nothing", [f"{name} is missing" for name in has]
        wrong += [f"{name} is missing" for name in has if not (folder / name).exists()]
        if rest := leftovers(folder):
            wrong.append(f"leftovers of {', '.join(rest)}")
        try:
            check_sound(folder)
        except (CharlstmError, SafetensorError) as error:
            return "damaged", [*wrong, f"damaged: {error}"]
        words = []
        if (folder / schema.MODEL).exists():
            done = self.start("generate", folder, "-n", "5", "-q")
            if done.end():
                wrong.append(f"generate: {done.sentence}")
            else:
                step = reader_module.read_checkpoint(folder).figures.step
                words.append(f"model of step {step} that generates")
        step_saved = step_on_disk(folder)
        if step_saved is not None:
            words.append(f"resumable from step {step_saved}")
        return "; ".join(words) or "no checkpoint", wrong


def fill(disk: Path) -> Path:
    """Fill a disk to the last byte."""
    path = disk / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (2**16, 2**12, 2**8, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


# Disks


@fault("disk full when a run starts")
def _(bench: Bench) -> Outcome:
    with bench.small_disk("16k") as disk:
        process = bench.start("train", bench.corpus, "-o", disk / "model", *OPTIONS)
        process.end()
        outcome = bench.judge(process, None, 1, "the disk is full")
        rest = sorted(str(path) for path in disk.rglob("*"))
        wrong = (*outcome.wrong, *(f"left {name}" for name in rest))
        return Outcome(outcome.says, outcome.status, "nothing is left", wrong)


def _full(bench: Bench, plan: dict[str, Any] | None = None, again: bool = True) -> Outcome:
    with bench.small_disk("4m") as disk:
        folder = bench.copy(disk)
        process = bench.resume(folder)
        filler = fill(disk)
        process.end()
        outcome = bench.judge(process, folder, 1, "the disk is full", "--resume")
        filler.unlink()
        return _resumes(bench, folder, outcome)


def _resumes(bench: Bench, folder: Path, outcome: Outcome) -> Outcome:
    """Check that a run can actually be resumed when the fault is over."""
    before = step_on_disk(folder)
    process = bench.resume(folder)
    process.send(signal.SIGTERM)
    after = step_on_disk(folder)
    if process.popen.returncode != 143 or (after or 0) < (before or 0):
        wrong = f"resuming: status {process.popen.returncode}, {process.sentence}"
        return Outcome(outcome.says, outcome.status, outcome.disk, (*outcome.wrong, wrong))
    return outcome


@fault("disk full at a save")
def _(bench: Bench) -> Outcome:
    return _full(bench)


def _failing(bench: Bench, event: str, error: str, phrase: str) -> Outcome:
    folder = bench.copy()
    plan = {"event": event, "when": "half", "nth": 2, "do": error}
    process = bench.start("train", "--resume", folder, plan=plan)
    process.end()
    return bench.judge(process, folder, 1, phrase, "--resume")


for _name, *_how in (
    (
        "disk full at the model of an evaluation",
        f"write {schema.MODEL}",
        "ENOSPC",
        "the disk is full",
    ),
    ("disk full at the history", f"write {schema.HISTORY}", "ENOSPC", "the disk is full"),
    ("quota used up at a save", f"write {schema.RESUME}", "EDQUOT", "quota"),
    ("disk error at a save", f"write {schema.RESUME}", "EIO", "can't write"),
):
    fault(_name)(lambda bench, how=tuple(_how): _failing(bench, *how))


@fault("file system becomes read-only")
def _(bench: Bench) -> Outcome:
    with bench.small_disk("8m") as disk:
        folder = bench.copy(disk)
        process = bench.resume(folder)
        remount = ["mount", "-o", "remount,{}", str(disk)]

        def read_only() -> bool:
            command = [word.format("ro") for word in remount]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        process.until(read_only)
        process.end()
        outcome = bench.judge(process, folder, 1, "read-only", "--resume")
        subprocess.run([word.format("rw") for word in remount], check=True)
        return _resumes(bench, folder, outcome)


def _unprivileged() -> tuple[str, ...]:
    """Return the prefix for starting a process that permissions apply to."""
    if os.geteuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        raise Skipped("needs setpriv, to drop the rights of root")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@fault("no permission to write where a run starts")
def _(bench: Bench) -> Outcome:
    parent = bench.new_folder()
    parent.chmod(0o555)
    process = bench.start(
        *("train", bench.corpus, "-o", parent / "model", *OPTIONS), wrapper=_unprivileged()
    )
    process.end()
    return bench.judge(process, None, 1, "permission denied")


@fault("no permission to write where a run resumes")
def _(bench: Bench) -> Outcome:
    folder = bench.copy()
    folder.chmod(0o555)
    process = bench.start("train", "--resume", folder, wrapper=_unprivileged())
    process.end()
    outcome = bench.judge(process, folder, 1, "permission denied")
    folder.chmod(0o755)
    return outcome


@fault("folder removed during a run")
def _(bench: Bench) -> Outcome:
    folder = bench.copy()
    process = bench.resume(folder)

    def removed() -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    process.until(removed)
    process.end()
    return bench.judge(process, None, 1, "was moved or removed")


@fault("folder moved during a run")
def _(bench: Bench) -> Outcome:
    folder = bench.copy()
    process = bench.resume(folder)
    moved = folder.with_name("moved")
    folder.rename(moved)
    process.end()
    return _resumes(bench, moved, bench.judge(process, moved, 1, "was moved or removed"))


@fault("cache full, train")
def _(bench: Bench) -> Outcome:
    with bench.small_disk("40k") as disk:
        folder = bench.new_folder() / "model"
        process = bench.start(
            *("train", bench.corpus, "-o", folder, *OPTIONS),
            environment={"CHARLSTM_CACHE": str(disk / "cache")},
        )
        process.end()
        return bench.judge(process, None, 1, "the disk is full")


@fault("cache full, generate")
def _(bench: Bench) -> Outcome:
    with bench.small_disk("40k") as disk:
        fill(disk)
        process = bench.start(
            *("generate", bench.base, "-n", "20", "-q"),
            environment={"CHARLSTM_CACHE": str(disk / "cache")},
        )
        process.end()
        return bench.judge(process, bench.base, 0)


def _with_read_only_cache(bench: Bench, *arguments: Any) -> Process:
    cache = bench.new_folder()
    cache.chmod(0o555)
    process = bench.start(
        *arguments, environment={"CHARLSTM_CACHE": str(cache / "cache")}, wrapper=_unprivileged()
    )
    process.end()
    return process


@fault("cache read-only, train")
def _(bench: Bench) -> Outcome:
    model = bench.new_folder() / "model"
    process = _with_read_only_cache(bench, "train", bench.corpus, "-o", model, *OPTIONS)
    return bench.judge(process, None, 1, "permission denied")


@fault("cache read-only, generate")
def _(bench: Bench) -> Outcome:
    process = _with_read_only_cache(bench, "generate", bench.base, "-n", "20", "-q")
    return bench.judge(process, bench.base, 0)


# Two runs, one folder


def _second(bench: Bench, *arguments: Any) -> Outcome:
    folder = bench.copy()
    first = bench.resume(folder)
    given = [folder if argument == "FOLDER" else argument for argument in arguments]
    begin = time.monotonic()
    second = bench.start("train", *given)
    second.end()
    seconds = time.monotonic() - begin
    outcome = bench.judge(second, folder, 1, seconds=seconds)
    if first.popen.poll() is not None:
        outcome = Outcome(*_fields(outcome), (*outcome.wrong, f"the first ended: {first.sentence}"))
    first.popen.kill()
    first.end()
    return _resumes(bench, folder, outcome)


def _fields(outcome: Outcome) -> tuple[str, int | str, str]:
    return outcome.says, outcome.status, outcome.disk


@fault("resuming a run in progress")
def _(bench: Bench) -> Outcome:
    return _second(bench, "--resume", "FOLDER")


@fault("--overwrite of a run in progress")
def _(bench: Bench) -> Outcome:
    return _second(bench, bench.corpus, "-o", "FOLDER", "--overwrite", *OPTIONS)


@fault("a new run in the folder of one in progress")
def _(bench: Bench) -> Outcome:
    return _second(bench, bench.corpus, "-o", "FOLDER", *OPTIONS)


@fault("two new runs started in one folder at once")
def _(bench: Bench) -> Outcome:
    folder = bench.new_folder() / "model"
    arguments = ("train", bench.corpus, "-o", folder, *OPTIONS)
    both = [bench.start(*arguments) for _ in range(2)]
    for process in both:
        process.until(lambda: any(p.popen.poll() is not None for p in both))
    lost = [process for process in both if process.popen.poll() is not None]
    won = next(process for process in both if process not in lost[:1])
    won.until_saved(folder)
    won.send(signal.SIGTERM)
    outcome = bench.judge(lost[0], folder, 1)
    if won.popen.returncode != 143:
        wrong = (*outcome.wrong, f"the other: {won.popen.returncode}, {won.sentence}")
        return Outcome(*_fields(outcome), wrong)
    return outcome


# Memory


def _limited(bench: Bench, megabytes: int, *arguments: Any) -> Process:
    if not shutil.which("prlimit"):
        raise Skipped("needs prlimit")
    process = bench.start(*arguments, wrapper=("prlimit", f"--as={megabytes * 2**20}", "--core=0"))
    process.end()
    return process


@fault("out of memory, train")
def _(bench: Bench) -> Outcome:
    folder = bench.new_folder() / "model"
    process = _limited(bench, 6000, "train", bench.corpus, "-o", folder, *HUGE)
    return judge_exhausted(bench, process)


def judge_exhausted(bench: Bench, process: Process) -> Outcome:
    """Judge a run that did not have enough memory.

    TensorFlow may end without a message, so the command prints a warning before. With an exit
    status of 1, the command has ended itself, and the warning is not enough.
    """
    killed = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGKILL)
    said = ("Warning: the run needs about", "--streams")
    if process.popen.returncode not in killed:
        said = ("--streams",)
    outcome = bench.judge(process, None, (1, *killed), *said)
    if outcome.status == 1 and not process.sentence.startswith("Error: out of memory: "):
        return Outcome(*_fields(outcome), (*outcome.wrong, "does not end with 'out of memory'"))
    return outcome


@fault("out of memory, resume")
def _(bench: Bench) -> Outcome:
    folder = bench.copy()
    process = _limited(bench, 1200, "train", "--resume", folder)
    return bench.judge(process, folder, 1, "memory")


@fault("out of memory, generate, whatever the limit")
def _(bench: Bench) -> Outcome:
    wrong, said = [], None
    for megabytes in (400, 300, 250, 220, 200, 180, 160):
        process = _limited(bench, megabytes, "generate", bench.base, "-n", "20", "-q")
        outcome = bench.judge(process, None, (0, 1))
        wrong += [f"{megabytes} MB: {what}" for what in outcome.wrong]
        if process.popen.returncode == 1 and "out of memory" in process.errors:
            said = outcome
    if said is None:
        return bench.judge(process, bench.base, 1, "out of memory")
    disk, more = bench.look(bench.base, (schema.MODEL,))
    return Outcome(said.says, said.status, disk, (*wrong, *more))


@fault("out of memory, score")
def _(bench: Bench) -> Outcome:
    lines = bench.new_folder() / "line.txt"
    lines.write_text("na" * 30_000_000 + "\n")
    process = _limited(bench, 1000, "score", bench.base, lines)
    return bench.judge(process, bench.base, 1, "memory")


# Losses


@fault("absurd learning rate")
def _(bench: Bench) -> Outcome:
    folder = bench.new_folder() / "model"
    options = [*OPTIONS, "--learning-rate", "1000", "--warmup-steps", "0", "--clip-norm", "1e9"]
    options += ["--optimizer", "sgd"]
    process = bench.start("train", bench.corpus, "-o", folder, *options)
    process.end()
    return bench.judge(process, folder, 1, "loss", "--learning-rate", has=(schema.RESUME,))


@fault("a weight is not a number, seen in a step")
def _(bench: Bench) -> Outcome:
    return _nan(bench, 7)


@fault("a weight is not a number just before an evaluation")
def _(bench: Bench) -> Outcome:
    return _nan(bench, None)


def _nan(bench: Bench, after: int | None) -> Outcome:
    folder = bench.copy()
    step = step_on_disk(folder) or 0
    # Just before the evaluation after the next one, or some steps after the next one.
    nan = (step // EVERY + 2) * EVERY if after is None else (step // EVERY + 1) * EVERY + after
    process = bench.start("train", "--resume", folder, plan={"nan": nan})
    process.end()
    return bench.judge(process, folder, 1, "loss", "--learning-rate")


# Signals


def _signalled(bench: Bench, number: int) -> Outcome:
    folder = bench.copy()
    process = bench.resume(folder)
    seconds = process.send(number)
    return _resumes(bench, folder, bench.judge(process, folder, 128 + number, seconds=seconds))


@fault("Ctrl-C (SIGINT) in training")
def _(bench: Bench) -> Outcome:
    return _signalled(bench, signal.SIGINT)


@fault("SIGTERM in training")
def _(bench: Bench) -> Outcome:
    return _signalled(bench, signal.SIGTERM)


@fault("SIGHUP in training")
def _(bench: Bench) -> Outcome:
    return _signalled(bench, signal.SIGHUP)


def _slow_save(bench: Bench, seconds: int) -> tuple[Path, Process]:
    """Resume a run on a disk that takes long for the third save."""
    folder, mark = bench.copy(), bench.new_folder() / "mark"
    plan = {"event": f"fsync {schema.RESUME}", "when": "before", "nth": 3}
    plan |= {"do": f"sleep {seconds}", "mark": str(mark)}
    process = bench.start("train", "--resume", folder, plan=plan)
    process.until(mark.exists)
    return folder, process


@fault("Ctrl-C during a save that takes 3 s")
def _(bench: Bench) -> Outcome:
    folder, process = _slow_save(bench, 3)
    seconds = process.send(signal.SIGINT)
    return bench.judge(process, folder, 130, seconds=seconds)


@fault("a second Ctrl-C, during a save that takes 300 s")
def _(bench: Bench) -> Outcome:
    folder, process = _slow_save(bench, 300)
    os.kill(process.popen.pid, signal.SIGINT)
    time.sleep(0.5)
    seconds = process.send(signal.SIGINT)
    folder_module.remove_leftovers(folder)  # the next run does that too
    return bench.judge(process, folder, (-signal.SIGINT, 130), seconds=seconds)


@fault("Ctrl-C while any part of the command is loaded")
def _(bench: Bench) -> Outcome:
    wrong, outcome = [], None
    modules = (
        "charlstm.cli.app",
        "click",
        "charlstm.cli.train",
        "charlstm.training.run",
        "numpy",
        "msgspec",
    )
    for module in (*modules, "charlstm.training.step", "tensorflow", "keras"):
        process = bench.start("train", "--resume", bench.base, plan={"interrupt": module})
        process.end()
        outcome = bench.judge(process, None, 130)
        wrong += [f"{module}: {what}" for what in outcome.wrong]
    assert outcome is not None
    disk, more = bench.look(bench.base, (schema.MODEL, schema.RESUME))
    return Outcome(outcome.says, outcome.status, disk, (*wrong, *more))


@fault("Ctrl-C while TensorFlow is loaded")
def _(bench: Bench) -> Outcome:
    return _at_start(bench, 1.5)


@fault("SIGTERM while TensorFlow is loaded")
def _(bench: Bench) -> Outcome:
    return _at_start(bench, 1.5, signal.SIGTERM, (143, -15))


@fault("SIGHUP while TensorFlow is loaded")
def _(bench: Bench) -> Outcome:
    return _at_start(bench, 1.5, signal.SIGHUP, (129, -1))


def _at_start(
    bench: Bench,
    delay: float,
    number: int = signal.SIGINT,
    status: tuple[int, ...] = (130, -2),
) -> Outcome:
    folder = bench.copy()
    process = bench.start("train", "--resume", folder)
    time.sleep(delay)
    seconds = process.send(number)
    return bench.judge(process, folder, status, seconds=seconds)


@fault("Ctrl-C in the evaluation of a long validation text")
def _(bench: Bench) -> Outcome:
    parent = bench.new_folder()
    (parent / "valid.txt").write_text(text(5_000, seed=8))
    folder = parent / "model"
    options = ["--valid", parent / "valid.txt", "--eval-every", "20", "--units", "1024"]
    usual = _without(OPTIONS, "--eval-every", "--units")
    process = bench.start("train", bench.corpus, "-o", folder, *usual, *options)
    process.until_saved(folder)
    process.until(lambda: (step_on_disk(folder) or 0) > 0 or _stands_still(folder))
    time.sleep(4)
    seconds = process.send(signal.SIGINT)
    outcome = bench.judge(process, folder, 130, seconds=seconds)
    if reader_module.read_history(folder):
        return Outcome(*_fields(outcome), (*outcome.wrong, "the evaluation was over"), seconds)
    return outcome


def _without(options: tuple[str, ...], *names: str) -> list[str]:
    pairs = zip(options[::2], options[1::2], strict=True)
    kept = [pair for pair in pairs if pair[0] not in (*names, "--valid-fraction")]
    return [word for pair in kept for word in pair]


def _stands_still(folder: Path) -> bool:
    path = folder / schema.RESUME
    return time.time() - path.stat().st_mtime > 5


@fault("terminal closed in training")
def _(bench: Bench) -> Outcome:
    folder = bench.copy()
    leader, follower = pty.openpty()
    process = bench.start(
        *("train", "--resume", folder),
        wrapper=("setsid", "--ctty", "--wait"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    os.set_blocking(leader, False)
    known = step_on_disk(folder) or 0

    def trained() -> bool:
        with contextlib.suppress(BlockingIOError, OSError):
            os.read(leader, 65536)
        return (step_on_disk(folder) or 0) > known + 20

    process.until(trained)
    before = step_on_disk(folder) or 0
    begin = time.monotonic()
    os.close(leader)
    process.end()
    seconds = time.monotonic() - begin
    outcome = bench.judge(process, folder, 129, seconds=seconds)
    if (step_on_disk(folder) or 0) < before:
        outcome = Outcome(*_fields(outcome), (*outcome.wrong, "not saved"))
    return _resumes(bench, folder, outcome)


@fault("stderr closed from the start, then SIGTERM")
def _(bench: Bench) -> Outcome:
    return _closed(bench, "2>&-")


@fault("stdin closed, then SIGTERM")
def _(bench: Bench) -> Outcome:
    return _closed(bench, "<&-")


@fault("all three closed, then SIGTERM")
def _(bench: Bench) -> Outcome:
    return _closed(bench, "<&- >&- 2>&-")


def _closed(bench: Bench, streams: str) -> Outcome:
    folder = bench.copy()
    process = bench.start(
        *("train", "--resume", folder), wrapper=("sh", "-c", f'exec "$@" {streams}', "sh")
    ).until_saved(folder)
    time.sleep(1)
    seconds = process.send(signal.SIGTERM)
    return bench.judge(process, folder, 143, seconds=seconds)


# Readers that go away


def _piped(bench: Bench, reader: str, *arguments: Any) -> tuple[Process, list[str]]:
    """Run a command into a reader; return it and its exit status as reported by bash."""
    script = f'"$@" | {reader} > /dev/null; exit ${{PIPESTATUS[0]}}'
    process = bench.start(*arguments, wrapper=("bash", "-c", script, "bash"))
    process.end()
    return process, []


@fault("reader gone: train --json | true")
def _(bench: Bench) -> Outcome:
    folder = bench.new_folder() / "model"
    options = [*_without(OPTIONS, "--steps"), "--steps", "60", "--json", "-q"]
    process, _ = _piped(bench, "true", "train", bench.corpus, "-o", folder, *options)
    return bench.judge(process, folder, (0, 141), has=(schema.MODEL,))


@fault("reader gone: generate | head -c 1")
def _(bench: Bench) -> Outcome:
    process, _ = _piped(bench, "head -c 1", "generate", bench.base, "-n", "200000", "-q")
    return bench.judge(process, bench.base, (0, 141))


@fault("reader gone: score | head -1")
def _(bench: Bench) -> Outcome:
    process, _ = _piped(bench, "head -1", "score", bench.base, bench.corpus)
    return bench.judge(process, bench.base, (0, 141))


# The program


def describe(name: str, outcome: Outcome) -> str:
    """Return the table row of a fault."""
    took = "" if outcome.seconds is None else f", {outcome.seconds:.1f} s"
    says = outcome.says.replace("|", "\\|")
    return f"| {name} | {says} | {outcome.status}{took} | {outcome.disk} |"


def main() -> int:
    """Provoke the faults, print the table, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.faults")
    parser.add_argument("--only", action="append", help="part of a fault's name; repeatable")
    parser.add_argument("--list", action="store_true", help="list the faults and stop")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    arguments = parser.parse_args()
    chosen = {
        name: provoke
        for name, provoke in FAULTS.items()
        if not arguments.only or any(part in name for part in arguments.only)
    }
    if arguments.list:
        print("\n".join(chosen))
        return 0
    wrong: dict[str, tuple[str, ...]] = {}
    for number in (signal.SIGINT, signal.SIGHUP):
        # Signals that are ignored here, as with nohup, would be ignored by all child processes.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["CHARLSTM_CACHE"] = str(folder / "cache")
        bench = Bench(folder)
        bench.prepare()
        print("| fault | what the user sees | exit status | on disk |\n| --- | --- | --- | --- |")
        for name, provoke in chosen.items():
            try:
                outcome = provoke(bench)
            except Skipped as reason:
                outcome = Outcome(f"skipped: {reason}", "-", "-")
            print(describe(name, outcome), flush=True)
            if outcome.wrong:
                wrong[name] = outcome.wrong
                print(f"WRONG {name}: {'; '.join(outcome.wrong)}", file=sys.stderr, flush=True)
    for name, what in wrong.items():
        print(f"\n{name}: {'; '.join(what)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
