"""The loop: budget, evaluation, early stopping, saving, and going on as if nothing had happened."""

import json
import math
import time

import numpy as np
import pytest

from charlstm import checkpoint, run, training
from charlstm.checkpoint import read_checkpoint, read_history
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.errors import CheckpointMissing, CorpusError, TrainingError
from charlstm.run import Request

TEXT = "the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\n" * 40

SMALL = {
    "layers": 2,
    "units": 8,
    "embedding": 6,
    "streams": 4,
    "sequence_length": 10,
    "dropout": 0.3,
    "seed": 3,
    "steps": 30,
    "eval_every": 10,
}


class Stopper:
    """An observer that stops after a number of steps and remembers what it saw."""

    def __init__(self, after=math.inf):
        self.after, self.steps, self.evaluations, self.overfitting = after, [], [], []
        self.started = None

    def on_start(self, path, step, steps):
        self.started = (step, steps)

    def on_step(self, step, done, loss, tokens_per_second):
        assert math.isfinite(loss)
        assert tokens_per_second > 0
        self.steps.append((step, done))

    def on_evaluation(self, figures, is_best, weights):
        self.evaluations.append((figures, is_best))

    def on_overfitting(self, best, now):
        self.overfitting.append((best, now))

    def should_stop(self):
        return len(self.steps) >= self.after


@pytest.fixture
def request_for(tmp_path):
    def build(name, text=TEXT, level="char", **choices):
        corpus = tmp_path / "corpus.txt"
        corpus.write_text(text)
        return Request(
            corpus=CorpusConfig(addresses=(str(corpus),), seed=3),
            tokenizer=TokenizerConfig(level=level),
            size="auto",
            choices=SMALL | choices,
            output=tmp_path / name,
        )

    return build


def train(request, observer=None):
    prepared = run.new_run(request, None)
    return run.execute(prepared, observer or Stopper(), began=time.monotonic())


def resume(folder, observer=None):
    return run.execute(run.resumed_run(folder), observer or Stopper(), began=time.monotonic())


def essence(folder):
    """All of a checkpoint that must not depend on when it was written or how long it took."""
    found = read_checkpoint(folder)
    history = [json.loads(line) for line in (folder / checkpoint.HISTORY).read_text().splitlines()]
    for figures in history:
        figures.pop("seconds")
    weights = {name: weight.tobytes() for name, weight in found.weights.items()}
    return weights, history, found.figures.step, found.figures.valid_loss


def test_a_run_ends_with_its_budget_and_keeps_the_best_weights(request_for):
    observer = Stopper()
    request = request_for("whole")
    outcome = train(request, observer)
    assert (outcome.step, outcome.stop_reason, outcome.tokens) == (30, "budget", 1200)
    assert observer.started == (0, 30)
    assert [step for step, _ in observer.steps] == list(range(1, 31))
    assert [figures.step for figures, _ in observer.evaluations] == [10, 20, 30]
    found = read_checkpoint(request.output)
    losses = {figures.step: figures.valid_loss for figures in read_history(request.output)}
    assert found.figures.valid_loss == min(losses.values()) == losses[found.figures.step]
    assert not (request.output / checkpoint.RESUME).exists()
    lengths = found.config.provenance
    bits = found.figures.valid_loss * (lengths.valid_tokens - 1) / lengths.valid_characters
    assert found.figures.valid_bits_per_character == pytest.approx(bits / math.log(2))
    assert found.figures.valid_perplexity == pytest.approx(math.exp(found.figures.valid_loss))


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("stops", [(7,), (10, 5), (1, 1, 1, 20)])
def test_resumed_equals_uninterrupted(request_for, level, stops):
    train(request_for("whole", level=level))
    stopped = request_for("stopped", level=level)
    assert train(stopped, Stopper(stops[0])).stop_reason == "interrupted"
    for after in stops[1:]:
        assert resume(stopped.output, Stopper(after)).stop_reason == "interrupted"
    assert resume(stopped.output).stop_reason == "budget"
    assert essence(stopped.output) == essence(request_for("whole").output)


