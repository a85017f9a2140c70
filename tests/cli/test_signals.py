"""Signals: an end before there is anything to save, afterwards a wish to save."""

import errno
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from charlstm.__main__ import main
from charlstm.cli.app import run_command_line
from charlstm.cli.exit_status import WORDS, exit_status
from charlstm.cli.signals import Signals, Stopped
from charlstm.errors import CharlstmError
from tests.cli.helpers import TINY
from tests.messages import assert_error

NUMBERS = sorted(WORDS)
FIGURES = (
    *("train_loss", "valid_bits_per_character", "valid_perplexity", "valid_word_perplexity"),
    *("backward_train_loss", "backward_valid_loss"),
)


@pytest.fixture(autouse=True)
def _own_handlers():
    """Let nothing that is tested here end the tests."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_of_a_resumed_run_something_is_saved():
    with Signals(is_new=False), pytest.raises(Stopped) as caught:
        signal.raise_signal(signal.SIGINT)
    assert not caught.value.is_new


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_ends_what_has_nothing_to_save(number):
    with Signals() as signals, pytest.raises(Stopped) as caught:
        signal.raise_signal(number)
    assert (caught.value.number, caught.value.is_new) == (number, True)
    # Some import may swallow what was raised: a run then stops as it begins.
    assert signals.number == number
    assert all(signal.getsignal(each) is signal.SIG_DFL for each in NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_deferred_signal_is_remembered_and_the_first_counts(number):
    with Signals() as signals:
        signals.defer()
        signal.raise_signal(number)
        assert signals.number == number
        for other in (signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(other)
        assert signals.number == number
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # once more ends at once


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_ignored_stays_ignored(number):
    """``nohup`` ignores SIGHUP, and a shell's script SIGINT for what runs in the background."""
    signal.signal(number, signal.SIG_IGN)
    with Signals() as signals:
        signal.raise_signal(number)
        assert signals.number == 0
    assert signal.getsignal(number) is signal.SIG_IGN


def test_an_ignored_interrupt_stays_ignored_after_another_signal():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Signals() as signals:
        signals.defer()
        signal.raise_signal(signal.SIGTERM)
        assert signals.number == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_run_that_is_stopped_before_it_begins_leaves_nothing(
    tmp_path, monkeypatch, capfd, sentence, number, status
):
    """The corpus comes through a pipe, which is kept in a temporary file until the run begins."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "kept"))

    def stopped(*arguments, **options):
        assert list((tmp_path / "kept").iterdir())
        signal.raise_signal(number)

    monkeypatch.setattr("charlstm.training.setup.new_run", stopped)
    with open(__file__, encoding="utf-8") as text:
        monkeypatch.setattr("sys.stdin", text)
        assert run_command_line(["train", "-"]) == status == exit_status(number)
    out, err = capfd.readouterr()
    assert (out, err) == ("", f"{WORDS[number]} Nothing was saved.\n")
    sentence(err.strip())
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert not list((tmp_path / "kept").iterdir())


def test_ctrl_c_once_more_while_the_command_ends_is_no_traceback(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("charlstm.cli.app.run_command_line", interrupted)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130


@pytest.fixture
def failing(charlstm, monkeypatch):
    """Return a function that runs a command in which an exception is raised."""

    def run(error):
        def load(*arguments):
            raise error

        monkeypatch.setattr("charlstm.checkpoint.reader.read_checkpoint", load)
        return charlstm("look", "model", "-o", "page.html")

    return run


NO_MEMORY = (
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    ImportError("bad_alloc"),
)


@pytest.mark.parametrize("error", NO_MEMORY, ids=repr)
def test_a_library_that_finds_no_memory_is_told_as_such(failing, sentence, error):
    done = failing(error)
    assert_error(done, 1, "out of memory", "--size")
    sentence(done.err.removesuffix("\n"))


@pytest.mark.parametrize(
    "error",
    [
        SystemError("<f> returned NULL without setting an exception"),
        ValueError("a number that cannot allocate memory"),
        RuntimeError("bad_alloc"),
        ImportError("No module named 'onnxruntime'"),
    ],
    ids=repr,
)
def test_a_bug_that_only_mentions_memory_is_not_hidden(failing, error):
    with pytest.raises(type(error)) as caught:
        failing(error)
    assert caught.value is error


@pytest.mark.parametrize(
    "error", [MemoryError("of the test"), CharlstmError("of the test"), OSError("of the test")]
)
def test_a_traceback_is_shown_if_asked_for(failing, monkeypatch, error):
    assert "Traceback" not in failing(error).err
    monkeypatch.setenv("CHARLSTM_DEBUG", "1")
    done = failing(error)
    assert done.status == 1
    assert done.err.startswith("Traceback (most recent call last):\n")
    assert f"{type(error).__name__}: of the test\n" in done.err
    assert done.err.splitlines()[-1].startswith("Error: ")


def test_a_run_that_is_stopped_before_its_first_evaluation_leaves_a_model_that_writes(
    charlstm, corpus, monkeypatch, compiled_once
):
    def on_step(report, step, *_):
        if step == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("charlstm.cli.train_report.TrainReport.on_step", on_step)
    done = charlstm("train", corpus, *TINY, "--steps", 9, "-o", "model")
    assert (done.status, done.out) == (130, "model\n")
    assert " valid " not in done.err
    told = charlstm("info", "model").out
    assert "validation  none yet" in told
    assert re.search(r"^last +step 2,", told, re.MULTILINE)
    written = charlstm("generate", "model", "-n", 20, "--seed", 1, "-q")
    assert (written.status, len(written.out)) == (0, 21)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_run_that_was_stopped_ends_with_its_signal_though_stdout_is_closed(
    charlstm, monkeypatch, sentence, options
):
    best = SimpleNamespace(step=1, valid_loss=None, **dict.fromkeys(FIGURES))

    def execute(run, watcher, **rest):
        watcher.signals.defer()
        signal.raise_signal(signal.SIGTERM)
        assert watcher.should_stop()
        return SimpleNamespace(
            step=1, epochs=1.0, tokens=1, seconds=1.0, tokens_per_second=1.0, best=best,
            stop_reason="interrupted",
        )  # fmt: skip

    monkeypatch.setattr("charlstm.training.run.execute", execute)
    Path("corpus.txt").write_text("a text of some length; " * 200)
    monkeypatch.setattr("sys.stdout", None)
    done = charlstm("train", "corpus.txt", "-o", "model", *options)
    assert done.status == 143
    assert done.err.endswith(" charlstm train --resume model\n")
    sentence(done.err.splitlines()[-1])
