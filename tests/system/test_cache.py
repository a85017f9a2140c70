"""Tests of ``system.cache``: entries are complete or missing, and the oldest are removed first."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import ConfigError, CorpusError, StorageError
from charlstm.system import cache
from tests.messages import raises_naming

MB = 1_000_000
TAG = "CACHEDIR.TAG"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    monkeypatch.setenv("CHARLSTM_CACHE", str(place))
    return place


# Sizes of the hash files of entries with a file "file", and with a file "big" too.
SEAL = len(64 * "0" + "  file\n")
SEALS = SEAL + len(64 * "0" + "  big\n")


def filled(text="content", size=0):
    """Return a ``build`` that writes a text, and a sparse file so that both have ``size`` bytes."""

    def build(unfinished):
        (unfinished / "file").write_text(text)
        if size:
            with (unfinished / "big").open("wb") as file:
                file.truncate(size - len(text) - SEALS)

    return build


def content(folder):
    return (folder / "file").read_text()


def obtain(key, build):
    """Obtain an entry, check that it exists with the content read, and return its folder."""
    read = cache.obtain(key, build, content)
    path = cache.cache_folder() / key
    assert content(path) == read
    return path


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


# Folder and limit


def test_the_variable_sets_the_folder(folder):
    assert cache.cache_folder() == folder


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_variable_the_platform_sets_the_folder(monkeypatch, tmp_path, value):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("CHARLSTM_CACHE")
    else:
        monkeypatch.setenv("CHARLSTM_CACHE", value)
    assert cache.cache_folder() == tmp_path / "charlstm"


def test_the_default_limit_is_4096_mb(monkeypatch):
    monkeypatch.delenv("CHARLSTM_CACHE_MB", raising=False)
    assert cache.limit() == 4096 * MB


@given(st.integers(0, 10**12))
def test_the_limit_is_in_megabytes(megabytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLSTM_CACHE_MB", str(megabytes))
        assert cache.limit() == megabytes * MB


@pytest.mark.parametrize("value", ["", "-1", "1.5", "4 GB", "1e3", "²", "0x10"])
def test_a_limit_that_is_not_a_whole_number_is_refused(folder, monkeypatch, sentence, value):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", value)
    for ask in (cache.limit, lambda: obtain("key", filled())):
        with pytest.raises(ConfigError) as caught:
            ask()
        sentence(caught.value, "CHARLSTM_CACHE_MB", repr(value), "megabytes", 4096)


# Obtaining


def test_an_entry_is_built_once(folder):
    path = obtain("key", filled())
    assert path == folder / "key"
    assert (path / "file").read_text() == "content"
    assert obtain("key", never) == path
    assert (path / "file").read_text() == "content"
    assert sorted(os.listdir(folder)) == [TAG, "key"]


def test_an_entry_is_synced_before_it_is_renamed(folder, monkeypatch):
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

    obtain("other", filled())
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "rename", note_rename)
    cache.obtain("key", build, os.listdir)
    seal = "".join(
        f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in [("one", b"1"), ("two", b"2")]
    )
    assert sorted(events[:-1]) == [("SHA256SUMS", seal), ("one", "1"), ("two", "2")]
    assert events[-1] == ("rename", folder / "key")


def test_build_gets_an_empty_folder_that_is_not_yet_the_entry(folder):
    def build(unfinished):
        assert list(unfinished.iterdir()) == []
        assert unfinished.parent == folder
        assert not (folder / "key").exists()
        assert cache.entries() == []

    cache.obtain("key", build, os.listdir)
    assert names() == ["key"]


@pytest.mark.parametrize("error", [CorpusError("no text"), KeyboardInterrupt(), ValueError("x")])
def test_a_build_that_fails_leaves_nothing(folder, error):
    def build(unfinished):
        filled()(unfinished)
        raise error

    with pytest.raises(type(error)) as caught:
        obtain("key", build)
    assert caught.value is error
    assert os.listdir(folder) == [TAG]
    assert (obtain("key", filled("new")) / "file").read_text() == "new"


def test_a_full_disk_is_reported_and_leaves_nothing(folder, sentence):
    def build(unfinished):
        filled()(unfinished)
        raise OSError(errno.ENOSPC, "")

    with pytest.raises(StorageError) as caught:
        obtain("key", build)
    sentence(caught.value, folder, "disk is full", "CHARLSTM_CACHE")
    assert os.listdir(folder) == [TAG]


def test_an_entry_that_can_not_be_synced_is_removed(folder, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with raises_naming(StorageError, folder / TAG, "disk is full"):
            obtain("key", filled())
    assert os.listdir(folder) == []
    obtain("other", filled())
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with raises_naming(StorageError, folder, "disk is full"):
            obtain("key", filled())
    assert sorted(os.listdir(folder)) == [TAG, "other"]
    assert (obtain("key", filled()) / "file").read_text() == "content"


def test_a_cache_that_is_not_a_folder_is_reported(folder):
    folder.write_text("a file")
    with raises_naming(StorageError, folder):
        obtain("key", filled())


def test_an_entry_that_another_process_built_meanwhile_is_used(folder):
    def build(unfinished):
        filled("mine")(unfinished)
        (folder / "key").mkdir()
        filled("theirs")(folder / "key")

    assert cache.obtain("key", build, content) == "mine"
    assert content(folder / "key") in ("mine", "theirs")
    assert sorted(os.listdir(folder)) == [TAG, "key"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "file").unlink(),
        lambda path: (path / "file").write_text("contemt"),
        lambda path: (path / "another").write_text(""),
        lambda path: (path / "SHA256SUMS").unlink(),
        lambda path: (path / "SHA256SUMS").write_bytes(b"\xff"),
        lambda path: (path / "file").unlink() or (path / "file").mkdir(),
        shutil.rmtree,
    ],
)
def test_a_damaged_entry_is_built_again(folder, damage):
    damage(obtain("key", filled()))
    path = obtain("key", filled("sound"))
    assert content(path) == "sound"
    assert sorted(os.listdir(path)) == ["SHA256SUMS", "file"]
    assert obtain("key", never) == path


def test_an_entry_is_sealed_as_sha256sum_writes_it(folder):
    path = obtain("key", filled())
    digest = hashlib.sha256(b"content").hexdigest()
    assert (path / "SHA256SUMS").read_text() == f"{digest}  file\n"


def test_an_entry_that_can_never_be_read_is_reported(folder):
    built = []

    def refuse(folder):
        raise ValueError("unreadable")

    with pytest.raises(ValueError, match=r"^unreadable$"):
        cache.obtain("key", built.append, refuse)
    assert len(built) == 1
    assert os.listdir(folder) == [TAG]


# Eviction


def test_entries_are_listed_by_last_use_with_their_size(folder):
    for used, key in enumerate(["a", "b", "c"], 1000):
        obtain(key, filled("x" * used))
        age(key, used)
    (folder / "c" / "deeper").mkdir()
    (folder / "c" / "deeper" / "file").write_text("1234")
    age("c", 1002)
    (folder / "a file of somebody").write_text("")
    (folder / ".unfinished").mkdir()
    assert cache.entries() == [
        cache.Entry(folder / "c", 1006 + SEAL, 1002.0),
        cache.Entry(folder / "b", 1001 + SEAL, 1001.0),
        cache.Entry(folder / "a", 1000 + SEAL, 1000.0),
    ]


def test_there_are_no_entries_without_a_folder(folder):
    assert cache.entries() == []
    assert cache.clear() == []
    assert not folder.exists()


def test_obtaining_an_entry_is_a_use_of_it(folder):
    for used, key in enumerate(["a", "b"], 1000):
        obtain(key, filled())
        age(key, used)
    assert names() == ["b", "a"]
    obtain("a", never)
    assert names() == ["a", "b"]


def test_the_least_recently_used_are_removed_first(folder, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "10")
    for used, key in enumerate(["a", "b", "c"], 1000):
        obtain(key, filled(size=3 * MB))
        age(key, used)
    obtain("a", never)
    obtain("d", filled(size=3 * MB))  # 12 MB now
    assert sorted(names()) == ["a", "c", "d"]
    age("a", 1003)
    age("d", 1004)
    obtain("e", filled(size=7 * MB))  # 10 MB with d, which just fits
    assert names() == ["e", "d"]


def test_a_cache_within_its_limit_keeps_everything(folder, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "9")
    for key in "abc":
        obtain(key, filled(size=3 * MB))
    assert sorted(names()) == ["a", "b", "c"]


@pytest.mark.parametrize("megabytes", ["0", "1"])
def test_the_entry_just_obtained_is_kept_at_any_size(folder, monkeypatch, megabytes):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", megabytes)
    for key in "abc":
        path = obtain(key, filled(size=3 * MB))
        assert names() == [key]
        assert (path / "file").read_text() == "content"


def test_eviction_keeps_what_others_are_building(folder, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "0")

    def build(unfinished):
        filled()(unfinished)
        obtain("other", filled())

    assert (obtain("key", build) / "file").read_text() == "content"
    assert names() == ["key"]


def test_an_entry_that_another_process_removes_is_not_an_error(folder, monkeypatch):
    """Two runs may evict at the same time, so a listed entry may already be gone."""
    obtain("a", filled())
    real = Path.is_dir

    def then_gone(path):
        found = real(path)
        if path == folder / "a":
            shutil.rmtree(path, ignore_errors=True)
        return found

    monkeypatch.setattr(Path, "is_dir", then_gone)
    assert obtain("b", filled()) == folder / "b"
    assert names() == ["b"]


def test_clear_removes_everything_and_returns_it(folder):
    obtain("a", filled("12345"))
    obtain("b", filled())
    age("a", 1000)
    age("b", 2000)
    (folder / ".c.unfinished").mkdir()
    assert cache.clear() == [
        cache.Entry(folder / "b", 7 + SEAL, 2000.0),
        cache.Entry(folder / "a", 5 + SEAL, 1000.0),
    ]
    assert os.listdir(folder) == [TAG]
    assert cache.clear() == []


# Other processes


def test_clear_and_eviction_keep_what_is_being_built(folder, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "0")
    obtain("other", filled())

    def build(unfinished):
        (unfinished / "half").write_text("")
        assert [entry.path.name for entry in cache.clear()] == ["other"]
        cache.evict(keep=folder / "nothing")
        (unfinished / "half").unlink()
        filled()(unfinished)

    assert content(obtain("key", build)) == "content"
    assert names() == ["key"]


@pytest.mark.parametrize("what", ["files", "entry", "cache"])
def test_an_entry_that_is_removed_while_it_is_built_is_built_again(folder, what):
    """``rm -r`` may remove it, or ``clear`` on a file system without locks."""
    built = []

    def build(unfinished):
        built.append(unfinished)
        filled()(unfinished)
        if len(built) == 1:
            victims = {"files": unfinished / "file", "entry": unfinished, "cache": folder}
            victim = victims[what]
            victim.unlink() if victim.is_file() else shutil.rmtree(victim)

    assert content(obtain("key", build)) == "content"
    assert len(built) == 2
    assert sorted(os.listdir(folder)) == [TAG, "key"]


def test_an_entry_that_is_removed_each_time_is_given_up(folder):
    built = []

    def build(unfinished):
        built.append(unfinished)
        shutil.rmtree(unfinished)

    with raises_naming(StorageError, f"{folder}:"):
        cache.obtain("key", build, content)
    assert len(built) == len(set(built)) == cache.ATTEMPTS
    assert os.listdir(folder) == [TAG]


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(folder, monkeypatch):
    cleared, real = [], cache.locked

    def lock_late(path, **options):
        if path.name.startswith(".key.") and not cleared:
            cleared.append(path)
            cache.clear()
        return real(path, **options)

    monkeypatch.setattr(cache, "locked", lock_late)
    assert content(obtain("key", filled())) == "content"
    assert not cleared[0].exists()


def test_clear_removes_unfinished_entries_without_locks(folder, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    obtain("key", filled())
    (folder / ".unfinished").mkdir()
    monkeypatch.setattr("fcntl.flock", refuse)
    assert len(cache.clear()) == 1
    assert os.listdir(folder) == [TAG]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EROFS])
def test_a_read_only_entry_is_used(folder, monkeypatch, code):
    obtain("key", filled())

    def refuse(path):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "utime", refuse)
    assert content(obtain("key", never)) == "content"


@pytest.mark.parametrize("moment", ["before it is noted", "before it is checked"])
def test_an_entry_that_is_evicted_meanwhile_is_built_again(folder, monkeypatch, moment):
    path, real = obtain("key", filled()), os.utime

    def evict(noted):
        monkeypatch.setattr(os, "utime", real)
        if moment == "before it is checked":
            os.utime(noted)
        shutil.rmtree(path)
        if moment == "before it is noted":
            os.utime(noted)

    monkeypatch.setattr(os, "utime", evict)
    assert content(obtain("key", filled("again"))) == "again"


def test_an_entry_that_is_removed_while_it_is_read_is_built_again(folder):
    path = obtain("key", filled())

    def read(where):
        if where == path:
            shutil.rmtree(path)
        return content(where)

    assert cache.obtain("key", filled("again"), read) == "again"
    assert content(path) == "again"


def test_mapped_files_stay_readable_after_their_entry_is_removed(folder):
    def read(where):
        return np.memmap(where / "file", np.uint8, mode="r")

    new = cache.obtain("key", filled(), read)
    old = cache.obtain("key", never, read)
    cache.clear()
    assert new.tobytes() == old.tobytes() == b"content"


def test_a_cache_that_is_removed_after_use_is_not_an_error(folder, monkeypatch):
    real = Path.iterdir

    def iterate(path):
        if path == folder and (folder / "key").exists():
            shutil.rmtree(folder)
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterate)
    assert cache.obtain("key", filled(), content) == "content"
    assert cache.entries() == []


@pytest.mark.parametrize("failing", ["mkdir", "build"])
def test_a_refused_operation_is_not_tried_again(folder, monkeypatch, failing):
    obtain("other", filled())
    tried = []

    def refuse(path, **options):
        tried.append(path)
        raise OSError(errno.ENOSPC, "")

    if failing == "mkdir":
        monkeypatch.setattr(Path, "mkdir", lambda path, **o: path == folder or refuse(path))
    with raises_naming(StorageError, "disk is full"):
        cache.obtain("key", refuse, content)
    assert len(tried) == 1


def test_clears_at_the_same_time_do_not_fail(folder, monkeypatch):
    """Each may find that the other has already removed a file or a folder."""
    obtain("a", filled())
    obtain("b", filled())
    real = os.unlink

    def unlink(path, **options):
        monkeypatch.setattr(os, "unlink", real)
        shutil.rmtree(folder / "a")
        shutil.rmtree(folder / "b")
        return real(path, **options)

    monkeypatch.setattr(os, "unlink", unlink)
    assert len(cache.clear()) == 2
    assert os.listdir(folder) == [TAG]


# Other folders


def test_the_folder_is_tagged_for_backup_tools(folder):
    """Source: the Cache Directory Tagging Specification, whose signature is 43 bytes long."""
    obtain("key", filled())
    tag = (folder / "CACHEDIR.TAG").read_bytes()
    assert tag[:43] == b"Signature: 8a477f597d28d172789f06886806bc55"
    assert tag[43:].startswith(b"\n")


def test_an_empty_folder_and_our_own_are_accepted(folder):
    folder.mkdir()
    obtain("a", filled())
    (folder / "notes.txt").write_text("somebody's")
    obtain("b", filled())
    assert sorted(os.listdir(folder)) == [TAG, "a", "b", "notes.txt"]


@pytest.mark.parametrize("name", ["pictures", ".git", "notes.txt", ".profile"])
def test_a_folder_with_other_files_is_refused_and_not_changed(folder, monkeypatch, name, sentence):
    """A mistake such as ``CHARLSTM_CACHE=$HOME`` must not delete any files."""
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "0")
    (folder / "work").mkdir(parents=True)
    thing = folder / name
    if thing.suffix == ".txt" or name == ".profile":
        thing.write_text("somebody's")
    else:
        thing.mkdir()
        (thing / "file").write_text("somebody's")
    for path in folder.iterdir():
        os.utime(path, (1, 1))  # old enough to be abandoned, if it were ours
    before = snapshot(folder)
    with pytest.raises(ConfigError) as caught:
        obtain("key", never)
    sentence(caught.value, folder, "CHARLSTM_CACHE")
    assert cache.entries() == []
    cache.evict(keep=folder / "key")
    assert cache.clear() == []
    assert snapshot(folder) == before


def test_the_cache_of_another_program_is_refused_and_not_changed(folder):
    """Cargo, mypy, pytest and others tag their folders too."""
    (folder / "v" / "cache").mkdir(parents=True)
    (folder / "v" / "cache" / "file").write_text("somebody's")
    (folder / TAG).write_text(
        "Signature: 8a477f597d28d172789f06886806bc55\n# This file is of another program.\n"
    )
    before = snapshot(folder)
    with raises_naming(ConfigError, folder, "CHARLSTM_CACHE"):
        obtain("key", never)
    assert cache.entries() == []
    cache.evict(keep=folder / "key")
    assert cache.clear() == []
    assert snapshot(folder) == before


def test_only_unfinished_entries_without_a_builder_are_removed(folder, monkeypatch):
    obtain("a", filled())
    now = time.time()
    for name, seconds in ((".old", 61), (".new", 5)):
        (folder / name).mkdir()
        os.utime(folder / name, (now - seconds, now - seconds))

    def build_long(unfinished):
        os.utime(unfinished, (now - 1000, now - 1000))
        obtain("c", filled())
        filled("mine")(unfinished)

    assert (obtain("b", build_long) / "file").read_text() == "mine"
    assert sorted(os.listdir(folder)) == [".new", TAG, "a", "b", "c"]


def test_without_locks_no_unfinished_entry_is_evicted(folder, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    obtain("a", filled())
    (folder / ".old").mkdir()
    os.utime(folder / ".old", (1, 1))
    obtain("b", filled())
    assert sorted(os.listdir(folder)) == [".old", TAG, "a", "b"]


def test_a_temporary_fault_does_not_remove_an_entry(folder):
    obtain("key", filled("old"))

    def fail(path):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with raises_naming(StorageError, "open files"):
        cache.obtain("key", filled("new"), fail)
    assert (folder / "key" / "file").read_text() == "old"
