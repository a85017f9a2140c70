"""Tests of ``tests.quick``: the tests that it leaves out."""

from pathlib import Path

import pytest

from tests.quick import SLOW, WithoutTensorFlow

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("library", ["tensorflow", "keras"])
def test_whatever_imports_tensorflow_is_skipped(library):
    finder = WithoutTensorFlow()
    with pytest.raises(pytest.skip.Exception):
        finder.find_spec(library)
    assert finder.find_spec("numpy") is None


@pytest.mark.parametrize("name", SLOW)
def test_slow_tests_exist(name):
    path, _, test = name.partition("::")
    assert (ROOT / path).exists()
    assert not test or f"def {test}(" in (ROOT / path).read_text()
