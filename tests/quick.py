"""``pytest --quick``: the tests that neither train a model nor start TensorFlow.

Tests marked ``slow`` are left out. A test or a test module that would import TensorFlow is skipped
when it tries to: nothing has to be listed, and this process never loads TensorFlow.
"""

from __future__ import annotations

import importlib.abc
import sys

import pytest


class WithoutTensorFlow(importlib.abc.MetaPathFinder):
    """Skips whatever imports TensorFlow or Keras."""

    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            pytest.skip("needs TensorFlow", allow_module_level=True)


def pytest_addoption(parser):
    parser.addoption(
        "--quick",
        action="store_true",
        help="leave out tests that are slow, train a model or import TensorFlow",
    )


def pytest_configure(config):
    if config.getoption("--quick"):
        sys.meta_path.insert(0, WithoutTensorFlow())


def pytest_collection_modifyitems(config, items):
    if config.getoption("--quick"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_sessionfinish(session):
    if session.config.getoption("--quick"):
        assert not {"tensorflow", "keras"} & set(sys.modules)
