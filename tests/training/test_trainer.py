"""The loop: budget, evaluation, early stopping, saving, and resuming with identical results."""

import json
import math
import shutil

import msgspec
import numpy as np
import pytest

from charlstm.checkpoint import reader, schema
from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.dataset.frequencies import log_frequencies
from charlstm.errors import StorageError
from charlstm.training import setup
from charlstm.training.step import StepRunner
from tests.training.helpers import TEXT, Stopper, essence, read_state, resume, train, uninterrupted


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
    # The text starts without a mark and is cut before its end, so no mark is predicted.
    assert lengths.valid_tokens == lengths.valid_characters == len(TEXT) // 10
    bits = found.figures.valid_loss * lengths.valid_tokens / lengths.valid_characters
    assert found.figures.valid_bits_per_character == pytest.approx(bits / math.log(2))
    assert found.figures.valid_perplexity == pytest.approx(math.exp(found.figures.valid_loss))


@pytest.mark.parametrize(
    ("level", "stops"),
    [("char", (7,)), ("char", (1, 1, 1, 20)), ("word", (10, 5)), ("word", (1, 1, 1, 20))],
)
def test_resumed_equals_uninterrupted(request_for, level, stops):
    check_resumed(request_for, level, stops)


@pytest.mark.parametrize(("level", "stops"), [("char", (10, 5)), ("word", (7,))])
def test_resumed_equals_uninterrupted_with_a_new_network(request_for, fresh_networks, level, stops):
    check_resumed(request_for, level, stops)


def check_resumed(request_for, level, stops):
    stopped = request_for("stopped", level=level)
    assert train(stopped, Stopper(stops[0])).stop_reason == "interrupted"
    for after in stops[1:]:
        assert resume(stopped.output, Stopper(after)).stop_reason == "interrupted"
    assert resume(stopped.output).stop_reason == "budget"
    assert essence(stopped.output) == uninterrupted(request_for, level=level)


def test_resumed_equals_uninterrupted_in_shards(request_for, fresh_networks):
    options = {"streams": 8, "threads": 2}
    stopped = request_for("stopped", **options)
    assert train(stopped, Stopper(7)).stop_reason == "interrupted"
    assert resume(stopped.output).stop_reason == "budget"
    assert read_checkpoint(stopped.output).config.train.shards == 2
    assert essence(stopped.output) == uninterrupted(request_for, **options)


def test_resumed_equals_uninterrupted_with_attention(request_for):
    options = {"attention": 15}  # longer than a sequence
    stopped = request_for("stopped", **options)
    assert train(stopped, Stopper(7)).stop_reason == "interrupted"
    assert read_state(stopped.output)[0]["states/outputs"].shape == (4, 15, 8)
    assert resume(stopped.output).stop_reason == "budget"
    assert essence(stopped.output) == uninterrupted(request_for, **options)


