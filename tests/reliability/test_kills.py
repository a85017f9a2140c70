"""The harness detects differences, and a run resumes exactly from anything a kill can leave."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from charlstm.checkpoint import reader, schema
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.training import run, setup
from charlstm.training.request import Request
from tests.reliability.dying import OPERATIONS
from tests.reliability.folders import check_sound, leftovers, text
from tests.reliability.kills import HEADER, SETTINGS, Chain, differences

RUN = {
    "layers": 1,
    "units": 8,
    "embedding": 6,
    "streams": 4,
    "sequence_length": 6,
    "dropout": 0.3,
    "dropout_ramp": 0.4,
    "steps": 11,
    "eval_every": 4,
    "save_every": 1e-9,
}


class Silent:
    """An observer that lets the run continue."""

    def on_start(self, *arguments):
        pass

    on_step = on_evaluation = on_overfitting = on_start

    def should_stop(self):
        return False

    def __getattr__(self, name):
        return self.on_start


def execute(prepared):
    return run.execute(prepared, Silent(), began=time.monotonic())


@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    """An uninterrupted run, and the content of its folder after each change."""
    parent = tmp_path_factory.mktemp("kills")
    (parent / "corpus.txt").write_text(text(200))
    corpus = CorpusConfig(addresses=(str(parent / "corpus.txt"),))
    folder = parent / "whole"
    request = Request(corpus, TokenizerConfig(), "auto", RUN, output=folder)
    pictures = []

    def watched(operation):
        def call(*arguments, **options):
            for moment in ("before", "after"):
                if moment == "after":
                    result = operation(*arguments, **options)
                pictures.append(parent / f"picture-{len(pictures)}")
                shutil.copytree(folder, pictures[-1])
            return result

        return call

    with pytest.MonkeyPatch.context() as patch:
        prepared = setup.new_run(request, None)
        patch.setattr(os, "fsync", watched(os.fsync))
        patch.setattr(os, "replace", watched(os.replace))
        execute(prepared)
    return folder, pictures


def test_at_every_moment_the_folder_is_sound(photographed):
    pictures = photographed[1]
    # Tokenizer, configuration, the first save, then 11 steps, 3 of them with an evaluation.
    assert len(pictures) >= 6 * (3 + 11)
    for picture in pictures:
        check_sound(picture)
    assert {name for picture in pictures for name in leftovers(picture)} >= {
        schema.RESUME,
        schema.MODEL,
        schema.HISTORY,
    }


def states(pictures):
    """Keep the snapshots that differ for a resumed run; leftovers and dates don't count."""
    found = {}
    for picture in pictures:
        if (picture / schema.RESUME).exists():
            names = (schema.RESUME, schema.MODEL, schema.HISTORY)
            files = [picture / name for name in names]
            key = tuple(path.read_bytes() if path.exists() else None for path in files)
            found.setdefault(key, picture)
    return list(found.values())


def check_resumed(folder, picture):
    if not reader.is_finished(picture):
        execute(setup.resumed_run(picture))
    assert differences(folder, picture) == []


def test_a_run_killed_around_its_last_evaluation_ends_like_another(photographed):
    folder, pictures = photographed
    last = states(pictures)[-4:]
    steps = [len(reader.read_history(picture)) for picture in last]
    assert steps[0] == 2
    assert steps[-1] == 3
    for picture in last:
        check_resumed(folder, picture)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_like_another(photographed, compiled_once):
    """The network is compiled once; those of the test above are new, as after a kill."""
    folder, pictures = photographed
    for picture in states(pictures)[:-4]:
        check_resumed(folder, picture)


def altered_weight(folder):
    path = folder / schema.MODEL
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def altered_history(folder):
    path = folder / schema.HISTORY
    lines = path.read_text().splitlines()
    figures = json.loads(lines[1])
    lines[1] = json.dumps(figures | {"learning_rate": figures["learning_rate"] * (1 + 1e-15)})
    path.write_text("\n".join(lines) + "\n")


def shortened_history(folder):
    path = folder / schema.HISTORY
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def left_over(folder):
    (folder / f".{schema.MODEL}.x.tmp").touch()


@pytest.mark.parametrize(
    ("alter", "told"),
    [
        (altered_weight, "in model.safetensors"),
        (altered_history, "history at step 8"),
        (shortened_history, "history: 3 and 2 evaluations"),
        (left_over, "files: "),
    ],
)
def test_the_harness_reports_differences(photographed, tmp_path, alter, told):
    other = shutil.copytree(photographed[0], tmp_path / "other")
    assert differences(photographed[0], other) == []
    alter(other)
    (what,) = differences(photographed[0], other)
    assert told in what


def test_the_table_counts_the_chains_whose_last_state_was_compared(photographed, tmp_path):
    folder, pictures = photographed
    last = [p / schema.RESUME for p in pictures if (p / schema.RESUME).exists()][-1]
    chain = Chain(SETTINGS[0], tmp_path / "corpus", tmp_path, random.Random(1))
    shutil.copytree(folder, chain.whole)
    shutil.copyfile(last, chain.whole / schema.RESUME)
    chain.compare(shutil.copytree(chain.whole, tmp_path / "kept"))
    chain.compare(folder)  # a plain command has finished it
    assert chain.report.row == "| char-float32 | 0 | 0 |  | 2 | 1 | 2 of 2 |"
    altered = shutil.copytree(chain.whole, tmp_path / "altered")
    data = bytearray(last.read_bytes())
    data[-1] ^= 1
    (altered / schema.RESUME).write_bytes(data)
    chain.compare(altered)
    (what,) = chain.report.wrong
    assert what.startswith("chain 3: ")
    assert what.endswith(" in resume.safetensors")
    row = "| char-float32 | 0 | 0 |  | 3 | 2 | 2 of 3 |"
    assert chain.report.row == row
    assert {line.count("|") for line in HEADER.splitlines()} == {row.count("|")}


def test_wall_clock_times_do_not_count(photographed, tmp_path):
    other = shutil.copytree(photographed[0], tmp_path / "other")
    path = other / schema.HISTORY
    lines = [json.loads(line) | {"seconds": 9.0} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert differences(photographed[0], other) == []


WRITER = """
import json, sys
from pathlib import Path
from tests.reliability.dying import Death, watch_files
watch_files(Death(json.loads(sys.argv[1])))
from charlstm.system.files import write_atomically
write_atomically(Path(sys.argv[2]), b"new" * 1000)
"""


@pytest.mark.parametrize(("operation", "when"), OPERATIONS)
def test_a_file_is_old_or_new_whenever_its_writer_dies(tmp_path, operation, when):
    path, mark = tmp_path / schema.HISTORY, tmp_path / "mark"
    path.write_bytes(b"old")
    plan = {"event": f"{operation} {path.name}", "when": when, "mark": str(mark)}
    command = [sys.executable, "-c", WRITER, json.dumps(plan), path]
    done = subprocess.run(command, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert mark.read_text() == f"{when} {plan['event']}"
    replaced = (operation, when) == ("replace", "after")
    assert path.read_bytes() == (b"new" * 1000 if replaced else b"old")
    assert leftovers(tmp_path) == ([] if replaced else [path.name])
