"""Reads ``TF_CONFIG``, which names the processes of a ``Cluster``, the way TensorFlow reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from charlstm.errors import UsageError

VARIABLE = "TF_CONFIG"

# Seconds that workers wait for each other before training.
WAIT_VARIABLE = "CHARLSTM_WAIT"
WAIT = 300.0

EXPECTED = (
    f'Give {VARIABLE} like {{"cluster": {{"worker": ["host1:2222", "host2:2222"]}}, '
    '"task": {"type": "worker", "index": 0}}.'
)


class _Task(msgspec.Struct, frozen=True):
    type: str
    index: Annotated[int, Meta(ge=0)]


class _Content(msgspec.Struct, frozen=True):
    cluster: dict[str, list[str]] = {}
    task: _Task | None = None


@dataclass(frozen=True)
class Cluster:
    """The worker processes of a run, the chief first.

    Attributes:
        addresses: ``host:port`` of each process.
        index: index of this process.
    """

    addresses: tuple[str, ...] = ("",)
    index: int = 0

    @property
    def size(self) -> int:
        """Number of worker processes."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief, which writes the checkpoint and reports."""
        return self.index == 0

    def name(self, index: int) -> str:
        """Return the name of a worker for messages."""
        return f"worker {index}{'' if index else ', the chief,'} at {self.addresses[index]}"


def cluster_of(environ: Mapping[str, str] = os.environ) -> Cluster:
    """Read ``TF_CONFIG``; without it, or with only one worker, return a cluster of one process.

    Raises:
        UsageError: if it is malformed, or not a cluster of a chief and workers.
    """
    text = environ.get(VARIABLE, "").strip()
    if not text:
        return Cluster()
    try:
        content = msgspec.json.decode(text, type=_Content, strict=False)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = str(error).replace("`", "'")
        raise UsageError(f"{VARIABLE} can't be read ({reason}). {EXPECTED}") from None
    jobs = {job: tasks for job, tasks in content.cluster.items() if tasks}
    if not jobs and content.task is None:
        return Cluster()
    task = _checked_task(jobs, content.task)
    addresses = (*jobs.get("chief", []), *jobs.get("worker", []))
    for address in addresses:
        host_and_port(address)
    doubled = next((a for a in addresses if addresses.count(a) > 1), None)
    if doubled is not None:
        raise UsageError(f"{VARIABLE} names {doubled} twice. Give each worker its own address.")
    index = task.index + len(jobs.get("chief", [])) * (task.type == "worker")
    return Cluster(addresses, index) if len(addresses) > 1 else Cluster()


def _checked_task(jobs: Mapping[str, list[str]], task: _Task | None) -> _Task:
    """Return the task; raise ``UsageError`` unless it belongs to a cluster of chief and workers."""
    if task is None:
        raise UsageError(f"{VARIABLE} has no task, which identifies this process. {EXPECTED}")
    for job in (task.type, *jobs):
        if job not in ("chief", "worker"):
            raise UsageError(
                f"{VARIABLE} has a task of type {job!r}, but charlstm supports only chief and "
                f"worker."
            )
    if len(jobs.get("chief", [])) > 1:
        raise UsageError(f"{VARIABLE} names {len(jobs['chief'])} chiefs, not one.")
    count = len(jobs.get(task.type, []))
    if task.index >= count:
        listed = f"{count} {task.type}{'s' * (count > 1)}" if count else f"no {task.type}"
        raise UsageError(
            f"{VARIABLE} makes this process {task.type} {task.index}, but its cluster has "
            f"{listed}{', counted from 0' if count else ''}."
        )
    return task


def host_and_port(address: str) -> tuple[str, int]:
    """Split an address such as ``host1:2222``.

    Raises:
        UsageError: if it has no host or no valid port.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise UsageError(
            f"{VARIABLE} has the address {address!r}, not a host and a port such as host1:2222."
        )
    return host.strip("[]"), int(port)


def waiting_seconds(environ: Mapping[str, str] = os.environ) -> float:
    """Return how long workers wait for each other in seconds: ``CHARLSTM_WAIT`` or the default.

    Raises:
        UsageError: if the variable is not a positive number.
    """
    text = environ.get(WAIT_VARIABLE, "").strip()
    try:
        seconds = float(text) if text else WAIT
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise UsageError(f"{WAIT_VARIABLE} is {text!r}: expected a positive number of seconds.")
    return seconds
