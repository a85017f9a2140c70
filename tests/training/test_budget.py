"""The budget of a run: what is used and what is due, on a fake clock."""

import msgspec
import numpy as np
import pytest

from charlstm.checkpoint.resume import Progress
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import TrainConfig
from charlstm.distributed import replicas
from charlstm.training import run, setup
from charlstm.training import trainer as trainer_module
from charlstm.training.budget import Budget, Workload
from charlstm.training.step import StepRunner
from tests.training.helpers import Clock, Stopper, timed, train

START = Progress(step=0, seconds=0.0)


@pytest.fixture
def clock():
    return Clock(100.0)


def budget_of(clock, *, began=100.0, **settings):
    workload = Workload(tokens_per_step=50, steps_per_epoch=4, evaluation_cost=500.0)
    return Budget(TrainConfig(**settings), workload, began=began, now=clock.monotonic)


def after(steps, **changes):
    return msgspec.structs.replace(START, step=steps, **changes)


@pytest.mark.parametrize(
    ("settings", "last"),
    [({"steps": 7}, 7), ({"epochs": 2.5}, 10), ({"epochs": 0.01}, 1), ({"minutes": 1}, None)],
)
def test_the_last_step_follows_from_steps_and_epochs(clock, settings, last):
    assert budget_of(clock, **settings).last_step == last


def test_a_budget_in_steps_does_not_depend_on_time(clock):
    budget = budget_of(clock, steps=8)
    clock.now += 1e6
    assert [budget.used(after(step)) for step in (0, 2, 8)] == [0.0, 0.25, 1.0]


def test_minutes_count_from_the_first_step_and_leave_time_for_the_last_evaluation(clock):
    budget = budget_of(clock, minutes=1)
    progress = after(1, first_step_at=20.0, evaluation_seconds=10.0)
    clock.now = 100 + 35
    assert budget.used(progress) == pytest.approx(15 / 30)
    clock.now = 100 + 50
    assert budget.used(progress) == 1.0


def test_the_share_that_is_used_never_falls(clock):
    budget = budget_of(clock, minutes=1)
    assert budget.used(after(1, done=0.7)) == 0.7


def test_a_resumed_run_counts_the_time_it_had_taken(clock):
    budget = budget_of(clock, minutes=1)
    budget.resume(45.0)
    clock.now += 5
    assert budget.elapsed() == 50.0


def test_the_first_step_counts_for_the_speed_only_while_it_is_alone(clock):
    budget = budget_of(clock, steps=8)
    budget.step_taken(10.0)
    assert not budget.is_compiled
    assert budget.tokens_per_second() == 5.0
    for seconds in (0.5, 1.5):
        budget.step_taken(seconds)
    assert budget.is_compiled
    assert budget.tokens_per_second() == 50.0


def test_evaluations_are_due_at_a_fixed_interval_of_steps(clock):
    budget = budget_of(clock, steps=100, eval_every=10)
    due = [step for step in range(1, 31) if budget.evaluation_due(after(step))]
    assert due == [10, 20, 30]


def test_one_more_evaluation_may_be_due_early(clock):
    budget = budget_of(clock, steps=100, eval_every=10, first_evaluation=4)
    due = [step for step in range(1, 31) if budget.evaluation_due(after(step))]
    assert due == [4, 10, 20, 30]


def test_evaluations_by_time_take_a_small_share_of_it(clock):
    """Five of 6 seconds each: one early, one at the end, and three 150 seconds apart."""
    budget = budget_of(clock, minutes=10)
    budget.start()
    progress = after(30, evaluation_seconds=6.0, evaluated=20)
    budget.step_taken(1.0)
    clock.now = 100 + 151
    assert not budget.evaluation_due(progress)  # the speed of the steps is still unknown
    budget.step_taken(1.0)
    for elapsed, due in ((149, False), (151, True), (581, True), (583, False)):
        clock.now = 100 + elapsed
        assert budget.evaluation_due(progress) is due
    clock.now = 100 + 151
    assert budget.evaluated(began=145.0) == 6.0
    assert not budget.evaluation_due(progress)


