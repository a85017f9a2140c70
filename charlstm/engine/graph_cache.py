"""Loads the graph of a checkpoint from the cache, or builds it, so that commands start faster.

A cached graph depends on the weights and on the code that builds graphs. Its key includes both.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from charlstm.checkpoint.schema import Checkpoint
from charlstm.engine.graph import EnginePrecision, build_graph
from charlstm.errors import StorageError
from charlstm.system import cache

# Part of the key of each cached graph. Increase it when the same weights give another graph.
GRAPH_VERSION = 2

GRAPH = "graph"


def load_or_build_graph(
    checkpoint: Checkpoint, precision: EnginePrecision, *, backward: bool = False
) -> bytes:
    """Return the bytes of the ONNX graph of a network, from the cache if possible.

    Otherwise the graph is built and cached. If the cache isn't writable, as in a read-only home
    folder, the graph is built each time.

    Args:
        checkpoint: the model.
        precision: the precision of the graph.
        backward: whether to return the graph of the backward network, which the model must have.

    Raises:
        ConfigError: if an environment variable of the cache is invalid, or the model is too large.
    """

    @functools.cache
    def built() -> bytes:
        weights = checkpoint.backward if backward else checkpoint.weights
        return build_graph(checkpoint.config.model, weights or {}, precision)

    def build(folder: Path) -> None:
        (folder / GRAPH).write_bytes(built())

    def read(folder: Path) -> bytes:
        return (folder / GRAPH).read_bytes()

    try:
        return cache.obtain(_key(checkpoint, precision, backward=backward), build, read)
    except StorageError:
        return built()


def _key(checkpoint: Checkpoint, precision: EnginePrecision, *, backward: bool) -> str:
    """Return a key made from weights, precision, ``GRAPH_VERSION`` and the network."""
    parts = [checkpoint.sha256, precision, str(GRAPH_VERSION)] + ["backward"] * backward
    return "graph-" + hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32]
