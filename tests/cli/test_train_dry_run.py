"""``charlstm train --dry-run``: it refuses what a run would refuse, and leaves nothing behind."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from charlstm.checkpoint.folder import lock_folder
from charlstm.checkpoint.schema import HISTORY, MODEL, RESUME
from charlstm.system import files
from tests.cli.helpers import TEXT, TINY
from tests.messages import assert_error

QUICK = [*TINY, "--sequence-length", "10", "--steps", "4", "--eval-every", "2", "-q"]

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def corpus(here):
    Path("tale.txt").write_bytes(TEXT.encode())


@pytest.fixture
def interrupted(corpus):
    """A run that was stopped after its first evaluation."""
    import charlstm

    class Stops(charlstm.Observer):
        evaluated = False

        def on_evaluation(self, *_):
            self.evaluated = True

        def should_stop(self):
            return self.evaluated

    options = {"units": 16, "layers": 1, "embedding": 8, "streams": 4, "sequence_length": 10}
    charlstm.train("tale.txt", **options, steps=4, eval_every=2, observer=Stops(), output="model")
    return Path("model")


def listing():
    return {
        path: (path.is_dir() or path.read_bytes(), path.stat().st_mtime_ns * path.is_file())
        for path in Path().rglob("*")
    }


def assert_refused_alike(charlstm, *arguments):
    """Assert that a dry run and then a run fail in the same words; return these."""
    before = listing()
    dry = charlstm("train", *arguments, "--dry-run")
    assert listing() == before
    real = charlstm("train", *arguments)
    assert dry.status == real.status != 0
    assert (dry.out, dry.err) == (real.out, real.err)
    assert any(line.startswith("Error: ") for line in dry.err.splitlines()[-2:])
    return dry


def test_nothing_is_left_behind(charlstm, corpus):
    before = listing()
    for options in (["-o", "new/parts/model"], [], ["--json"]):
        result = charlstm("train", "tale.txt", *QUICK, "--dry-run", *options)
        assert result.status == 0, result.err
        assert listing() == before
    Path("empty").mkdir()
    assert charlstm("train", "tale.txt", *QUICK, "--dry-run", "-o", "empty").status == 0
    assert list(Path("empty").iterdir()) == []


@pytest.mark.parametrize("output", ["tale.txt", "tale.txt/model", "/proc/none/model"])
def test_a_folder_that_can_not_be_made_is_refused(charlstm, corpus, output):
    assert_refused_alike(charlstm, "tale.txt", *QUICK, "-o", output)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_can_not_be_written_to_is_refused(charlstm, corpus, monkeypatch, code):
    Path("model").mkdir()
    create = files._create_beside

    def refuse(path, suffix):
        if path.parent.name == "model":
            raise OSError(code, os.strerror(code))
        return create(path, suffix)

    monkeypatch.setattr(files, "_create_beside", refuse)
    result = assert_refused_alike(charlstm, "tale.txt", *QUICK, "-o", "model")
    assert_error(result, 1, "can't write model/tokenizer.json")


def test_a_taken_folder_is_refused_unless_it_is_to_be_replaced(charlstm, corpus, interrupted):
    result = assert_refused_alike(charlstm, "tale.txt", *QUICK, "-o", "model")
    assert_error(result, 1, "model", "--resume model", "--overwrite")
    before = listing()
    options = ["-o", "model", "--overwrite", "--dry-run"]
    assert charlstm("train", "tale.txt", *QUICK, *options).status == 0
    assert listing() == before


@pytest.mark.parametrize("options", [["tale.txt", "-o", "model"], ["--resume", "model"]])
def test_a_folder_that_another_process_trains_into_is_refused(charlstm, interrupted, options):
    with lock_folder(Path("model")):
        result = assert_refused_alike(charlstm, *options)
        assert_error(result, 1, "another process", "model")


def test_what_can_be_resumed_can_be_rehearsed(charlstm, interrupted):
    before = listing()
    result = charlstm("train", "--resume", "model", "--dry-run", "--json")
    assert (result.status, json.loads(result.out)["steps"]) == (0, 4)
    assert listing() == before
    assert charlstm("train", "--resume", "model", "-q").status == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda: Path("model", RESUME).unlink(),
        lambda: Path("model", RESUME).write_bytes(b"x"),
        lambda: Path("model", MODEL).write_bytes(b"x"),
        lambda: Path("model", HISTORY).write_bytes(b"x\n"),
        lambda: Path("tale.txt").unlink(),
        lambda: Path("tale.txt").write_text("another\n" * 900),
        lambda: shutil.rmtree("model"),
    ],
)
def test_what_can_not_be_resumed_is_refused(charlstm, interrupted, damage):
    damage()
    assert_refused_alike(charlstm, "--resume", "model")


def test_a_resumed_run_that_can_not_save_is_refused(charlstm, interrupted, monkeypatch):
    def refuse(path, suffix):
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(files, "_create_beside", refuse)
    result = charlstm("train", "--resume", "model", "--dry-run")
    assert_error(result._replace(err=result.err.splitlines(keepends=True)[-1]), 1, "read-only")


@pytest.mark.parametrize(
    "options",
    [
        ["--from", "nowhere"],
        ["--from", "tale.txt"],
        ["--threads", "0"],
        ["--streams", "4000"],
        ["--valid", "nowhere.txt"],
        ["--tie", "--embedding", "8", "--units", "16"],
    ],
)
def test_a_request_that_allows_no_run_is_refused(charlstm, corpus, options):
    before = listing()
    dry = charlstm("train", "tale.txt", *options, "--dry-run")
    real = charlstm("train", "tale.txt", *options)
    assert dry == real
    assert dry.status in (1, 2)
    assert listing() == before


def test_a_wrong_tf_config_is_refused(charlstm, corpus, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:2"]}}')
    assert_error(assert_refused_alike(charlstm, "tale.txt"), 2, "TF_CONFIG")


@pytest.mark.parametrize(
    ("arguments", "reach"),
    [
        (["tale.txt"], 0),
        (["--attention", "tale.txt"], 64),
        (["tale.txt", "--attention"], 64),
        (["--attention", "12", "tale.txt"], 12),
        (["--attention=12", "--", "tale.txt"], 12),
    ],
)
def test_the_window_of_the_attention_may_be_left_out(charlstm, corpus, arguments, reach):
    result = charlstm("train", *QUICK, "--dry-run", "--json", *arguments)
    assert result.status == 0
    assert json.loads(result.out)["model"]["attention"] == reach


@pytest.mark.parametrize("value", ["0", "-3", "257"])
def test_a_window_out_of_range_is_misuse(charlstm, corpus, value):
    result = charlstm("train", *QUICK, "--dry-run", "tale.txt", "--attention", value)
    assert result.status == 2
    assert f"--attention is {value}: expected a whole number" in result.err
