"""Tests of ``charlstm.train``: the command from Python, in a program that continues afterwards."""

import io
import signal
import subprocess
import sys
import threading

import pytest

import charlstm
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import MODEL, RESUME
from charlstm.cli.app import run_command_line
from charlstm.errors import CheckpointExists, ConfigError, CorpusError, UsageError
from charlstm.training.options import request_of
from tests.cli.helpers import TINY
from tests.messages import raises_naming

TEXT = "the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\n" * 60
QUICK = {
    "units": 16, "layers": 1, "embedding": 8, "streams": 4, "learning_rate": 0.02,
    "sequence_length": 10, "steps": 4, "eval_every": 2, "quiet": True,
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("compiled_once", "here")


@pytest.fixture
def tale(here):
    (here / "tale.txt").write_text(TEXT)
    return here / "tale.txt"


class Stopper(charlstm.Observer):
    """Records the calls it gets, and acts after some steps."""

    def __init__(self, after=None, act=lambda: None):
        self.after, self.act = after, act
        self.calls, self.steps, self.stops = [], 0, False

    def on_plan(self, run):
        self.calls.append("plan")

    def on_start(self, hardware, step, steps):
        self.calls.append(("start", step, steps))

    def on_step(self, step, done, loss, tokens_per_second):
        self.steps += 1
        if self.steps == self.after:
            self.act()

    def on_evaluation(self, figures, is_best, weights):
        self.calls.append(("evaluation", figures.step))


def weights_in(folder):
    return {name: array.tobytes() for name, array in read_checkpoint(folder).weights.items()}


def test_it_trains_what_the_command_trains(tale, capfd):
    model = charlstm.train("tale.txt", **QUICK, seed=7, dropout=0.2)
    arguments = [*TINY, "--sequence-length", 10, "--steps", 4, "--eval-every", 2, "--seed", 7]
    command = ["train", tale, *arguments, "--dropout", 0.2, "-o", "other", "-q"]
    capfd.readouterr()
    assert run_command_line([*map(str, command)]) == 0
    assert str(model.folder) == "checkpoints/tale"
    assert weights_in(model.folder) == weights_in(tale.parent / "other")
    ours, theirs = (read_checkpoint(f).config for f in (model.folder, tale.parent / "other"))
    assert (ours.model, ours.train, ours.tokenizer) == (
        theirs.model,
        theirs.train,
        theirs.tokenizer,
    )


def test_the_model_can_be_used_and_reports_how_it_was_trained(tale, capfd):
    model = charlstm.train(tale, **QUICK)
    assert 0 < len(model.generate(length=20, seed=1)[0].text) <= 20
    assert (model.training.step, model.training.stop_reason) == (4, "budget")
    assert model.training.best.valid_loss == model.checkpoint.figures.valid_loss
    assert isinstance(model, charlstm.LanguageModel)
    assert isinstance(model.training, charlstm.TrainingResult)
    assert capfd.readouterr().out == ""


def test_texts_are_given_as_strings(tale):
    named = charlstm.train([tale], **QUICK)
    given = charlstm.train(texts=[TEXT], **QUICK)
    assert str(given.folder) == "checkpoints/python-strings"
    assert weights_in(given.folder) == weights_in(named.folder)
    assert given.checkpoint.config.provenance.sources == ("text",)


def test_each_text_is_a_document(here):
    texts = [f"{number}: the lazy dog sleeps; the fox jumps.\n" * 20 for number in range(5)]
    for number, text in enumerate(texts):
        (here / f"{number}.txt").write_text(text)
    given = charlstm.train(texts=texts, **QUICK)
    named = charlstm.train([f"{number}.txt" for number in range(5)], **QUICK)
    assert given.checkpoint.config.provenance.documents == 5
    assert weights_in(given.folder) == weights_in(named.folder)


def test_lines_of_strings_are_documents():
    names = [f"{a}{b}{c}" for a in "abcdefgh" for b in "aeiou" for c in ("na", "lo", "mir")]
    model = charlstm.train(texts=names, lines=True, output="names", **QUICK)
    assert model.checkpoint.config.provenance.documents == len(names)
    assert str(model.folder) == "names"


@pytest.mark.parametrize("given", ["texts", "corpus"])
def test_a_run_that_an_observer_stops_is_resumed(tale, given):
    """A text that is not in a file is stored in the checkpoint until the run is complete."""
    source = {"texts": [TEXT]} if given == "texts" else {"corpus": tale}
    whole = charlstm.train(**source, **QUICK, output="whole")
    observer = Stopper()
    observer.should_stop = lambda: observer.steps >= 3
    stopped = charlstm.train(**source, **QUICK, output="stopped", observer=observer)
    assert stopped.training.stop_reason == "interrupted"
    assert observer.calls == ["plan", ("start", 0, 4), ("evaluation", 2)]
    assert (stopped.folder / RESUME).exists()
    resumed = charlstm.train(resume=stopped.folder, quiet=True)
    assert resumed.training.stop_reason == "budget"
    assert weights_in(resumed.folder) == weights_in(whole.folder)
    assert {path.name for path in resumed.folder.iterdir()} == {
        path.name for path in whole.folder.iterdir()
    }


def test_ctrl_c_saves_and_returns_the_model(tale):
    before = signal.getsignal(signal.SIGINT)
    observer = Stopper(3, lambda: signal.raise_signal(signal.SIGINT))
    model = charlstm.train(tale, **QUICK, observer=observer)
    assert (model.training.step, model.training.stop_reason) == (3, "interrupted")
    assert model.generate(length=5, seed=1)[0].text
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_twice_ends_at_once(tale):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        charlstm.train(tale, **QUICK, observer=Stopper(3, twice))
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_there_is_anything_to_save_leaves_nothing(tale, monkeypatch):
    monkeypatch.setattr(
        "charlstm.training.run.execute", lambda *_, **__: signal.raise_signal(signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt):
        charlstm.train(tale, **QUICK)
    assert [path.name for path in tale.parent.iterdir()] == ["tale.txt"]


def test_in_another_thread_no_handler_is_installed(tale):
    found, before = [], signal.getsignal(signal.SIGINT)
    observer = Stopper(1, lambda: found.append(signal.getsignal(signal.SIGINT)))

    def work():
        found.append(charlstm.train(tale, **QUICK, observer=observer))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    handler, model = found
    assert handler is before
    assert model.training.stop_reason == "budget"


NOTEBOOK = """
import io, sys
sys.stdout, sys.stderr, sys.stdin = io.StringIO(), io.StringIO(), io.StringIO()
import charlstm
options = dict(units=8, layers=1, embedding=4, streams=4, sequence_length=10, steps=2)
first = charlstm.train("tale.txt", **options)
second = charlstm.train("tale.txt", **options)
assert str(second.folder) == "checkpoints/tale-2", second.folder
assert (first.checkpoint.weights["output/bias"] == second.checkpoint.weights["output/bias"]).all()
printed = sys.stdout.getvalue() + sys.stderr.getvalue()
sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
assert printed == "", printed
"""


def test_streams_without_descriptors_are_enough(tale):
    """Two runs in one process, as in a notebook. Without a terminal, nothing is printed."""
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], cwd=tale.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("budget", [{"steps": 4}, {"steps": None, "minutes": 0.02}])
def test_a_terminal_shows_a_bar(tale, monkeypatch, budget):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    charlstm.train(tale, **QUICK | {"quiet": False} | budget)
    assert "loss" in shown.getvalue()
    assert "valid" in shown.getvalue()


@pytest.mark.parametrize(
    ("corpus", "options", "parts"),
    [
        ((), {}, ["corpus", "texts"]),
        ("tale.txt", {"texts": ["a"]}, ["corpus", "texts"]),
        ((), {"texts": "abc"}, ["texts", "a string", "[text]"]),
        ((), {"texts": [b"abc"]}, ["texts", "bytes", "strings"]),
        ((), {"texts": [""]}, ["texts", "empty"]),
        ((), {"texts": ["a\ud800b"]}, ["text 0", "surrogate", "character 1"]),
        ((), {"texts": ["abc"], "encoding": "latin-1"}, ["encoding", "texts"]),
        ((), {"texts": ["abc"], "valid": "-"}, ["-", "texts"]),
        ("tale.txt", {"epochs": 1}, ["epochs", "steps"]),
        ("tale.txt", {"overwrite": True}, ["overwrite", "output"]),
        ("tale.txt", {"min_count": 3}, ["min_count", "level='word'"]),
        ("tale.txt", {"no_index": True}, ["no_index", "lines"]),
        ("tale.txt", {"valid": "tale.txt", "valid_fraction": 0.1}, ["valid", "valid_fraction"]),
        ("tale.txt", {"resume": "x"}, ["resume"]),
        (
            "tale.txt",
            {"from_checkpoint": "x", "layers": None, "embedding": None},
            ["from_checkpoint", "x", "units"],
        ),
    ],
)
def test_options_that_can_not_be_combined_are_named(tale, sentence, corpus, options, parts):
    with pytest.raises(UsageError) as caught:
        charlstm.train(corpus, **QUICK | options)
    sentence(caught.value, *parts)
    assert not (tale.parent / "checkpoints").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("streams", 0), ("dropout", 1.5), ("learning_rate", -1.0), ("seed", -1), ("size", "x")],
        *[("level", "byte"), ("valid_fraction", 2), ("units", 0), ("threads", 0), ("lines", "no")],
        *[("threads", 1.5), ("warmup_steps", "many"), ("steps", 0), ("decode_errors", "x")],
    ],
)
def test_values_out_of_range_are_named(tale, name, value):
    with raises_naming(ConfigError, name):
        charlstm.train(tale, **QUICK | {name: value})
    assert not (tale.parent / "checkpoints").exists()