def test_the_first_evaluation_by_time_is_early(clock):
    """It is due after a fortieth of the time since the first step, and after twenty steps."""
    budget = budget_of(clock, minutes=10)
    budget.start()
    for _ in range(2):
        budget.step_taken(1.0)
    for elapsed, step, due in ((34, 30, False), (35, 30, True), (35, 19, False), (35, 20, True)):
        clock.now = 100 + elapsed
        progress = after(step, evaluated=0, first_step_at=20.0)
        assert budget.evaluation_due(progress) is due
        assert not budget.evaluation_due(msgspec.structs.replace(progress, evaluated=step - 1))


def test_compiling_in_the_first_evaluation_does_not_count(clock):
    """Otherwise a short run could afford no second one. The next one counts in full."""
    budget = budget_of(clock, minutes=1)
    for _ in range(3):
        budget.step_taken(1.0)  # 50 tokens per second, and an evaluation costs 500
    clock.now = 100 + 15
    assert budget.evaluated(began=2.0) == 10.0
    clock.now = 100 + 30
    assert budget.evaluated(began=17.0) == 13.0
    quick = budget_of(clock, minutes=1)
    for _ in range(3):
        quick.step_taken(1.0)
    assert quick.evaluated(began=quick.elapsed() - 4.0, known=1.0) == 4.0


def test_if_two_evaluations_take_too_long_there_is_one_at_the_end(clock):
    budget = budget_of(clock, minutes=10)
    budget.start()
    for _ in range(2):
        budget.step_taken(1.0)
    progress = after(30, evaluated=0, evaluation_seconds=16.0)
    for elapsed in range(50, 600, 50):
        clock.now = 100 + elapsed
        assert not budget.evaluation_due(progress)


def test_minutes_leave_time_for_the_last_save(clock):
    budget = budget_of(clock, minutes=1)
    progress = after(1, evaluation_seconds=10.0)
    clock.now = 103
    budget.saved(began=100.0)
    for elapsed, used in ((46, 46 / 47), (47, 1.0)):
        clock.now = 100 + elapsed
        assert budget.used(progress) == pytest.approx(used)


def test_an_evaluation_is_expected_to_be_twice_as_fast_as_training(clock):
    budget = budget_of(clock, minutes=1)
    for seconds in (9.0, 1.0):
        budget.step_taken(seconds)  # 50 tokens per second, so 1,000 are validated in 10 seconds
    clock.now = 100 + 25
    assert budget.used(after(2)) == pytest.approx(25 / 50)


@pytest.mark.parametrize(("save_every", "wait"), [(None, 150.0), (5.0, 5.0)])
def test_saves_take_a_small_share_of_the_time(clock, save_every, wait):
    budget = budget_of(clock, steps=8, save_every=save_every)
    clock.now += 3
    budget.saved(began=100.0)
    for seconds, due in ((wait, False), (wait + 0.1, True)):
        clock.now = 103 + seconds
        assert budget.save_due() is due


# Whole runs, on a fake clock


@pytest.mark.parametrize(
    ("chosen", "lasts", "expected"),
    [(None, 0.5, 60.0), (None, 3.0, 150.0), (5.0, 3.0, 5.0), (90.0, 0.5, 90.0)],
)
def test_saves_take_a_small_share_of_the_time_of_a_run(
    request_for, monkeypatch, chosen, lasts, expected
):
    """This holds unless the user chose an interval."""
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
    monkeypatch.setattr(StepRunner, "train", train_step)
    monkeypatch.setattr(StepRunner, "validate", lambda *_: 1.0)
    monkeypatch.setattr(CheckpointWriter, "resume", write)
    run.execute(prepared, Stopper(), began=clock.now)
    waits = np.diff(saves[:-2]) - lasts  # the last two saves are at the end
    assert len(waits) > 1
    assert all(expected < wait <= expected + 1 for wait in waits)


