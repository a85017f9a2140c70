"""Learning rate and dropout over a run."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.distributed import replicas
from charlstm.training import run, setup
from charlstm.training import trainer as trainer_module
from charlstm.training.schedule import dropout_rate, learning_rate
from charlstm.training.step import StepRunner
from tests.training.helpers import TRAIN, Clock, Stopper, train


def test_dropout_rises_as_the_text_is_read(request_for, monkeypatch):
    rates, take = [], StepRunner.train

    def noted(self, batch, states, step, rate, dropout):
        rates.append(dropout)
        return take(self, batch, states, step, rate, dropout)

    monkeypatch.setattr(StepRunner, "train", noted)
    outcome = train(request_for("ramp", steps=40))
    epochs = outcome.epochs * np.arange(40) / 40
    np.testing.assert_allclose(rates, 0.3 * np.minimum(1, epochs / 0.4), rtol=1e-6)
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.3)


def test_the_schedule_starts_with_the_first_step(request_for, monkeypatch):
    """A second step right after a slow first one still has the whole cosine before it."""
    request = request_for("timed", steps=None, minutes=1, eval_every=None, warmup_steps=0)
    rates = []
    clock = Clock()
    prepared = setup.new_run(request, None)

    def train_step(self, batch, states, step, rate, dropout):
        clock.now += 0.5 if step else 30.0
        rates.append(rate)
        return 1.0, states

    monkeypatch.setattr(replicas, "time", clock)
    monkeypatch.setattr(trainer_module, "evaluation_cost", lambda *_: 0.0)
    monkeypatch.setattr(StepRunner, "train", train_step)
    monkeypatch.setattr(StepRunner, "validate", lambda *_: 1.0)
    run.execute(prepared, Stopper(), began=clock.now)
    peak = prepared.config.train.learning_rate
    assert rates[:2] == pytest.approx([peak, peak])
    assert rates[31] == pytest.approx(0.51 * peak, rel=0.05)  # half of the remaining time is over
    assert rates[-1] < 0.05 * peak


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_learning_rate_stays_between_zero_and_its_peak(step, done):
    assert 0 < learning_rate(TRAIN, step, done) <= TRAIN.learning_rate


def test_dropout_rises_over_the_ramp_and_stays():
    config = TRAIN.replace(dropout=0.4, dropout_ramp=4.0)
    rates = [dropout_rate(config, epoch) for epoch in (0.0, 1.0, 4.0, 9.0)]
    assert rates == pytest.approx([0.0, 0.1, 0.4, 0.4])
    assert dropout_rate(config.replace(dropout_ramp=0.0), 0.0) == 0.4


def test_learning_rate_warms_up_then_falls_as_half_a_cosine():
    config = TRAIN.replace(warmup_steps=10, final_rate=0.1, learning_rate=1.0)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 9, 0.0) == pytest.approx(1.0)
    assert learning_rate(config, 50, 0.5) == pytest.approx(0.1 + 0.9 * 0.5)
    assert learning_rate(config, 99, 1.0) == pytest.approx(0.1)
    quarter = 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2
    assert learning_rate(config, 25, 0.25) == pytest.approx(quarter)
