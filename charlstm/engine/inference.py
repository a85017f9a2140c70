"""Runs a trained model with ONNX Runtime: token ids and states in, logits and new states out.

The results of a row have the same bits for any batch size, number of steps per call and number of
threads.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from charlstm import metrics
from charlstm.arrays import AnyIds, Doubles, Floats, Weights
from charlstm.config import ModelConfig
from charlstm.engine.graph import EnginePrecision, build_graph, interface, zeros
from charlstm.engine.state import State, joined
from charlstm.system.hardware import int8_pairs_saturate, processor_count

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from charlstm.engine.onnx_runtime import onnxruntime


_Part = TypeVar("_Part")

MAX_ROWS = 128  # per batch: more rows need more memory and are hardly faster
MAX_THREADS = 4  # per small step: more threads mostly wait for each other
ROWS_PER_THREAD = 16  # from this many rows per thread, rows are split among independent threads
# Maximum tokens per sequence, and logits of all sequences, in one call. They limit memory.
_READ_AT_ONCE = 64
_LOGITS_AT_ONCE = 2**22
# Maximum logits per thread and call when targets are scored, few enough for the CPU cache.
_LOGITS_SCORED_AT_ONCE = 2**18


class Engine:
    """A trained model, ready to run. It is stateless and can be shared between threads.

    A few rows are computed by all threads together. Many rows are split among the threads.

    Args:
        graph: the bytes of an ONNX file, from ``build_graph``.
        config: the sizes of the network.
        precision: precision of the graph.
        threads: number of threads per call; ``None`` for one per CPU core.

    Attributes:
        vocab_size: number of token ids V.
        precision: ``"float32"`` or ``"int8"``.
        threads: number of threads per call.
    """

    def __init__(
        self,
        graph: bytes,
        config: ModelConfig,
        precision: EnginePrecision,
        threads: int | None = None,
    ) -> None:
        self._graph = graph
        self.threads = threads or processor_count()
        given, returned = interface(config, precision)
        self._parts = given[1:]
        self._inputs = [value.name for value in given]
        self._outputs = [value.name for value in returned]
        self.vocab_size = config.vocab_size
        self.precision: EnginePrecision = precision
        self._lock = threading.Lock()
        self._sessions: dict[int, onnxruntime.InferenceSession] = {}
        self._executor: ThreadPoolExecutor | None = None

    def initial_state(self, batch: int) -> State:
        """Return the state before the first token, in ``batch`` rows."""
        return State(*(zeros(part, batch) for part in self._parts))

    def step(self, ids: AnyIds, state: State) -> tuple[Floats, State]:
        """Read one token per row.

        Args:
            ids: integers [B], each in [0, V).
            state: the state of each row.

        Returns:
            Logits of the next token, float32 [B, V], and the new state.
        """
        logits, new_state = self._call(ids[np.newaxis], state)
        return logits[0], new_state

    def run(self, ids: AnyIds, state: State) -> tuple[Floats, State]:
        """Read T >= 1 tokens per row. The results have the same bits as those of T steps.

        Args:
            ids: integers [B, T], each in [0, V).
            state: the state of each row.

        Returns:
            Logits after each token, float32 [B, T, V], and the state after the last one.
        """
        if self.precision == "float32":
            logits, state = self._call(ids.T, state)
            return np.ascontiguousarray(logits.transpose(1, 0, 2)), state
        result = np.empty((*ids.shape, self.vocab_size), np.float32)
        for time in range(ids.shape[1]):
            result[:, time], state = self.step(ids[:, time], state)
        return result, state

    def log_probabilities(
        self, ids: AnyIds, targets: AnyIds, state: State
    ) -> tuple[Doubles, State]:
        """Read T >= 1 tokens per row, and return the log-probability of the token after each.

        The results have the same bits as ``metrics.log_probabilities`` of the logits of ``run``,
        but each thread normalizes its own rows, and only a few logits are in memory at once.

        Args:
            ids: integers [B, T], each in [0, V).
            targets: the next tokens, integers [B, T].
            state: the state of each row.

        Returns:
            Log-probabilities of the targets, float64 [B, T], and the state after the last token.
        """

        def score(session: onnxruntime.InferenceSession, rows: slice) -> tuple[Doubles, State]:
            values = np.empty(ids[rows].shape)
            steps, inside = 1, state[rows]
            if self.precision == "float32":
                steps = max(1, _LOGITS_SCORED_AT_ONCE // (len(values) * self.vocab_size))
            for first in range(0, ids.shape[1], steps):
                part = rows, slice(first, first + steps)
                logits, inside = self._run(session, ids[part].T, inside)
                found = metrics.log_probabilities(logits, targets[part].T)
                values[:, first : first + steps] = found.T
            return values, inside

        values, states = zip(*self._divided(len(ids), score), strict=True)
        return np.concatenate(values), joined(states)

    def read(self, sequences: Sequence[AnyIds]) -> tuple[Floats, State]:
        """Read sequences of any lengths from a zero state, with the same bits as one at a time.

        Args:
            sequences: B >= 1 arrays of at least one id, each in [0, V).

        Returns:
            Logits after the last token of each sequence, float32 [B, V], and the states there.
        """
        lengths = np.array([len(sequence) for sequence in sequences])
        logits = np.empty((len(sequences), self.vocab_size), np.float32)
        ended: list[State] = []
        active = np.argsort(-lengths, kind="stable")
        order = active[:0]
        padded = np.zeros((len(sequences), int(lengths.max())), np.int64)
        for row, index in enumerate(active.tolist()):
            padded[row, : lengths[index]] = sequences[index]
        state, start = self.initial_state(len(sequences)), 0
        for stop in sorted(set(lengths.tolist())):  # ``np.unique`` would import ``numpy.ma``
            fitting = _LOGITS_AT_ONCE // (len(active) * self.vocab_size)
            window = max(1, min(_READ_AT_ONCE, fitting))
            for first in range(start, stop, window):
                columns = padded[: len(active), first : min(first + window, stop)]
                read, state = self.run(columns, state)
            left = int((lengths > stop).sum())
            logits[active[left:]] = read[left:, -1]
            ended.append(state[left:].copy())  # not views, which keep whole batches in memory
            order = np.concatenate([active[left:], order])
            active, state, start = active[:left], state[:left], stop
        return logits, joined(ended[::-1])[np.argsort(order)]

    def _call(self, ids: AnyIds, state: State) -> tuple[Floats, State]:
        """Run the graph on ids [T, B], in several threads if there are enough rows."""

        def run(session: onnxruntime.InferenceSession, rows: slice) -> tuple[Floats, State]:
            return self._run(session, ids[:, rows], state[rows])

        results = self._divided(ids.shape[1], run)
        if len(results) == 1:
            return results[0]
        logits, states = zip(*results, strict=True)
        return np.concatenate(logits, axis=1), joined(states)

    def _divided(
        self, rows: int, work: Callable[[onnxruntime.InferenceSession, slice], _Part]
    ) -> list[_Part]:
        """Split rows among threads if there are enough; return the result of each part."""
        count = min(self.threads, rows // ROWS_PER_THREAD)
        if count < 2:
            return [work(self._session(min(self.threads, MAX_THREADS)), slice(0, rows))]
        bounds = [part * rows // count for part in range(count + 1)]
        session = self._session(1)
        first, *others = [slice(*pair) for pair in itertools.pairwise(bounds)]
        pool = self._pool()
        futures = [pool.submit(work, session, part) for part in others]
        return [work(session, first), *(future.result() for future in futures)]

    def _run(
        self, session: onnxruntime.InferenceSession, ids: AnyIds, state: State
    ) -> tuple[Floats, State]:
        parts = np.asarray(ids, np.int64, order="C"), *map(np.ascontiguousarray, state.parts)
        logits, *after = session.run(self._outputs, dict(zip(self._inputs, parts, strict=True)))
        return logits, State(*after)

    def _session(self, threads: int) -> onnxruntime.InferenceSession:
        """Return a session with this many threads, opened on first use."""
        with self._lock:
            if threads not in self._sessions:
                self._sessions[threads] = _open_session(self._graph, threads)
            return self._sessions[threads]

    def _pool(self) -> ThreadPoolExecutor:
        """Return the thread pool for split rows, started on first use."""
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self.threads - 1)
            return self._executor


def build_engine(
    config: ModelConfig,
    weights: Weights,
    *,
    precision: EnginePrecision = "int8",
    threads: int | None = None,
) -> Engine:
    """Build the engine of a model.

    Args:
        config: the sizes of the network.
        weights: as for ``build_graph``.
        precision: as for ``build_graph``.
        threads: as for ``Engine``.

    Raises:
        ConfigError: if the weights exceed the maximum size of a graph.
    """
    graph = build_graph(config, weights, precision)
    return Engine(graph, config, precision, threads)


def _open_session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    from charlstm.engine.onnx_runtime import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only, because a library prints nothing
    if int8_pairs_saturate():  # unsigned weights give correct sums at half the speed
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
