"""The devices that take a step together: one, several on this machine, or those of many machines.

Each replica computes its share of the rows. Gradients and losses are summed over all replicas, so
all of them take the same step with the same weights, bit for bit. The chief's clock and the
workers' requests to stop are sent along with the losses. A single device needs none of this.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from charlstm.distributed.peers import WorkerGroup
from charlstm.distributed.tf_config import VARIABLE, Cluster
from charlstm.distributed.watchdog import ended_after
from charlstm.errors import TrainingError, UsageError
from charlstm.network.backend import tf

Item = TypeVar("Item")

# Errors that TensorFlow raises when a collective operation loses a worker.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnknownError,
)

# Seconds for TensorFlow's servers to connect, after all of them have started.
CONNECTING_SECONDS = 60


def evenly(count: int, parts: int) -> list[slice]:
    """Divide ``range(count)`` into consecutive slices whose lengths differ by at most 1."""
    borders = [count * part // parts for part in range(parts + 1)]
    return [slice(*pair) for pair in itertools.pairwise(borders)]


class ReplicaGroup:
    """All replicas of a run, seen from one process.

    Args:
        strategy: the TensorFlow strategy; ``None`` for a single device.
        group: the connections to the other processes.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy | None = None, group: WorkerGroup | None = None
    ) -> None:
        self.strategy = strategy
        self.group = group or WorkerGroup()
        self.count = 1 if strategy is None else strategy.num_replicas_in_sync
        self._here = self.count // self.group.size
        self._clock = time.monotonic()
        self._asked = self._stops = False
        self._sync = self.summed_losses(lambda: (tf.constant(0.0), ()))
        self._gather = self.on_each(_gathered)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief."""
        return self.group.is_chief

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which variables are created, one copy per replica."""
        if self.strategy is None:
            return contextlib.nullcontext()
        return self.strategy.scope()  # type: ignore[no-any-return]

    # Called by a replica

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this replica's share of the items, which may be empty."""
        return items[evenly(len(items), self.count)[self._number()]]

    def total(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the sums of tensors over all replicas, with the same bits on each."""
        if self.strategy is None:
            return list(tensors)
        context = tf.distribute.get_replica_context()
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))

    def _number(self) -> int:
        """Return the number of this replica among all replicas, from 0."""
        if self.strategy is None:
            return 0
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return int(tf.get_static_value(number)) if tf.is_tensor(number) else int(number)

    # Called by the process

    def on_each(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compile a function that each replica runs on its own values."""
        strategy = self.strategy

        def on_all(*arguments: Any) -> Any:
            return strategy.run(function, args=arguments) if strategy else function(*arguments)

        return tf.function(on_all, autograph=False)  # type: ignore[no-any-return]

    def summed_losses(
        self, function: Callable[..., tuple[tf.Tensor, Any]]
    ) -> Callable[..., tuple[float, Any]]:
        """Compile a function that returns (loss, other); sum the loss over all replicas.

        With several processes, each call also synchronizes ``asked`` and ``now``.
        """
        if self.strategy is None:
            alone = self.on_each(function)

            def call_alone(*arguments: Any) -> tuple[float, Any]:
                loss, other = alone(*arguments)
                return float(loss), other

            return call_alone

        def on_replica(news: tf.Tensor, *arguments: Any) -> tuple[tf.Tensor, Any]:
            loss, other = function(*arguments)
            if self._number() % self._here:
                news = tf.zeros_like(news)  # only the first replica of this process sends it
            (sums,) = self.total([tf.concat([[tf.cast(loss, tf.float64)], news], 0)])
            return sums, other

        compiled = self.on_each(on_replica)

        def call(*arguments: Any) -> tuple[float, Any]:
            clock = time.monotonic() if self.is_chief else 0.0
            sums, other = compiled(tf.constant([self._asked, clock], tf.float64), *arguments)
            loss, stops, self._clock = self.first(sums).numpy().tolist()
            self._stops = stops > 0
            return loss, other

        return call

    def first(self, value: Any) -> Any:
        """Return the value of the first replica of this process."""
        return (
            value if self.strategy is None else self.strategy.experimental_local_results(value)[0]
        )

    def whole(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Concatenate the rows of all replicas."""
        if self.strategy is None:
            return list(tensors)
        return [self.first(tensor) for tensor in self._gather(list(tensors))]

    # Synchronization

    def sync(self) -> None:
        """Synchronize ``asked`` and ``now`` between the processes."""
        if self.group.size > 1:
            self._sync()

    def asked(self, stop: bool) -> bool:
        """Return whether to stop: ``stop``, or with several processes whether any asked to.

        With several processes, a request takes effect at the next synchronization.
        """
        if self.group.size == 1:
            return stop
        self._asked = stop
        return self._stops

    def now(self) -> float:
        """Return the time in seconds; with several processes, the time of the last ``sync``."""
        return time.monotonic() if self.group.size == 1 else self._clock

    @contextlib.contextmanager
    def lost_worker_named(self) -> Iterator[None]:
        """Turn TensorFlow's error about a lost worker into one that names the worker.

        Raises:
            TrainingError: if a worker is lost.
        """
        try:
            yield
        except LOST as error:
            if self.group.size == 1:
                raise
            loss = self.group.lost() or TrainingError(
                f"the workers have lost each other ({_first_line(error)}). Check the output of the "
                f"others, then {self.group.remedy}."
            )
            raise loss from error


def _gathered(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    # Only a tensor that was computed here has a device to gather from, hence the identity.
    return [context.all_gather(tf.identity(tensor), axis=0) for tensor in tensors]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "aborted by" in line]
    return (lines or str(error).splitlines() or [type(error).__name__])[0]


def replica_group(group: WorkerGroup, most: int) -> ReplicaGroup:
    """Return the replicas of a run. Call it before TensorFlow has run any operation.

    Several workers use ``MultiWorkerMirroredStrategy``, several GPUs of one machine
    ``MirroredStrategy``.

    Args:
        group: the processes.
        most: maximum number of GPUs per process.

    Raises:
        TrainingError: if TensorFlow can't connect the workers.
    """
    _see_gpus(most)
    if group.size > 1:
        tf.get_logger().setLevel("ERROR")  # it warns about collective operations
        group.agree()  # all have loaded TensorFlow, and will connect in a moment
        try:
            with _signals_kept(), ended_after(CONNECTING_SECONDS, _unconnected(group.cluster)):
                strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.OpError, RuntimeError) as error:
            raise TrainingError(
                f"TensorFlow can't connect the workers ({_first_line(error)}). Check the output of "
                f"the others, and whether their machines can reach each other."
            ) from error
        group.watch()
        replicas = ReplicaGroup(strategy, group)
        with replicas.lost_worker_named():
            replicas.sync()
        return replicas
    devices = tf.config.list_logical_devices("GPU")[:most]
    return mirrored([device.name for device in devices]) if len(devices) > 1 else ReplicaGroup()


def _see_gpus(most: int) -> None:
    """Hide all but ``most`` GPUs from TensorFlow, so that they stay free."""
    devices = tf.config.list_physical_devices("GPU")
    if len(devices) > most:
        with contextlib.suppress(RuntimeError):  # this process has trained before
            tf.config.set_visible_devices(devices[:most], "GPU")


def mirrored(devices: Sequence[str]) -> ReplicaGroup:
    """Return the replicas on several devices of this machine."""
    tf.get_logger().setLevel("ERROR")
    return ReplicaGroup(tf.distribute.MirroredStrategy(list(devices)))


def _unconnected(cluster: Cluster) -> str:
    """Return the error for servers that have not connected in time."""
    names = " and ".join(cluster.name(index) for index in range(cluster.size))
    return (
        f"TensorFlow has not connected {names} within {CONNECTING_SECONDS} seconds, although all "
        f"have started. Check that every machine can reach the others at the addresses in "
        f"{VARIABLE}, also through firewalls, and start all workers again."
    )


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the signal handlers that TensorFlow replaces."""
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            if (handler := signal.getsignal(number)) is not None:
                signal.signal(number, handler)


def check_rows(replicas: int, streams: int) -> None:
    """Check that each replica has at least one row.

    Raises:
        UsageError: if there are fewer rows than replicas.
    """
    if streams < replicas:
        raise UsageError(
            f"{replicas} devices can't share {streams} streams. Start fewer workers, or a new run "
            f"with `streams` {replicas} or more."
        )
