"""Tests of ``charlstm.cache``: an entry is whole or not there, and the oldest go first."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm import cache
from charlstm.errors import ConfigError, CorpusError, StorageError
from tests.messages import raises_naming

MB = 1_000_000
TAG = "CACHEDIR.TAG"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    monkeypatch.setenv("CHARLSTM_CACHE", str(place))
    return place


def filled(text="content", size=0):
    """Return a ``build`` that writes a text and ``size`` bytes without content."""

    def build(unfinished):
        (unfinished / "file").write_text(text)
        if size:
            with (unfinished / "big").open("wb") as file:
                file.truncate(size - len(text))

    return build


def never(unfinished):
    raise AssertionError("built again")


def age(key, used):
    os.utime(cache.cache_folder() / key, (used, used))


def names():
    return [entry.path.name for entry in cache.entries()]


def snapshot(root):
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


# Where and how much


def test_the_variable_names_the_folder(folder):
    assert cache.cache_folder() == folder


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_platform_names_the_folder(monkeypatch, tmp_path, value):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("CHARLSTM_CACHE")
    else:
        monkeypatch.setenv("CHARLSTM_CACHE", value)
    assert cache.cache_folder() == tmp_path / "charlstm"


def test_the_limit_is_4096_mb_unless_named(monkeypatch):
    monkeypatch.delenv("CHARLSTM_CACHE_MB", raising=False)
    assert cache.limit() == 4096 * MB


@given(st.integers(0, 10**12))
def test_the_limit_is_in_megabytes(megabytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLSTM_CACHE_MB", str(megabytes))
        assert cache.limit() == megabytes * MB


@pytest.mark.parametrize("value", ["", "-1", "1.5", "4 GB", "1e3", "²", "0x10"])
def test_a_limit_that_is_no_whole_number_is_refused(folder, monkeypatch, sentence, value):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", value)
    for ask in (cache.limit, lambda: cache.obtain("key", filled())):
        with pytest.raises(ConfigError) as caught:
            ask()
        sentence(caught.value, "CHARLSTM_CACHE_MB", repr(value), "megabytes", 4096)


# Obtaining


def test_an_entry_is_built_once(folder):
    path = cache.obtain("key", filled())
    assert path == folder / "key"
    assert (path / "file").read_text() == "content"
    assert cache.obtain("key", never) == path
    assert (path / "file").read_text() == "content"
    assert sorted(os.listdir(folder)) == [TAG, "key"]


def test_an_entry_is_durable_before_it_gets_its_name(folder, monkeypatch):
    """A power cut must not leave a named entry whose files are empty."""
    events = []
    fsync, rename = os.fsync, Path.rename

    def note_fsync(descriptor):
        synced = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        events.append((synced.name, synced.read_text()))
        fsync(descriptor)

    def note_rename(path, target):
        events.append(("rename", target))
        return rename(path, target)

    def build(unfinished):
        (unfinished / "one").write_text("1")
        (unfinished / "two").write_text("2")

    cache.obtain("other", filled())
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "rename", note_rename)
    path = cache.obtain("key", build)
    assert sorted(events[:-1]) == [("one", "1"), ("two", "2")]
    assert events[-1] == ("rename", path)


def test_build_gets_an_empty_folder_that_is_not_yet_the_entry(folder):
    def build(unfinished):
        assert list(unfinished.iterdir()) == []
        assert unfinished.parent == folder
        assert not (folder / "key").exists()
        assert cache.entries() == []

    cache.obtain("key", build)
    assert names() == ["key"]


@pytest.mark.parametrize("error", [CorpusError("no text"), KeyboardInterrupt(), ValueError("x")])
def test_a_build_that_fails_leaves_nothing(folder, error):
    def build(unfinished):
        filled()(unfinished)
        raise error

    with pytest.raises(type(error)) as caught:
        cache.obtain("key", build)
    assert caught.value is error
    assert os.listdir(folder) == [TAG]
    assert (cache.obtain("key", filled("new")) / "file").read_text() == "new"


def test_a_full_disk_is_told_and_leaves_nothing(folder, sentence):
    def build(unfinished):
        filled()(unfinished)
        raise OSError(errno.ENOSPC, "")

    with pytest.raises(StorageError) as caught:
        cache.obtain("key", build)
    sentence(caught.value, folder, "disk is full", "CHARLSTM_CACHE")
    assert os.listdir(folder) == [TAG]


def test_a_disk_that_is_full_when_an_entry_is_synced_leaves_none(folder, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with raises_naming(StorageError, folder / TAG, "disk is full"):
            cache.obtain("key", filled())
    assert os.listdir(folder) == []
    cache.obtain("other", filled())
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with raises_naming(StorageError, folder, "disk is full"):
            cache.obtain("key", filled())
    assert sorted(os.listdir(folder)) == [TAG, "other"]
    assert (cache.obtain("key", filled()) / "file").read_text() == "content"


def test_a_place_that_is_no_folder_is_told(folder):
    folder.write_text("a file")
    with raises_naming(StorageError, folder):
        cache.obtain("key", filled())


def test_an_entry_that_another_process_built_meanwhile_serves(folder):
    def build(unfinished):
        filled("mine")(unfinished)
        (folder / "key").mkdir()
        filled("theirs")(folder / "key")

    path = cache.obtain("key", build)
    assert path == folder / "key"
    assert (path / "file").read_text() in ("mine", "theirs")
    assert sorted(os.listdir(folder)) == [TAG, "key"]


def test_what_has_been_removed_is_built_again(folder):
    path = cache.obtain("key", filled("damaged"))
    cache.remove(path)
    assert not path.exists()
    cache.remove(path)  # another process may have been faster
    assert (cache.obtain("key", filled("sound")) / "file").read_text() == "sound"


# Forgetting


def test_entries_are_listed_by_last_use_with_their_size(folder):
    for used, key in enumerate(["a", "b", "c"], 1000):
        cache.obtain(key, filled("x" * used))
        age(key, used)
    (folder / "c" / "deeper").mkdir()
    (folder / "c" / "deeper" / "file").write_text("1234")
    age("c", 1002)
    (folder / "a file of somebody").write_text("")
    (folder / ".unfinished").mkdir()
    assert cache.entries() == [
        cache.Entry(folder / "c", 1006, 1002.0),
        cache.Entry(folder / "b", 1001, 1001.0),
        cache.Entry(folder / "a", 1000, 1000.0),
    ]


def test_there_are_no_entries_without_a_folder(folder):
    assert cache.entries() == []
    assert cache.clear() == []
    assert not folder.exists()


def test_obtaining_an_entry_is_a_use_of_it(folder):
    for used, key in enumerate(["a", "b"], 1000):
        cache.obtain(key, filled())
        age(key, used)
    assert names() == ["b", "a"]
    cache.obtain("a", never)
    assert names() == ["a", "b"]


def test_the_least_recently_used_go_first(folder, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "10")
    for used, key in enumerate(["a", "b", "c"], 1000):
        cache.obtain(key, filled(size=3 * MB))
        age(key, used)
    cache.obtain("a", never)
    cache.obtain("d", filled(size=3 * MB))  # 12 MB now
    assert sorted(names()) == ["a", "c", "d"]
    age("a", 1003)
    age("d", 1004)
    cache.obtain("e", filled(size=7 * MB))  # 10 MB with d, which just fits
    assert names() == ["e", "d"]


def test_a_cache_within_its_bound_keeps_everything(folder, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "9")
    for key in "abc":
        cache.obtain(key, filled(size=3 * MB))
    assert sorted(names()) == ["a", "b", "c"]


@pytest.mark.parametrize("megabytes", ["0", "1"])
def test_what_was_just_obtained_stays_however_large(folder, monkeypatch, megabytes):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", megabytes)
    for key in "abc":
        path = cache.obtain(key, filled(size=3 * MB))
        assert names() == [key]
        assert (path / "file").read_text() == "content"


def test_eviction_leaves_what_others_are_building(folder, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "0")

    def build(unfinished):
        filled()(unfinished)
        cache.obtain("other", filled())

    assert (cache.obtain("key", build) / "file").read_text() == "content"
    assert names() == ["key"]


def test_an_entry_that_another_process_removes_meanwhile_is_no_error(folder, monkeypatch):
    """Two runs may evict at once: what is listed can be gone when it is looked at."""
    cache.obtain("a", filled())
    real = Path.is_dir

    def then_gone(path):
        found = real(path)
        if path == folder / "a":
            shutil.rmtree(path, ignore_errors=True)
        return found

    monkeypatch.setattr(Path, "is_dir", then_gone)
    assert cache.obtain("b", filled()) == folder / "b"
    assert names() == ["b"]


def test_clear_removes_everything_and_tells_what(folder):
    cache.obtain("a", filled("12345"))
    cache.obtain("b", filled())
    age("a", 1000)
    age("b", 2000)
    (folder / ".c.unfinished").mkdir()
    assert cache.clear() == [
        cache.Entry(folder / "b", 7, 2000.0),
        cache.Entry(folder / "a", 5, 1000.0),
    ]
    assert os.listdir(folder) == [TAG]
    assert cache.clear() == []


# Folders of others


def test_the_folder_is_tagged_as_backup_tools_expect_it(folder):
    """Source: the Cache Directory Tagging Specification, whose signature is 43 bytes long."""
    cache.obtain("key", filled())
    tag = (folder / "CACHEDIR.TAG").read_bytes()
    assert tag[:43] == b"Signature: 8a477f597d28d172789f06886806bc55"
    assert tag[43:].startswith(b"\n")


def test_an_empty_folder_and_one_of_ours_are_taken(folder):
    folder.mkdir()
    cache.obtain("a", filled())
    (folder / "notes.txt").write_text("somebody's")
    cache.obtain("b", filled())
    assert sorted(os.listdir(folder)) == [TAG, "a", "b", "notes.txt"]


@pytest.mark.parametrize("name", ["pictures", ".git", "notes.txt", ".profile"])
def test_a_folder_that_holds_other_things_is_refused_and_left_alone(
    folder, monkeypatch, name, sentence
):
    """A slip such as ``CHARLSTM_CACHE=$HOME`` must not cost anybody a file."""
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "0")
    (folder / "work").mkdir(parents=True)
    thing = folder / name
    if thing.suffix == ".txt" or name == ".profile":
        thing.write_text("somebody's")
    else:
        thing.mkdir()
        (thing / "file").write_text("somebody's")
    for path in folder.iterdir():
        os.utime(path, (1, 1))  # long since abandoned, if it were ours
    before = snapshot(folder)
    with pytest.raises(ConfigError) as caught:
        cache.obtain("key", never)
    sentence(caught.value, folder, "CHARLSTM_CACHE")
    assert cache.entries() == []
    cache.evict(keep=folder / "key")
    assert cache.clear() == []
    assert snapshot(folder) == before


def test_the_cache_of_another_program_is_refused_and_left_alone(folder):
    """Cargo, mypy, pytest and others tag their folders too."""
    (folder / "v" / "cache").mkdir(parents=True)
    (folder / "v" / "cache" / "file").write_text("somebody's")
    (folder / TAG).write_text(
        "Signature: 8a477f597d28d172789f06886806bc55\n# This file is of another program.\n"
    )
    before = snapshot(folder)
    with raises_naming(ConfigError, folder, "CHARLSTM_CACHE"):
        cache.obtain("key", never)
    assert cache.entries() == []
    cache.evict(keep=folder / "key")
    assert cache.clear() == []
    assert snapshot(folder) == before


def test_only_unfinished_entries_that_nobody_builds_are_abandoned(folder, monkeypatch):
    cache.obtain("a", filled())
    now = time.time()
    for name, seconds in ((".old", 61), (".new", 5)):
        (folder / name).mkdir()
        os.utime(folder / name, (now - seconds, now - seconds))

    def build_long(unfinished):
        os.utime(unfinished, (now - 1000, now - 1000))
        cache.obtain("c", filled())
        filled("mine")(unfinished)

    assert (cache.obtain("b", build_long) / "file").read_text() == "mine"
    assert sorted(os.listdir(folder)) == [".new", TAG, "a", "b", "c"]


def test_where_nobody_knows_who_builds_nothing_is_abandoned(folder, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    cache.obtain("a", filled())
    (folder / ".old").mkdir()
    os.utime(folder / ".old", (1, 1))
    cache.obtain("b", filled())
    assert sorted(os.listdir(folder)) == [".old", TAG, "a", "b"]
