"""The loop: budget, evaluation, early stopping, saving, and going on as if nothing had happened."""

import json
import math
import shutil
import time
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from safetensors import safe_open

from charlstm.checkpoint import reader, schema
from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.distributed import replicas
from charlstm.errors import (
    CheckpointBusy,
    CheckpointDamaged,
    CheckpointExists,
    CheckpointMissing,
    CorpusError,
    StorageError,
    TrainingError,
)
from charlstm.training import run, setup
from charlstm.training import trainer as trainer_module
from charlstm.training.budget import Budget
from charlstm.training.request import Request
from tests.messages import raises_naming

TEXT = "the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\n" * 40

SMALL = {
    "layers": 2,
    "units": 8,
    "embedding": 6,
    "streams": 4,
    "sequence_length": 10,
    "dropout": 0.3,
    "dropout_ramp": 0.4,
    "seed": 3,
    "steps": 30,
    "eval_every": 10,
}


class Stopper:
    """An observer that stops after a number of steps and remembers what it saw."""

    def __init__(self, after=math.inf):
        self.after, self.steps, self.evaluations, self.overfitting = after, [], [], []
        self.started = None

    def on_start(self, hardware, step, steps):
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


@pytest.fixture(autouse=True)
def _compiled_once(request):
    """Compile equal networks once, but for the tests that ask for ``fresh_networks``."""
    if "fresh_networks" not in request.fixturenames:
        request.getfixturevalue("compiled_once")


@pytest.fixture
def fresh_networks():
    """Make every network of a test anew, as another process would."""


@pytest.fixture
def request_for(tmp_path):
    def build(name, text=TEXT, level="char", threads=None, **choices):
        corpus = tmp_path / "corpus.txt"
        corpus.write_text(text)
        return Request(
            corpus=CorpusConfig(addresses=(str(corpus),), seed=3),
            tokenizer=TokenizerConfig(level=level),
            size="auto",
            choices=SMALL | choices,
            output=tmp_path / name,
            threads=threads,
        )

    return build


def train(request, observer=None):
    prepared = setup.new_run(request, None)
    return run.execute(prepared, observer or Stopper(), began=time.monotonic())


def resume(folder, observer=None):
    return run.execute(setup.resumed_run(folder), observer or Stopper(), began=time.monotonic())


def essence(folder):
    """All of a checkpoint that must not depend on when it was written or how long it took."""
    found = read_checkpoint(folder)
    history = [json.loads(line) for line in (folder / schema.HISTORY).read_text().splitlines()]
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
    assert not (request.output / schema.RESUME).exists()
    lengths = found.config.provenance
    # The end of the text is cut off from a beginning that has none: no mark is predicted.
    assert lengths.valid_tokens == lengths.valid_characters == len(TEXT) // 10
    bits = found.figures.valid_loss * lengths.valid_tokens / lengths.valid_characters
    assert found.figures.valid_bits_per_character == pytest.approx(bits / math.log(2))
    assert found.figures.valid_perplexity == pytest.approx(math.exp(found.figures.valid_loss))


def test_dropout_rises_as_the_text_is_read(request_for, monkeypatch):
    rates, take = [], trainer_module.StepRunner.train

    def noted(self, batch, states, step, rate, dropout):
        rates.append(dropout)
        return take(self, batch, states, step, rate, dropout)

    monkeypatch.setattr(trainer_module.StepRunner, "train", noted)
    outcome = train(request_for("ramp", steps=40))
    epochs = outcome.epochs * np.arange(40) / 40
    np.testing.assert_allclose(rates, 0.3 * np.minimum(1, epochs / 0.4), rtol=1e-6)
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.3)


_UNINTERRUPTED = {}


def uninterrupted(request_for, **options):
    """Return the essence of a run that nothing stopped, which is trained once for all tests."""
    key = tuple(sorted(options.items()))
    if key not in _UNINTERRUPTED:
        train(request_for("whole", **options))
        _UNINTERRUPTED[key] = essence(request_for("whole").output)
    return _UNINTERRUPTED[key]


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("stops", [(7,), (10, 5), (1, 1, 1, 20)])
def test_resumed_equals_uninterrupted(request_for, fresh_networks, level, stops):
    stopped = request_for("stopped", level=level)
    assert train(stopped, Stopper(stops[0])).stop_reason == "interrupted"
    for after in stops[1:]:
        assert resume(stopped.output, Stopper(after)).stop_reason == "interrupted"
    assert resume(stopped.output).stop_reason == "budget"
    assert essence(stopped.output) == uninterrupted(request_for, level=level)


