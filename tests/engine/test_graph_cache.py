"""Tests of ``engine.graph_cache``: a cached graph is the one that would be built."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from charlstm.checkpoint.schema import Checkpoint, expected_shapes
from charlstm.config import ModelConfig
from charlstm.engine import graph_cache
from charlstm.engine.graph import build_graph
from charlstm.engine.graph_cache import GRAPH, load_or_build_graph
from charlstm.system import cache

CONFIG = ModelConfig(vocab_size=9, embedding=4, units=8, layers=1)


def model(name):
    """Return the checkpoint of a model with random weights."""
    rng = np.random.default_rng(len(name))
    shapes = expected_shapes(CONFIG).items()
    weights = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes}
    config = SimpleNamespace(model=CONFIG)
    return Checkpoint(Path(name), config, None, weights, None, sha256=name)


@pytest.fixture
def builds(monkeypatch, tmp_path):
    """An empty cache; return the list of precisions for which graphs have been built."""
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    built = []

    def counted(config, weights, precision):
        built.append(precision)
        return build_graph(config, weights, precision)

    monkeypatch.setattr(graph_cache, "build_graph", counted)
    return built


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_graph_is_built_once(builds, precision):
    found = model("one")
    expected = build_graph(found.config.model, found.weights, precision)
    assert [load_or_build_graph(found, precision) for _ in range(3)] == [expected] * 3
    assert builds == [precision]


def test_each_precision_model_and_version_has_its_own_graph(builds, monkeypatch, tmp_path):
    one, other = model("one"), model("another")
    different = {
        load_or_build_graph(one, "int8"),
        load_or_build_graph(one, "float32"),
        load_or_build_graph(other, "int8"),
    }
    assert len(different) == len(builds) == 3
    monkeypatch.setattr(graph_cache, "GRAPH_VERSION", graph_cache.GRAPH_VERSION + 1)
    load_or_build_graph(one, "int8")
    assert len(builds) == 4


def test_the_backward_network_has_its_own_graph(builds):
    found = model("one")
    other = {name: 2 * weight for name, weight in found.weights.items()}
    both = replace(found, backward=other)
    graphs = [load_or_build_graph(both, "int8", backward=each) for each in (False, True) * 2]
    assert graphs[:2] == graphs[2:]
    assert graphs[0] != graphs[1] == build_graph(found.config.model, other, "int8")
    assert len(builds) == 2


@pytest.mark.parametrize("damage", [b"", b"x" * 100])
def test_a_damaged_graph_is_built_again(builds, damage):
    found = model("one")
    expected = load_or_build_graph(found, "int8")
    (entry,) = cache.entries()
    (entry.path / GRAPH).write_bytes(damage)
    assert load_or_build_graph(found, "int8") == expected
    assert load_or_build_graph(found, "int8") == expected
    assert len(builds) == 2


def test_without_a_writable_cache_it_is_built_each_time(builds, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "file" / "cache"))
    found = model("one")
    assert load_or_build_graph(found, "int8") == load_or_build_graph(found, "int8")
    assert builds == ["int8", "int8"]


def exact_weights(config):
    """Return weights that are multiples of 1/8, so that all products and sums are exact."""
    rng = np.random.default_rng(7)
    return {
        name: (rng.integers(-8, 9, shape) / 8).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }


def outline(graph):
    """Return the content of a graph, without what depends on the version of onnx."""
    for node in graph.node:
        attributes = [(each.name, each.i, list(each.ints)) for each in node.attribute]
        yield node.op_type, list(node.input), list(node.output), attributes
        for attribute in node.attribute:
            yield from outline(attribute.g)
    for constant in graph.initializer:
        array = onnx.numpy_helper.to_array(constant)
        yield constant.name, array.dtype.str, array.shape, array.tobytes().hex()
    for value in [*graph.input, *graph.output]:
        sizes = [each.dim_param or each.dim_value for each in value.type.tensor_type.shape.dim]
        yield value.name, value.type.tensor_type.elem_type, sizes


def test_another_graph_of_the_same_weights_needs_another_version(monkeypatch):
    """Users have graphs of this version in their caches, so it must not stand for others.

    If this test fails because graphs are built in another way, increase GRAPH_VERSION, and put the
    new version and digest here.
    """
    digest = hashlib.sha256()
    networks = (
        (False, 2, {}, 2**20, 2**20),
        (True, 1, {}, 0, 2**20),
        (False, 1, {}, 2**20, 0),
        (False, 1, {"attention": 3}, 2**20, 2**20),
        (True, 2, {"attention": 1, "shifted_keys": False}, 0, 2**20),
    )
    for tied, layers, attention, largest, largest_float32 in networks:
        config = ModelConfig(
            vocab_size=9, embedding=8 if tied else 4, units=8, layers=layers, tied=tied, **attention
        )
        monkeypatch.setattr("charlstm.engine.graph.MAX_TABLE", largest)
        monkeypatch.setattr("charlstm.engine.graph._LARGEST_FLOAT32_TABLE", largest_float32)
        for precision in ("int8", "float32"):
            graph = build_graph(config, exact_weights(config), precision)
            for part in outline(onnx.load_from_string(graph).graph):
                digest.update(repr(part).encode())
    assert (graph_cache.GRAPH_VERSION, digest.hexdigest()) == (
        2,
        "71bad7cba0dd60a22633957798170c438645aadf3cb3e3f2823529d299c75a53",
    )
