"""Fixtures of all tests: a separate cache folder, snapshots, compiled steps."""

from __future__ import annotations

import collections
import re
import signal

import pytest

# This must come before they are imported, so that pytest explains their assertions too.
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


@pytest.hookimpl(tryfirst=True)  # before tests are deselected
def pytest_collection_modifyitems(config, items):
    config.stash[RUNS] = collections.Counter((item.path, item.originalname) for item in items)
    if config.getoption("--update-snapshots"):
        items[:] = [item for item in items if {"sentence", "updating"} & {*item.fixturenames}]


def pytest_runtest_makereport(item, call):
    if call.excinfo and SENTENCES in item.stash:
        item.stash[SENTENCES].runs_left = -1  # the messages of a failed test are incomplete


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """Finish a snapshot after the replacements of the test are undone."""
    try:
        return (yield)
    finally:
        if SENTENCES in item.stash:
            item.stash[SENTENCES].finish_run()


@pytest.fixture(autouse=True, scope="session")
def _signals_reach_what_is_started():
    """Make sure that processes started by tests do not ignore signals.

    Background processes of a shell ignore Ctrl-C, and ``nohup`` makes them ignore SIGHUP. Child
    processes inherit ignored signals, but not handlers, so a handler is set here.
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
    """Whether snapshots are written again."""
    return request.config.getoption("--update-snapshots")


@pytest.fixture(scope="session")
def _sentences():
    """The messages of each test, for all parameters."""
    return {}


@pytest.fixture
def sentence(request, tmp_path_factory, updating, _sentences):
    """Return a function that asserts the parts of a message and compares it with its snapshot.

    Paths of temporary folders are replaced by TMP.
    """
    from tests import snapshots
    from tests.messages import assert_names

    test = request.path, request.node.originalname
    if test not in _sentences:
        runs, file = request.config.stash[RUNS][test], snapshots.beside(request.path)
        if any("[" in argument for argument in request.config.args):
            runs = -1  # only some parameters run, so messages can be missing
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
    """Change into an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compiled_once(monkeypatch):
    """Let trainings of equal networks share what TensorFlow compiles."""
    from charlstm.training.step import StepRunner
    from tests.compiled import as_new

    monkeypatch.setattr(StepRunner, "__init__", as_new)
