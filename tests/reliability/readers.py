"""Ten readers at once of a model in training, of one that is replaced, and of a new cache.

    python -m tests.reliability.readers [--readers 10] [--seconds 60] [--folder FOLDER]

1. Training: ``charlstm train`` evaluates every second step and replaces the best model each time,
   while ten loops of ``charlstm generate`` read it. A copy of each model is kept, and afterwards
   its text is generated. Each reader must have ended with exit status 0 and with the text of one of
   these models, including its probability, which is different for each model.
2. Overwriting by runs: the same while one run after another replaces the folder (``--overwrite``),
   each time with another width and another tokenizer. A reader may find the folder half replaced.
   Then it must end with one sentence and exit status 1.
3. Overwriting in a tight loop: the same while the product's own functions, without training,
   replace the checkpoint many times per second.
4. Ten first users of an empty cache at once: of one graph (generate) and of one token store
   (train --dry-run). All must print the same, and the cache must contain one intact entry of each
   kind.

The table goes to stdout as Markdown. The exit status is 1 if a reader saw something wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import charlstm
from charlstm.checkpoint import folder as folder_module
from charlstm.checkpoint import reader, schema
from charlstm.checkpoint.writer import CheckpointWriter
from tests.reliability.folders import text

LENGTH, SEED = 60, 7
TRAINING = (
    *("--layers", "2", "--streams", "8", "--sequence-length", "8", "--eval-every", "2"),
    *("--learning-rate", "0.002", "--steps", "1000000", "--patience", "99999"),
    *("--sample-every", "0", "--save-every", "0.1", "--valid-fraction", "0.02"),
)


@dataclass(frozen=True)
class Reading:
    """The result of one reader."""

    status: int
    text: str
    said: str

    @property
    def wrong(self) -> str | None:
        """What is wrong with it, if no state of the folder can explain it."""
        if "Traceback" in self.said:
            return f"traceback: {self.said}"
        if self.status == 0:
            return None
        if self.status == 1 and self.said.startswith("Error: ") and self.said.count("\n") == 1:
            return None
        return f"status {self.status}: {self.said!r}"


def read(folder: Path, environment: dict[str, str] | None = None) -> Reading:
    """Generate text in a separate process."""
    arguments = ["generate", str(folder), "-n", str(LENGTH), "--seed", str(SEED), "-q", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "charlstm", *arguments],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | (environment or {}),
    )
    said = done.stderr.decode()
    if done.returncode:
        return Reading(done.returncode, done.stdout.decode(), said)
    sample = json.loads(done.stdout)
    return Reading(0, signed(sample["text"], sample["mean_log_probability"]), said)


def signed(text: str, mean_log_probability: float) -> str:
    """Return a text with what distinguishes its model from all others, however similar."""
    return f"{text} [{mean_log_probability!r}]"


def text_of(folder: Path) -> str:
    """Return the text that a reader of this checkpoint must get."""
    sample = charlstm.load(folder).generate(length=LENGTH, seed=SEED)[0]
    return signed(sample.text, sample.mean_log_probability)


class Readers:
    """Loops of readers that run until they are stopped."""

    running: ClassVar[list[Readers]] = []

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.stopped = threading.Event()
        Readers.running.append(self)
        self.pool = ThreadPoolExecutor(count)
        self.loops = [self.pool.submit(self._loop) for _ in range(count)]

    def _loop(self) -> list[Reading]:
        found = []
        while not self.stopped.is_set():
            found.append(read(self.folder))
        return found

    def stop(self) -> list[Reading]:
        """Let each reader finish, and return all results."""
        self.stopped.set()
        found = [reading for loop in self.loops for reading in loop.result()]
        self.pool.shutdown()
        return found


class Stand:
    """Where models are trained, copied and read."""

    def __init__(self, folder: Path, readers: int, seconds: float) -> None:
        self.folder, self.readers, self.seconds = folder, readers, seconds
        self.corpora = [folder / "small.txt", folder / "other.txt"]
        self.corpora[0].write_text(text(600))
        self.corpora[1].write_text(text(600, seed=8).replace("a", "ä").upper())
        self.wrong: list[str] = []
        self.rows: list[str] = []

    def start(self, target: Path, archive: Path, number: int = 0) -> subprocess.Popen[bytes]:
        """Start a run; every second one has another width and another text."""
        archive.mkdir(parents=True)
        odd = number % 2
        arguments = ["train", self.corpora[odd], "-o", target, "--overwrite", "-q", *TRAINING]
        arguments += ["--units", str(32 + 8 * odd), "--embedding", "16"]
        plan = json.dumps({"archive": str(archive)})
        with (self.folder / "train.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.reliability.dying", plan, *map(str, arguments)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def known_texts(self, target: Path, archive: Path) -> tuple[set[str], int]:
        """Return the texts of all copied models, and the number of models."""
        texts, count = set(), 0
        copy = self.folder / "asked"
        for model in archive.iterdir():
            shutil.rmtree(copy, ignore_errors=True)
            copy.mkdir()
            for name in (schema.CONFIG, schema.TOKENIZER):
                shutil.copyfile(target / name, copy / name)
            shutil.copyfile(model, copy / schema.MODEL)
            texts.add(text_of(copy))
            count += 1
        return texts, count

    def judge(
        self, name: str, readings: list[Reading], texts: set[str], models: str, *, strict: bool
    ) -> None:
        """Add a row to the table and errors to the list."""
        good = [reading for reading in readings if reading.status == 0]
        self.wrong += [f"{name}: {reading.wrong}" for reading in readings if reading.wrong]
        self.wrong += [
            f"{name}: a text of no model: {reading.text!r}"
            for reading in good
            if reading.text not in texts
        ]
        failed = [reading for reading in readings if reading.status != 0]
        if strict:
            self.wrong += [f"{name}: {reading.said}" for reading in failed]
        kinds = Counter(reading.said.replace(f"{self.folder}/", "").strip() for reading in failed)
        said = "; ".join(f"{count}: {kind}" for kind, count in kinds.most_common()) or "-"
        distinct = len({reading.text for reading in good})
        self.rows.append(
            f"| {name} | {models} | {len(readings)} | {len(good)}, {distinct} different texts | "
            f"{said} |"
        )
        print(self.rows[-1], flush=True)

    # What is read

    def while_trained(self) -> None:
        """Read a model in training."""
        target, archive = self.folder / "trained", self.folder / "trained-models"
        process = self.start(target, archive)
        _until((target / schema.MODEL).exists)
        readers = Readers(target, self.readers)
        time.sleep(self.seconds)
        readings = readers.stop()
        process.send_signal(signal.SIGTERM)
        if process.wait() != 143:
            self.wrong.append(f"training ended with status {process.returncode}")
        texts, count = self.known_texts(target, archive)
        self.judge("trained", readings, texts, f"{count} models", strict=True)

    def while_overwritten_by_runs(self, runs: int = 4) -> None:
        """Read a folder that one run after another replaces."""
        target = self.folder / "overwritten"
        texts: set[str] = set()
        models, readers = 0, None
        for number in range(runs):
            archive = self.folder / f"overwritten-models-{number}"
            process = self.start(target, archive, number)
            _until(lambda archive=archive: len(list(archive.iterdir())) >= 3)
            readers = readers or Readers(target, self.readers)
            time.sleep(3)
            process.send_signal(signal.SIGTERM)
            if process.wait() != 143:
                self.wrong.append(f"run {number} ended with status {process.returncode}")
            found, count = self.known_texts(target, archive)
            texts, models = texts | found, models + count
        assert readers is not None
        self.judge(
            "overwritten by runs",
            readers.stop(),
            texts,
            f"{models} models of {runs} runs",
            strict=False,
        )

    def while_overwritten_often(self) -> None:
        """Read a folder that is replaced many times per second."""
        sources = []
        for number in range(2):
            source = self.folder / f"source-{number}"
            process = self.start(source, self.folder / f"source-models-{number}", number)
            _until((source / schema.MODEL).exists)
            process.send_signal(signal.SIGTERM)
            process.wait()
            sources.append(reader.read_checkpoint(source))
        target = self.folder / "often"
        shutil.copytree(sources[0].folder, target)
        readers = Readers(target, self.readers)
        begin, count = time.monotonic(), 0
        draw = np.random.default_rng(1)
        while time.monotonic() - begin < self.seconds:
            source = sources[count % 2]
            with (
                folder_module.lock_folder(target),
                folder_module.create_checkpoint(
                    target, source.config, source.tokenizer, overwrite=True
                ),
            ):
                CheckpointWriter(target).model(source.weights, source.figures)
            count += 1
            time.sleep(draw.uniform(0, 0.3))
        texts = {text_of(source.folder) for source in sources}
        self.judge(
            "overwritten often", readers.stop(), texts, f"{count} times, 2 models", strict=False
        )

    def first_users(self) -> None:
        """Make all readers need one cache entry at once that nobody has created yet."""
        folder = self.folder / "trained"
        cache = self.folder / "new-cache"
        environment = {"CHARLSTM_CACHE": str(cache)}
        readings = self._at_once(lambda: read(folder, environment))
        self.judge("first users of a graph", readings, {text_of(folder)}, "1 model", strict=True)
        self._check_entries(cache, ["graph"])

        def plan() -> Reading:
            arguments = ["train", str(self.corpora[0]), "--dry-run", "--json", "-q"]
            done = subprocess.run(
                [sys.executable, "-m", "charlstm", *arguments],
                capture_output=True,
                check=False,
                env=os.environ | environment,
            )
            if done.returncode:
                return Reading(done.returncode, "", done.stderr.decode())
            facts = json.loads(done.stdout)
            facts.pop("minutes")  # measured each time
            return Reading(0, json.dumps(facts), done.stderr.decode())

        plans = self._at_once(plan)
        self.judge("first users of a token store", plans, {plans[0].text}, "1 text", strict=True)
        self._check_entries(cache, ["graph", "tokens", "vocabulary"])

    def _at_once(self, call: Callable[[], Reading]) -> list[Reading]:
        with ThreadPoolExecutor(self.readers) as pool:
            return [job.result() for job in [pool.submit(call) for _ in range(self.readers)]]

    def _check_entries(self, cache: Path, kinds: list[str]) -> None:
        found = sorted(path.name.split("-")[0] for path in cache.iterdir() if path.is_dir())
        if found != kinds:
            self.wrong.append(f"the cache holds {found}, not {kinds}")


def _until(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 600
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError("a run that is to be read did not begin")
        time.sleep(0.05)


def main() -> int:
    """Run the readers, print the table, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.readers")
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="readers-", ignore_cleanup_errors=True) as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["CHARLSTM_CACHE"] = str(folder / "cache")
        stand = Stand(folder, arguments.readers, arguments.seconds)
        print("| read while | what was in place | readers | texts | sentences |")
        print("| --- | --- | --- | --- | --- |")
        try:
            stand.while_trained()
            stand.first_users()
            stand.while_overwritten_by_runs()
            stand.while_overwritten_often()
        finally:  # if one of them failed, its readers would run forever
            for readers in Readers.running:
                readers.stopped.set()
    for what in stand.wrong:
        print(f"\n{what}")
    return 1 if stand.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
