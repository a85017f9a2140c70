"""How a run ended, from the files of its checkpoint."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.folder import lock_folder
from charlstm.checkpoint.reader import read_config, read_history
from charlstm.checkpoint.resume import Progress
from charlstm.checkpoint.schema import HISTORY, MODEL, RESUME, Figures
from charlstm.cli.outcomes import describe_end, describe_fit, describe_length
from charlstm.config import CorpusConfig, TrainConfig
from charlstm.errors import CheckpointDamaged, CheckpointMissing
from charlstm.training.advice import advise
from charlstm.training.outcome import (
    OVERFITTING_MARGIN,
    evaluations_without_improvement,
    is_overfitting,
    outcome_of,
    read_outcome,
)
from tests.checkpoint.helpers import CHARACTERS, settings
from tests.training.helpers import Stopper, resume, train

DATA = Path(__file__).parents[1] / "data"
STORED = sorted(path.parent for path in DATA.glob("*/*/config.json"))


def figures(step, valid=None, training=None, **values):
    known = {"epoch": step / 10, "tokens": step, "seconds": float(step), "learning_rate": 0.1}
    return Figures(step=step, valid_loss=valid, train_loss=training, **known | values)


def outcome(history, *, state="finished", progress=None, validates=True, **budget):
    config = settings(
        train=TrainConfig(**budget or {"steps": 100}, patience=2),
        corpus=CorpusConfig(valid_fraction=0.1 if validates else 0.0),
    )
    losses = [each for each in history if each.valid_loss is not None] or history
    best = min(losses, key=lambda each: each.valid_loss or 0.0, default=None)
    return outcome_of(config, history, best, progress, state)


# Runs


def assert_matches(found, result):
    assert (found.step, found.stop_reason) == (result.step, result.stop_reason)
    assert found.epochs == pytest.approx(result.epochs)
    assert found.seconds == pytest.approx(result.seconds, abs=1.0)
    assert found.best == result.best


def test_a_run_that_ends_with_its_budget(request_for):
    request = request_for("whole")
    result = train(request)
    found = read_outcome(request.output)
    assert_matches(found, result)
    assert (found.state, found.can_resume, found.planned_steps) == ("finished", False, 30)
    assert (found.planned_minutes, found.overfits) == (None, False)


def test_a_run_in_epochs_has_as_many_steps(request_for):
    request = request_for("epochs", steps=None, epochs=0.4)
    result = train(request)
    found = read_outcome(request.output)
    assert_matches(found, result)
    assert found.planned_steps == found.step


def test_a_run_in_minutes_ends_with_its_minutes(request_for):
    request = request_for("minutes", steps=None, minutes=0.05, eval_every=None)
    result = train(request)
    found = read_outcome(request.output)
    assert_matches(found, result)
    assert (found.stop_reason, found.planned_steps, found.planned_minutes) == ("budget", None, 0.05)


def test_early_stopping_and_overfitting(request_for):
    noise = "".join(np.random.default_rng(0).choice(list("abcdefgh"), 800))
    request = request_for(
        "noise", text=noise, steps=3000, dropout=0.0, units=64, patience=8, learning_rate=0.01
    )
    result = train(request)
    found = read_outcome(request.output)
    assert_matches(found, result)
    assert found.stop_reason == "early stopping"
    assert found.step < found.planned_steps
    assert found.overfits
    assert evaluations_without_improvement(read_history(request.output)) == 8


def test_an_interrupted_run_and_its_end(request_for):
    request = request_for("stopped")
    result = train(request, Stopper(13))
    found = read_outcome(request.output)
    assert_matches(found, result)
    assert (found.state, found.can_resume, found.step) == ("unfinished", True, 13)
    assert found.last.step == 10
    (request.output / RESUME).write_bytes(b"damaged")
    found = read_outcome(request.output)
    assert (found.state, found.can_resume, found.step) == ("unfinished", False, 10)


def test_a_run_that_is_resumed(request_for):
    request = request_for("resumed")
    train(request, Stopper(13))
    result = resume(request.output)
    assert_matches(read_outcome(request.output), result)


def test_a_run_that_was_stopped_before_its_first_evaluation(request_for):
    request = request_for("early")
    result = train(request, Stopper(4))
    found = read_outcome(request.output)
    assert_matches(found, result)
    assert (found.last, found.overfits) == (None, None)
    (request.output / MODEL).unlink()
    found = read_outcome(request.output)
    assert (found.step, found.planned_steps, found.best) == (4, 30, None)


def test_a_run_that_is_training(request_for):
    request = request_for("training")
    train(request, Stopper(13))
    with lock_folder(request.output):
        found = read_outcome(request.output)
    assert (found.state, found.stop_reason, found.can_resume) == ("training", None, False)
    assert found.step == 13


def test_a_run_without_validation(request_for):
    request = request_for("all")
    request = request.__class__(
        **vars(request) | {"corpus": request.corpus.replace(valid_fraction=0.0)}
    )
    result = train(request)
    found = read_outcome(request.output)
    assert_matches(found, result)
    assert (found.stop_reason, found.overfits) == ("budget", None)


# Old checkpoints


@pytest.mark.parametrize("folder", STORED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_checkpoints_of_every_format(folder, tmp_path):
    found, config = read_outcome(folder), read_config(folder)
    unfinished = folder.name == "unfinished"
    assert found.state == ("unfinished" if unfinished else "finished")
    assert found.stop_reason == ("interrupted" if unfinished else "budget")
    assert found.planned_steps == config.train.steps
    assert (found.step < found.planned_steps) == unfinished
    assert found.seconds > 0
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / HISTORY).unlink()
    if not unfinished:
        found = read_outcome(copy)
        assert (found.stop_reason, found.overfits, found.last) == (None, None, None)
        assert (found.step is None) == config.corpus.validates
        assert found.best is not None


def test_a_damaged_history_and_no_checkpoint(prose, tmp_path):
    shutil.copytree(prose, tmp_path / "model")
    (tmp_path / "model" / HISTORY).write_text("{")
    with pytest.raises(CheckpointDamaged):
        read_outcome(tmp_path / "model")
    with pytest.raises(CheckpointMissing):
        read_outcome(tmp_path / "nothing")


# Why a run has stopped


@pytest.mark.parametrize(
    ("seconds", "losses", "reason"),
    [
        (600, [3, 2, 1], "budget"),
        (590, [1, 2, 3], "budget"),
        (300, [1, 2, 3], "early stopping"),
        (300, [3, 2, 1], "budget"),
    ],
)
def test_a_run_in_minutes_stopped_early_if_minutes_are_left(seconds, losses, reason):
    history = [figures(10 * n, loss, seconds=float(seconds)) for n, loss in enumerate(losses, 1)]
    assert outcome(history, minutes=10.0).stop_reason == reason


def test_a_run_whose_last_evaluation_is_at_its_end_did_not_stop_early():
    history = [figures(step, float(step)) for step in (80, 90, 100)]
    assert outcome(history).stop_reason == "budget"
    assert outcome(history[:2]).stop_reason == "budget"  # as patience is not used up
    assert outcome([figures(70, 1.0), *history[:2]]).stop_reason == "early stopping"


def test_the_time_of_a_run_is_that_of_its_last_save():
    progress = Progress(step=57, seconds=99.0)
    found = outcome([figures(50, 1.0)], state="unfinished", progress=progress)
    assert (found.step, found.seconds, found.epochs) == (57, 99.0, 5.7)
    found = outcome([figures(60, 1.0)], state="training", progress=progress)
    assert (found.step, found.seconds) == (60, 99.0)
    # Before the first evaluation, an epoch is as long as it was planned: 901 tokens in one step.
    found = outcome([], state="unfinished", progress=progress, epochs=60.0)
    assert (found.step, found.epochs, found.planned_steps) == (57, 57.0, 60)


HOSTILE = st.sampled_from([0.0, 5e-324, 1e-9, 1.0, 1e308, math.inf, -math.inf, math.nan])


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2**63 - 1]), HOSTILE, HOSTILE), max_size=4),
    st.sampled_from([{"steps": 1}, {"epochs": 1e9}, {"epochs": 5e-324}, {"minutes": 1e9}]),
)
def test_figures_of_a_hostile_file_are_not_an_error(rows, budget):
    history = [
        figures(step, loss, loss, epoch=number, seconds=number, valid_bits_per_character=number)
        for step, number, loss in rows
    ]
    found = outcome(history, **budget)
    config = settings(train=TrainConfig(**budget))
    assert describe_end(found, config)
    describe_length(found)
    describe_fit(found)
    assert advise(found, config, CHARACTERS, "model")


# Overfitting

LOSSES = st.floats(0.1, 5.0)


def test_overfitting_lowers_one_loss_and_raises_the_other():
    best, last = figures(10, 1.5, 1.4), figures(20, 1.6, 1.0)
    assert is_overfitting([best, last], best)
    for other in (
        figures(20, 1.5 + OVERFITTING_MARGIN / 2, 1.0),  # within what seeds differ by
        figures(20, 1.6, 1.45),  # both got worse
        figures(20, 1.4, 1.0),  # both got better
    ):
        assert not is_overfitting([best, other], best)
    high = figures(10, 1.5, 2.4), figures(20, 1.6, 2.0)
    assert not is_overfitting(high, high[0])  # high dropout: the training loss says little


def test_a_parent_has_the_training_loss_of_the_first_evaluation():
    parent, first, last = figures(0, 1.5), figures(10, 1.6, 1.4), figures(20, 1.7, 1.0)
    assert is_overfitting([parent, first, last], parent)
    assert not is_overfitting([parent, first], parent)


def test_without_losses_nothing_is_known():
    assert is_overfitting([], figures(10, 1.0)) is None
    assert is_overfitting([figures(10, training=1.0)], figures(10, training=1.0)) is None


@given(st.lists(LOSSES, min_size=1), LOSSES)
def test_a_last_evaluation_that_is_best_does_not_overfit(losses, training):
    history = [figures(n, loss, training) for n, loss in enumerate(losses, 1)]
    best = min(history, key=lambda each: each.valid_loss)
    assert not is_overfitting(history[: best.step], best)


# Evaluations without improvement


def waited_of_trainer(history):
    """Count like the training loop, which remembers the best evaluation."""
    waited, best, seen = 0, None, []
    for each in history:
        loss = each.valid_loss
        is_best = best is None or loss < best
        lowest = min((other.valid_loss for other in seen if other.step), default=math.inf)
        waited = 0 if is_best or loss < lowest else waited + 1
        best = loss if is_best else best
        seen.append(each)
    return waited


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]) | LOSSES, max_size=12), st.integers(0, 1))
def test_evaluations_are_counted_as_in_training(losses, first):
    history = [figures(n, loss) for n, loss in enumerate(losses, first)]
    assert evaluations_without_improvement(history) == waited_of_trainer(history)


def test_a_run_without_validation_never_waits():
    assert (
        evaluations_without_improvement([figures(1, training=1.0), figures(2, training=2.0)]) == 0
    )
