"""``pytest --quick``: the tests that neither train a model nor start TensorFlow, in a minute.

Tests marked ``slow`` are left out, and whatever starts many processes or trainings in processes of
their own. A test or a test module that would import TensorFlow is skipped when it tries to: it
needs no mark, and this process never loads TensorFlow. Property tests try fewer examples.
"""

from __future__ import annotations

import importlib.abc
import sys

import pytest
from hypothesis import HealthCheck, settings

# Folders and modules whose tests are slow, all or most of them.
SLOW = (
    *("tests/reliability/", "tests/cli/test_completion.py", "tests/cli/test_examples.py"),
    *("tests/system/test_cache_races.py", "tests/test_end_to_end.py", "tests/test_formats.py"),
    *("tests/test_imports.py", "tests/test_readme.py"),
)

# No test may fail because the machine is busy.
settings.register_profile("charlstm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("charlstm"), max_examples=10)
settings.load_profile("charlstm")


class WithoutTensorFlow(importlib.abc.MetaPathFinder):
    """Skips whatever imports TensorFlow or Keras."""

    def find_spec(self, name, path=None, target=None):
        if name in ("tensorflow", "keras"):
            pytest.skip("needs TensorFlow", allow_module_level=True)


def pytest_configure(config):
    if config.getoption("--quick"):
        sys.meta_path.insert(0, WithoutTensorFlow())
        settings.load_profile("quick")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker("slow")
    if config.getoption("--quick"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_sessionfinish(session):
    if session.config.getoption("--quick"):
        assert not {"tensorflow", "keras"} & set(sys.modules)
