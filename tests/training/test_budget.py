"""The budget of a run: what is used, and what is due, by a clock of our own."""

import msgspec
import pytest

from charlstm.checkpoint.schema import Progress
from charlstm.config import TrainConfig
from charlstm.training.budget import Budget, Workload

START = Progress(step=0, seconds=0.0)


class Clock:
    """Time passes only where a test says so."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def budget_of(clock, *, began=100.0, **settings):
    workload = Workload(tokens_per_step=50, steps_per_epoch=4, valid_tokens=1000)
    return Budget(TrainConfig(**settings), workload, began=began, now=clock)


def after(steps, **changes):
    return msgspec.structs.replace(START, step=steps, **changes)


@pytest.mark.parametrize(
    ("settings", "last"),
    [({"steps": 7}, 7), ({"epochs": 2.5}, 10), ({"epochs": 0.01}, 1), ({"minutes": 1}, None)],
)
def test_the_last_step_follows_from_steps_and_epochs(clock, settings, last):
    assert budget_of(clock, **settings).last_step == last


def test_steps_are_used_up_whatever_the_time(clock):
    budget = budget_of(clock, steps=8)
    clock.seconds += 1e6
    assert [budget.used(after(step)) for step in (0, 2, 8)] == [0.0, 0.25, 1.0]


def test_minutes_count_from_the_first_step_and_leave_time_for_the_last_evaluation(clock):
    budget = budget_of(clock, minutes=1)
    progress = after(1, first_step_at=20.0, evaluation_seconds=10.0)
    clock.seconds = 100 + 35
    assert budget.used(progress) == pytest.approx(15 / 30)
    clock.seconds = 100 + 50
    assert budget.used(progress) == 1.0


def test_the_share_that_is_used_never_falls(clock):
    budget = budget_of(clock, minutes=1)
    assert budget.used(after(1, done=0.7)) == 0.7


def test_a_resumed_run_goes_on_with_the_time_it_had_taken(clock):
    budget = budget_of(clock, minutes=1)
    budget.resume(45.0)
    clock.seconds += 5
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


def test_evaluations_are_due_every_so_many_steps(clock):
    budget = budget_of(clock, steps=100, eval_every=10)
    due = [step for step in range(1, 31) if budget.evaluation_due(after(step))]
    assert due == [10, 20, 30]


def test_evaluations_by_time_take_a_small_share_of_it(clock):
    """One of 6 seconds: not before 120 seconds have passed, and not close to the end."""
    budget = budget_of(clock, minutes=10)
    budget.start()
    progress = after(5, evaluation_seconds=6.0)
    budget.step_taken(1.0)
    clock.seconds = 100 + 121
    assert not budget.evaluation_due(progress)  # nothing is known about the steps yet
    budget.step_taken(1.0)
    for elapsed, due in ((119, False), (121, True), (581, True), (583, False)):
        clock.seconds = 100 + elapsed
        assert budget.evaluation_due(progress) is due
    clock.seconds = 100 + 121
    assert budget.evaluated(began=115.0) == 6.0
    assert not budget.evaluation_due(progress)


def test_an_evaluation_is_expected_to_be_twice_as_fast_as_training(clock):
    budget = budget_of(clock, minutes=1)
    for seconds in (9.0, 1.0):
        budget.step_taken(seconds)  # 50 tokens a second: 1,000 are validated in 10 seconds
    clock.seconds = 100 + 25
    assert budget.used(after(2)) == pytest.approx(25 / 50)


@pytest.mark.parametrize(("save_every", "wait"), [(None, 150.0), (5.0, 5.0)])
def test_saves_take_a_small_share_of_the_time(clock, save_every, wait):
    budget = budget_of(clock, steps=8, save_every=save_every)
    clock.seconds += 3
    budget.saved(began=100.0)
    for seconds, due in ((wait, False), (wait + 0.1, True)):
        clock.seconds = 103 + seconds
        assert budget.save_due() is due
