"""Tests of ``charlstm.graphs``: a kept graph is the one that would be built, or it is built."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from charlstm import cache, graphs
from charlstm.checkpoint import Checkpoint, expected_shapes
from charlstm.config import ModelConfig
from charlstm.engine import build_graph
from charlstm.graphs import GRAPH, kept_graph

CONFIG = ModelConfig(vocab_size=9, embedding=4, units=8, layers=1)


def model(name):
    """Return what is known of a model with random weights."""
    rng = np.random.default_rng(len(name))
    shapes = expected_shapes(CONFIG).items()
    weights = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes}
    config = SimpleNamespace(model=CONFIG)
    return Checkpoint(Path(name), config, None, weights, None, sha256=name)


@pytest.fixture
def builds(monkeypatch, tmp_path):
    """An empty cache; the list of precisions for which a graph has been built."""
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    built = []

    def counted(config, weights, precision):
        built.append(precision)
        return build_graph(config, weights, precision)

    monkeypatch.setattr(graphs, "build_graph", counted)
    return built


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_graph_is_built_once(builds, precision):
    found = model("one")
    expected = build_graph(found.config.model, found.weights, precision)
    assert [kept_graph(found, precision) for _ in range(3)] == [expected] * 3
    assert builds == [precision]


def test_each_precision_each_model_and_each_way_to_build_has_a_graph_of_its_own(
    builds, monkeypatch, tmp_path
):
    one, other = model("one"), model("another")
    different = {kept_graph(one, "int8"), kept_graph(one, "float32"), kept_graph(other, "int8")}
    assert len(different) == len(builds) == 3
    code = tmp_path / "engine.py"
    code.write_text("another way")
    monkeypatch.setattr("charlstm.engine.__file__", str(code))
    kept_graph(one, "int8")
    assert len(builds) == 4


@pytest.mark.parametrize("damage", [b"", b"x" * 100])
def test_a_damaged_graph_is_built_again(builds, damage):
    found = model("one")
    expected = kept_graph(found, "int8")
    (entry,) = cache.entries()
    (entry.path / GRAPH).write_bytes(damage)
    assert kept_graph(found, "int8") == expected
    assert kept_graph(found, "int8") == expected
    assert len(builds) == 2


def test_where_nothing_can_be_kept_it_is_built_each_time(builds, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "file" / "cache"))
    found = model("one")
    assert kept_graph(found, "int8") == kept_graph(found, "int8")
    assert builds == ["int8", "int8"]


def test_where_the_code_is_no_file_it_is_built_each_time(builds, monkeypatch, tmp_path):
    monkeypatch.setattr("charlstm.engine.__file__", str(tmp_path / "archive.zip" / "engine.py"))
    found = model("one")
    assert kept_graph(found, "int8") == kept_graph(found, "int8")
    assert builds == ["int8", "int8"]
