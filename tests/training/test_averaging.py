"""The average of the weights: its arithmetic, what is evaluated and stored, resuming."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.network.backend import keras
from charlstm.network.model import weights_of
from charlstm.training.averaging import DECAY, EVERY, WeightAverage
from charlstm.training.resume_tensors import TrainingState
from charlstm.training.step import StepRunner
from tests.training.helpers import MODEL, TRAIN


def average_of(values):
    """Return the average after a variable had these values, one per update."""
    variable = keras.Variable(np.float32(values[0]), name="weight")
    average = WeightAverage([variable])
    for number, value in enumerate(values):
        variable.assign(np.float32(value))
        average.step_taken(EVERY * (number + 1))
    (found,) = average._averages
    return float(found.numpy())


def shares(count):
    """Return the weight of each of ``count`` values, in float64, from the definition."""
    shares = np.zeros(count)
    for number in range(1, count + 1):
        share = (DECAY + 1) / (DECAY + number)
        shares *= 1 - share
        shares[number - 1] = share
    return shares


@settings(max_examples=10)
@given(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40))
def test_values_are_weighted_by_a_power_of_their_age(values):
    assert average_of(values) == pytest.approx(np.dot(shares(len(values)), values), abs=1e-4)


def test_the_shares_sum_to_one_and_favor_the_last_part_of_a_run():
    for count in (1, 2, 50, 1000):
        found = shares(count)
        assert found.sum() == pytest.approx(1)
        assert (np.diff(found) > 0).all()
    assert found[-100:].sum() > 0.9


def test_updates_are_periodic_but_before_the_first_the_weights_are_copied():
    variable = keras.Variable(np.float32(1), name="weight")
    average = WeightAverage([variable])
    found = []
    for step in range(1, 2 * EVERY + 1):
        variable.assign(float(step))
        average.step_taken(step)
        found.append(float(average._averages[0].numpy()))
    assert found[:EVERY] == list(range(1, EVERY + 1))
    assert set(found[EVERY:-1]) == {EVERY}
    assert EVERY < found[-1] < 2 * EVERY


def trained_state(steps=2 * EVERY):
    runner = StepRunner(MODEL, TRAIN)
    state = TrainingState(runner, averages=True)
    for step in range(steps):
        for number, variable in enumerate(runner.model.trainable_variables):
            variable.assign_add(np.full(variable.shape, 0.1 * (number + 1), np.float32))
        state.average.step_taken(step + 1)
    return runner, state


def test_the_model_has_the_averages_only_within_a_block():
    runner, state = trained_state()
    own = weights_of(runner.model)
    averages = {}

    def stopped_within():
        with state.averaged():
            averages.update(weights_of(runner.model))
            raise KeyError

    with pytest.raises(KeyError):
        stopped_within()
    for name, average in state.average.named().items():
        np.testing.assert_array_equal(averages[name], average.numpy())
        assert not np.array_equal(averages[name], own[name])
        np.testing.assert_array_equal(weights_of(runner.model)[name], own[name])


def test_averages_are_restored():
    _, state = trained_state()
    other = TrainingState(StepRunner(MODEL, TRAIN.replace(seed=9)), averages=True)
    other.restore(state.tensors(), 2 * EVERY)
    assert {name for name in state.shapes() if name.startswith("averages/")}
    for name, tensor in state.tensors().items():
        np.testing.assert_array_equal(other.tensors()[name], tensor)


def test_without_averages_the_weights_are_those_of_the_last_step():
    runner = StepRunner(MODEL, TRAIN)
    state = TrainingState(runner)
    assert not [name for name in state.shapes() if name.startswith("averages/")]
    own = weights_of(runner.model)
    with state.averaged():
        for name, weights in weights_of(runner.model).items():
            np.testing.assert_array_equal(weights, own[name])
