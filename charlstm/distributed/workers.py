"""The workers that train one model, as one object: what each of them writes, says and waits for.

Usually a process trains alone. It is then the chief of nobody: it writes and speaks, and nothing is
sent. Under ``TF_CONFIG`` the chief writes and speaks for all, and the others only take part.
Whoever prepares or shows a run asks this object instead of asking which of them it is.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from charlstm.checkpoint.writer import CheckpointWriter, NullWriter, Writer
from charlstm.distributed.agreement import Terms, agreed_terms, fetched
from charlstm.distributed.peers import WorkerGroup
from charlstm.distributed.tf_config import cluster_of, waiting_seconds

if TYPE_CHECKING:
    from charlstm.distributed.replicas import ReplicaGroup

ObserverType = TypeVar("ObserverType")


class Workers:
    """All workers, as the chief sees them: it writes and speaks. Alone, a process is the chief.

    Args:
        group: the connections to the others.
    """

    def __init__(self, group: WorkerGroup | None = None) -> None:
        self._group = group or WorkerGroup()

    def __enter__(self) -> Workers:
        """Connect to the others (see ``WorkerGroup``)."""
        self._group.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._group.__exit__(kind, error, trace)

    @property
    def count(self) -> int:
        """How many processes train."""
        return self._group.size

    @property
    def missed(self) -> str:
        """Who was lost when all was done, and matters no more; ``""`` if nobody."""
        return self._group.missed

    # Before training

    def fetched(self, folder: Path) -> Path:
        """Return the chief's checkpoint: its folder, or on other workers a temporary copy of it."""
        return fetched(folder, self._group)

    def agreed(self, own: Terms) -> Terms:
        """Return the chief's terms, once all workers have compared them with their own."""
        return agreed_terms(own, self._group)

    def replicas(self, most: int) -> ReplicaGroup:
        """Return the devices of all workers, of which each brings at most so many GPUs."""
        from charlstm.distributed.replicas import replica_group

        return replica_group(self._group, most)

    # What one of them does for all

    def output(self, folder: Path | None) -> Path | None:
        """Return where the checkpoint is to go; ``None`` if it is not this worker's business."""
        return folder

    def once(self, context: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
        """Return a context that only the worker that writes must enter."""
        return context

    def writer(self, folder: Path) -> Writer:
        """Return what writes to the checkpoint."""
        return CheckpointWriter(folder)

    def observer(self, speaks: ObserverType, silent: ObserverType) -> ObserverType:  # noqa: ARG002
        """Return the observer that this worker is watched by; one of all workers speaks."""
        return speaks

    # After training

    def barrier_and_leave(self) -> None:
        """Wait until all have trained; then nothing more is sent."""
        self._group.barrier_and_leave(finished=True)


class OtherWorkers(Workers):
    """All workers, as one beside the chief sees them: it neither writes nor speaks."""

    def output(self, folder: Path | None) -> Path | None:  # noqa: ARG002
        """Return ``None``: the chief's folder need not exist here."""
        return None

    def once(
        self,
        context: AbstractContextManager[Any],  # noqa: ARG002
    ) -> AbstractContextManager[Any]:
        """Return a context that does nothing."""
        return nullcontext()

    def writer(self, folder: Path) -> Writer:  # noqa: ARG002
        """Return a writer that writes nothing."""
        return NullWriter()

    def observer(self, speaks: ObserverType, silent: ObserverType) -> ObserverType:  # noqa: ARG002
        """Return the one that says nothing; it may ask all to stop all the same."""
        return silent


def workers_of(group: WorkerGroup) -> Workers:
    """Return all workers, as the process sees them that has these connections."""
    return Workers(group) if group.is_chief else OtherWorkers(group)


def workers_in_environment(command: str, say: Callable[[str], Any] | None = None) -> Workers:
    """Return the workers that ``TF_CONFIG`` names, of which this process is one.

    Args:
        command: what this process was started with, as far as it must be the same for all.
        say: tells a person what is waited for.

    Raises:
        UsageError: if ``TF_CONFIG`` or ``CHARLSTM_WAIT`` is not what charlstm can train with.
    """
    return workers_of(WorkerGroup(cluster_of(), wait=waiting_seconds(), command=command, say=say))
