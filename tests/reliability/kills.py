"""Exact resuming: runs that are killed again and again end like an uninterrupted run.

    python -m tests.reliability.kills [--kills 50] [--jobs 2] [--only NAME] [--seed 1]
                                      [--folder FOLDER]

Each setting has one uninterrupted run. A second run, in separate processes, is killed with SIGKILL,
resumed, killed again and so on. When it finishes, it is compared with the uninterrupted run, and
another chain starts, until there are enough kills. About half of the kills come at random times.
The others come at chosen moments (see ``dying``): before, after and in the middle of writing a
file, before and after its fsync and its rename, between the files of one evaluation, in a step, in
a validation, and in the evaluation after the last step.

Equal means: the same files; the same bits in each weight of model.safetensors and each tensor of
the last resume file (weights, optimizer, carried states); the same history, figures, progress and
configuration, except for wall-clock times and dates. A finished run removes its resume file, and
only a process of the harness keeps a copy. For a chain that the plain command has finished, all but
optimizer, states and progress is compared. The table also counts the chains whose last state was
compared. After each kill, the content of the folder is read and checked as the product does.

A run with a budget in minutes can't be repeated bit for bit. For it, the harness checks that it
ends in time, and that the learning rate never rises after warm-up, with or without kills.

The table goes to stdout as Markdown, progress to stderr. The exit status is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from safetensors import safe_open

from charlstm.checkpoint import reader, schema
from tests.reliability import dying
from tests.reliability.folders import check_sound, leftovers, step_on_disk, text

# Long enough for any start on a busy machine. Only a hanging process takes that long.
PATIENCE_SECONDS = 600.0

# Number of learning rates that are enough to see whether they fall.
ENOUGH_EVALUATIONS = 5

# Share of the steps from which on some processes are killed in the evaluation after the last one.
FINAL_SHARE = 0.85

MODEL = (
    *("--units", "32", "--embedding", "32", "--layers", "2", "--streams", "8"),
    *("--sequence-length", "8", "--dropout", "0.2", "--dropout-ramp", "2"),
    *("--sample-every", "0", "--valid-fraction", "0.05"),
)


@dataclass(frozen=True)
class Setting:
    """A setting: level, number type, the other options of the run, and what is special in them."""

    level: str
    precision: str
    options: tuple[str, ...]
    special: str = ""

    @property
    def name(self) -> str:
        """Level, number type, and what is special."""
        return f"{self.level}-{self.precision}{self.special}"

    @property
    def arguments(self) -> list[str]:
        """The options for ``charlstm train``."""
        return ["--level", self.level, "--precision", self.precision, *MODEL, *self.options]


# Budgets are not multiples of the evaluation interval, so that an evaluation comes after the last
# step. Two of the settings save after each step, the others less often.
SETTINGS = (
    Setting(
        *("char", "float32"),
        ("--steps", "2311", "--eval-every", "40", "--patience", "99", "--save-every", "0.001"),
    ),
    Setting(
        *("char", "bfloat16"),
        ("--steps", "2311", "--eval-every", "50", "--patience", "99", "--save-every", "0.05"),
    ),
    Setting(
        *("subword", "float32"),
        ("--steps", "2311", "--eval-every", "40", "--patience", "99", "--save-every", "0.05"),
    ),
    Setting(
        *("word", "float32"),
        ("--epochs", "7.77", "--eval-every", "40", "--patience", "99", "--save-every", "0.05"),
    ),
    Setting(
        *("word", "bfloat16"),
        ("--steps", "2311", "--eval-every", "30", "--patience", "99", "--save-every", "0.001"),
    ),
    Setting(
        *("subword", "bfloat16"),
        (
            *("--steps", "1511", "--eval-every", "40", "--patience", "99", "--save-every", "0.02"),
            *("--attention", "12", "--bidirectional"),
        ),
        "-attention-bidirectional",
    ),
)
MINUTES = Setting(
    "char",
    "bfloat16",
    ("--minutes", "3", "--warmup-steps", "50", "--eval-every", "20", "--save-every", "0.05"),
)


# Comparing


def differences(whole: Path, resumed: Path, *, state: bool = True) -> list[str]:
    """Return the differences between two finished runs; none if resuming is exact.

    Args:
        whole: the uninterrupted run.
        resumed: the other run.
        state: whether the last state of both must have been kept.
    """
    found = []
    names = [sorted(p.name for p in folder.iterdir()) for folder in (whole, resumed)]
    if not state and schema.RESUME not in names[1]:
        names[0].remove(schema.RESUME)
    if names[0] != names[1]:
        found.append(f"files: {names[0]} and {names[1]}")
    files = (schema.MODEL, schema.RESUME)
    for name in [name for name in files if name in names[0] and name in names[1]]:
        found += _different_tensors(whole / name, resumed / name)
    histories = [_history(folder) for folder in (whole, resumed)]
    if len(histories[0]) != len(histories[1]):
        found.append(f"history: {len(histories[0])} and {len(histories[1])} evaluations")
    found += [
        f"history at step {a.get('step')}: {a} and {b}"
        for a, b in zip(*histories, strict=False)
        if a != b
    ]
    configs = [_timeless(json.loads((f / schema.CONFIG).read_text())) for f in (whole, resumed)]
    if configs[0] != configs[1]:
        found.append("configuration")
    tokenizers = [(f / schema.TOKENIZER).read_bytes() for f in (whole, resumed)]
    if tokenizers[0] != tokenizers[1]:
        found.append("tokenizer")
    return found


def _different_tensors(whole: Path, resumed: Path) -> Iterator[str]:
    with safe_open(whole, "numpy") as a, safe_open(resumed, "numpy") as b:
        if sorted(a.keys()) != sorted(b.keys()):
            yield f"names in {whole.name}"
            return
        for key in a.keys():  # noqa: SIM118
            one, other = a.get_tensor(key), b.get_tensor(key)
            if one.dtype != other.dtype or one.tobytes() != other.tobytes():
                yield f"{key} in {whole.name}"
        for key in ("figures", "progress"):
            found = [_timeless(json.loads(f.metadata().get(key, "{}"))) for f in (a, b)]
            if found[0] != found[1]:
                yield f"{key} in {whole.name}: {found[0]} and {found[1]}"


def _history(folder: Path) -> list[Any]:
    lines = (folder / schema.HISTORY).read_text().splitlines()
    return [_timeless(json.loads(line)) for line in lines]


TIMES = {
    *("seconds", "first_step_at", "evaluation_seconds", "created"),
    *("tokens_per_second", "peak_memory_mb"),
}


def _timeless(value: Any) -> Any:
    """Return JSON without anything that depends on time or machine, and hashes of it."""
    if isinstance(value, dict):
        return {key: _timeless(part) for key, part in value.items() if key not in TIMES}
    return value


# Killing


@dataclass(frozen=True)
class Kill:
    """A kill: when it should hit, where it did, and what it left behind."""

    setting: str
    chain: int
    planned: str
    activity: str
    step: int | None
    seconds: float

    @property
    def in_save(self) -> bool:
        """Whether the process died while it was replacing a file of the checkpoint."""
        return any(word in self.activity for word in ("write", "fsync", "replace", "saving"))


@dataclass
class Report:
    """The results of a setting so far."""

    name: str
    kills: list[Kill] = field(default_factory=list)
    chains: int = 0
    states: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def row(self) -> str:
        """The table row of the setting."""
        activities = Counter(_kind(kill.activity) for kill in self.kills)
        kinds = ", ".join(f"{count} {kind}" for kind, count in activities.most_common())
        saves = sum(kill.in_save for kill in self.kills)
        same = self.chains - len({chain.split(":")[0] for chain in self.wrong})
        return (
            f"| {self.name} | {len(self.kills)} | {saves} | {kinds} | {self.chains} | "
            f"{self.states} | {same} of {self.chains} |"
        )


def _kind(activity: str) -> str:
    for word, kind in (
        ("history", "history"),
        ("model", "model"),
        ("resume", "resume file"),
        ("folder", "folder"),
        ("validat", "validation"),
        ("evaluation", "between files"),
        ("step", "step"),
        ("start", "start"),
    ):
        if word in activity:
            return kind
    return "training"


class Chain:
    """Runs of one setting in one folder, each killed and resumed.

    Args:
        setting: what to train.
        corpus: the text.
        folder: folder for checkpoints and logs.
        draw: random generator that decides when to kill.
    """

    def __init__(self, setting: Setting, corpus: Path, folder: Path, draw: random.Random) -> None:
        self.setting, self.corpus, self.folder, self.draw = setting, corpus, folder, draw
        folder.mkdir(parents=True, exist_ok=True)
        self.whole = folder / "whole"
        self.report = Report(setting.name)
        self.last_step = 0
        self.start_seconds = 10.0

    def say(self, text: str) -> None:
        """Print progress."""
        print(f"{self.setting.name}: {text}", file=sys.stderr, flush=True)

    def leave_alone(self) -> None:
        """Train the uninterrupted run."""
        process, begin = self._start(self.whole, self._keeping)
        self._wait_for_save(process, self.whole, begin)
        self._finish(process)
        self.last_step = _history(self.whole)[-1]["step"]
        self._put_state(self.whole)
        self.say(f"left alone: {self.last_step} steps in {time.monotonic() - begin:.0f} s")

    def kill(self, kills: int) -> Report:
        """Make this many kills, in as many chains as needed, and compare the end of each chain."""
        while True:
            chain = self.report.chains + 1
            target = self.folder / f"chain-{chain}"
            while len(self.report.kills) < kills and self._kill_once(target, chain):
                check_sound(target)
            self._end(target)
            self.compare(target)
            self.say(f"chain {chain} ended: {self.report.wrong or 'identical'}")
            if len(self.report.kills) >= kills:
                self.say(self.report.row)
                return self.report

    def compare(self, target: Path) -> None:
        """Record the differences between a finished chain and the uninterrupted run."""
        self.report.chains += 1
        # A plain command may have finished, and then nobody kept its last state.
        self.report.states += (target / schema.RESUME).exists()
        for what in differences(self.whole, target, state=False):
            self.report.wrong.append(f"chain {self.report.chains}: {what}")

    def _kill_once(self, target: Path, chain: int) -> bool:
        """Start or resume a run and kill it; return whether it was killed before its end."""
        before = step_on_disk(target) if target.exists() else None
        if reader.is_finished(target):
            return False
        plan = self._plan(before)
        mark = self.folder / "mark"
        mark.unlink(missing_ok=True)
        process, begin = self._start(target, plan)
        planned = _words(plan)
        if "event" in plan:
            self._wait_for_save(process, target, begin)
            _wait(process, 2 * self.start_seconds)
        else:
            delay = self.draw.uniform(0, 2 * self.start_seconds)
            planned = f"after {delay:.1f} s"
            _wait(process, delay)
        process.kill()
        if process.wait() == 0:
            return False
        if process.returncode != -signal.SIGKILL:
            raise RuntimeError(self._failure(process))
        activity = mark.read_text() if mark.exists() else self._activity(target, before)
        seconds = time.monotonic() - begin
        kill = Kill(
            self.setting.name, chain, planned, activity, step_on_disk(target), round(seconds, 1)
        )
        self.report.kills.append(kill)
        with (self.folder / "kills.jsonl").open("ab") as log:
            log.write(msgspec.json.encode(kill) + b"\n")
        self.say(
            f"kill {len(self.report.kills)} (chain {chain}, {planned}): {activity}, "
            f"step {before} to {kill.step}, {seconds:.0f} s"
        )
        return True

    def _plan(self, step: int | None) -> dict[str, Any]:
        """Choose when to kill: at a random time, or at a moment of the next or the last step.

        Kills at random times hit the plain command, unless it may finish and its last state is to
        be kept.
        """
        near = (step or 0) > FINAL_SHARE * self.last_step
        if self.draw.random() < 0.5:
            return self._keeping if near else {}
        event, when = self.draw.choice(dying.EVENTS)
        # Evaluations are rare, and a file is written in many pieces.
        most = 3 if "model" in event or "history" in event else 12
        if event.startswith("write") and "history" not in event:
            most *= 9
        plan = {
            "event": event,
            "when": when,
            "nth": self.draw.randint(1, most),
            "mark": str(self.folder / "mark"),
            **self._keeping,
        }
        if near and self.draw.random() < 0.7:
            plan["step"], plan["nth"] = self.last_step - 1, 1
        return plan

    def _activity(self, target: Path, before: int | None) -> str:
        """Return where a process died that was killed at a random time, judging from the disk."""
        if not (target / schema.CONFIG).exists():
            return "starting"
        if files := leftovers(target):
            return f"saving {files[0]}"
        step = step_on_disk(target)
        if step is None or step == before:
            return "starting"
        history = reader.read_history(target)
        if history and history[-1].step > step:
            return "between the files of an evaluation"
        return "training"

    # Processes

    @property
    def _keeping(self) -> dict[str, Any]:
        return {"keep": str(self.folder / "state")}

    def _start(self, target: Path, plan: dict[str, Any]) -> tuple[subprocess.Popen[bytes], float]:
        """Start a run, or resume it if there is something to resume."""
        module = ["tests.reliability.dying", json.dumps(plan)] if plan else ["charlstm"]
        arguments = ["train", str(self.corpus), "-o", str(target), "--overwrite"]
        arguments += self.setting.arguments
        if (target / schema.RESUME).exists():
            arguments = ["train", "--resume", str(target)]
        begin = time.monotonic()
        with (self.folder / "out").open("wb") as out, (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *module, *arguments, "--json"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )
        return process, begin

    def _wait_for_save(self, process: subprocess.Popen[bytes], target: Path, begin: float) -> None:
        """Wait until the process has saved for the first time, and record how long it took."""
        path = target / schema.RESUME
        known = path.stat().st_mtime_ns if path.exists() else None
        while process.poll() is None and time.monotonic() < begin + PATIENCE_SECONDS:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime_ns != known:
                    self.start_seconds = time.monotonic() - begin
                    return
            time.sleep(0.02)

    def _end(self, target: Path) -> None:
        """Let a chain finish, and put its last resume file next to its model."""
        if not reader.is_finished(target):
            process, _ = self._start(target, self._keeping)
            self._finish(process)
        self._put_state(target)

    def _put_state(self, target: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "state").replace(target / schema.RESUME)

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        if process.wait(PATIENCE_SECONDS) != 0:
            raise RuntimeError(self._failure(process))

    def _failure(self, process: subprocess.Popen[bytes]) -> str:
        log = (self.folder / "log").read_text(errors="replace")
        return f"{self.setting.name}: status {process.returncode}: {log}"


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _words(plan: dict[str, Any]) -> str:
    if "event" not in plan:
        return "at some time"
    where = "of the last step" if plan.get("step") else f"{plan['nth']}."
    return f"{plan['when']} {where} {plan['event']}"


# A budget in minutes


def kill_in_minutes(corpus: Path, folder: Path, draw: random.Random) -> Report:
    """Kill a run with a budget in minutes until it ends in time; check its schedule."""
    chain = Chain(MINUTES, corpus, folder, draw)
    target = folder / "run"
    process, begin = chain._start(target, {})
    while True:
        chain._wait_for_save(process, target, begin)
        _wait(process, draw.uniform(0.2, 6))
        process.kill()
        if process.wait() == 0:
            break
        if process.returncode != -signal.SIGKILL:
            raise RuntimeError(chain._failure(process))
        activity = chain._activity(target, None)
        step, seconds = step_on_disk(target), round(time.monotonic() - begin, 1)
        kill = Kill("minutes", 1, "after the first save", activity, step, seconds)
        chain.report.kills.append(kill)
        chain.say(f"kill {len(chain.report.kills)}: {activity}, step {step}")
        check_sound(target)
        process, begin = chain._start(target, {})
    summary = json.loads((folder / "out").read_text())
    chain.report.name, chain.report.chains = MINUTES.name + ", minutes", 1
    chain.report.wrong = list(_wrong_in_minutes(target, summary, chain.start_seconds))
    chain.say(
        f"ended after {summary['seconds']:.1f} s and {len(chain.report.kills)} kills, "
        f"{summary['steps']} steps, last rate {_history(target)[-1]['learning_rate']:.6f}"
    )
    return chain.report


def _wrong_in_minutes(folder: Path, summary: dict[str, Any], start: float) -> Iterator[str]:
    config = reader.read_config(folder).train
    history = reader.read_history(folder)
    budget = 60 * (config.minutes or 0)
    # Time after the last save of a killed process doesn't count, and no start is cut short.
    if not 0.75 * budget < summary["seconds"] < 1.25 * budget + start:
        yield f"took {summary['seconds']:.0f} s of {budget:.0f}"
    after = [figures for figures in history if figures.step > config.warmup_steps]
    if len(after) < ENOUGH_EVALUATIONS:
        yield f"{len(after)} evaluations after warm-up are too few to tell anything"
    for before, now in itertools.pairwise(after):
        if now.learning_rate > before.learning_rate:
            yield f"rate rises from step {before.step} to {now.step}"
        if now.step <= before.step or now.seconds < before.seconds:
            yield f"step {now.step} comes after {before.step}"


# The program


HEADER = (
    "| setting | kills | inside saves | where they hit | chains | last states compared | "
    "identical |\n| --- | --- | --- | --- | --- | --- | --- |"
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.kills")
    parser.add_argument("--kills", type=int, default=50, help="kills per setting")
    parser.add_argument("--jobs", type=int, default=2, help="settings that run at once")
    parser.add_argument("--only", action="append", help="a setting; repeatable")
    parser.add_argument("--seed", type=int, default=1, help="decides when to kill")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    return parser.parse_args()


def run(setting: Setting, corpus: Path, folder: Path, kills: int, seed: int) -> Report:
    """Train an uninterrupted run of a setting, and kill others."""
    draw = random.Random(f"{seed} {setting.name}")
    chain = Chain(setting, corpus, folder / setting.name, draw)
    chain.leave_alone()
    return chain.kill(kills)


def main() -> int:
    """Run the settings, print the table, return the exit status."""
    arguments = _arguments()
    names = arguments.only or [*(setting.name for setting in SETTINGS), "minutes"]
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["CHARLSTM_CACHE"] = str(folder / "cache")
        corpus = folder / "corpus.txt"
        corpus.write_text(text())
        with ThreadPoolExecutor(arguments.jobs) as pool:
            jobs = [
                pool.submit(run, setting, corpus, folder, arguments.kills, arguments.seed)
                for setting in SETTINGS
                if setting.name in names
            ]
            if "minutes" in names:
                draw = random.Random(arguments.seed)
                jobs.append(pool.submit(kill_in_minutes, corpus, folder / "minutes", draw))
            reports = [job.result() for job in jobs]
    print(HEADER)
    for report in reports:
        print(report.row)
    for report in reports:
        for what in report.wrong:
            print(f"\n{report.name}, {what}")
    return 1 if any(report.wrong for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
