"""Tests of ``charlstm.api``, and of the agreement between training, Keras and the engine."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

import charlstm
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.engine.inference import build_engine
from charlstm.errors import CheckpointMissing, ConfigError, GenerationError
from charlstm.training import request as request_module
from charlstm.training import run, setup
from charlstm.training.observer import Observer
from tests.messages import raises_naming
from tests.oracles import engine_loss

CHOICES = {
    "units": 48, "layers": 2, "streams": 8, "sequence_length": 32, "steps": 150,
    "dropout": 0.1, "optimizer": "adamw", "learning_rate": 0.01, "eval_every": 50,
}  # fmt: skip


@pytest.fixture(scope="module", params=["char", "subword", "word"])
def trained(request, tmp_path_factory):
    """A small model of real text, the source code of charlstm, and its token store."""
    folder = tmp_path_factory.mktemp("api") / "model"
    root = Path(__file__).parents[2]
    pages = tuple(str(path) for path in sorted((root / "charlstm").glob("*.py")))
    asked = request_module.Request(
        corpus=CorpusConfig(addresses=pages),
        tokenizer=TokenizerConfig(level=request.param),
        size="auto",
        choices=CHOICES,
        output=folder,
    )
    prepared = setup.new_run(asked, None)
    run.execute(prepared, Observer(), began=time.monotonic())
    return folder, prepared.prepared.store


def test_threads_that_share_a_model_get_what_one_thread_gets(trained):
    def use(model, number):
        prompt = ("the ", "def ", "import nu", "")[number % 4]
        (sample,) = model.generate(prompt, length=30, seed=number)
        scores = model.score(sample.text, "return the text", context=prompt)
        matching = model.generate(match="[a-z]{3}(, [a-z]{2,9})+", length=40, seed=number)
        return sample, scores, matching, model.predict(prompt), model.predict(prompt, words=2)

    def use_late(model, number):
        together.wait()
        return use(model, number)

    folder, _ = trained
    numbers = range(8)
    expected = [use(charlstm.load(folder, threads=1), number) for number in numbers]
    together = Barrier(len(numbers))
    shared = charlstm.load(folder, threads=2)
    with ThreadPoolExecutor(len(numbers)) as pool:
        assert list(pool.map(partial(use_late, shared), numbers)) == expected
        assert list(pool.map(partial(use, shared), numbers)) == expected


def test_the_engine_agrees_with_keras_over_500_steps(trained):
    folder, store = trained
    ids = np.asarray(store.valid[:500], np.int32)
    found = read_checkpoint(folder)
    engine = build_engine(found.config.model, found.weights, precision="float32")
    network = charlstm.load_keras_model(folder)
    zeros = np.zeros((1, found.config.model.units), np.float32)
    expected, *after = network.predict_on_batch([ids[None], *[zeros] * 4])
    state, logits = engine.initial_state(1), []
    for token_id in ids:
        step, state = engine.step(np.array([token_id]), state)
        logits.append(step[0])
    np.testing.assert_allclose(np.array(logits), expected[0], atol=1e-4)
    hidden_then_cell = [after[0], after[2], after[1], after[3]]
    # A cell can count up to hundreds.
    np.testing.assert_allclose(state.parts[0], hidden_then_cell, rtol=1e-5, atol=1e-4)


def test_the_engine_computes_the_validation_loss_of_training(trained):
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


def test_a_model_is_shown_in_one_line(trained):
    folder, _ = trained
    model = charlstm.load(folder)
    found = model.checkpoint
    config, bits = found.config, found.figures.valid_bits_per_character
    size = f"{config.model.layers}x{config.model.units}"
    expected = f"{folder}: {config.tokenizer.level}, {size}, {bits:.4f} bits per character"
    assert (repr(model), repr(found)) == (f"<LanguageModel {expected}>", f"<Checkpoint {expected}>")


def test_generate_returns_its_seed_and_repeats(trained):
    model = charlstm.load(trained[0], threads=1)
    (first,) = model.generate("def ", length=20)
    assert model.generate("def ", length=20, seed=first.seed) == [first]
    many = model.generate("def ", count=3, length=20, seed=7)
    assert [sample.index for sample in many] == [0, 1, 2]
    assert model.generate("def ", length=20, seed=7) == many[:1]
    assert model.tokenizer.vocab_size == model.engine.vocab_size


def test_each_text_is_scored_on_its_own(trained):
    model = charlstm.load(trained[0], threads=1)
    text = "def check(self) -> None:"
    likely, unlikely, empty = model.score(text, text[::-1], "", per_token=True)
    assert likely.bits_per_character < unlikely.bits_per_character
    assert [model.score(text, per_token=True)[0], empty.tokens] == [likely, 0]
    assert len(likely.per_token) == likely.tokens
    (after,) = model.score("None:", context="def check(self) -> ")
    assert after.per_token is None
    assert after.log_probability > model.score("None:")[0].log_probability
    assert model.score() == []


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused_at_once(trained, sentence, seed):
    model = charlstm.load(trained[0], threads=1)
    with pytest.raises(ConfigError) as caught:
        model.generate("def ", seed=seed)
    sentence(caught.value, "`seed`", seed, 0)
    with pytest.raises(ConfigError) as caught:
        model.stream(["def "], seed=seed)  # before it is read
    sentence(caught.value, "`seed`", seed, 0)


@pytest.mark.parametrize("count", [0, -3])
def test_a_count_out_of_range_is_refused_at_once(trained, count, sentence):
    model = charlstm.load(trained[0], threads=1)
    for ask in (
        lambda: model.generate("def ", count=count),
        lambda: model.stream(["def "], count=count),
        lambda: model.most_likely("def ", count=count),
    ):
        with pytest.raises(ConfigError) as caught:
            ask()
        sentence(caught.value, "`count`", count, 1)


def test_a_number_of_beams_out_of_range_is_refused(trained, sentence):
    model = charlstm.load(trained[0], threads=1)
    with pytest.raises(ConfigError) as caught:
        model.most_likely("def ", beams=0)
    sentence(caught.value, "`beams`", 0, 1)


def test_a_string_is_one_prompt(trained):
    model = charlstm.load(trained[0], threads=1)
    assert [each.prompt for each in model.stream("def ", length=3)] == ["def "]
    assert [each.prompt for each in model.generate(["def ", "x"], length=3)] == ["def ", "x"]


def test_each_prompt_is_continued_as_often_as_asked(trained):
    model = charlstm.load(trained[0], threads=1)
    prompts = ["def ", "", "class "]
    found = list(model.stream(prompts, length=10, count=2, seed=3))
    assert [(each.index, each.prompt) for each in found] == list(
        enumerate(["def ", "def ", "", "", "class ", "class "])
    )
    assert list(model.stream([], count=2, seed=3)) == []
    for unique in (False, True):  # an iterator is read once
        stream = partial(model.stream, length=10, count=2, seed=3, unique=unique)
        assert list(stream(iter(prompts))) == list(stream(prompts))


def test_known_texts_are_rejected_and_unique_ones_do_not_repeat(trained):
    model = charlstm.load(trained[0], threads=1)
    short = {"length": 1, "min_length": 1, "temperature": 2.0, "ban": "\n"}
    stream = partial(model.stream, ["a.", "b.", "a."], **short, count=5, seed=3)
    plain = list(stream())
    once = list(stream(unique=True))
    texts = [each.prompt + each.text for each in once]
    assert len(set(texts)) == len(texts) == 15
    assert [each.index for each in once] == list(range(15))
    new = list(stream(known=set(texts[:5])))
    assert not {each.prompt + each.text for each in new} & set(texts[:5])
    assert list(stream(known=())) != plain  # each prompt has distant indices of its own
    assert list(stream(known=()))[:5] == plain[:5]


def test_a_batch_is_no_larger_than_the_number_of_samples(trained, monkeypatch):
    model = charlstm.load(trained[0], threads=1)
    widths = []
    step = type(model.engine).step
    monkeypatch.setattr(
        type(model.engine),
        "step",
        lambda engine, ids, state: (widths.append(len(ids)), step(engine, ids, state))[1],
    )
    assert len(list(model.stream(["a", "b"], length=10, count=3, seed=1, unique=True))) == 6
    assert max(widths) <= 6


def test_unique_samples_end_if_the_text_is_always_the_same(trained):
    model = charlstm.load(trained[0], threads=1)
    found = model.stream(["a"], length=10, temperature=0, count=4, unique=True)
    next(found)
    with raises_naming(GenerationError, "1 of 4 samples", "last 3"):
        next(found)


def test_a_billion_samples_are_generated_lazily(trained):
    model = charlstm.load(trained[0], threads=1)
    for options in ({}, {"known": ()}):
        found = islice(model.stream(["a", "b"], length=5, count=10**9, seed=1, **options), 300)
        assert [each.index for each in found] == list(range(300))


def test_no_sample_is_more_likely_than_the_most_likely_text(trained):
    """Texts have two tokens, so a beam for each token of the vocabulary finds the best one."""
    model = charlstm.load(trained[0], threads=1)
    beams = min(1024, model.tokenizer.vocab_size)
    (best, *others) = model.most_likely("(", beams=beams, count=3, length=2, min_length=2)
    samples = model.generate("(", count=200, length=2, min_length=2, seed=1)
    assert len(others) == 2
    assert best.mean_log_probability >= max(each.mean_log_probability for each in samples) - 1e-6
    assert best.seed is None


def test_the_ends_of_the_range_are_seeds(trained):
    model = charlstm.load(trained[0], threads=1)
    (lowest,), (highest,) = (model.generate("def ", length=20, seed=s) for s in (0, 2**32 - 1))
    assert (lowest.seed, highest.seed) == (0, 2**32 - 1)
    assert lowest.text != highest.text


def test_a_missing_checkpoint_can_not_be_loaded(tmp_path):
    for load in (charlstm.load, charlstm.load_keras_model):
        with raises_naming(CheckpointMissing, tmp_path / "nowhere"):
            load(tmp_path / "nowhere")
