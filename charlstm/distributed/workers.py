"""All workers of a run as one object: who writes, who reports, what to wait for.

Usually there is one worker, which writes and reports, and nothing is sent. With ``TF_CONFIG``, the
chief writes and reports for all, and the others only train. Code that prepares, runs or shows a run
calls this object and never needs to know whether it runs on the chief.
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
    """All workers, as seen from the chief or from a single process.

    Args:
        group: the connections to the others; by default there are none.
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
        """Number of worker processes."""
        return self._group.size

    @property
    def missed(self) -> str:
        """Name of a worker that was lost, harmlessly, after training finished; ``""`` if none."""
        return self._group.missed

    # Before training

    def fetched(self, folder: Path) -> Path:
        """Return the chief's checkpoint: its folder, or a temporary copy on the other workers."""
        return fetched(folder, self._group)

    def agreed(self, own: Terms) -> Terms:
        """Return the chief's terms after all workers have compared them with their own."""
        return agreed_terms(own, self._group)

    def replicas(self, most: int) -> ReplicaGroup:
        """Return the devices of all workers, at most ``most`` GPUs each."""
        from charlstm.distributed.replicas import replica_group

        return replica_group(self._group, most)

    # Done only by the chief

    def output(self, folder: Path | None) -> Path | None:
        """Return the folder of the new checkpoint; ``None`` on a worker that doesn't write it."""
        return folder

    def once(self, context: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
        """Return the context on the chief, and a null context on the others."""
        return context

    def writer(self, folder: Path) -> Writer:
        """Return the writer of the checkpoint."""
        return CheckpointWriter(folder)

    def observer(self, reporting: ObserverType, silent: ObserverType) -> ObserverType:  # noqa: ARG002
        """Return the observer of this worker: ``reporting`` on the chief, ``silent`` on others."""
        return reporting

    # After training

    def barrier_and_leave(self) -> None:
        """Wait until all workers have finished training; send nothing afterwards."""
        self._group.barrier_and_leave(finished=True)


class OtherWorkers(Workers):
    """All workers, as seen from one that is not the chief: it neither writes nor reports."""

    def output(self, folder: Path | None) -> Path | None:  # noqa: ARG002
        """Return ``None``, because the chief's folder need not exist on this machine."""
        return None

    def once(
        self,
        context: AbstractContextManager[Any],  # noqa: ARG002
    ) -> AbstractContextManager[Any]:
        """Return a null context."""
        return nullcontext()

    def writer(self, folder: Path) -> Writer:  # noqa: ARG002
        """Return a writer that writes nothing."""
        return NullWriter()

    def observer(self, reporting: ObserverType, silent: ObserverType) -> ObserverType:  # noqa: ARG002
        """Return ``silent``, which can still ask the run to stop."""
        return silent


def workers_of(group: WorkerGroup) -> Workers:
    """Return all workers, as seen from the process with these connections."""
    return Workers(group) if group.is_chief else OtherWorkers(group)


def workers_in_environment(command: str, say: Callable[[str], Any] | None = None) -> Workers:
    """Return the workers in ``TF_CONFIG``, including this process.

    Args:
        command: the part of the command line that must be the same on all workers.
        say: shows a message to the user while this process waits.

    Raises:
        UsageError: if ``TF_CONFIG`` or ``CHARLSTM_WAIT`` is invalid.
    """
    return workers_of(WorkerGroup(cluster_of(), wait=waiting_seconds(), command=command, say=say))