def test_resumed_equals_uninterrupted_in_chains(request_for, fresh_networks):
    options = {"streams": 8, "threads": 2}
    stopped = request_for("stopped", **options)
    assert train(stopped, Stopper(7)).stop_reason == "interrupted"
    assert resume(stopped.output).stop_reason == "budget"
    assert read_checkpoint(stopped.output).config.train.shards == 2
    assert essence(stopped.output) == uninterrupted(request_for, **options)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_goes_on_as_it_was_begun_whatever_the_machine(request_for, monkeypatch, threads):
    """The number of processors and what they multiply natively are of another machine."""
    stopped = request_for("stopped", streams=8, threads=threads)
    train(stopped, Stopper(2))
    monkeypatch.setattr(run, "processor_count", lambda: 3 - threads)
    monkeypatch.setattr(run, "product_type", lambda precision: "bfloat16")
    resumed = setup.resumed_run(stopped.output)
    assert resumed.config.train.shards == resumed.plan.train.shards == threads
    assert resumed.config == reader.read_config(stopped.output)


@pytest.mark.parametrize("save", [11, 14])
def test_a_crash_between_saves_equals_uninterrupted(request_for, fresh_networks, monkeypatch, save):
    """The 11th save ends the first evaluation, whose weights and history are written by then."""
    crashed = request_for("crashed", save_every=1e-9)
    real, saves = CheckpointWriter.resume, []

    def fail_later(*arguments):
        saves.append(arguments)
        if len(saves) == save:
            raise RuntimeError("crash")
        real(*arguments)

    monkeypatch.setattr(CheckpointWriter, "resume", fail_later)
    with pytest.raises(RuntimeError, match="crash"):
        train(crashed)
    monkeypatch.setattr(CheckpointWriter, "resume", real)
    resume(crashed.output)
    assert essence(crashed.output) == uninterrupted(request_for, level="char")


def test_a_run_that_was_killed_after_its_last_evaluation_does_not_evaluate_again(
    request_for, monkeypatch
):
    request = request_for("killed")
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "finish", lambda writer: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(request)
    before = essence(request.output)
    assert [figures.step for figures in read_history(request.output)] == [10, 20, 30]
    observer = Stopper()
    assert resume(request.output, observer).stop_reason == "budget"
    assert observer.evaluations == observer.steps == []
    assert essence(request.output) == before
    assert reader.is_finished(request.output)


@pytest.mark.parametrize("step", [10, 20])
@pytest.mark.parametrize("files", [("model",), ("model", "history")])
def test_a_crash_between_the_files_of_an_evaluation_equals_uninterrupted(
    request_for, monkeypatch, files, step
):
    """The state is saved at that very step before, as happens where evaluations are slow."""
    train(request_for("whole"))
    crashed = request_for("crashed", save_every=1e-9)
    real, evaluations = CheckpointWriter.resume, []

    def crash_at_the_step(writer, tensors, progress):
        if progress.evaluated == step:
            raise RuntimeError("crash")
        real(writer, tensors, progress)

    def not_written(*arguments):
        evaluations.append(arguments)
        if len(evaluations) == step // 10:
            raise RuntimeError("crash")
        history(*arguments)

    history = CheckpointWriter.history
    with monkeypatch.context() as patch:
        if "history" in files:
            patch.setattr(CheckpointWriter, "resume", crash_at_the_step)
        else:
            patch.setattr(CheckpointWriter, "history", not_written)
        with pytest.raises(RuntimeError, match="crash"):
            train(crashed)
    known = [figures.step for figures in read_history(crashed.output)]
    written = step if "history" in files else step - 10
    assert known == [done for done in (10, 20) if done <= written]
    observer = Stopper()
    resume(crashed.output, observer)
    assert [figures.step for figures, _ in observer.evaluations] == [*range(step, 31, 10)]
    assert observer.steps[0][0] == step + 1
    assert essence(crashed.output) == essence(request_for("whole").output)


