"""Losses and weights that are not finite stop a run, and the last good state is kept."""

import math

import pytest

from charlstm.checkpoint import schema
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.errors import (
    TrainingError,
)
from charlstm.training import trainer as trainer_module
from charlstm.training.budget import Budget
from charlstm.training.step import StepRunner
from tests.training.helpers import Stopper, resume, train


def test_a_validation_loss_that_is_not_finite_stops_too(request_for, monkeypatch, sentence):
    request = request_for("broken")
    monkeypatch.setattr(StepRunner, "validate", lambda *_: math.inf)
    with pytest.raises(TrainingError) as caught:
        train(request)
    sentence(caught.value, "validation loss", "not finite", "step 10")
    assert not (request.output / schema.MODEL).exists()


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_good(
    request_for, monkeypatch, sentence
):
    request = request_for("broken")
    real = StepRunner.train

    def broken(self, batch, states, step, *rates):
        loss, after = real(self, batch, states, step, *rates)
        return (math.nan if step == 15 else loss), after

    monkeypatch.setattr(StepRunner, "train", broken)
    with pytest.raises(TrainingError) as caught:
        train(request)
    rate = read_checkpoint(request.output).config.train.learning_rate
    sentence(
        caught.value,
        request.output,
        "training loss",
        "not finite",
        "step 16",
        "`learning_rate`",
        f"{rate:g}",
    )
    assert read_checkpoint(request.output).figures.step == 10


@pytest.mark.parametrize("which", ["training", "validation"])
def test_a_loss_that_explodes_stops_and_keeps_what_was_good(
    request_for, monkeypatch, which, sentence
):
    request = request_for("broken", save_every=1e-9)
    train_step, validate = StepRunner.train, StepRunner.validate

    def exploded(self, batch, states, step, *rates):
        loss, after = train_step(self, batch, states, step, *rates)
        return (1e6 if step == 15 else loss), after

    def bad_text(self, *arguments):
        loss = validate(self, *arguments)
        return 1e6 if (self.optimizer.iterations == 20) else loss

    monkeypatch.setattr(StepRunner, *{
        "training": ("train", exploded), "validation": ("validate", bad_text)
    }[which])  # fmt: skip
    with pytest.raises(TrainingError) as caught:
        train(request)
    step = {"training": 16, "validation": 20}[which]
    config = read_checkpoint(request.output).config
    sentence(
        caught.value,
        request.output,
        f"{which} loss",
        "1e+06",
        f"step {step}",
        f"{math.log(config.model.vocab_size):.3g}",
        "`learning_rate`",
        f"{config.train.learning_rate:g}",
    )
    assert read_checkpoint(request.output).figures.step == 10


@pytest.mark.parametrize("name", ["weights/output/bias", "optimizer/0", "states/c_1"])
def test_what_is_not_a_number_is_never_saved(request_for, monkeypatch, sentence, name):
    """A gradient that is not finite ruins the weights in a step whose own loss is still fine."""
    request = request_for("broken", save_every=1e-9)
    real = CheckpointWriter.resume
    monkeypatch.setattr(Budget, "evaluation_due", lambda *_: False)

    class Spoils(Stopper):
        def on_step(self, step, *rest):
            super().on_step(step, *rest)
            if step == 5:
                spoil(trainers[0], name)

    trainers, begin = [], trainer_module.Trainer.start
    monkeypatch.setattr(
        trainer_module.Trainer,
        "start",
        lambda self, *given: (trainers.append(self), begin(self, *given)),
    )
    with pytest.raises(TrainingError) as caught:
        train(request, Spoils())
    sentence(caught.value, "weights", "not finite", "step 5")
    assert CheckpointWriter.resume is real
    monkeypatch.undo()
    observer = Stopper()
    assert resume(request.output, observer).stop_reason == "budget"
    assert observer.steps[0][0] == 5


def spoil(trainer, name):
    """Put one NaN into the tensor of that name."""
    state = trainer.learners[""].state
    if name in state.variables():
        variable = state.variables()[name]
        bad = variable.numpy()
        bad.flat[-1] = math.nan
        variable.assign(bad)
    else:
        state.recurrent[name.removeprefix("states/")] *= math.nan
