"""Tests of ``checkpoint.folder``: locking, creating and replacing a checkpoint."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path

import pytest

from charlstm.checkpoint import folder as folder_module
from charlstm.checkpoint.folder import (
    check_idle,
    create_checkpoint,
    free_folder,
    lock_folder,
)
from charlstm.checkpoint.names import holds_checkpoint
from charlstm.checkpoint.reader import is_finished, read_checkpoint, read_config, read_tokenizer
from charlstm.checkpoint.resume import Progress
from charlstm.checkpoint.schema import (
    CONFIG,
    FILES,
    FORMAT,
    HISTORY,
    MODEL,
    RESUME,
    STDIN_FILE,
    TOKENIZER,
)
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import CorpusConfig, TrainConfig
from charlstm.errors import (
    CharlstmError,
    CheckpointBusy,
    CheckpointExists,
    CheckpointMissing,
    StorageError,
)
from tests.checkpoint.helpers import (
    CHARACTERS,
    FIGURES,
    begin,
    contents,
    fail_with_a_full_disk,
    refusal,
    settings,
)
from tests.messages import assert_names


def test_the_config_is_json_that_people_can_read(folder):
    text = (folder / CONFIG).read_text()
    assert text.count("\n") > 30
    assert text.endswith("}\n")
    assert json.loads(text)["format"] == FORMAT
    assert json.loads(text)["model"]["units"] == 3


# Creating


def test_a_new_checkpoint_makes_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "run"
    with lock_folder(path), create_checkpoint(path, settings(), CHARACTERS):
        assert sorted(contents(path)) == [CONFIG, TOKENIZER]
        assert read_config(path) == settings()
        assert read_tokenizer(path) == CHARACTERS
    assert sorted(contents(path)) == [CONFIG, TOKENIZER]


@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_a_file_of_a_checkpoint_is_taken(tmp_path, name, sentence):
    """Each of these files would be removed or replaced."""
    (tmp_path / name).write_text("somebody's")
    assert holds_checkpoint(tmp_path)
    remedy = f"`resume` {tmp_path}" if name == RESUME else "`output`"
    sentence(refusal(CheckpointExists, begin, tmp_path), tmp_path, remedy, "`overwrite`")
    assert contents(tmp_path) == {name: b"somebody's"}


def test_a_folder_with_other_files_is_not_taken(tmp_path):
    (tmp_path / "corpus.txt").write_text("somebody's")
    assert not holds_checkpoint(tmp_path)
    begin(tmp_path)
    assert sorted(contents(tmp_path)) == [CONFIG, "corpus.txt", TOKENIZER]
    assert (tmp_path / "corpus.txt").read_text() == "somebody's"


def test_overwriting_removes_the_old_checkpoint_entirely(folder):
    for name in (HISTORY, RESUME, STDIN_FILE, "corpus.txt"):
        (folder / name).write_text("old")
    begin(folder, settings(train=TrainConfig(steps=7)), overwrite=True)
    assert sorted(contents(folder)) == [CONFIG, "corpus.txt", TOKENIZER]
    assert read_config(folder).train.steps == 7


def snapshot(root):
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


FAILURES = [(function, n) for function in ("replace", "fsync") for n in (1, 2)]


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize(("function", "number"), FAILURES)
def test_a_failing_creation_leaves_nothing_behind(tmp_path, monkeypatch, function, number, exists):
    """Existing folders and their contents are not changed."""
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent" / "notes.txt").write_text("somebody's")
    path = tmp_path / "parent" / "a" / "run"
    if exists:
        path.mkdir(parents=True)
        (path / "corpus.txt").write_text("somebody's")
    before = snapshot(tmp_path)
    real, calls = getattr(os, function), []

    def fail_at_last(*args, **kwargs):
        calls.append(args)
        if len(calls) == number:
            fail_with_a_full_disk()
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail_at_last)
        message = refusal(StorageError, begin, path)
    assert re.search(rf"{path}/\w+\.json: ", message)
    assert_names(message, "disk is full")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("error", [StorageError("full"), KeyboardInterrupt(), ValueError("x")])
@pytest.mark.parametrize("exists", [True, False])
def test_if_the_body_fails_nothing_is_left(tmp_path, exists, error):
    (tmp_path / "notes.txt").write_text("somebody's")
    path = tmp_path / "a" / "run"
    if exists:
        path.mkdir(parents=True)
        (path / "corpus.txt").write_text("somebody's")
    before = snapshot(tmp_path)

    def begin_and_fail():
        with lock_folder(path), create_checkpoint(path, settings(), CHARACTERS):
            CheckpointWriter(path).resume({}, Progress(step=0, seconds=0.0))
            (path / STDIN_FILE).write_text("piped")
            raise error

    with pytest.raises(type(error)) as caught:
        begin_and_fail()
    assert caught.value is error
    assert snapshot(tmp_path) == before


def test_a_foreign_file_put_into_a_new_folder_meanwhile_is_kept(tmp_path):
    path = tmp_path / "run"

    def begin_and_fail():
        with lock_folder(path), create_checkpoint(path, settings(), CHARACTERS):
            (path / "notes.txt").write_text("somebody's")
            raise ValueError("x")

    with pytest.raises(ValueError, match=r"^x$"):
        begin_and_fail()
    assert contents(path) == {"notes.txt": b"somebody's"}


def test_a_file_in_the_place_of_the_folder(tmp_path, sentence):
    (tmp_path / "file").write_text("somebody's")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        sentence(refusal(StorageError, begin, path), path)
    assert contents(tmp_path) == {"file": b"somebody's"}


@pytest.mark.parametrize("number", range(6))
def test_overwriting_that_stops_midway_leaves_no_half_of_a_checkpoint(folder, monkeypatch, number):
    """At any moment a reader finds either the whole old checkpoint or no weights."""
    unlink, replace, calls = Path.unlink, Path.replace, []

    def look(path):
        if len(calls) == number:
            check()
        calls.append(path)

    def look_and_unlink(path, missing_ok=False):
        look(path)
        unlink(path, missing_ok=missing_ok)

    def look_and_replace(path, target):
        look(path)
        replace(path, target)

    def check():
        try:
            assert read_checkpoint(folder).figures == FIGURES
        except CheckpointMissing:
            assert not (folder / MODEL).exists()

    monkeypatch.setattr(Path, "unlink", look_and_unlink)
    monkeypatch.setattr(Path, "replace", look_and_replace)
    begin(folder, overwrite=True)
    check()
    assert len(calls) > number


@pytest.mark.parametrize("error", [StorageError("full"), KeyboardInterrupt(), MemoryError()])
def test_overwriting_that_fails_leaves_the_old_checkpoint(folder, error):
    (folder / "corpus.txt").write_text("somebody's")
    (folder / HISTORY).write_text("")
    before = snapshot(folder)

    def begin_and_fail():
        other = settings(train=TrainConfig(steps=7))
        with lock_folder(folder), create_checkpoint(folder, other, CHARACTERS, overwrite=True):
            assert read_config(folder).train.steps == 7
            raise error

    with pytest.raises(type(error)):
        begin_and_fail()
    assert snapshot(folder) == before


def test_a_checkpoint_set_aside_by_a_killed_process_is_restored(folder):
    """It was killed before the new run could be resumed, and the next one fails too."""
    before = snapshot(folder)
    aside = folder / folder_module.REPLACED
    aside.mkdir()
    for name in (MODEL, CONFIG, TOKENIZER):
        (folder / name).rename(aside / name)
    (folder / CONFIG).write_text("of the run that was killed")
    with (
        pytest.raises(StorageError),
        lock_folder(folder),
        create_checkpoint(folder, settings(), CHARACTERS, overwrite=True),
    ):
        raise StorageError("full")
    assert snapshot(folder) == before
    begin(folder, overwrite=True)
    assert sorted(contents(folder)) == [CONFIG, TOKENIZER]
    assert not aside.exists()


def test_a_checkpoint_that_was_only_created_is_not_finished(tmp_path):
    """A run that is killed before its first save is not finished."""
    begin(tmp_path)
    assert not is_finished(tmp_path)


def test_a_config_that_can_not_be_encoded_is_a_clear_error(tmp_path):
    """A file name that is not UTF-8 reaches Python as lone surrogates."""
    path = tmp_path / "run"
    try:
        begin(path, settings(corpus=CorpusConfig(addresses=("caf\udce9.txt",))))
    except CharlstmError:
        assert not path.exists()
    else:
        assert read_config(path).corpus.addresses == ("caf\udce9.txt",)


def test_free_folder_counts_on(tmp_path):
    names = []
    for _ in range(4):
        path = free_folder(tmp_path, "plays")
        assert path.parent == tmp_path
        names.append(path.name)
        path.mkdir()
    assert names == ["plays", "plays-2", "plays-3", "plays-4"]
    (tmp_path / "poems").write_text("a file")
    assert free_folder(tmp_path, "poems") == tmp_path / "poems-2"
    assert free_folder(tmp_path / "none", "plays") == tmp_path / "none" / "plays"


# Leftovers of a killed process
LEFTOVERS = [f".{name}.x1y2_z.tmp" for name in FILES]
SIMILAR = [".notes.txt.x.tmp", f".{MODEL}.tmp", f"{MODEL}.x.tmp", f".{RESUME}.x", "x.tmp"]


def with_leftovers(folder):
    for name in (*LEFTOVERS, *SIMILAR):
        (folder / name).write_text("half a file")
    return folder


def end_of_a_run(folder):
    CheckpointWriter(folder).resume({}, Progress(step=1, seconds=1.0))
    CheckpointWriter(with_leftovers(folder)).finish()


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: folder_module.remove_leftovers(with_leftovers(folder)),
        end_of_a_run,
        lambda folder: begin(with_leftovers(folder), overwrite=True),
    ],
    ids=["remove_leftovers", "finish", "create_checkpoint"],
)
def test_half_written_files_are_removed_and_no_others(folder, act):
    act(folder)
    hidden = {path.name for path in folder.iterdir()} - set(FILES)
    assert hidden == set(SIMILAR)


def test_a_folder_with_nothing_but_half_written_files_is_not_taken(tmp_path):
    """A run was killed during its very first save."""
    with_leftovers(tmp_path)
    assert not holds_checkpoint(tmp_path)
    begin(tmp_path)
    assert set(contents(tmp_path)) == {CONFIG, TOKENIZER, *SIMILAR}


def test_leftovers_that_can_not_be_removed_are_told(folder, monkeypatch, sentence):
    def refuse(path, missing_ok=False):
        raise OSError(30, "Read-only file system")

    with_leftovers(folder)
    monkeypatch.setattr(Path, "unlink", refuse)
    sentence(refusal(StorageError, folder_module.remove_leftovers, folder), folder, "read-only")


# One process at a time


def test_a_folder_is_claimed_by_one(tmp_path, sentence):
    path = tmp_path / "a" / "run"
    check_idle(path)
    with lock_folder(path):
        for function in (check_idle, begin):
            sentence(refusal(CheckpointBusy, function, path), path, "another process")
        assert contents(path) == {}
    check_idle(path)
    begin(path)
    assert sorted(contents(path)) == [CONFIG, TOKENIZER]


def test_the_one_that_is_refused_removes_nothing(tmp_path, monkeypatch):
    """Both find no folder. The first has created it, but not written yet, when the other comes."""
    path, mkdir = tmp_path / "run", Path.mkdir
    with contextlib.ExitStack() as first:

        def make_as_second(self, *arguments, **options):
            monkeypatch.undo()
            first.enter_context(lock_folder(path))
            mkdir(self, *arguments, **options)

        monkeypatch.setattr(Path, "mkdir", make_as_second)
        refusal(CheckpointBusy, begin, path)
        assert path.is_dir()


def test_concurrent_idle_checks_do_not_block_each_other(tmp_path, monkeypatch):
    real, looked = folder_module.locked, []

    @contextlib.contextmanager
    def look_again(folder, *, shared=False):
        with real(folder, shared=shared) as is_idle:
            if not looked:
                looked.append(folder)
                check_idle(folder)
            yield is_idle

    monkeypatch.setattr(folder_module, "locked", look_again)
    check_idle(tmp_path)
    assert looked == [tmp_path]
