"""A model's graph, from the cache: a model that was used before starts without building it again.

What is kept follows from the weights and from the code that builds graphs, and is named after both.
It is never part of a checkpoint. This module does not know what a graph holds.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from charlstm import cache, engine
from charlstm.checkpoint import Checkpoint
from charlstm.engine import Precision, build_graph
from charlstm.errors import StorageError

GRAPH = "graph"
_DIGEST_SIZE = 32


def kept_graph(checkpoint: Checkpoint, precision: Precision) -> bytes:
    """Return the graph of a model, from the cache if it is there; else it is built and kept.

    Where nothing can be kept, for example in a read-only home, it is built each time.

    Raises:
        ConfigError: if the cache's variables are wrong.
    """
    built: list[bytes] = []

    def build() -> bytes:
        built.append(build_graph(checkpoint.config.model, checkpoint.weights, precision))
        return built[-1]

    def fill(folder: Path) -> None:
        graph = build()
        (folder / GRAPH).write_bytes(_digest(graph) + graph)

    try:
        key = _key(checkpoint, precision)
        folder = cache.obtain(key, fill)
        graph = built[0] if built else _read(folder)
        if graph is None:
            cache.remove(folder)
            graph = _read(cache.obtain(key, fill))
    except (StorageError, OSError):
        graph = None
    return graph or (built[-1] if built else build())


def _key(checkpoint: Checkpoint, precision: Precision) -> str:
    """Name a graph after the weights and the code that makes it."""
    code = Path(engine.__file__).read_bytes()
    parts = checkpoint.sha256, precision, hashlib.sha256(code).hexdigest()
    return "graph-" + hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]


def _read(folder: Path) -> bytes | None:
    """Return a graph that is kept, or None if it is not what was written."""
    data = (folder / GRAPH).read_bytes()
    digest, graph = data[:_DIGEST_SIZE], data[_DIGEST_SIZE:]
    return graph if digest == _digest(graph) else None


def _digest(graph: bytes) -> bytes:
    return hashlib.sha256(graph).digest()
