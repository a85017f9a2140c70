"""Workers connect, exchange messages and notice lost workers."""

import contextlib
import re
import socket
import threading
import time

import click
import msgspec
import pytest

from charlstm import __version__
from charlstm.distributed import peers
from charlstm.distributed.peers import WorkerGroup
from charlstm.distributed.tf_config import Cluster, host_and_port
from charlstm.errors import CharlstmError, TrainingError, UsageError
from tests.distributed.helpers import together
from tests.messages import assert_names, raises_naming
from tests.reliability.workers import free_ports


def test_a_single_process_sends_nothing(tmp_path):
    with WorkerGroup() as group:
        assert group.from_chief(b"x") == b"x"
        assert group.agree("no") == "no"
        assert group.fetched(tmp_path, ["a"]) == tmp_path
        group.watch()
        group.barrier_and_leave()


def test_all_receive_the_data_of_the_chief():
    said = b"x" * 3_000_000
    assert (
        together(4, lambda group, index: group.from_chief(said if not index else b"")) == [said] * 4
    )


def test_all_receive_the_first_objection():
    def objection(group, index):
        return group.agree("" if index != 2 else "no"), group.agree()

    assert together(3, objection) == [("no", "")] * 3


def test_the_chiefs_files_come_to_all(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "secret").write_bytes(b"2")

    def fetch(group, index):
        folder = group.fetched(tmp_path if index == 0 else tmp_path / "elsewhere", ["a", "b"])
        return folder, {path.name: path.read_bytes() for path in folder.iterdir()}

    (own, _), (copy, files) = together(2, fetch)
    assert own == tmp_path
    assert files == {"a": b"1"}
    assert not copy.exists()  # it is removed with the group


def test_a_missing_worker_is_named():
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
    for index, name in ((0, f"worker 1 at {addresses[1]}"), (1, "worker 0, the chief, at")):
        with raises_naming(TrainingError, name, "0.3 seconds") as caught:
            WorkerGroup(Cluster(addresses, index), wait=0.3).__enter__()
        assert str(caught.value).startswith(name)


def test_a_worker_that_ends_while_others_connect_is_named_at_once():
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(3))
    hello = msgspec.json.encode(peers._Hello(1, addresses, __version__, "charlstm train"))

    def come_and_go():
        with connected(addresses[0]) as connection:
            connection.sendall(framed(hello))

    thread = threading.Thread(target=come_and_go)
    thread.start()
    with raises_naming(TrainingError, "worker 1 at", "has ended", "all workers again"):
        WorkerGroup(Cluster(addresses, 0), wait=60).__enter__()
    thread.join()


def test_a_taken_address_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with raises_naming(UsageError, address):
            WorkerGroup(Cluster((address, "127.0.0.1:1"))).__enter__()


def framed(text):
    """Return a message in the format of the workers."""
    return len(text).to_bytes(8, "little") + text


STRANGERS = [
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff" * 8,
    b"\0" * 8,
    framed(b"{}"),
    framed(b'{"worker":1,"addresses":["\xff"]}'),
    framed(b"[" * 1900),
    framed(b'{"x":' + b"[" * 1900),
]


def connected(address):
    """Connect as soon as somebody listens."""
    for _ in range(100):
        try:
            return socket.create_connection(host_and_port(address), timeout=5)
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nobody listens")


def test_other_connections_are_rejected_and_workers_accepted():
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(2))
    found = []

    def chief():
        with WorkerGroup(Cluster(addresses, 0), wait=20) as group:
            found.append(group.from_chief(b"met"))

    thread = threading.Thread(target=chief)
    thread.start()
    for hello in STRANGERS:
        with connected(addresses[0]) as connection:
            connection.sendall(hello)
    with WorkerGroup(Cluster(addresses, 1), wait=20) as group:
        found.append(group.from_chief())
    thread.join()
    assert found == [b"met"] * 2


