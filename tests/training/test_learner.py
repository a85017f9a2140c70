"""Tests of ``training.learner``: two networks learn in one run, and neither changes the other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.schema import BACKWARD
from charlstm.engine.inference import build_engine
from charlstm.errors import TrainingError
from charlstm.export import export_checkpoint
from charlstm.metrics import log_probabilities
from charlstm.training import setup
from charlstm.training.step import StepRunner
from tests.training.helpers import Stopper, essence, read_state, resume, train

BOTH = {"bidirectional": True}


def of_backward(folder):
    """Return the part of a checkpoint that is about the backward network, as ``essence``."""
    weights = {name: array.tobytes() for name, array in read_checkpoint(folder).backward.items()}
    losses = [(f.backward_train_loss, f.backward_valid_loss) for f in read_history(folder)]
    return weights, losses


def forward_essence(folder):
    weights, history, *rest = essence(folder)
    for figures in history:
        del figures["backward_train_loss"], figures["backward_valid_loss"]
    return weights, history, *rest


@pytest.mark.parametrize("level", ["char", "subword", "word"])
def test_the_forward_network_is_that_of_a_run_without_the_option(request_for, level):
    options = {"level": level, "eval_every": None, "streams": 8, "shards": None}
    one, both = request_for("one", **options), request_for("both", **options, **BOTH)
    train(one)
    train(both)
    assert forward_essence(both.output) == forward_essence(one.output)
    assert read_checkpoint(one.output).backward is None
    losses = of_backward(both.output)[1]
    assert all(0 < loss < 5 for pair in losses for loss in pair)


def test_both_networks_learn(request_for):
    request = request_for("both", steps=90, eval_every=30, learning_rate=0.03, **BOTH)
    train(request)
    first, *_, last = read_history(request.output)
    assert last.backward_valid_loss < first.backward_valid_loss - 0.1
    assert abs(last.backward_valid_loss - last.valid_loss) < 0.5
    found = read_checkpoint(request.output)
    assert {n: w.shape for n, w in found.backward.items()} == {
        n: w.shape for n, w in found.weights.items()
    }
    kernel = "lstm_0/kernel"
    assert not np.allclose(found.backward[kernel], found.weights[kernel], atol=0.01)


def test_the_backward_loss_is_that_of_the_reversed_text(request_for):
    request = request_for("both", precision="float32", **BOTH)
    prepared = setup.new_run(request, None)
    train(request)
    found = read_checkpoint(request.output)
    engine = build_engine(found.config.model, found.backward, precision="float32", threads=1)
    ids = np.asarray(prepared.prepared.store.valid)[::-1].astype(np.int64)
    logits, _ = engine.run(ids[np.newaxis, :-1], engine.initial_state(1))
    loss = -log_probabilities(logits, ids[np.newaxis, 1:]).mean()
    assert loss == pytest.approx(found.figures.backward_valid_loss, abs=1e-4)


@pytest.mark.parametrize("stops", [(1,), (10,), (7, 21)])
def test_resumed_equals_uninterrupted(request_for, fresh_networks, stops):
    whole, stopped = request_for("whole", **BOTH), request_for("stopped", **BOTH)
    train(whole)
    assert train(stopped, Stopper(stops[0])).stop_reason == "interrupted"
    for stop in stops[1:]:
        resume(stopped.output, Stopper(stop - stops[0]))
    resume(stopped.output)
    assert essence(stopped.output) == essence(whole.output)
    assert of_backward(stopped.output) == of_backward(whole.output)


def test_the_resume_file_has_the_state_of_both(request_for):
    request = request_for("both", **BOTH)
    train(request, Stopper(4))
    tensors, progress = read_state(request.output)
    forward = {name for name in tensors if not name.startswith(BACKWARD)}
    assert {name.removeprefix(BACKWARD) for name in tensors.keys() - forward} == forward
    assert progress.backward_loss_sum != progress.train_loss_sum


def test_without_validation_the_training_loss_is_reported(request_for):
    request = request_for("both", **BOTH)
    request = replace(request, corpus=request.corpus.replace(valid_fraction=0.0))
    train(request)
    figures = read_checkpoint(request.output).figures
    assert figures.backward_valid_loss is None
    assert 0 < figures.backward_train_loss < 5


def test_only_the_forward_loss_decides(request_for, monkeypatch):
    """The validation loss of the backward network rises, that of the forward one falls."""
    losses = iter([3.0, 1.0, 2.5, 2.0, 2.0, 3.0])
    monkeypatch.setattr(StepRunner, "validate", lambda *_: next(losses))
    request = request_for("both", **BOTH)
    observer = Stopper()
    train(request, observer)
    assert [is_best for _, is_best in observer.evaluations] == [True] * 3
    figures = read_checkpoint(request.output).figures
    assert (figures.step, figures.valid_loss, figures.backward_valid_loss) == (30, 2.0, 3.0)


def test_a_backward_loss_that_is_not_finite_stops_the_run(request_for, monkeypatch, sentence):
    real, losses = StepRunner.train, []

    def broken(*arguments):
        loss, states = real(*arguments)
        losses.append(loss)
        return (math.nan if len(losses) == 6 else loss), states

    monkeypatch.setattr(StepRunner, "train", broken)
    with pytest.raises(TrainingError) as caught:
        train(request_for("broken", **BOTH))
    sentence(caught.value, "backward training loss", "not finite", "step 3")


def test_a_bidirectional_parent_has_a_bidirectional_child(request_for, tmp_path):
    parent = request_for("parent", **BOTH)
    train(parent)
    small = tmp_path / "small"
    export_checkpoint(read_checkpoint(parent.output), small)
    for folder in (parent.output, small):
        child = request_for("child", text="Zwölf Boxkämpfer jagen Viktor.\n" * 60)
        left_open = {"layers", "units", "embedding"}
        choices = {name: v for name, v in child.choices.items() if name not in left_open}
        child = replace(child, parent=folder, choices=choices, overwrite=True)
        run = setup.new_run(child, None)
        assert run.config.model.bidirectional
        loaded = read_checkpoint(folder)
        known = len(loaded.weights["output/bias"])
        for prefix, weights in (("", loaded.weights), (BACKWARD, loaded.backward)):
            bias = run.weights[f"{prefix}output/bias"]
            assert len(bias) == run.config.model.vocab_size > known
            np.testing.assert_array_equal(bias[:known], weights["output/bias"])


def test_a_fine_tuned_model_learns_in_both_directions(request_for):
    parent = request_for("parent", **BOTH)
    train(parent)
    child = request_for("child", text="the lazy dog sleeps. a fox!\n" * 60)
    left_open = {"layers", "units", "embedding"}
    choices = {name: v for name, v in child.choices.items() if name not in left_open}
    train(replace(child, parent=parent.output, choices=choices))
    history = read_history(child.output)
    assert history[0].step == 0
    assert history[-1].backward_valid_loss < history[0].backward_valid_loss
