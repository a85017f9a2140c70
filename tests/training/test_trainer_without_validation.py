"""The loop without validation: it trains to the end, keeps the last weights, and can resume."""

import dataclasses
import json

import pytest

from charlstm.checkpoint import reader, schema
from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.distributed import replicas
from charlstm.errors import TrainingError
from charlstm.training import trainer as trainer_module
from charlstm.training.step import StepRunner
from tests.training import helpers
from tests.training.helpers import TEXT, Clock, Stopper, essence, read_state, resume, train

WHOLE = {}


@pytest.fixture
def unvalidated(request_for):
    """Return a function that makes requests for runs that train on all of the text."""

    def build(name, *, lines=False, **choices):
        made = request_for(name, **choices)
        division = made.corpus.division.replace(unit="line" if lines else "file")
        corpus = made.corpus.replace(valid_fraction=0.0, division=division)
        return dataclasses.replace(made, corpus=corpus)

    return build


@pytest.fixture
def whole(unvalidated):
    """The essence of an uninterrupted run."""
    if not WHOLE:
        request = unvalidated("whole")
        train(request)
        WHOLE["essence"] = essence(request.output)
    return WHOLE["essence"]


@pytest.fixture(autouse=True)
def _nothing_is_validated(monkeypatch):
    monkeypatch.setattr(StepRunner, "validate", lambda *_: pytest.fail("validates"))


@pytest.mark.parametrize("lines", [False, True])
def test_all_of_the_text_trains_and_the_last_weights_are_kept(unvalidated, lines):
    observer, request = Stopper(), unvalidated("model", lines=lines)
    losses = []
    observer.on_step = lambda step, done, loss, speed: losses.append(loss)
    outcome = train(request, observer)
    assert (outcome.step, outcome.stop_reason, outcome.best.step) == (30, "budget", 30)
    found, history = read_checkpoint(request.output), read_history(request.output)
    assert found.figures == history[-1] == outcome.best
    assert [figures.step for figures in history] == [10, 20, 30]
    for start, figures in zip((0, 10, 20), history, strict=True):
        assert figures.train_loss == pytest.approx(sum(losses[start : start + 10]) / 10)
        assert figures.valid_loss is figures.valid_bits_per_character is None
        assert figures.valid_perplexity is figures.valid_word_perplexity is None
    for line in (request.output / schema.HISTORY).read_text().splitlines():
        assert json.loads(line)["valid_loss"] is None
    assert all(is_best for _, is_best in observer.evaluations)
    origin = found.config.provenance
    assert origin.valid_tokens == origin.valid_characters == origin.valid_words == 0
    assert origin.characters == len(TEXT)
    assert origin.train_tokens == len(TEXT) + (0 if lines else 1)
    assert reader.is_finished(request.output)
    assert "not validated" in found.summary


@pytest.mark.parametrize("patience", [1, 2])
def test_it_never_stops_early(unvalidated, monkeypatch, patience):
    monkeypatch.setattr(StepRunner, "train", lambda self, b, s, step, *_: (step, s))
    monkeypatch.setattr(trainer_module.DivergenceCheck, "loss", lambda *_: None)
    observer = Stopper()
    outcome = train(unvalidated("worse", eval_every=1, patience=patience), observer)
    assert (outcome.step, outcome.stop_reason) == (30, "budget")
    assert observer.overfitting == []


@pytest.mark.parametrize("stops", [(7,), (15, 1, 8), (29,)])
def test_resumed_equals_uninterrupted(unvalidated, whole, stops):
    check_resumed(unvalidated("stopped"), whole, stops)


def test_resumed_equals_uninterrupted_with_a_new_network(unvalidated, whole, fresh_networks):
    check_resumed(unvalidated("stopped"), whole, (10, 5))


def check_resumed(request, whole, stops):
    assert train(request, Stopper(stops[0])).stop_reason == "interrupted"
    for after in stops[1:]:
        assert resume(request.output, Stopper(after)).stop_reason == "interrupted"
    assert resume(request.output).stop_reason == "budget"
    assert essence(request.output) == whole


@pytest.mark.parametrize("stop", [2, 10, 14])
def test_an_interrupted_run_holds_its_latest_averages(unvalidated, stop):
    request = unvalidated("stopped")
    outcome = train(request, Stopper(stop))
    found = read_checkpoint(request.output)
    assert found.figures == outcome.best
    assert (found.figures.step, found.figures.valid_loss) == (stop, None)
    assert found.figures.train_loss > 0
    tensors, _ = read_state(request.output)
    for name, weight in found.weights.items():
        assert (tensors[f"averages/{name}"] == weight).all()
    assert [figures.step for figures in read_history(request.output)] == [10][: stop // 10]


@pytest.mark.parametrize("method", ["model", "history", "resume"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_crash_before_any_write_equals_uninterrupted(
    unvalidated, whole, monkeypatch, method, call
):
    request = unvalidated("crashed", save_every=1e-9)
    real, calls = getattr(CheckpointWriter, method), []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) == (10 * call + 1 if method == "resume" else call):
            raise RuntimeError("crash")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, method, fail)
        with pytest.raises(RuntimeError, match="crash"):
            train(request)
    assert resume(request.output).stop_reason == "budget"
    assert essence(request.output) == whole


def test_a_budget_in_minutes_reports_and_ends(unvalidated, monkeypatch):
    """Also after a crash, when the checkpoint's weights are of a later step than the state."""
    request = unvalidated("minutes", steps=None, minutes=0.2, eval_every=5)
    clock = Clock()
    for module in (helpers, replicas):
        monkeypatch.setattr(module, "time", clock)

    class Slow(Stopper):
        """Takes half a second per step."""

        def on_step(self, *step):
            super().on_step(*step)
            clock.now += 0.5

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "history", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(request, Slow())
    assert read_checkpoint(request.output).figures.step == 5
    outcome = resume(request.output, Slow(7))
    found = read_checkpoint(request.output)
    assert (found.figures.step, outcome.best) == (7, found.figures)
    outcome = resume(request.output, Slow())
    assert outcome.stop_reason == "budget"
    assert read_checkpoint(request.output).figures.step == outcome.step == outcome.best.step


def test_a_loss_that_explodes_ends_the_run(unvalidated, monkeypatch):
    monkeypatch.setattr(StepRunner, "train", lambda self, b, s, step, *_: (10.0**step, s))
    with pytest.raises(TrainingError, match="training loss has exploded"):
        train(unvalidated("exploded"))


def test_such_a_model_can_be_fine_tuned(unvalidated):
    parent = unvalidated("parent")
    train(parent)
    again = dataclasses.replace(unvalidated("again"), parent=parent.output)
    again = dataclasses.replace(again, choices={"steps": 2, "streams": 4, "sequence_length": 10})
    assert train(again).best.valid_loss is None
