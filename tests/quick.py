"""``pytest --quick``: tests that neither train a model nor import TensorFlow, in a minute or two.

Tests marked ``slow`` are left out, and tests that start many processes or train in other processes.
A test or test module that tries to import TensorFlow is skipped, so it needs no mark, and this
process never loads TensorFlow. Property tests try fewer examples.
"""

from __future__ import annotations

import importlib.abc
import os
import sys

import pytest
from hypothesis import HealthCheck, settings

# Folders and modules with all or mostly slow tests, and single slow tests.
SLOW = (
    *("tests/reliability/", "tests/cli/test_completion.py", "tests/cli/test_examples.py"),
    *("tests/system/test_cache_races.py", "tests/test_end_to_end.py", "tests/test_formats.py"),
    *("tests/test_imports.py", "tests/docs/test_pages.py", "tests/evaluation/test_keystrokes.py"),
    "tests/checkpoint/test_reader.py::test_damaged_hashes",
    "tests/corpus/test_documents.py::test_memory_does_not_grow_with_the_corpus",
    "tests/corpus/test_reading.py::test_a_compressed_file_that_expands_too_far",
    "tests/engine/test_inference.py::test_sequences_read_together_have_the_bits_of_each_alone",
    "tests/engine/test_inference.py::test_a_row_has_the_same_bits_alone_and_beside_others",
    "tests/evaluation/test_scoring.py::test_a_text_has_the_same_score_in_any_batch",
    "tests/evaluation/test_scoring.py::test_the_tokens_of_a_stream_are_in_order",
    "tests/evaluation/test_word_metrics.py::test_the_seed_determines_the_sample",
    "tests/generation/test_constraints.py::test_a_long_prompt_is_not_repeated_as_a_whole",
    "tests/prediction/test_piece_grammar.py::test_the_first_word_of_a_certain_text_is_found",
    "tests/prediction/test_piece_grammar.py::test_a_search_for_one_kind_of_word_finds_no_other",
    "tests/prediction/test_predictor.py::test_a_batch_predicts_the_same_as_single_contexts",
    "tests/prediction/test_predictor.py::test_cached_prompts_do_not_change_predictions",
    "tests/system/test_files.py::test_files_of_other_threads_keep_their_permissions",
)

# A test must not fail because the machine is busy. In CI, the examples of a test are always the
# same. Elsewhere, they are new in each run.
settings.register_profile(
    "charlstm",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("charlstm"), max_examples=10)
settings.load_profile("charlstm")


class WithoutTensorFlow(importlib.abc.MetaPathFinder):
    """Skips tests that import TensorFlow or Keras."""

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
        slow = {item for item in items if item.get_closest_marker("slow")}
        config.hook.pytest_deselected(items=[*slow])
        items[:] = [item for item in items if item not in slow]


def pytest_sessionfinish(session):
    if session.config.getoption("--quick"):
        assert not {"tensorflow", "keras"} & set(sys.modules)