def test_a_budget_in_minutes_is_kept(request_for):
    request = request_for("timed", steps=None, minutes=0.2, eval_every=None)
    observer = Stopper()
    outcome = train(request, observer)
    assert outcome.stop_reason == "budget"
    assert observer.started == (0, None)
    dones = [done for _, done in observer.steps]
    # The last share may be slightly below 1, because an evaluation after it can use up the rest.
    assert 0 < min(dones) <= max(dones[:-1]) < 1
    # How many evaluations fit depends on the machine. The fake clock below counts them.
    assert 1 <= len(observer.evaluations) <= 11


# Steps have 40 tokens, an evaluation lasts 6.4 steps, and 3 of 60 seconds are for evaluations.
@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0.05, [*(1.87 + 7.82 * n for n in range(8)), 60]),  # nine in all
        (0.1, [2.64, 23.3, 43.9, 60]),
        (0.5, [60]),
        (5.0, [60]),
        (15.0, [60]),
    ],
)
def test_evaluations_fit_into_the_minutes(request_for, monkeypatch, step, expected):
    request = request_for("timed", steps=None, minutes=1, eval_every=None, patience=100)
    monkeypatch.setattr(trainer_module, "evaluation_cost", lambda *_: 6.4 * 40)
    outcome, seconds = timed(request, monkeypatch, step=step, evaluation=min(48.0, 6.4 * step))
    assert len(seconds) == len(expected)
    assert seconds == pytest.approx(expected, abs=(len(expected) + 1) * step)
    assert 60 - step <= outcome.seconds <= 60 + 2 * step


def test_minutes_count_from_the_start_of_the_command(request_for, monkeypatch):
    request = request_for("timed", steps=None, minutes=1, eval_every=None)
    clock = Clock()
    monkeypatch.setattr(replicas, "time", clock)
    prepared = setup.new_run(request, None)
    monkeypatch.setattr(StepRunner, "train", lambda self, batch, states, *_: (1.0, states))
    monkeypatch.setattr(StepRunner, "validate", lambda *_: 1.0)
    outcome = run.execute(prepared, Stopper(), began=clock.now - 60)
    assert (outcome.step, outcome.seconds) == (1, 60.0)


@pytest.mark.parametrize("first", [5.0, 20.0, 40.0])
def test_a_slow_first_step_does_not_affect_estimates(request_for, monkeypatch, first):
    """It compiles. Taken as the usual speed, validation would seem to outlast the run."""
    request = request_for("timed", steps=None, minutes=1, eval_every=None, patience=100)
    outcome, _ = timed(request, monkeypatch, step=0.1, evaluation=0.32, first=first)
    assert 59.8 <= outcome.seconds <= 60.2
    assert outcome.step == pytest.approx((60 - first) / 0.1, rel=0.1)
    assert outcome.tokens_per_second == pytest.approx(40 / 0.1)


@pytest.mark.parametrize("after", [100, 250, 500])
def test_a_resumed_run_continues_its_minutes_and_its_schedule(request_for, monkeypatch, after):
    clock, rates = Clock(), []
    choices = {"steps": None, "minutes": 1, "eval_every": None, "patience": 100, "warmup_steps": 0}
    request = request_for("timed", **choices)

    def train_step(self, batch, states, step, rate, dropout):
        clock.now += 0.1
        rates.append(rate)
        return 1.0, states

    def validate(self, ids, should_stop):
        clock.now += 0.5
        return 1.0

    monkeypatch.setattr(replicas, "time", clock)
    monkeypatch.setattr(StepRunner, "train", train_step)
    monkeypatch.setattr(StepRunner, "validate", validate)
    begun = run.execute(setup.new_run(request, None), Stopper(after), began=clock.now)
    assert begun.stop_reason == "interrupted"
    clock.now += 1e6  # the next day
    again = run.execute(setup.resumed_run(request.output), Stopper(), began=clock.now)
    assert again.stop_reason == "budget"
    assert 59.8 <= again.seconds <= 60.3
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.1 * rates[0]