@pytest.mark.parametrize(("attention", "reach"), [(True, 64), (False, 0), (5, 5)])
def test_the_window_of_the_attention_has_a_default(attention, reach):
    request = request_of(["tale.txt"], {"attention": attention})
    assert request.choices["attention"] == reach


def test_an_option_that_does_not_exist_is_refused(tale):
    with pytest.raises(TypeError, match="unexpected keyword argument 'lenght'"):
        charlstm.train(tale, lenght=3)


def test_errors_are_those_of_the_command(tale):
    with raises_naming(CorpusError, "nowhere.txt"):
        charlstm.train("nowhere.txt", **QUICK)
    charlstm.train(tale, **QUICK, output="model")
    with pytest.raises(CheckpointExists):
        charlstm.train(tale, **QUICK, output="model")
    again = charlstm.train(tale, **QUICK, output="model", overwrite=True, seed=2)
    assert (again.folder / MODEL).exists()


def test_a_model_is_fine_tuned(tale):
    parent = charlstm.train(tale, **QUICK)
    child = charlstm.train(
        texts=["A NEW TEXT 123. " * 100],
        from_checkpoint=parent.folder,
        steps=4,
        sequence_length=10,
        quiet=True,
    )
    old, new = parent.tokenizer.vocabulary, child.tokenizer.vocabulary
    assert new[: len(old)] == old
    assert len(new) > len(old)


