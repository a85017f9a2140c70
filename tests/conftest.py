"""Shared by all tests: a cache folder of their own, Hypothesis without time limits."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

# No test may fail because the machine is busy.
settings.register_profile("charlstm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("charlstm")


@pytest.fixture(autouse=True, scope="session")
def _signals_reach_what_is_started():
    """Let no run of a test ignore a signal because of how the tests were started.

    A shell lets what runs in its background ignore Ctrl-C, and ``nohup`` SIGHUP. What is caught,
    even to no effect, is as usual in the processes that are started.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep the tests, and the processes they start, out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLSTM_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CHARLSTM_CACHE_MB", raising=False)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all examples of a module."""
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compiled_once(monkeypatch):
    """Let trainings of equal networks share what TensorFlow compiles."""
    from charlstm.optimization import StepRunner
    from tests.compiled import as_new

    monkeypatch.setattr(StepRunner, "__init__", as_new)