def met(*members, count=2):
    """Let groups with these options and indices meet; return their errors, or ``None``."""
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(count))
    found = [None] * len(members)

    def member(number, index, options):
        try:
            with WorkerGroup(Cluster(addresses, index), wait=20, **options):
                pass
        except CharlstmError as error:
            found[number] = error

    threads = [
        threading.Thread(target=member, args=(number, *given))
        for number, given in enumerate(members)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("chiefs", ["charlstm train", "charlstm train --from"])
def test_who_was_started_otherwise_is_refused(sentence, chiefs):
    found = met((0, {"command": chiefs}), (1, {"command": "charlstm train --resume"}))
    for error in found:
        assert isinstance(error, UsageError)
        assert str(error).startswith("worker 1 at 127.0.0.1:")
        told = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", str(error))
        sentence(told, "charlstm train --resume", f"the chief with {chiefs}", "every machine")


@pytest.mark.parametrize(
    ("version", "told"), [("99", "charlstm 99"), ("", "an earlier version of charlstm")]
)
def test_another_version_is_refused(sentence, version, told):
    group = WorkerGroup(Cluster(("a:1", "b:2"), 0))
    objection = group._objection(peers._Hello(1, ("a:1", "b:2"), version, group.command))
    sentence(objection.replace(__version__, "OURS"), "worker 1 at b:2", told, "chief")


def test_two_of_one_index_are_refused(sentence):
    found = met((0, {}), (1, {}), (1, {}), count=3)
    refused = [str(error) for error in found if isinstance(error, UsageError)]
    assert len(refused) == 3
    for error in refused:
        sentence(re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", error), "two processes", "worker 1")


# Losing a worker


def test_a_worker_that_leaves_before_training_is_named():
    def leave(group, index):
        if index == 1:
            raise UsageError("mine")
        return group.agree()

    lost = together(3, leave)
    assert str(lost[1]) == "mine"
    assert str(lost[0]).startswith("worker 1 at 127.0.0.1:")
    assert_names(lost[0], "all workers")
    assert str(lost[2]).startswith("worker 0, the chief, at 127.0.0.1:")


@pytest.mark.parametrize("leaving", [0, 1, 2])
def test_a_worker_lost_in_training_is_named_to_all(leaving):
    def train(group, index):
        group.agree()
        group.watch()
        if index == leaving:
            group._closed = True
            for connection in group._connections.values():
                connection.shutdown(socket.SHUT_RDWR)
            return None
        group.remedy = "go on"
        return str(group.lost())

    found = together(3, train)
    for index in {0, 1, 2} - {leaving}:
        assert found[index].startswith(f"worker {leaving}"), found
        assert "has ended or can't be reached" in found[index]


def test_finished_workers_wait_for_the_others():
    order = []

    def train(group, index):
        group.watch()
        time.sleep(0.2 * index)
        order.append(index)
        group.barrier_and_leave()
        return len(order)

    assert together(3, train) == [3, 3, 3]


def test_whoever_does_not_notice_is_ended(monkeypatch, capfd, sentence):
    """This can happen inside TensorFlow, which may wait for the lost worker forever."""
    monkeypatch.setattr(peers, "GRACE", 0.1)
    ended, addresses = threading.Event(), tuple(f"127.0.0.1:{port}" for port in free_ports(2))

    def leave():
        with WorkerGroup(Cluster(addresses, 1), wait=20) as group:
            group.agree()
            group._closed = True

    thread = threading.Thread(target=leave)
    thread.start()
    with WorkerGroup(Cluster(addresses, 0), wait=20, end=lambda status: ended.set()) as group:
        group.agree()
        group.watch()
        assert ended.wait(20)
        group._closed = True
    thread.join()
    error = capfd.readouterr().err.removesuffix("\n")
    assert error.startswith("Error: ")
    assert_names(error, f"worker 1 at {addresses[1]}")
    sentence(error.replace(addresses[1], "ADDRESS"))


@pytest.mark.parametrize("finished", [True, False])
def test_losing_a_worker_after_finishing_is_not_an_error(monkeypatch, finished):
    monkeypatch.setattr(peers, "GRACE", 0.3)
    ended, addresses = [], tuple(f"127.0.0.1:{port}" for port in free_ports(2))

    def leave():
        with WorkerGroup(Cluster(addresses, 1), wait=20, end=lambda status: None) as group:
            group.watch()
            group._closed = True  # without a message

    thread = threading.Thread(target=leave)
    thread.start()
    expected = contextlib.nullcontext() if finished else pytest.raises(TrainingError)
    with expected, WorkerGroup(Cluster(addresses, 0), wait=20, end=ended.append) as group:
        group.watch()
        group.barrier_and_leave(finished=finished)
    thread.join()
    assert group.missed == (f"worker 1 at {addresses[1]}" if finished else "")
    time.sleep(1)
    assert set(ended) == ({0} if finished else {1})


def test_a_finished_worker_needs_only_the_chief(monkeypatch):
    monkeypatch.setattr(peers, "GRACE", 0.1)

    def train(group, index):
        group.watch()
        if index == 1:
            group._closed = True
            return "gone"
        group.barrier_and_leave(finished=True)
        return group.missed.partition(" at ")[0]

    assert together(3, train) == ["worker 1", "gone", "worker 1"]


def test_a_worker_that_finishes_after_the_chief_has_left_gets_the_reason(monkeypatch):
    """The chief leaves because worker 1 is lost, and never learns that worker 2 is done."""
    left, close = threading.Event(), WorkerGroup._close

    def closed(group):
        close(group)
        if group.is_chief:
            left.set()

    monkeypatch.setattr(WorkerGroup, "_close", closed)

    def train(group, index):
        group.watch()
        if index == 1:
            group._closed = True
            return "gone"
        if index == 2:
            assert left.wait(20)
        group.barrier_and_leave(finished=True)
        return group.missed.partition(" at ")[0]

    assert together(3, train) == ["worker 1", "gone", "worker 1"]


def test_a_finished_worker_fails_with_the_chief():
    def train(group, index):
        group.watch()
        if index == 0:
            group._closed = True
            return ""
        return group.barrier_and_leave(finished=True)

    assert str(together(2, train)[1]).startswith("worker 0, the chief, at ")


@pytest.mark.parametrize(
    ("error", "status"), [(UsageError("no"), 2), (click.exceptions.Exit(130), 130), (OSError(), 1)]
)
def test_a_process_that_is_ended_keeps_its_exit_status(error, status):
    assert peers._exit_status(error) == status
