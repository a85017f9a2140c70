"""Several processes that train one model: who they are, how they meet, and who is lost.

A cluster manager names them in ``TF_CONFIG``, as TensorFlow reads it. Before TensorFlow is loaded
the workers connect to the first of them, the chief, at the address where TensorFlow will listen
later, and tell each other what they must agree on. The connections then stay open as lifelines: one
that breaks tells who has ended. They trust their network, as TensorFlow does. This module knows
neither TensorFlow nor what is trained.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from charlstm import __version__
from charlstm.errors import TrainingError, UsageError, harmless

Told = TypeVar("Told")

VARIABLE = "TF_CONFIG"

# How many seconds workers wait for each other before anything is trained.
WAIT_VARIABLE = "CHARLSTM_WAIT"
WAIT = 300.0

# A worker that has lost another one may end by an error of its own for so many seconds.
GRACE = 5.0

# A machine that is gone without a word is noticed after about so many seconds.
SILENCE = 15

# Ends a process that lets nothing of its own run any more, but speaks first. Its standard input
# ends with that process, and it with both.
WATCHDOG = """
{ sleep "$1"; printf '%s\\n' "$3" >&2; kill -ALRM "$2"; } &
read nothing
kill -KILL 0
"""

LARGEST_MESSAGE = 1 << 40
LARGEST_HELLO = 1 << 10
WELCOME = b"welcome"
DONE = b"done"

EXPECTED = (
    f'expected {VARIABLE} like {{"cluster": {{"worker": ["host1:2222", "host2:2222"]}}, '
    '"task": {"type": "worker", "index": 0}}'
)


class _Task(msgspec.Struct, frozen=True):
    type: str
    index: Annotated[int, Meta(ge=0)]


class _Content(msgspec.Struct, frozen=True):
    cluster: dict[str, list[str]] = {}
    task: _Task | None = None


class _Hello(msgspec.Struct, frozen=True):
    """What a worker says first: who it is, which cluster it reads, and what it is about to do."""

    worker: int
    addresses: tuple[str, ...]
    charlstm: str = ""
    command: str = ""


@dataclass(frozen=True)
class Cluster:
    """The processes of a run, the chief first.

    Attributes:
        addresses: ``host:port`` of each.
        index: which of them this process is.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0

    @property
    def size(self) -> int:
        """How many processes train."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.index == 0

    def name(self, index: int) -> str:
        """Return what people call a worker."""
        return f"worker {index}{'' if index else ', the chief,'} at {self.addresses[index]}"


def cluster_of(environ: Mapping[str, str] = os.environ) -> Cluster:
    """Read ``TF_CONFIG``; without it, or with one worker in it, this process is alone.

    Raises:
        UsageError: if it is not what charlstm can train with.
    """
    text = environ.get(VARIABLE, "").strip()
    if not text:
        return Cluster()
    try:
        content = msgspec.json.decode(text, type=_Content, strict=False)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = str(error).replace("`", "'")
        raise UsageError(f"{VARIABLE} can't be read ({reason}): {EXPECTED}") from None
    jobs = {job: tasks for job, tasks in content.cluster.items() if tasks}
    if not jobs and content.task is None:
        return Cluster()
    task = _checked_task(jobs, content.task)
    addresses = (*jobs.get("chief", []), *jobs.get("worker", []))
    for address in addresses:
        _parts(address)
    doubled = next((a for a in addresses if addresses.count(a) > 1), None)
    if doubled is not None:
        raise UsageError(
            f"{VARIABLE} names {doubled} twice: give each worker an address of its own"
        )
    index = task.index + len(jobs.get("chief", [])) * (task.type == "worker")
    return Cluster(addresses, index) if len(addresses) > 1 else Cluster()


def _checked_task(jobs: Mapping[str, list[str]], task: _Task | None) -> _Task:
    """Refuse what is not a cluster of a chief and workers with this process in it."""
    if task is None:
        raise UsageError(f"{VARIABLE} has no task, which says who this process is: {EXPECTED}")
    for job in (task.type, *jobs):
        if job not in ("chief", "worker"):
            raise UsageError(
                f"{VARIABLE} has a task of type {job!r}: charlstm trains with workers, and a chief "
                f"if you like, so leave other tasks out"
            )
    if len(jobs.get("chief", [])) > 1:
        raise UsageError(f"{VARIABLE} names {len(jobs['chief'])} chiefs: name one")
    count = len(jobs.get(task.type, []))
    if task.index >= count:
        raise UsageError(
            f"{VARIABLE} says that this process is {task.type} {task.index}, but its cluster has "
            f"{count} of that type, counted from 0: correct the task or the cluster"
        )
    return task


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise UsageError(
            f"{VARIABLE} has the address {address!r}: expected a host and a port, like host1:2222"
        )
    return host.strip("[]"), int(port)


def waiting_seconds(environ: Mapping[str, str] = os.environ) -> float:
    """Return how long workers wait for each other.

    Raises:
        UsageError: if the variable that says it is no positive number.
    """
    text = environ.get(WAIT_VARIABLE, "").strip()
    try:
        seconds = float(text) if text else WAIT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise UsageError(f"{WAIT_VARIABLE} is {text!r}: expected a positive number of seconds")
    return seconds


class Party:
    """The connections of this process to the others; alone it has none, and nothing is sent.

    The chief is connected to every worker, and a worker to the chief. Whoever enters it meets the
    others. Messages are exchanged in the same order by all until ``watch``; from then on only the
    end is told.

    Args:
        cluster: who takes part.
        wait: for how many seconds the others are waited for.
        end: ends this process at once, with an exit status.
        command: what this process was started with, as far as it must be the same for all.
        say: tells a person what is waited for.

    Attributes:
        remedy: what to do when a worker is lost, for the message.
        missed: who was lost when all was done, and matters no more; ``""`` if nobody.
    """

    def __init__(
        self,
        cluster: Cluster | None = None,
        *,
        wait: float = WAIT,
        end: Callable[[int], Any] = os._exit,
        command: str = "charlstm train",
        say: Callable[[str], Any] | None = None,
    ) -> None:
        self._end = end
        self._say = say
        self.command = command
        self.cluster = cluster or Cluster()
        self.wait = wait
        self.remedy = "start all workers again"
        self.missed = ""
        self._lines: dict[int, socket.socket] = {}
        self._stack = contextlib.ExitStack()
        self._lost, self._lost_index = "", -1
        self._loss = threading.Event()
        self._lock = threading.Lock()
        self._ends: dict[int, threading.Thread] = {}
        self._closed = self._parted = self._finished = False

    @property
    def size(self) -> int:
        """How many processes train."""
        return self.cluster.size

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.cluster.is_chief

    # Meeting

    def __enter__(self) -> Party:
        try:
            if self.size > 1:
                others = range(1, self.size) if self.is_chief else [0]
                names = " and ".join(map(self.cluster.name, others))
                if self._say:
                    self._say(f"waiting for {names}, at most {self.wait:g} seconds")
                (self._gather if self.is_chief else self._join)(time.monotonic() + self.wait)
                if (answer := self.from_chief(WELCOME)) != WELCOME:
                    raise UsageError(answer.decode(errors="replace"))
                for line in self._lines.values():
                    _keep_alive(line)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.part()
        finally:
            self._close()
            if self._ends and (self.missed or (kind is not None and not self._parted)):
                # TensorFlow may wait for the others when it is unloaded.
                status = 0 if error is None else getattr(error, "exit_code", 1)
                _after(GRACE, lambda: self._end(status))

    def _gather(self, deadline: float) -> None:
        """As the chief, wait until every worker has come."""
        address = self.cluster.addresses[0]
        host, port = _parts(address)
        try:
            listeners = _listeners(host, port)
        except OSError as error:
            raise UsageError(
                f"can't listen at {address} ({error.strerror or error}): {VARIABLE} must name a "
                f"free port of this machine for it"
            ) from None
        with contextlib.ExitStack() as stack:
            for listener in listeners:
                stack.enter_context(listener).setblocking(False)
            while missing := set(range(1, self.size)) - self._lines.keys():
                for listener in select.select(listeners, [], [], self._left(deadline, missing))[0]:
                    with contextlib.suppress(OSError):  # who has gone again meanwhile
                        self._welcome(listener.accept()[0])

    def _left(self, deadline: float, missing: Iterable[int]) -> float:
        """Return the seconds until the deadline, or raise that some are missing."""
        left = deadline - time.monotonic()
        if left > 0:
            return left
        names = " and ".join(self.cluster.name(index) for index in sorted(missing))
        raise TrainingError(
            f"{names} did not come within {self.wait:g} seconds: start the same command on every "
            f"machine, and see what they say ({WAIT_VARIABLE} sets the time)"
        )

    def _welcome(self, line: socket.socket) -> None:
        """Take a worker's connection in; whoever doesn't speak as one is turned away."""
        try:
            line.settimeout(5.0)
            hello = msgspec.json.decode(_read_message(line, LARGEST_HELLO * self.size), type=_Hello)
        except (OSError, EOFError, msgspec.DecodeError, ValueError, RecursionError):
            line.close()
            return
        if objection := self._objection(hello):
            for told in (line, *self._lines.values()):
                with contextlib.suppress(OSError):
                    _send_message(told, objection.encode())
            line.close()
            raise UsageError(objection)
        self._lines[hello.worker] = line

    def _objection(self, hello: _Hello) -> str:
        """Say why a worker can't take part; ``""`` if it can."""
        if hello.addresses != self.cluster.addresses or not 0 < hello.worker < self.size:
            return (
                f"the {VARIABLE} of a worker that came names other workers than the chief's: give "
                f"all the same cluster"
            )
        name = self.cluster.name(hello.worker)
        if hello.worker in self._lines:
            return (
                f"two processes say that they are {name}: give each an index of its own in "
                f"{VARIABLE}"
            )
        if hello.charlstm != __version__:
            theirs = harmless(hello.charlstm, 20) or "of an earlier version"
            return (
                f"{name} runs charlstm {theirs} and the chief {__version__}: install the same on "
                f"every machine"
            )
        if hello.command != self.command:
            return (
                f"{name} was started with {harmless(hello.command, 60)} and the chief with "
                f"{self.command}: start the same command on every machine"
            )
        return ""

    def _join(self, deadline: float) -> None:
        """As a worker, connect to the chief."""
        address = self.cluster.addresses[0]
        while True:
            left = self._left(deadline, [0])
            try:
                line = socket.create_connection(_parts(address), timeout=min(5.0, left))
                break
            except OSError:
                time.sleep(0.2)
        line.settimeout(self.wait + GRACE)  # for the others to come
        self._lines[0] = line
        hello = _Hello(self.cluster.index, self.cluster.addresses, __version__, self.command)
        self._send(0, msgspec.json.encode(hello))

    # Telling each other

    def from_chief(self, data: bytes = b"") -> bytes:
        """Return what the chief gave here; what others give does not matter.

        Raises:
            TrainingError: if a worker is lost.
        """
        if not self.is_chief:
            return self._receive(0)
        self._send_all(data)
        return data

    def agree(self, objection: str = "") -> str:
        """Wait for all; return the first objection that any of them has, or ``""``.

        Raises:
            TrainingError: if a worker is lost.
        """
        if not self.is_chief:
            self._send(0, objection.encode())
            return self._receive(0).decode()
        found = [objection, *(self._receive(index).decode() for index in sorted(self._lines))]
        first = next(filter(None, found), "")
        self._send_all(first.encode())
        return first

    def fetched(self, folder: Path, names: Iterable[str]) -> Path:
        """Return the chief's folder, or a temporary copy of those of its files that are there.

        Raises:
            TrainingError: if a worker is lost.
        """
        if self.size == 1:
            return folder
        if self.is_chief:
            there = [name for name in names if (folder / name).is_file()]
            self._send_all(msgspec.json.encode(there))
            for name in there:
                self._send_all((folder / name).read_bytes())
            return folder
        copy = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="charlstm-")))
        known = set(names)
        there = decoded(self._receive(0), list[str])
        if not there:
            self._receive(0)  # the chief will say so and end
        for name in there:
            data = self._receive(0)
            if name in known:
                (copy / name).write_bytes(data)
        return copy

    def _send_all(self, data: bytes) -> None:
        for index in self._lines:
            self._send(index, data)

    def _send(self, index: int, data: bytes) -> None:
        try:
            _send_message(self._lines[index], data)
        except OSError:
            raise self.loss_of(index) from None

    def _receive(self, index: int) -> bytes:
        try:
            return _read_message(self._lines[index], LARGEST_MESSAGE)
        except (OSError, EOFError):
            raise self.loss_of(index) from None

    def loss_of(self, index: int) -> TrainingError:
        """Return the error for a worker that is gone."""
        return TrainingError(self._sentence(index))

    def _sentence(self, index: int) -> str:
        return (
            f"{self.cluster.name(index)} has ended or can't be reached: see what it said, then "
            f"{self.remedy}"
        )

    # Watching over each other

    def watch(self) -> None:
        """From now on notice if a worker is lost, and end this process if it doesn't by itself."""
        for index in self._lines if not self._ends else ():
            thread = threading.Thread(target=self._await_end, args=(index,), daemon=True)
            self._ends[index] = thread
            thread.start()

    def lost(self) -> TrainingError | None:
        """Return the error if a worker is lost, which may take a moment to be known."""
        if not self._ends or not self._loss.wait(GRACE):
            return None
        self._closed = True  # whoever asks will tell
        return TrainingError(self._lost)

    def part(self, *, finished: bool = False) -> None:
        """Wait until all are done, so that none is missed by another; then nothing more is sent.

        Args:
            finished: whether this process has done all it was started for, so that only the loss of
                the chief, which writes, is a failure yet.

        Raises:
            TrainingError: if a worker is lost instead.
        """
        if self._closed or not self._lines:
            return
        with self._lock:
            self._finished = finished
        if not self._ends:
            self.agree()
        else:
            if not self.is_chief:
                self._send(0, DONE)
            for thread in self._ends.values():
                while thread.is_alive() and not self._loss.is_set():
                    thread.join(0.1)
            if self._loss.is_set():
                self._closed = True  # whoever asks will tell
                if not self._bearable():
                    raise TrainingError(self._lost)
                self.missed = self.cluster.name(self._lost_index)
            elif self.is_chief:
                self._tell_done()
        self._closed = self._parted = True

    def _tell_done(self) -> None:
        for index in self._lines:
            try:
                self._send(index, DONE)
            except TrainingError:
                if not self._finished:
                    raise
                self.missed = self.cluster.name(index)

    def _await_end(self, index: int) -> None:
        """Read a lifeline to its end: a worker is done, or it is lost, or another one is."""
        try:
            message = _read_message(self._lines[index], LARGEST_HELLO)
        except (OSError, EOFError):
            message = f"{index}".encode()
        if message != DONE:
            self._lose(int(message))

    def _bearable(self) -> bool:
        """Whether nothing depends on the worker that is lost."""
        return self._finished and self._lost_index != 0

    def _lose(self, index: int) -> None:
        with self._lock:
            if self._closed or self._lost:
                return
            self._lost, self._lost_index = self._sentence(index), index
        for line in self._lines.values() if self.is_chief else ():
            with contextlib.suppress(OSError):
                _send_message(line, f"{index}".encode())
        self._loss.set()
        # Whoever waits for a lost worker within TensorFlow does not come back from there.
        time.sleep(GRACE)
        with self._lock:
            if self._bearable():
                return
            if not self._closed:
                with contextlib.suppress(OSError):
                    os.write(2, f"Error: {self._lost}\n".encode())
            self._end(1)

    def _close(self) -> None:
        self._closed = True
        for line in self._lines.values():
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)  # which ends a thread that reads from it
            line.close()
        self._stack.close()


