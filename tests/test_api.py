"""The Python interface, and that training, Keras and the engine agree about a trained model."""

import time
from pathlib import Path

import numpy as np
import pytest

import charlstm
from benchmarks.precision import engine_loss
from charlstm import run
from charlstm.checkpoint import read_checkpoint
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.engine import build_engine
from charlstm.errors import CheckpointMissing, ConfigError

from .test_training import Stopper

CHOICES = {
    "units": 48, "layers": 2, "streams": 8, "sequence_length": 32, "steps": 150,
    "dropout": 0.1, "optimizer": "adamw", "learning_rate": 0.01, "eval_every": 50,
}  # fmt: skip


@pytest.fixture(scope="module", params=["char", "word"])
def trained(request, tmp_path_factory):
    """A small model of real text, this project's own pages, and the run that trained it."""
    folder = tmp_path_factory.mktemp("api") / "model"
    root = Path(__file__).parent.parent
    pages = tuple(str(path) for path in sorted((root / "charlstm").glob("*.py")))
    asked = run.Request(
        corpus=CorpusConfig(addresses=pages),
        tokenizer=TokenizerConfig(level=request.param),
        size="auto",
        choices=CHOICES,
        output=folder,
    )
    prepared = run.new_run(asked, None)
    run.execute(prepared, Stopper(), began=time.monotonic())
    return folder, prepared.prepared.store


def test_the_engine_agrees_with_keras_over_500_steps(trained):
    folder, store = trained
    ids = np.asarray(store.valid[:500], np.int32)
    found = read_checkpoint(folder)
    engine = build_engine(found.config.model, found.weights, precision="float32")
    network = charlstm.load_keras_model(folder)
    zeros = np.zeros((1, found.config.model.units), np.float32)
    expected, *after = network.predict_on_batch([ids[None], *[zeros] * 4])
    state, logits = engine.initial_state(1), []
    for symbol in ids:
        step, state = engine.step(np.array([symbol]), state)
        logits.append(step[0])
    np.testing.assert_allclose(np.array(logits), expected[0], atol=1e-4)
    hidden_then_cell = [after[0], after[2], after[1], after[3]]
    # A cell can count up to hundreds.
    np.testing.assert_allclose(state, hidden_then_cell, rtol=1e-5, atol=1e-4)


def test_the_engine_finds_the_validation_loss_of_training(trained):
    folder, store = trained
    found = read_checkpoint(folder)
    losses = {
        precision: engine_loss(
            build_engine(found.config.model, found.weights, precision=precision), store.valid
        )
        for precision in ("float32", "int8")
    }
    assert losses["float32"] == pytest.approx(found.figures.valid_loss, abs=1e-4)
    assert losses["int8"] == pytest.approx(losses["float32"], abs=3e-3)
    assert found.figures.valid_loss < 0.8 * np.log(found.config.model.vocab_size)


def test_generate_tells_its_seed_and_repeats(trained):
    model = charlstm.load(trained[0], threads=1)
    (first,) = model.generate("def ", length=20)
    assert model.generate("def ", length=20, seed=first.seed) == [first]
    many = model.generate("def ", count=3, length=20, seed=7)
    assert [sample.index for sample in many] == [0, 1, 2]
    assert model.generate("def ", length=20, seed=7) == many[:1]
    assert model.tokenizer.vocab_size == model.engine.vocab_size


def test_score_tells_each_text_apart(trained):
    model = charlstm.load(trained[0], threads=1)
    text = "def check(self) -> None:"
    likely, unlikely, empty = model.score(text, text[::-1], "", per_token=True)
    assert likely.bits_per_character < unlikely.bits_per_character
    assert [model.score(text, per_token=True)[0], empty.tokens] == [likely, 0]
    assert len(likely.symbols) == likely.tokens
    (after,) = model.score("None:", context="def check(self) -> ")
    assert after.symbols is None
    assert after.log_probability > model.score("None:")[0].log_probability
    assert model.score() == []


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused_at_once(trained, seed):
    model = charlstm.load(trained[0], threads=1)
    message = f"seed is {seed}: expected a whole number from 0 to 4294967295"
    with pytest.raises(ConfigError) as caught:
        model.generate("def ", seed=seed)
    assert str(caught.value) == message
    with pytest.raises(ConfigError) as caught:
        model.stream("def ", charlstm.SampleConfig(), seed=seed)  # not only when it is read
    assert str(caught.value) == message


@pytest.mark.parametrize("count", [0, -3])
def test_a_count_out_of_range_is_refused_at_once(trained, count):
    model = charlstm.load(trained[0], threads=1)
    for ask in (
        lambda: model.generate("def ", count=count),
        lambda: model.stream("def ", charlstm.SampleConfig(), count=count),
    ):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert str(caught.value) == f"count is {count}: expected a whole number of 1 or more"


def test_the_ends_of_the_range_are_seeds(trained):
    model = charlstm.load(trained[0], threads=1)
    (lowest,), (highest,) = (model.generate("def ", length=20, seed=s) for s in (0, 2**32 - 1))
    assert (lowest.seed, highest.seed) == (0, 2**32 - 1)
    assert lowest.text != highest.text


def test_nothing_to_load(tmp_path):
    for load in (charlstm.load, charlstm.load_keras_model):
        with pytest.raises(CheckpointMissing, match="there is no checkpoint"):
            load(tmp_path / "nowhere")