@pytest.mark.parametrize("evaluation", [1, 3])
def test_an_evaluation_that_is_stopped_is_made_when_the_run_goes_on(
    request_for, monkeypatch, evaluation
):
    train(request_for("whole"))

    class StopsInEvaluation(Stopper):
        def should_stop(self):
            return len(self.steps) == 10 * evaluation

    stopped = request_for("stopped")
    assert train(stopped, StopsInEvaluation()).stop_reason == "interrupted"
    assert len(read_history(stopped.output)) == evaluation - 1
    observer = Stopper()
    assert resume(stopped.output, observer).stop_reason == "budget"
    assert len(observer.evaluations) == 4 - evaluation
    assert essence(stopped.output) == essence(request_for("whole").output)


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("address", ["{}/corpus.txt", "corpus.txt", "{}/*.txt"])
def test_a_run_is_resumed_from_anywhere_and_then_forgets_where_its_text_was(
    request_for, monkeypatch, tmp_path, address
):
    monkeypatch.chdir(tmp_path)
    request = request_for("model")
    named = CorpusConfig(addresses=(address.format(tmp_path),), seed=3)
    request = replace(request, corpus=named)
    train(request, Stopper(after=15))
    told = str(tmp_path).encode()
    assert {n for n, data in bytes_of(request.output).items() if told in data} == {schema.RESUME}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for after in (20, math.inf):
        resume(request.output, Stopper(after=after - 15))
    assert reader.is_finished(request.output)
    assert not any(told in data for data in bytes_of(request.output).values())


def as_format_1(folder):
    """Turn an interrupted run into one of format 1, whose configuration holds the addresses."""
    path = folder / reader.CONFIG
    tensors, progress = read_state(folder)
    found, config = read_checkpoint(folder), json.loads(path.read_text())
    config["format"], config["corpus"]["addresses"] = 1, list(progress.corpus.addresses)
    path.write_text(json.dumps(config))
    CheckpointWriter(folder).model(found.weights, found.figures)
    CheckpointWriter(folder).resume(tensors, msgspec.structs.replace(progress, corpus=None))


def test_a_run_of_format_1_goes_on(request_for, monkeypatch, tmp_path):
    train(request_for("whole"))
    stopped = request_for("stopped")
    train(stopped, Stopper(15))
    as_format_1(stopped.output)
    monkeypatch.chdir("/")
    assert b'corpus\\"' not in (stopped.output / schema.RESUME).read_bytes()
    resume(stopped.output)
    assert essence(stopped.output) == essence(request_for("whole").output)
    assert read_checkpoint(stopped.output).config.format == 1


