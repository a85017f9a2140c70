"""The devices that take a step together: one, several of this machine, or those of many machines.

Each replica reads its share of the rows; gradients and losses are summed over all replicas, so that
all take the same step with the same weights, bit for bit. With the losses goes what workers must
agree on between steps: the chief's clock, and whether any of them has been asked to stop. Alone,
everything is what it would be without this module, which knows no network, no text and no budget.
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

# How TensorFlow tells that a collective operation has lost a worker.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnknownError,
)

# TensorFlow's servers, all of which are there, find each other within so many seconds.
CONNECTING_SECONDS = 60


def evenly(count: int, parts: int) -> list[slice]:
    """Divide a count of things as evenly as can be."""
    borders = [count * part // parts for part in range(parts + 1)]
    return [slice(*pair) for pair in itertools.pairwise(borders)]


class ReplicaGroup:
    """All replicas of a run, seen from one process.

    Args:
        strategy: TensorFlow's; ``None`` for one device that nothing is shared with.
        group: the other processes.
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
        """Whether this process is the one that writes and speaks."""
        return self.group.is_chief

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context in which variables are made, one copy for each replica."""
        if self.strategy is None:
            return contextlib.nullcontext()
        return self.strategy.scope()  # type: ignore[no-any-return]

    # What a replica calls

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return those of the items that this replica takes care of; none if they are too few."""
        return items[evenly(len(items), self.count)[self._number()]]

    def total(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Sum tensors over all replicas: the same bits for each."""
        if self.strategy is None:
            return list(tensors)
        context = tf.distribute.get_replica_context()
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))

    def _number(self) -> int:
        """Return the number of this replica among all, from 0."""
        if self.strategy is None:
            return 0
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return int(tf.get_static_value(number)) if tf.is_tensor(number) else int(number)

    # What the process calls

    def on_each(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compile a function that every replica runs on what is its own."""
        strategy = self.strategy
        if strategy is None:
            return tf.function(function)  # type: ignore[no-any-return]
        return tf.function(lambda *given: strategy.run(function, args=given))  # type: ignore[no-any-return]

    def summed_losses(
        self, function: Callable[..., tuple[tf.Tensor, Any]]
    ) -> Callable[..., tuple[float, Any]]:
        """Compile a function of a loss and something else; the losses of all replicas are summed.

        With several processes, each call is also a synchronization: see ``asked`` and ``now``.
        """
        if self.strategy is None:
            alone = tf.function(function)

            def call_alone(*given: Any) -> tuple[float, Any]:
                loss, other = alone(*given)
                return float(loss), other

            return call_alone

        def on_replica(news: tf.Tensor, *given: Any) -> tuple[tf.Tensor, Any]:
            loss, other = function(*given)
            if self._number() % self._here:
                news = tf.zeros_like(news)  # another replica of this process has told it
            (told,) = self.total([tf.concat([[tf.cast(loss, tf.float64)], news], 0)])
            return told, other

        compiled = self.on_each(on_replica)

        def call(*given: Any) -> tuple[float, Any]:
            clock = time.monotonic() if self.is_chief else 0.0
            told, other = compiled(tf.constant([self._asked, clock], tf.float64), *given)
            loss, stops, self._clock = self.first(told).numpy().tolist()
            self._stops = stops > 0
            return loss, other

        return call

    def first(self, value: Any) -> Any:
        """Return the first of the values that the replicas of this process hold."""
        return (
            value if self.strategy is None else self.strategy.experimental_local_results(value)[0]
        )

    def whole(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Put the rows of all replicas together again."""
        if self.strategy is None:
            return list(tensors)
        return [self.first(tensor) for tensor in self._gather(list(tensors))]

    # Synchronization

    def sync(self) -> None:
        """Exchange what ``asked`` and ``now`` tell."""
        if self.group.size > 1:
            self._sync()

    def asked(self, stop: bool) -> bool:
        """Whether to stop: alone, what is given; else whether any process had asked so.

        All processes learn of it at the same synchronization, the next one.
        """
        if self.group.size == 1:
            return stop
        self._asked = stop
        return self._stops

    def now(self) -> float:
        """Return the time in seconds; it stands still for all until the next synchronization."""
        return time.monotonic() if self.group.size == 1 else self._clock

    @contextlib.contextmanager
    def losses_told(self) -> Iterator[None]:
        """Turn TensorFlow's errors about a lost worker into one that names it.

        Raises:
            TrainingError: if a worker is lost.
        """
        try:
            yield
        except LOST as error:
            if self.group.size == 1:
                raise
            told = self.group.lost() or TrainingError(
                f"the workers have lost each other ({_first_line(error)}): see what the others "
                f"said, then {self.group.remedy}"
            )
            raise told from error


def _gathered(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    # What is gathered must have been computed here: what is only handed in has no device.
    return [context.all_gather(tf.identity(tensor), axis=0) for tensor in tensors]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "aborted by" in line]
    return (lines or str(error).splitlines() or [type(error).__name__])[0]


def replica_group(group: WorkerGroup, most: int) -> ReplicaGroup:
    """Return the replicas of this process, before TensorFlow has done anything else.

    Several workers use ``MultiWorkerMirroredStrategy``, several GPUs of one machine
    ``MirroredStrategy``.

    Args:
        group: the processes.
        most: of how many GPUs each of them makes use, if it has more.

    Raises:
        TrainingError: if TensorFlow can't bring the workers together.
    """
    _see_gpus(most)
    if group.size > 1:
        tf.get_logger().setLevel("ERROR")  # which has much to say about collective operations
        group.agree()  # that all have loaded TensorFlow, and will be there within a moment
        try:
            with _signals_kept(), ended_after(CONNECTING_SECONDS, _unconnected(group.cluster)):
                strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.OpError, RuntimeError) as error:
            raise TrainingError(
                f"TensorFlow can't bring the workers together ({_first_line(error)}): see what the "
                f"others said, and whether their machines reach each other"
            ) from error
        group.watch()
        replicas = ReplicaGroup(strategy, group)
        with replicas.losses_told():
            replicas.sync()
        return replicas
    devices = tf.config.list_logical_devices("GPU")[:most]
    return mirrored([device.name for device in devices]) if len(devices) > 1 else ReplicaGroup()


def _see_gpus(most: int) -> None:
    """Let TensorFlow see no more GPUs than are made use of, so that the others stay free."""
    devices = tf.config.list_physical_devices("GPU")
    if len(devices) > most:
        with contextlib.suppress(RuntimeError):  # this process has trained before
            tf.config.set_visible_devices(devices[:most], "GPU")


def mirrored(devices: Sequence[str]) -> ReplicaGroup:
    """Return the replicas of several devices of this machine."""
    tf.get_logger().setLevel("ERROR")
    return ReplicaGroup(tf.distribute.MirroredStrategy(list(devices)))


def _unconnected(cluster: Cluster) -> str:
    """Say that TensorFlow, which lets nothing else run meanwhile, has waited for too long."""
    names = " and ".join(cluster.name(index) for index in range(cluster.size))
    return (
        f"TensorFlow has not connected {names} within {CONNECTING_SECONDS} seconds, though all "
        f"have come: let every machine reach the others at the addresses of {VARIABLE}, through "
        f"firewalls too, and start all workers again"
    )


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Give back signals that TensorFlow has taken over."""
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            if (handler := signal.getsignal(number)) is not None:
                signal.signal(number, handler)


def check_rows(replicas: int, streams: int) -> None:
    """Refuse to share fewer rows than there are replicas.

    Raises:
        UsageError: if there are.
    """
    if streams < replicas:
        raise UsageError(
            f"{replicas} devices can't share {streams} streams: start fewer workers, or begin a "
            f"new run with at least --streams {replicas}"
        )
