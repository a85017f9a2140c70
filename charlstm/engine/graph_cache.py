"""A model's graph, from the cache: a model that was used before starts without building it again.

What is kept follows from the weights and from how graphs are built, and is named after both. It is
never part of a checkpoint. This module does not know what a graph holds.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from charlstm.checkpoint.schema import Checkpoint
from charlstm.engine.graph import EnginePrecision, build_graph
from charlstm.errors import StorageError
from charlstm.system import cache

# Part of the key of every cached graph: raise it when the same weights give another graph.
GRAPH_VERSION = 1

GRAPH = "graph"


def load_or_build_graph(checkpoint: Checkpoint, precision: EnginePrecision) -> bytes:
    """Return the graph of a model, from the cache if it is there; else it is built and kept.

    Where nothing can be kept, for example in a read-only home, it is built each time.

    Raises:
        ConfigError: if the cache's variables are wrong.
    """

    @functools.cache
    def built() -> bytes:
        return build_graph(checkpoint.config.model, checkpoint.weights, precision)

    def build(folder: Path) -> None:
        (folder / GRAPH).write_bytes(built())

    def read(folder: Path) -> bytes:
        return (folder / GRAPH).read_bytes()

    try:
        return cache.obtain(_key(checkpoint, precision), build, read)
    except StorageError:
        return built()


def _key(checkpoint: Checkpoint, precision: EnginePrecision) -> str:
    """Name a graph after the weights and the way to build it."""
    parts = checkpoint.sha256, precision, str(GRAPH_VERSION)
    return "graph-" + hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
