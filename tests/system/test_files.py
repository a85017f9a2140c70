"""Tests of ``system.files``: a file has its old or its new content, whatever fails."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import StorageError
from charlstm.system.files import (
    locked,
    replaced_atomically,
    storage_errors,
    sync_file,
    write_atomically,
)
from tests.messages import assert_names, raises_naming

FULL = "disk is full"
QUOTA = "quota"
READ_ONLY = "read-only"
DENIED = "permission denied"
NO_FOLDER = "folder does not exist"
NOT_A_FOLDER = "not a folder"


def failing(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_a_write_replaces_the_old_content(folder, old, new):
    path = folder / "data"
    write_atomically(path, old)
    assert path.read_bytes() == old
    write_atomically(path, new)
    assert path.read_bytes() == new
    assert os.listdir(folder) == ["data"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, FULL),
        (errno.EDQUOT, QUOTA),
        (errno.EROFS, READ_ONLY),
        (errno.EACCES, DENIED),
        (errno.EPERM, DENIED),
        (errno.ENOENT, NO_FOLDER),
        (errno.ENOTDIR, NOT_A_FOLDER),
        (errno.ENAMETOOLONG, "file name too long"),
        (errno.EIO, "input/output error"),
    ],
)
def test_storage_errors_name_the_path_and_the_reason(code, reason, sentence):
    with pytest.raises(StorageError) as caught, storage_errors(Path("runs/a")):
        raise OSError(code, "whatever")
    sentence(caught.value, reason, "runs/a")
    assert isinstance(caught.value.__cause__, OSError)


def test_an_error_without_a_number_is_quoted(sentence):
    with pytest.raises(StorageError) as caught, storage_errors(Path("runs/a")):
        raise OSError("the tape is torn")
    sentence(caught.value, "runs/a", "the tape is torn")


def test_other_errors_pass_through():
    with pytest.raises(ValueError, match=r"^no file error$"), storage_errors(Path("runs/a")):
        raise ValueError("no file error")


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("function", ["replace", "fsync", "open"])
@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.ENOSPC, FULL), (errno.EACCES, DENIED), (errno.EROFS, READ_ONLY)],
)
def test_a_failed_write_changes_nothing(
    tmp_path, monkeypatch, function, code, reason, existing, sentence
):
    path = tmp_path / "data"
    if existing:
        path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, function, failing(code))
        with pytest.raises(StorageError) as caught:
            write_atomically(path, b"new")
    sentence(caught.value, path, reason)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == (
        {"data": b"old"} if existing else {}
    )


def test_a_write_to_a_full_disk_changes_nothing(tmp_path):
    """``ulimit -f`` fails in the middle of the data, like a full disk."""
    path = tmp_path / "data"
    path.write_bytes(b"old")
    program = (
        "import resource, signal, sys, pathlib\n"
        "from charlstm.errors import StorageError\n"
        "from charlstm.system.files import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_atomically(pathlib.Path(sys.argv[1]), b'new' * 1000)\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert_names(done.stdout, path, "file too large")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"data": b"old"}


def test_a_writer_that_needs_a_path(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"old")
    with replaced_atomically(path, ".end") as temporary:
        temporary.write_bytes(b"new")
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".end")
        assert path.read_bytes() == b"old"
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"data": b"new"}


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(errno.ENOSPC, ""), StorageError),
        (ValueError(), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_writer_that_fails_changes_nothing(tmp_path, raised, expected):
    path = tmp_path / "data"
    path.write_bytes(b"old")

    def write_and_fail():
        with replaced_atomically(path) as temporary:
            temporary.write_bytes(b"ne")
            raise raised

    with pytest.raises(expected):
        write_and_fail()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"data": b"old"}


def test_an_interruption_changes_nothing(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    path = tmp_path / "data"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"data": b"old"}


def test_when_the_last_sync_fails_the_file_is_whole(tmp_path, monkeypatch):
    """The file is already renamed, but may not survive a power cut."""
    path = tmp_path / "data"
    path.write_bytes(b"old")
    calls = []
    real = os.fsync

    def fail_at_the_folder(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.EIO, "")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail_at_the_folder)
    with raises_naming(StorageError, path):
        write_atomically(path, b"new")
    assert len(calls) == 2
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} in (
        {"data": b"old"},
        {"data": b"new"},
    )


def test_the_file_is_synced_before_it_is_renamed_and_the_folder_after(tmp_path, monkeypatch):
    path = tmp_path / "data"
    events = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        target = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        is_data = target != tmp_path
        events.append(("sync", "data" if is_data else "folder", is_data and target.read_bytes()))
        fsync(descriptor)

    def note_replace(source, target):
        events.append(("rename", Path(source).parent, target))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_atomically(path, b"new")
    assert events == [
        ("sync", "data", b"new"),
        ("rename", tmp_path, path),
        ("sync", "folder", False),
    ]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
def test_permissions_follow_the_umask(tmp_path, umask):
    path = tmp_path / "data"
    before = os.umask(umask)
    try:
        write_atomically(path, b"new")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_the_umask_of_the_process_does_not_change(tmp_path, monkeypatch):
    """All threads share it: a change would open the files that other threads create."""
    monkeypatch.setattr(os, "umask", failing(errno.EPERM))
    write_atomically(tmp_path / "data", b"new")
    assert (tmp_path / "data").read_bytes() == b"new"


def test_files_of_other_threads_keep_their_permissions(tmp_path, monkeypatch):
    interval = sys.getswitchinterval()
    before = os.umask(0o077)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(3) as pool:
            writes = [
                pool.submit(write_atomically, tmp_path / f"{name}", b"new")
                for name in [1, 2, 3] * 200
            ]
            modes = set()
            while not all(write.done() for write in writes):
                os.close(os.open(tmp_path / "other", os.O_CREAT | os.O_WRONLY, 0o666))
                modes.add((tmp_path / "other").stat().st_mode & 0o777)
                (tmp_path / "other").unlink()
    finally:
        sys.setswitchinterval(interval)
        os.umask(before)
    assert {write.exception() for write in writes} == {None}
    assert modes == {0o600}
    assert sorted(os.listdir(tmp_path)) == ["1", "2", "3"]


def test_an_existing_temporary_file_is_not_overwritten(tmp_path, monkeypatch):
    (tmp_path / ".data.00000000.tmp").write_text("somebody's")
    randoms = iter([bytes(4), b"\1\1\1\1"])
    monkeypatch.setattr(os, "urandom", lambda size: next(randoms))
    with replaced_atomically(tmp_path / "data") as temporary:
        assert temporary == tmp_path / ".data.01010101.tmp"
    assert (tmp_path / ".data.00000000.tmp").read_text() == "somebody's"


def test_a_missing_folder_and_a_file_in_its_place(tmp_path, sentence):
    (tmp_path / "file").write_bytes(b"")
    for path, reason in (
        (tmp_path / "gone" / "data", NO_FOLDER),
        (tmp_path / "file" / "data", NOT_A_FOLDER),
    ):
        with pytest.raises(StorageError) as caught:
            write_atomically(path, b"new")
        sentence(caught.value, path, reason)


def test_sync_file_closes_what_it_opens(tmp_path, monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    sync_file(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match="error"):
        sync_file(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


HOLDER = "import sys, time\nfrom pathlib import Path\nfrom charlstm.system.files import locked\n"
HOLDER += "with locked(Path(sys.argv[1])) as is_ours:\n    print(is_ours, flush=True)\n"
HOLDER += "    time.sleep(60)\n"


def test_a_lock_ends_with_its_process(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "True\n"
        with locked(tmp_path) as is_ours:
            assert not is_ours
        holder.kill()
        holder.wait()
        with locked(tmp_path) as is_ours:
            assert is_ours
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_body(tmp_path):
    with locked(tmp_path) as first, locked(tmp_path) as second:
        assert (first, second) == (True, False)
    with locked(tmp_path) as third:
        assert third


def test_a_file_system_without_locks_always_succeeds(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path) as first, locked(tmp_path) as second:
        assert first
        assert second


def test_only_a_folder_can_be_locked(tmp_path):
    (tmp_path / "file").write_text("text")
    for name in ("file", "nothing"):
        with (
            raises_naming(StorageError, tmp_path / name),
            locked(tmp_path / name),
        ):
            pytest.fail("it was locked")