@pytest.mark.parametrize("save", [11, 14])
def test_a_crash_between_saves_equals_uninterrupted(request_for, fresh_networks, monkeypatch, save):
    """The 11th save ends the first evaluation, whose weights and history are already written."""
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
    """The state is saved at the same step just before, as happens if evaluations are slow."""
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
def test_a_stopped_evaluation_is_repeated_when_the_run_resumes(
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


def as_format_1(folder):
    """Turn an interrupted run into one of format 1, which has the addresses in its config."""
    path = folder / schema.CONFIG
    tensors, progress = read_state(folder)
    found, config = read_checkpoint(folder), json.loads(path.read_text())
    config["format"], config["corpus"]["addresses"] = 1, list(progress.corpus.addresses)
    path.write_text(json.dumps(config))
    CheckpointWriter(folder).model(found.weights, found.figures)
    CheckpointWriter(folder).resume(tensors, msgspec.structs.replace(progress, corpus=None))


def test_a_run_of_format_1_resumes(request_for, monkeypatch, tmp_path):
    train(request_for("whole"))
    stopped = request_for("stopped")
    train(stopped, Stopper(15))
    as_format_1(stopped.output)
    monkeypatch.chdir("/")
    assert b'corpus\\"' not in (stopped.output / schema.RESUME).read_bytes()
    resume(stopped.output)
    assert essence(stopped.output) == essence(request_for("whole").output)
    assert read_checkpoint(stopped.output).config.format == 1


def test_a_resume_file_without_the_last_evaluation_resumes(request_for):
    """Then the state was always saved after an evaluation, never before one at the same step."""
    train(request_for("whole"))
    stopped = request_for("stopped")
    train(stopped, Stopper(15))
    tensors, progress = read_state(stopped.output)
    assert progress.evaluated == 10
    old = msgspec.structs.replace(progress, evaluated=None)
    CheckpointWriter(stopped.output).resume(tensors, old)
    resume(stopped.output)
    assert essence(stopped.output) == essence(request_for("whole").output)


def test_better_weights_stored_by_a_killed_run_stay_the_best(request_for, monkeypatch):
    """With a budget in minutes, the steps after the last save need not give the same results."""
    request = request_for("killed", steps=None, minutes=10, eval_every=5)
    with monkeypatch.context() as patch:
        patch.setattr(StepRunner, "validate", lambda *_: 3.0)
        train(request, Stopper(6))
    with monkeypatch.context() as patch:
        patch.setattr(StepRunner, "validate", lambda *_: 1.0)
        patch.setattr(CheckpointWriter, "history", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            resume(request.output)
    monkeypatch.setattr(StepRunner, "validate", lambda *_: 2.0)
    outcome = resume(request.output, Stopper(6))
    assert outcome.best.valid_loss == read_checkpoint(request.output).figures.valid_loss == 1.0


def test_a_run_whose_best_weights_were_removed_resumes(request_for):
    request = request_for("removed")
    train(request, Stopper(15))
    (request.output / schema.MODEL).unlink()
    assert resume(request.output).stop_reason == "budget"
    assert read_checkpoint(request.output).figures.step in (20, 30)


def test_resuming_removes_leftovers_of_a_killed_process(request_for):
    request = request_for("killed")
    train(request, Stopper(2))
    half = request.output / f".{schema.RESUME}.x.tmp"
    half.write_text("half a file")
    assert resume(request.output, Stopper(1)).stop_reason == "interrupted"
    assert not half.exists()


def test_a_save_that_fails_says_how_to_go_on(request_for, monkeypatch, sentence):
    request = request_for("full")
    real = CheckpointWriter.model

    def fail(*arguments):
        raise StorageError("model.safetensors: the disk is full. Free some space.")

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
    """Also if another folder has taken its place, which another run may be writing to."""
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


def test_an_interrupted_run_can_be_used_before_its_first_evaluation(request_for):
    request = request_for("early")
    train(request, Stopper(2))
    assert read_checkpoint(request.output).figures.valid_loss is None
    assert not reader.is_finished(request.output)


@pytest.mark.parametrize("after", [6, 10])
def test_the_averages_are_stored(request_for, after):
    """Before the first evaluation and after it."""
    request = request_for("averaged", eval_every=10)
    train(request, Stopper(after=after))
    found, (tensors, _) = read_checkpoint(request.output), read_state(request.output)
    for name, weight in found.weights.items():
        np.testing.assert_array_equal(weight, tensors[f"averages/{name}"])
    assert any(
        not np.array_equal(weight, tensors[f"weights/{name}"])
        for name, weight in found.weights.items()
    )


def test_a_new_network_predicts_each_token_by_its_frequency(request_for):
    request = request_for("begun", eval_every=10)
    train(request, Stopper(after=0))
    found = read_checkpoint(request.output).weights["output/bias"]
    prepared = setup.new_run(request_for("other"), None).prepared
    expected = log_frequencies(prepared.store.train, prepared.tokenizer.vocab_size)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_early_stopping_keeps_the_best(request_for):
    # Noise can't be learned: validation gets worse while training memorizes it.
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
