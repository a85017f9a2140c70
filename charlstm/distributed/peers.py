"""The connections between the worker processes of a run.

Before TensorFlow is loaded, the workers connect to the chief, at the address where TensorFlow
listens later, and exchange messages. The connections then stay open as lifelines: if one breaks,
its worker has ended.

TensorFlow's coordination service can't replace them. While workers wait for each other, it blocks
Ctrl-C and notices a killed worker only when the wait is over (see ``benchmarks/recipe.md``).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from charlstm.distributed.tf_config import VARIABLE, WAIT, WAIT_VARIABLE, Cluster, host_and_port
from charlstm.distributed.transport import (
    decoded,
    keep_alive,
    listen,
    read_message,
    send_message,
)
from charlstm.distributed.watchdog import GRACE
from charlstm.errors import TrainingError, UsageError, harmless
from charlstm.version import __version__

LARGEST_MESSAGE = 1 << 40
LARGEST_HELLO = 1 << 10
WELCOME = b"welcome"
DONE = b"done"


class _Hello(msgspec.Struct, frozen=True):
    """The first message of a worker: its index, its cluster, its version and its command."""

    worker: int
    addresses: tuple[str, ...]
    charlstm: str = ""
    command: str = ""


class WorkerGroup:
    """The connections of this process to the others; a single process has none.

    The chief is connected to every worker, and every worker to the chief. Entering the context
    connects them. Before ``watch``, all processes exchange messages in the same order. Afterwards,
    they only send that they have ended.

    Args:
        cluster: the processes.
        wait: seconds to wait for the others to connect.
        end: ends this process at once, with an exit status.
        command: the part of the command line that must be the same on all workers.
        say: shows a message to the user while this process waits.

    Attributes:
        remedy: what to do if a worker is lost, for the error.
        missed: name of a worker that was lost after this process had finished, which does no harm;
            ``""`` if there is none.
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
        self._connections: dict[int, socket.socket] = {}
        self._stack = contextlib.ExitStack()
        self._lost, self._lost_index = "", -1
        self._loss = threading.Event()
        self._lock = threading.Lock()
        self._watchers: dict[int, threading.Thread] = {}
        self._closed = self._has_left = self._finished = False

    @property
    def size(self) -> int:
        """Number of worker processes."""
        return self.cluster.size

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief."""
        return self.cluster.is_chief

    # Connecting

    def __enter__(self) -> WorkerGroup:
        try:
            if self.size > 1:
                others = range(1, self.size) if self.is_chief else [0]
                names = " and ".join(map(self.cluster.name, others))
                if self._say:
                    self._say(f"waiting for {names}, at most {self.wait:g} seconds")
                (self._gather if self.is_chief else self._join)(time.monotonic() + self.wait)
                if (answer := self.from_chief(WELCOME)) != WELCOME:
                    raise UsageError(answer.decode(errors="replace"))
                for connection in self._connections.values():
                    keep_alive(connection)
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
                self.barrier_and_leave()
        finally:
            self._close()
            if self._watchers and (self.missed or (kind is not None and not self._has_left)):
                # TensorFlow may wait for the others when it is unloaded.
                status = 0 if error is None else _exit_status(error)
                timer = threading.Timer(GRACE, self._end, [status])
                timer.daemon = True
                timer.start()

    def _gather(self, deadline: float) -> None:
        """Wait until every worker has connected; called on the chief."""
        address = self.cluster.addresses[0]
        host, port = host_and_port(address)
        try:
            listeners = listen(host, port)
        except OSError as error:
            raise UsageError(
                f"can't listen at {address} ({error.strerror or error}). {VARIABLE} must give this "
                f"machine a free port."
            ) from None
        with contextlib.ExitStack() as stack:
            for listener in listeners:
                stack.enter_context(listener).setblocking(False)
            while missing := set(range(1, self.size)) - self._connections.keys():
                sockets = [*listeners, *self._connections.values()]
                for ready in select.select(sockets, [], [], self._left(deadline, missing))[0]:
                    for index, connection in self._connections.items():
                        if ready is connection:  # closed, because a worker sends nothing yet
                            raise self.loss_of(index)
                    with contextlib.suppress(OSError):  # the worker may have disconnected already
                        self._welcome(ready.accept()[0])

    def _left(self, deadline: float, missing: Iterable[int]) -> float:
        """Return the seconds left; raise ``TrainingError`` after the deadline."""
        left = deadline - time.monotonic()
        if left > 0:
            return left
        names = " and ".join(self.cluster.name(index) for index in sorted(missing))
        raise TrainingError(
            f"{names} did not connect within {self.wait:g} seconds. Start the same command on "
            f"every machine, or allow more time with {WAIT_VARIABLE}."
        )

    def _welcome(self, connection: socket.socket) -> None:
        """Accept the connection of a worker; close it if it sends no valid first message."""
        try:
            connection.settimeout(5.0)
            hello = msgspec.json.decode(
                read_message(connection, LARGEST_HELLO * self.size), type=_Hello
            )
        except (OSError, EOFError, msgspec.DecodeError, ValueError, RecursionError):
            connection.close()
            return
        if objection := self._objection(hello):
            for other in (connection, *self._connections.values()):
                with contextlib.suppress(OSError):
                    send_message(other, objection.encode())
            connection.close()
            raise UsageError(objection)
        self._connections[hello.worker] = connection

    def _objection(self, hello: _Hello) -> str:
        """Return why a worker can't take part; ``""`` if it can."""
        if hello.addresses != self.cluster.addresses or not 0 < hello.worker < self.size:
            return (
                f"the {VARIABLE} of a worker names other workers than the chief's. Give all "
                f"workers the same cluster."
            )
        name = self.cluster.name(hello.worker)
        if hello.worker in self._connections:
            return (
                f"two processes have the index of {name}. Give each worker its own index in "
                f"{VARIABLE}."
            )
        if hello.charlstm != __version__:
            version = harmless(hello.charlstm, 20)
            theirs = f"charlstm {version}" if version else "an earlier version of charlstm"
            return (
                f"{name} runs {theirs}, but the chief runs {__version__}. Install the same version "
                f"on every machine."
            )
        if hello.command != self.command:
            return (
                f"{name} was started with {harmless(hello.command, 60)}, but the chief with "
                f"{self.command}. Start the same command on every machine."
            )
        return ""

    def _join(self, deadline: float) -> None:
        """Connect to the chief; called on a worker."""
        address = self.cluster.addresses[0]
        while True:
            left = self._left(deadline, [0])
            try:
                connection = socket.create_connection(
                    host_and_port(address), timeout=min(5.0, left)
                )
                break
            except OSError:
                time.sleep(0.2)
        connection.settimeout(self.wait + GRACE)  # until all others have connected
        self._connections[0] = connection
        hello = _Hello(self.cluster.index, self.cluster.addresses, __version__, self.command)
        self._send(0, msgspec.json.encode(hello))

    # Messages

    def from_chief(self, data: bytes = b"") -> bytes:
        """Return the data that the chief passes to this call; the others pass nothing.

        Raises:
            TrainingError: if a worker is lost.
        """
        if not self.is_chief:
            return self._receive(0)
        self._send_all(data)
        return data

    def agree(self, objection: str = "") -> str:
        """Wait for all workers; return the first objection of a worker, or ``""``.

        Raises:
            TrainingError: if a worker is lost.
        """
        if not self.is_chief:
            self._send(0, objection.encode())
            return self._receive(0).decode()
        others = [self._receive(index).decode() for index in sorted(self._connections)]
        first = next(filter(None, [objection, *others]), "")
        self._send_all(first.encode())
        return first

    def fetched(self, folder: Path, names: Iterable[str]) -> Path:
        """Return the folder on the chief, and a temporary copy of the named files on the others.

        Raises:
            TrainingError: if a worker is lost.
        """
        if self.size == 1:
            return folder
        if self.is_chief:
            present = [name for name in names if (folder / name).is_file()]
            self._send_all(msgspec.json.encode(present))
            for name in present:
                self._send_all((folder / name).read_bytes())
            return folder
        copy = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="charlstm-")))
        known = set(names)
        sent = decoded(self._receive(0), list[str])
        if not sent:
            self._receive(0)  # the chief will report this and end, which raises here
        for name in sent:
            data = self._receive(0)
            if name in known:
                (copy / name).write_bytes(data)
        return copy

    def _send_all(self, data: bytes) -> None:
        for index in self._connections:
            self._send(index, data)

    def _send(self, index: int, data: bytes) -> None:
        try:
            send_message(self._connections[index], data)
        except OSError:
            raise self.loss_of(index) from None

    def _receive(self, index: int) -> bytes:
        try:
            return read_message(self._connections[index], LARGEST_MESSAGE)
        except (OSError, EOFError):
            raise self.loss_of(index) from None

    def loss_of(self, index: int) -> TrainingError:
        """Return the error for a lost worker."""
        return TrainingError(
            f"{self.cluster.name(index)} has ended or can't be reached. Check its output, then "
            f"{self.remedy}."
        )

    # Lifelines

    def watch(self) -> None:
        """Start watching for lost workers; if one is lost, this process ends."""
        for index in self._connections if not self._watchers else ():
            thread = threading.Thread(target=self._watch_connection, args=(index,), daemon=True)
            self._watchers[index] = thread
            thread.start()

    def lost(self) -> TrainingError | None:
        """Return the error if a worker is lost; wait a moment for it to be noticed."""
        if not self._watchers or not self._loss.wait(GRACE):
            return None
        self._closed = True  # the caller reports it
        return TrainingError(self._lost)

    def barrier_and_leave(self, *, finished: bool = False) -> None:
        """Wait until all workers are done, so that none misses another; send nothing afterwards.

        Args:
            finished: whether this process has finished its work, so that only losing the chief,
                which writes the checkpoint, is still a failure.

        Raises:
            TrainingError: if a worker is lost.
        """
        if self._closed or not self._connections:
            return
        with self._lock:
            self._finished = finished
        if not self._watchers:
            self.agree()
        else:
            if not self.is_chief:
                # If the chief has left, its last message says why.
                with contextlib.suppress(TrainingError):
                    self._send(0, DONE)
            for thread in self._watchers.values():
                while thread.is_alive() and not self._loss.is_set():
                    thread.join(0.1)
            if self._loss.is_set():
                self._closed = True  # the caller reports it
                if not self._can_finish():
                    raise TrainingError(self._lost)
                self.missed = self.cluster.name(self._lost_index)
            elif self.is_chief:
                self._send_done()
        self._closed = self._has_left = True

    def _send_done(self) -> None:
        for index in self._connections:
            try:
                self._send(index, DONE)
            except TrainingError:
                if not self._finished:
                    raise
                self.missed = self.cluster.name(index)

    def _watch_connection(self, index: int) -> None:
        """Read until the worker is done or lost, or the chief reports a lost worker."""
        try:
            message = read_message(self._connections[index], LARGEST_HELLO)
        except (OSError, EOFError):
            message = f"{index}".encode()
        if message != DONE:
            self._lose(int(message))

    def _can_finish(self) -> bool:
        """Return whether this process can finish without the lost worker."""
        return self._finished and self._lost_index != 0

    def _lose(self, index: int) -> None:
        with self._lock:
            if self._closed or self._lost:
                return
            self._lost, self._lost_index = str(self.loss_of(index)), index
        for connection in self._connections.values() if self.is_chief else ():
            with contextlib.suppress(OSError):
                send_message(connection, f"{index}".encode())
        self._loss.set()
        # A thread that waits for a lost worker inside TensorFlow never returns.
        time.sleep(GRACE)
        with self._lock:
            if self._can_finish():
                return
            if not self._closed:
                with contextlib.suppress(OSError):
                    os.write(2, f"Error: {self._lost}\n".encode())
            self._end(1)

    def _close(self) -> None:
        self._closed = True
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # which ends a thread that reads from it
            connection.close()
        self._stack.close()


def _exit_status(error: BaseException) -> int:
    """Return the exit status for an error, including Click's exit exceptions."""
    status: int = getattr(error, "exit_status", getattr(error, "exit_code", 1))
    return status
