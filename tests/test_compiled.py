"""Tests of ``tests.compiled``: equal networks share compiled steps, but no state."""

from types import SimpleNamespace

import numpy as np
import pytest

from charlstm.config import CorpusConfig, ModelConfig, TrainConfig
from charlstm.dataset.store import TokenStore
from charlstm.training import step
from charlstm.training.step import StepRunner
from charlstm.training.trainer import TextLengths, Trainer
from tests import compiled

NETWORK = ModelConfig(vocab_size=12, embedding=4, units=5, layers=1)
TRAIN = TrainConfig(steps=10, streams=2, sequence_length=4, precision="float32", seed=17)


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    monkeypatch.setattr(compiled, "_compiled", {})


def trainer(**choices):
    ids = np.arange(200, dtype=np.uint8) % 12
    train = TRAIN.replace(**choices)
    config = SimpleNamespace(model=NETWORK, train=train, corpus=CorpusConfig())
    store = TokenStore(ids, ids)
    return Trainer(None, config, store, TextLengths(200, 200, 1), np.zeros(12), None, began=0.0)


def numbers(trainer):
    """Return the bytes of all variables that training changes."""
    runner = trainer.learners[""].runner
    variables = [*runner.model.variables, *runner.optimizer.variables]
    return [variable.numpy().tobytes() for variable in variables]


def after_a_step(trainer):
    learner = trainer.learners[""]
    batch = learner.streams.batch(0)
    loss, states = learner.runner.train(batch, learner.state.recurrent, 0, 0.01, 0.3)
    return loss, [state.numpy().tobytes() for state in states.values()], numbers(trainer)


def test_trainers_of_equal_networks_share_steps_and_start_as_new(request):
    alone = trainer()
    request.getfixturevalue("compiled_once")
    first = trainer()
    assert first.learners[""].runner.model is not alone.learners[""].runner.model
    assert numbers(first) == numbers(alone)
    trained = after_a_step(first)
    assert numbers(first) != numbers(alone)
    second = trainer(steps=99, eval_every=3, patience=2, save_every=9.0)
    runner = second.learners[""].runner
    assert runner._train is first.learners[""].runner._train
    assert runner.replicas is second.replicas
    assert numbers(second) == numbers(alone)
    assert after_a_step(second) == trained == after_a_step(alone)


def test_different_steps_are_not_shared(compiled_once, monkeypatch):
    made = [trainer(), trainer(seed=18)]
    with monkeypatch.context() as patch:
        patch.setattr(step, "LOGITS_AT_ONCE", 24)
        made.append(trainer())
    with monkeypatch.context() as patch:
        patch.setattr(step, "product_type", lambda precision: "bfloat16")
        made.append(trainer())
    assert len({id(each.learners[""].runner._train) for each in made}) == len(made)
    assert trainer().learners[""].runner._train is made[0].learners[""].runner._train


def test_steps_of_several_devices_are_not_shared(compiled_once, monkeypatch):
    asked = []
    monkeypatch.setattr(compiled, "_compile", lambda self, *given: asked.append(given))
    replicas = SimpleNamespace(strategy="of several devices")
    for _ in range(2):
        StepRunner(NETWORK, TRAIN, replicas)
    assert asked == [(NETWORK, TRAIN, replicas)] * 2