@contextlib.contextmanager
def ended_after(seconds: int, sentence: str) -> Iterator[None]:
    """End this process by SIGALRM, with an error on stderr, if the body takes too long.

    A process of its own watches, because the body may let no other thread run. Where none can be
    started, the signal comes without a word.
    """
    arguments = [str(seconds), str(os.getpid()), f"Error: {sentence}"]
    signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
    watchdog = None
    try:
        with contextlib.suppress(OSError):
            watchdog = subprocess.Popen(
                ["/bin/sh", "-c", WATCHDOG, "sh", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if watchdog is not None:
            with contextlib.suppress(OSError):
                os.killpg(watchdog.pid, signal.SIGKILL)
            watchdog.communicate()


def decoded(told: bytes, kind: type[Told]) -> Told:
    """Read what another process told.

    Raises:
        UsageError: if it is not of that kind.
    """
    try:
        return msgspec.json.decode(told, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise UsageError(
            "the workers don't understand each other: start the same command on every machine, "
            "with the same version of charlstm"
        ) from None


def _listeners(host: str, port: int) -> list[socket.socket]:
    """Listen where a name stands for addresses of this machine; else at all that it has."""
    if opened := list(filter(None, [_opened(*place) for place in _places(host, port)])):
        return opened
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    dual = family == socket.AF_INET6
    return [socket.create_server(("", port), family=family, dualstack_ipv6=dual)]


def _places(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    """Return families and addresses that a name stands for, as far as other machines agree."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    places = list(dict.fromkeys((int(family), place) for family, _, _, _, place in found))
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return places
    # A machine may know its own name as a loopback address, and others where it really is.
    hidden = any(ipaddress.ip_address(place[0]).is_loopback for _, place in places)
    return [] if hidden and host != "localhost" else places


def _opened(family: int, place: tuple[Any, ...]) -> socket.socket | None:
    """Listen at an address; ``None`` if it is not one of this machine."""
    try:
        return socket.create_server(place, family=family)
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            return None
        raise


def _after(seconds: float, do: Callable[[], Any]) -> None:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


def _keep_alive(line: socket.socket) -> None:
    """Let a connection break when the other machine is gone without a word."""
    line.settimeout(None)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": SILENCE // 3, "TCP_KEEPINTVL": SILENCE // 3, "TCP_KEEPCNT": 2}
    for name, value in options.items():
        if sys.platform == "linux":
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _send_message(line: socket.socket, data: bytes) -> None:
    line.sendall(len(data).to_bytes(8, "little"))
    line.sendall(data)


def _read_message(line: socket.socket, most: int) -> bytes:
    length = int.from_bytes(_read(line, 8), "little")
    if length > most:
        raise EOFError
    return _read(line, length)


def _read(line: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        if not (piece := line.recv(min(1 << 20, length - len(data)))):
            raise EOFError
        data += piece
    return bytes(data)