def read_state(folder):
    """Return the tensors and the progress of an interrupted run."""
    with safe_open(folder / schema.RESUME, framework="numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return reader.read_resume(folder, shapes)


def test_a_resume_file_of_before_evaluations_were_noted_goes_on(request_for):
    """There, the state was always saved after an evaluation, never before one at the same step."""
    train(request_for("whole"))
    stopped = request_for("stopped")
    train(stopped, Stopper(15))
    tensors, progress = read_state(stopped.output)
    assert progress.evaluated == 10
    old = msgspec.structs.replace(progress, evaluated=None)
    CheckpointWriter(stopped.output).resume(tensors, old)
    resume(stopped.output)
    assert essence(stopped.output) == essence(request_for("whole").output)


def test_better_weights_that_a_killed_run_kept_stay_the_best(request_for, monkeypatch):
    """In minutes, the steps after the last save need not come out as they did."""
    request = request_for("killed", steps=None, minutes=10, eval_every=5)
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.StepRunner, "validate", lambda *_: 3.0)
        train(request, Stopper(6))
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.StepRunner, "validate", lambda *_: 1.0)
        patch.setattr(CheckpointWriter, "history", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            resume(request.output)
    monkeypatch.setattr(trainer_module.StepRunner, "validate", lambda *_: 2.0)
    outcome = resume(request.output, Stopper(6))
    assert outcome.best.valid_loss == read_checkpoint(request.output).figures.valid_loss == 1.0


def test_one_folder_is_trained_into_by_one_run(request_for, tmp_path, sentence):
    first = request_for("taken")

    class Second(Stopper):
        def on_step(self, *arguments):
            super().on_step(*arguments)
            for begin in (
                lambda: resume(first.output),
                lambda: train(first),
                lambda: train(replace(first, overwrite=True)),
            ):
                with pytest.raises(CheckpointBusy) as caught:
                    begin()
                sentence(caught.value, first.output, "another process")

    assert train(first, Second(after=1)).step == 1
    assert resume(first.output).stop_reason == "budget"


def test_the_race_for_a_folder_has_one_winner(request_for):
    """Both found it free, and both have loaded what they need; then one is the first."""
    request = request_for("taken")
    late = setup.new_run(request, None)

    class Racer(Stopper):
        def on_start(self, *arguments):
            with pytest.raises(CheckpointBusy):
                run.execute(late, Stopper(), began=time.monotonic())

    assert train(request, Racer(after=2)).step == 2
    with pytest.raises(CheckpointExists):
        run.execute(late, Stopper(), began=time.monotonic())
    assert resume(request.output).stop_reason == "budget"


@pytest.mark.parametrize(
    ("name", "old", "new", "parts"),
    [
        (
            reader.CONFIG,
            b'"units": 8',
            b'"units": 16384',
            ["lstm_0/kernel", "[6, 32]", "F32", "config.json", "[6, 65536]"],
        ),
        (reader.CONFIG, b'"seed": 3', b'"seed": 4', ["config.json", "restore"]),
        (schema.RESUME, b"step", b"stop", ["resume.safetensors", "sha256"]),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_built(
    request_for, monkeypatch, name, old, new, parts
):
    """A hostile configuration may ask for a network that fills the memory."""
    request = request_for("altered")
    train(request, Stopper(2))
    path = request.output / name
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    monkeypatch.setattr(run, "prepare", lambda *_, **__: pytest.fail("the text was read"))
    with raises_naming(CheckpointDamaged, *parts):
        setup.resumed_run(request.output)


def test_a_text_that_is_not_where_it_was_is_told_with_what_can_be_done(
    request_for, tmp_path, sentence
):
    request = request_for("moved")
    train(request, Stopper(2))
    (tmp_path / "corpus.txt").unlink()
    with pytest.raises(CorpusError) as caught:
        resume(request.output)
    sentence(caught.value, request.output, f"--from {request.output}", tmp_path / "corpus.txt")


def test_a_run_whose_best_weights_were_removed_goes_on(request_for):
    request = request_for("removed")
    train(request, Stopper(15))
    (request.output / schema.MODEL).unlink()
    assert resume(request.output).stop_reason == "budget"
    assert read_checkpoint(request.output).figures.step in (20, 30)


def test_resuming_removes_what_a_killed_process_left(request_for):
    request = request_for("killed")
    train(request, Stopper(2))
    half = request.output / f".{schema.RESUME}.x.tmp"
    half.write_text("half a file")
    assert resume(request.output, Stopper(1)).stop_reason == "interrupted"
    assert not half.exists()


@pytest.mark.parametrize("name", [reader.CONFIG, schema.TOKENIZER])
def test_a_run_whose_settings_were_altered_is_not_resumed(request_for, name, sentence):
    request = request_for("altered")
    train(request, Stopper(2))
    path = request.output / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(CheckpointDamaged) as caught:
        resume(request.output)
    sentence(caught.value, path, "restore")


def test_a_save_that_fails_says_how_to_go_on(request_for, monkeypatch, sentence):
    request = request_for("full")
    real = CheckpointWriter.model

    def fail(*arguments):
        raise StorageError("can't write there: the disk is full: free some space")

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "model", fail)
        with pytest.raises(StorageError) as caught:
            train(request)
    sentence(
        caught.value, request.output, "disk is full", f"charlstm train --resume {request.output}"
    )
    assert CheckpointWriter.model is real
    assert resume(request.output).stop_reason == "budget"


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("another", [True, False])
def test_a_folder_that_is_gone_is_told(request_for, tmp_path, moved, another, sentence):
    """Also if another one has taken its place, which a run of its own may write to."""
    request = request_for("gone")

    class TakesItAway(Stopper):
        def on_step(self, step, *rest):
            super().on_step(step, *rest)
            if step == 12:
                request.output.rename(tmp_path / "elsewhere")
                if not moved:
                    shutil.rmtree(tmp_path / "elsewhere")
                if another:
                    request.output.mkdir()

    with pytest.raises(StorageError) as caught:
        train(request, TakesItAway())
    sentence(caught.value, request.output, "moved or removed", "charlstm train --resume")
    assert [path.name for path in request.output.glob("*")] == []
    if moved:
        assert resume(tmp_path / "elsewhere").stop_reason == "budget"
        train(request_for("whole"))
        assert essence(tmp_path / "elsewhere") == essence(request_for("whole").output)


@pytest.mark.parametrize(
    ("chosen", "lasts", "expected"),
    [(None, 0.5, 60.0), (None, 3.0, 150.0), (5.0, 3.0, 5.0), (90.0, 0.5, 90.0)],
)
def test_saves_take_a_small_share_of_the_time(request_for, monkeypatch, chosen, lasts, expected):
    """Unless it was said how often to save."""
    clock, saves = Clock(), []
    choices = {"steps": 500, "eval_every": 500, "save_every": chosen}
    prepared = setup.new_run(request_for("saved", **choices), None)

    def train_step(self, batch, states, number, *_):
        clock.now += 1.0
        return 1.0, states

    def write(*arguments):
        saves.append(clock.now)
        clock.now += lasts

    monkeypatch.setattr(replicas, "time", clock)
    monkeypatch.setattr(trainer_module.StepRunner, "train", train_step)
    monkeypatch.setattr(trainer_module.StepRunner, "validate", lambda *_: 1.0)
    monkeypatch.setattr(CheckpointWriter, "resume", write)
    run.execute(prepared, Stopper(), began=clock.now)
    waits = np.diff(saves[:-2]) - lasts  # the last two belong to the end
    assert len(waits) > 1
    assert all(expected < wait <= expected + 1 for wait in waits)


def test_a_configuration_that_is_altered_under_the_run_does_not_pass(request_for):
    """What the weights are tied to is what they were trained with."""
    request = request_for("altered")

    class Alters(Stopper):
        def on_step(self, step, *rest):
            super().on_step(step, *rest)
            if step == 5:
                path = request.output / reader.CONFIG
                path.write_bytes(path.read_bytes() + b"\n")

    train(request, Alters())
    with raises_naming(CheckpointDamaged, request.output / reader.CONFIG, "restore"):
        read_checkpoint(request.output)


def test_a_run_that_can_not_begin_replaces_nothing(request_for, monkeypatch):
    request = request_for("kept")
    train(request)
    before = essence(request.output)

    def too_large(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(trainer_module.StepRunner, "__init__", too_large)
    prepared = setup.new_run(replace(request, overwrite=True), None)
    with pytest.raises(MemoryError):
        run.execute(prepared, Stopper(), began=time.monotonic(), overwrite=True)
    assert essence(request.output) == before


def test_an_interrupted_run_can_be_used_before_its_first_evaluation(request_for):
    request = request_for("early")
    train(request, Stopper(2))
    assert read_checkpoint(request.output).figures.valid_loss is None
    assert not reader.is_finished(request.output)


def test_a_finished_run_has_nothing_to_resume(request_for):
    request = request_for("done")
    train(request)
    with raises_naming(CheckpointMissing, request.output, "finished"):
        setup.resumed_run(request.output)


def test_a_changed_corpus_is_refused(request_for, sentence):
    request = request_for("changed")
    train(request, Stopper(5))
    request_for("changed", text=TEXT + "more")
    with pytest.raises(CorpusError) as caught:
        setup.resumed_run(request.output)
    sentence(caught.value, request.corpus.addresses[0], "changed", "--from")
    request_for("changed")
    assert resume(request.output).stop_reason == "budget"


def test_early_stopping_keeps_the_best(request_for):
    # Noise can't be learned: validation gets worse as training memorizes.
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
    # The last may be a little below: an evaluation after it can use up what is left.
    assert 0 < min(dones) <= max(dones[:-1]) < 1
    # How many fit depends on the machine; by a clock of our own they are counted below.
    assert 1 <= len(observer.evaluations) <= 11


class Clock:
    """Stands for the time module: time passes only where a test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


def timed(request, monkeypatch, *, step, evaluation, first=None):
    """Train by a clock on which steps and evaluations take so many seconds; return the rest."""
    clock, observer, taken = Clock(), Stopper(), []
    prepared = setup.new_run(request, None)

    def train_step(self, batch, states, number, *_):
        clock.now += first if first and not taken else step
        taken.append(number)
        return 1.0, states

    def validate(self, ids, should_stop):
        clock.now += evaluation
        return 1.0

    monkeypatch.setattr(replicas, "time", clock)
    monkeypatch.setattr(trainer_module.StepRunner, "train", train_step)
    monkeypatch.setattr(trainer_module.StepRunner, "validate", validate)
    outcome = run.execute(prepared, observer, began=clock.now)
    assert outcome.stop_reason == "budget"
    return outcome, [figures.seconds for figures, _ in observer.evaluations]


# Steps of 40 tokens and a validation text of 256: an evaluation is taken to last 3.2 steps.
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0.05, [*(6.16 * n for n in range(1, 10)), 60]),  # ten in all
        (0.5, [33.6, 60]),  # a twentieth of the time is for evaluations
        (0.9, [60]),  # at 57.6 s one would be due, but nothing could be learned after it
        (5.0, [60]),
        (15.0, [60]),
    ],
)
def test_evaluations_fit_into_the_minutes(request_for, monkeypatch, step, expected):
    request = request_for("timed", steps=None, minutes=1, eval_every=None, patience=100)
    outcome, seconds = timed(request, monkeypatch, step=step, evaluation=3.2 * step)
    assert len(seconds) == len(expected)
    assert seconds == pytest.approx(expected, abs=(len(expected) + 1) * step)
    assert 60 - step <= outcome.seconds <= 60 + 2 * step


def test_minutes_count_from_the_beginning_of_the_command(request_for, monkeypatch):
    request = request_for("timed", steps=None, minutes=1, eval_every=None)
    clock = Clock()
    monkeypatch.setattr(replicas, "time", clock)
    prepared = setup.new_run(request, None)
    monkeypatch.setattr(
        trainer_module.StepRunner, "train", lambda self, batch, states, *_: (1.0, states)
    )
    monkeypatch.setattr(trainer_module.StepRunner, "validate", lambda *_: 1.0)
    outcome = run.execute(prepared, Stopper(), began=clock.now - 60)
    assert (outcome.step, outcome.seconds) == (1, 60.0)


def test_the_schedule_begins_with_the_first_step(request_for, monkeypatch):
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
    monkeypatch.setattr(trainer_module.StepRunner, "train", train_step)
    monkeypatch.setattr(trainer_module.StepRunner, "validate", lambda *_: 1.0)
    run.execute(prepared, Stopper(), began=clock.now)
    peak = prepared.config.train.learning_rate
    assert rates[:2] == pytest.approx([peak, peak])
    assert rates[30] == pytest.approx(0.51 * peak, rel=0.05)  # half of the rest is over
    assert rates[-1] < 0.05 * peak


@pytest.mark.parametrize("first", [5.0, 20.0, 40.0])
def test_a_first_step_that_is_slow_tells_nothing_about_the_others(request_for, monkeypatch, first):
    """It compiles. Taken for the usual speed, it would make validation seem to outlast the run."""
    request = request_for("timed", steps=None, minutes=1, eval_every=None, patience=100)
    outcome, _ = timed(request, monkeypatch, step=0.1, evaluation=0.32, first=first)
    assert 59.8 <= outcome.seconds <= 60.2
    assert outcome.step == pytest.approx((60 - first) / 0.1, rel=0.1)
    assert outcome.tokens_per_second == pytest.approx(40 / 0.1)


@pytest.mark.parametrize("after", [100, 250, 500])
def test_minutes_go_on_with_the_time_and_the_schedule_that_were_left(
    request_for, monkeypatch, after
):
    clock, rates = Clock(), []
    choices = {"steps": None, "minutes": 1, "eval_every": None, "patience": 100, "warmup_steps": 0}
    request = request_for("timed", **choices)

    def train_step(self, batch, states, step, rate, dropout):
        clock.now += 0.1
        rates.append(rate)
        return 1.0, states

    def validate(self, ids, should_stop):
        clock.now += 3.0
        return 1.0

    monkeypatch.setattr(replicas, "time", clock)
    monkeypatch.setattr(trainer_module.StepRunner, "train", train_step)
    monkeypatch.setattr(trainer_module.StepRunner, "validate", validate)
    begun = run.execute(setup.new_run(request, None), Stopper(after), began=clock.now)
    assert begun.stop_reason == "interrupted"
    clock.now += 1e6  # it is tomorrow
    again = run.execute(setup.resumed_run(request.output), Stopper(), began=clock.now)
    assert again.stop_reason == "budget"
    assert 59.8 <= again.seconds <= 60.3
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.1 * rates[0]


def test_a_validation_loss_that_is_not_finite_stops_too(request_for, monkeypatch, sentence):
    request = request_for("broken")
    monkeypatch.setattr(trainer_module.StepRunner, "validate", lambda *_: math.inf)
    with pytest.raises(TrainingError) as caught:
        train(request)
    sentence(caught.value, "validation loss", "not finite", "step 10")
    assert not (request.output / schema.MODEL).exists()


def test_a_loss_that_is_not_finite_stops_and_keeps_what_was_good(
    request_for, monkeypatch, sentence
):
    request = request_for("broken")
    real = trainer_module.StepRunner.train

    def broken(self, batch, states, step, *rates):
        loss, after = real(self, batch, states, step, *rates)
        return (math.nan if step == 15 else loss), after

    monkeypatch.setattr(trainer_module.StepRunner, "train", broken)
    with pytest.raises(TrainingError) as caught:
        train(request)
    rate = read_checkpoint(request.output).config.train.learning_rate
    sentence(
        caught.value,
        request.output,
        "training loss",
        "not finite",
        "step 16",
        "--learning-rate",
        f"{rate:g}",
    )
    assert read_checkpoint(request.output).figures.step == 10


@pytest.mark.parametrize("which", ["training", "validation"])
def test_a_loss_that_explodes_stops_and_keeps_what_was_good(
    request_for, monkeypatch, which, sentence
):
    request = request_for("broken", save_every=1e-9)
    train_step, validate = trainer_module.StepRunner.train, trainer_module.StepRunner.validate

    def exploded(self, batch, states, step, *rates):
        loss, after = train_step(self, batch, states, step, *rates)
        return (1e6 if step == 15 else loss), after

    def bad_text(self, *arguments):
        loss = validate(self, *arguments)
        return 1e6 if (self.optimizer.iterations == 20) else loss

    monkeypatch.setattr(trainer_module.StepRunner, *{
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
        "--learning-rate",
        f"{config.train.learning_rate:g}",
    )
    assert read_checkpoint(request.output).figures.step == 10


@pytest.mark.parametrize("name", ["weights/output/bias", "optimizer/0", "states/c_1"])
def test_what_is_not_a_number_is_never_saved(request_for, monkeypatch, sentence, name):
    """A gradient that is not finite ruins the weights in a step whose own loss is still good."""
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
    """Put one NaN among the numbers of that name."""
    if name in trainer.state.variables():
        variable = trainer.state.variables()[name]
        bad = variable.numpy()
        bad.flat[-1] = math.nan
        variable.assign(bad)
    else:
        layer = int(name[-1])
        h, c = trainer.state.recurrent[layer]
        trainer.state.recurrent[layer] = (h, c * math.nan)


def test_fine_tuning_keeps_old_ids_and_learns_new_symbols(request_for):
    parent = request_for("parent")
    train(parent)
    old = read_checkpoint(parent.output)
    child = request_for("child", text="ZEBRA 123! " * 200, layers=None, units=None, embedding=None)
    alone = setup.new_run(child, None).config.train
    child = replace(child, parent=parent.output)
    prepared = setup.new_run(child, None)
    assert prepared.config.train == alone.replace(learning_rate=alone.learning_rate / 4)
    assert prepared.prepared.tokenizer.vocabulary[: len(old.tokenizer.vocabulary)] == (
        old.tokenizer.vocabulary
    )
    before = old.weights["embedding/embeddings"]
    grown = prepared.weights["embedding/embeddings"]
    np.testing.assert_array_equal(grown[: len(before)], before)
    assert len(grown) == prepared.prepared.tokenizer.vocab_size > len(before)
    run.execute(prepared, Stopper(), began=time.monotonic())
    new = read_checkpoint(child.output)
    assert new.config.provenance.parent == "parent"
    assert new.figures.valid_loss < math.log(new.tokenizer.vocab_size)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(request_for, fresh_networks):
    first = uninterrupted(request_for, level="char")
    for name, seed in (("same", 3), ("other", 4)):
        train(request_for(name, seed=seed))
    same, other = (essence(request_for(name).output) for name in ("same", "other"))
    assert same == first
    assert other[0] != first[0]