def test_several_workers_need_the_command(tale, monkeypatch, sentence):
    cluster = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", cluster)
    with pytest.raises(UsageError) as caught:
        charlstm.train(tale, **QUICK)
    sentence(caught.value, "TF_CONFIG", "several workers")


def test_a_file_named_like_the_address_of_strings_is_not_read(here):
    (here / "python-strings").write_text("quite another text. " * 100)
    observer = Stopper(after=2, act=lambda: setattr(observer, "stops", True))
    observer.should_stop = lambda: observer.stops
    options = {"observer": observer, "output": "model", **QUICK}
    started = charlstm.train(texts=[TEXT], **options)
    observer.stops, observer.after = False, None
    done = charlstm.train(resume="model", observer=observer)
    assert done.training.stop_reason == "budget"
    assert done.tokenizer.vocabulary == started.tokenizer.vocabulary == tuple(sorted(set(TEXT)))


@pytest.mark.parametrize("option", ["output", "resume", "from_checkpoint"])
def test_a_folder_that_is_not_a_path_is_refused(here, option):
    corpus = () if option == "resume" else "tale.txt"
    with raises_naming(ConfigError, option, 3):
        charlstm.train(corpus, **{option: 3})


@pytest.mark.parametrize(
    ("corpus", "options", "parts"),
    [
        (3, {}, ["3"]),
        (["tale.txt", 2], {}, ["2"]),
        ("tale.txt", {"valid": 3}, ["3"]),
        ("tale.txt", {"overwrite": "no", "output": "model"}, ["overwrite", "'no'"]),
        ("tale.txt", {"output": ""}, ["output"]),
    ],
)
def test_values_of_the_wrong_type_are_refused(here, corpus, options, parts):
    with raises_naming(ConfigError, *parts):
        charlstm.train(corpus, **options)


def test_an_interrupt_within_an_observer_saves_and_returns_too(tale):
    def interrupt():
        raise KeyboardInterrupt

    model = charlstm.train(tale, observer=Stopper(after=3, act=interrupt), output="model", **QUICK)
    assert (model.training.stop_reason, model.training.step) == ("interrupted", 3)
