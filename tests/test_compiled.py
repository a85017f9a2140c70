"""Tests that share compiled steps do share them, and none of what another has left in them."""

from types import SimpleNamespace

import numpy as np
import pytest

from charlstm import optimization
from charlstm.config import ModelConfig, TrainConfig
from charlstm.optimization import Steps
from charlstm.training import Trainer
from tests import compiled

NETWORK = ModelConfig(vocab_size=12, embedding=4, units=5, layers=1)
TRAIN = TrainConfig(steps=10, streams=2, sequence_length=4, precision="float32", seed=17)


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch):
    monkeypatch.setattr(compiled, "_compiled", {})


def trainer(**choices):
    ids = np.arange(200, dtype=np.uint8) % 12
    config = SimpleNamespace(model=NETWORK, train=TRAIN.replace(**choices))
    store = SimpleNamespace(train=ids, valid=ids)
    return Trainer(None, config, store, None, np.zeros(12), None, began=0.0)


def numbers(trainer):
    """Return the bytes of all that training changes in the steps."""
    variables = [*trainer.steps.model.variables, *trainer.steps.optimizer.variables]
    return [variable.numpy().tobytes() for variable in variables]


def after_a_step(trainer):
    batch = trainer.streams.batch(0)
    loss, states = trainer.steps.train(batch, trainer.states, 0, 0.01, 0.3)
    return loss, [state.numpy().tobytes() for pair in states for state in pair], numbers(trainer)


def test_trainers_of_equal_networks_share_and_begin_as_new(request):
    alone = trainer()
    request.getfixturevalue("compiled_once")
    first = trainer()
    assert first.steps.model is not alone.steps.model
    assert numbers(first) == numbers(alone)
    trained = after_a_step(first)
    assert numbers(first) != numbers(alone)
    second = trainer(steps=99, eval_every=3, patience=2, save_every=9.0)
    assert second.steps._train is first.steps._train
    assert second.steps.crew is second.crew
    assert numbers(second) == numbers(alone)
    assert after_a_step(second) == trained == after_a_step(alone)


def test_what_differs_is_not_shared(compiled_once, monkeypatch):
    made = [trainer(), trainer(seed=18)]
    with monkeypatch.context() as patch:
        patch.setattr(optimization, "LOGITS_AT_ONCE", 24)
        made.append(trainer())
    with monkeypatch.context() as patch:
        patch.setattr(optimization, "product_type", lambda precision: "bfloat16")
        made.append(trainer())
    assert len({id(each.steps._train) for each in made}) == len(made)
    assert trainer().steps._train is made[0].steps._train


def test_what_several_devices_compile_is_not_shared(compiled_once, monkeypatch):
    asked = []
    monkeypatch.setattr(compiled, "_compile", lambda self, *given: asked.append(given))
    crew = SimpleNamespace(strategy="of several devices")
    for _ in range(2):
        Steps(NETWORK, TRAIN, crew)
    assert asked == [(NETWORK, TRAIN, crew)] * 2
