"""Shared by all tests: a cache folder of their own, snapshots, what they compile."""

from __future__ import annotations

import collections
import re
import signal

import pytest

# Before they are imported, so that their asserts too tell what they compared.
pytest.register_assert_rewrite("tests.messages", "tests.snapshots", "tests.cli.helpers")

pytest_plugins = ["tests.trained", "tests.quick"]


def pytest_addoption(parser):
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="run the tests that have snapshots only, and write these anew",
    )
    parser.addoption("--quick", action="store_true", help="run the fast tests: see tests/quick.py")


def pytest_configure(config):
    if config.getoption("--update-snapshots") and config.getoption("numprocesses", None):
        raise pytest.UsageError("--update-snapshots needs one process: leave --numprocesses out")


RUNS, SENTENCES = pytest.StashKey(), pytest.StashKey()


@pytest.hookimpl(tryfirst=True)  # before any are deselected
def pytest_collection_modifyitems(config, items):
    config.stash[RUNS] = collections.Counter((item.path, item.originalname) for item in items)
    if config.getoption("--update-snapshots"):
        items[:] = [item for item in items if {"sentence", "updating"} & {*item.fixturenames}]


def pytest_runtest_makereport(item, call):
    if call.excinfo and SENTENCES in item.stash:
        item.stash[SENTENCES].runs_left = -1  # it was not there to say all of it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """Finish a snapshot once all that the test has replaced is as before."""
    try:
        return (yield)
    finally:
        if SENTENCES in item.stash:
            item.stash[SENTENCES].finish_run()


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


@pytest.fixture
def updating(request):
    """Whether snapshots are written anew."""
    return request.config.getoption("--update-snapshots")


@pytest.fixture(scope="session")
def _sentences():
    """What each test has said, with whatever parameters."""
    return {}


@pytest.fixture
def sentence(request, tmp_path_factory, updating, _sentences):
    """Return a function that asserts which parts a message names, and keeps it as a snapshot.

    Paths of temporary folders are shown as TMP.
    """
    from tests import snapshots
    from tests.messages import assert_names

    test = request.path, request.node.originalname
    if test not in _sentences:
        runs, file = request.config.stash[RUNS][test], snapshots.beside(request.path)
        if any("[" in argument for argument in request.config.args):
            runs = -1  # a part of them: it is not known when all was said
        _sentences[test] = snapshots.Sentences(file, test[1], runs, updating)
    kept = request.node.stash[SENTENCES] = _sentences[test]
    temporary = tmp_path_factory.getbasetemp()

    def check(message, *parts):
        assert_names(message, *parts)
        kept.check(re.sub(rf"{temporary}/[\w-]+", "TMP", str(message)))

    return check


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
    from charlstm.training.step import StepRunner
    from tests.compiled import as_new

    monkeypatch.setattr(StepRunner, "__init__", as_new)