def test_a_crash_between_saves_equals_uninterrupted(request_for, monkeypatch):
    train(request_for("whole"))
    crashed = request_for("crashed", save_every=1e-9)
    real, saves = checkpoint.write_resume, []

    def fail_later(*arguments):
        saves.append(arguments)
        if len(saves) == 14:
            raise RuntimeError("crash")
        real(*arguments)

    monkeypatch.setattr(checkpoint, "write_resume", fail_later)
    with pytest.raises(RuntimeError, match="crash"):
        train(crashed)
    monkeypatch.setattr(checkpoint, "write_resume", real)
    resume(crashed.output)
    assert essence(crashed.output) == essence(request_for("whole").output)


def test_an_interrupted_run_can_be_used_before_its_first_evaluation(request_for):
    request = request_for("early")
    train(request, Stopper(2))
    assert read_checkpoint(request.output).figures.valid_loss is None
    assert not checkpoint.is_finished(request.output)


def test_a_finished_run_has_nothing_to_resume(request_for):
    request = request_for("done")
    train(request)
    with pytest.raises(CheckpointMissing, match="its training is finished"):
        run.resumed_run(request.output)


def test_a_changed_corpus_is_refused(request_for):
    request = request_for("changed")
    train(request, Stopper(5))
    request_for("changed", text=TEXT + "more")
    with pytest.raises(CorpusError, match=r"has changed since .* was begun"):
        run.resumed_run(request.output)


def test_early_stopping_keeps_the_best(request_for):
    # Noise can't be learned: validation gets worse as training memorises.
    noise = "".join(np.random.default_rng(0).choice(list("abcdefgh"), 800))
    request = request_for(
        "noise", text=noise, steps=3000, dropout=0.0, units=64, patience=8, learning_rate=0.01
    )
    observer = Stopper()
    outcome = train(request, observer)
    assert outcome.stop_reason == "early stopping"
    losses = [figures.valid_loss for figures, _ in observer.evaluations]
    assert outcome.best.valid_loss == min(losses)
    assert losses.index(min(losses)) == len(losses) - 1 - 8
    assert len(observer.overfitting) == 1
    best, now = observer.overfitting[0]
    assert now.valid_loss > best.valid_loss
    assert now.train_loss < best.train_loss


def test_a_budget_in_minutes_is_kept(request_for):
    request = request_for("timed", steps=None, minutes=0.2, eval_every=None)
    observer = Stopper()
    outcome = train(request, observer)
    assert outcome.stop_reason == "budget"
    assert observer.started == (0, None)
    dones = [done for _, done in observer.steps]
    assert dones[-2] < 1 <= dones[-1]
    assert 5 <= len(observer.evaluations) <= 11


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_good(request_for, monkeypatch):
    request = request_for("broken")
    real = training.Steps.train

    def broken(self, batch, states, step, rate):
        loss, after = real(self, batch, states, step, rate)
        return (math.nan if step == 15 else loss), after

    monkeypatch.setattr(training.Steps, "train", broken)
    with pytest.raises(TrainingError, match=r"the training loss is not finite after step 16"):
        train(request)
    assert read_checkpoint(request.output).figures.step == 10


def test_fine_tuning_keeps_old_ids_and_learns_new_symbols(request_for):
    parent = request_for("parent")
    train(parent)
    old = read_checkpoint(parent.output)
    child = request_for("child", text="ZEBRA 123! " * 200, layers=None, units=None, embedding=None)
    child = Request(**{**vars(child), "parent": parent.output})
    prepared = run.new_run(child, None)
    assert prepared.prepared.tokenizer.symbols[: len(old.tokenizer.symbols)] == (
        old.tokenizer.symbols
    )
    before = old.weights["embedding/embeddings"]
    grown = prepared.weights["embedding/embeddings"]
    np.testing.assert_array_equal(grown[: len(before)], before)
    assert len(grown) == prepared.prepared.tokenizer.vocab_size > len(before)
    run.execute(prepared, Stopper(), began=time.monotonic())
    new = read_checkpoint(child.output)
    assert new.config.provenance.parent == str(parent.output)
    assert new.figures.valid_loss < math.log(new.tokenizer.vocab_size)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(request_for):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        train(request_for(name, seed=seed))
    a, b, c = (essence(request_for(name).output) for name in "abc")
    assert a == b
    assert a[0] != c[0]
