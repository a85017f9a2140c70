"""The graph of a checkpoint's model, from the cache or built, so that later commands start faster.

A cached graph depends on the weights and on how graphs are built, and its key names both. It is
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

# Part of the key of every cached graph. Raise it when the same weights give another graph.
GRAPH_VERSION = 2

GRAPH = "graph"


def load_or_build_graph(checkpoint: Checkpoint, precision: EnginePrecision) -> bytes:
    """Return the bytes of a model's ONNX graph, from the cache if possible.

    Otherwise it is built and cached. Where nothing can be written, as in a read-only home, it is
    built each time.

    Raises:
        ConfigError: if an environment variable of the cache is wrong, or the model is too large.
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
    """Name a graph after its weights, its precision and the version of how graphs are built."""
    parts = checkpoint.sha256, precision, str(GRAPH_VERSION)
    return "graph-" + hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
