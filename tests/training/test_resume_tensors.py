"""The tensors from which a run resumes: saved by name and restored into another network."""

import numpy as np
import pytest

from charlstm.network.backend import tf
from charlstm.training.resume_tensors import TrainingState
from charlstm.training.step import StepRunner
from tests.training.helpers import MODEL, TRAIN


def bytes_of_all(state):
    return {name: tensor.tobytes() for name, tensor in state.tensors().items()}


@pytest.mark.parametrize("attention", [0, 3])
def test_a_state_is_restored_into_another_network(attention):
    model = MODEL.replace(attention=attention)
    states = [TrainingState(StepRunner(model, TRAIN.replace(seed=seed))) for seed in (1, 2)]
    first, second = states
    for number, variable in enumerate(first.variables().values()):
        variable.assign(tf.random.stateless_normal(variable.shape, [1, number]))
    first.recurrent = {name: state + 0.5 for name, state in first.recurrent.items()}
    assert bytes_of_all(first) != bytes_of_all(second)
    second.restore(first.tensors(), 7)
    assert bytes_of_all(first) == bytes_of_all(second)
    assert int(second._runner.optimizer.iterations) == 7
    assert second.recurrent.keys() == first.recurrent.keys()
    for name, state in first.recurrent.items():
        np.testing.assert_array_equal(second.recurrent[name], state)


def test_tensors_have_the_names_in_the_resume_file():
    """The names are those in resume.safetensors."""
    state = TrainingState(StepRunner(MODEL, TRAIN))
    shapes = state.shapes()
    assert {name: tensor.shape for name, tensor in state.tensors().items()} == shapes
    assert shapes["weights/lstm_1/recurrent_kernel"] == (10, 40)
    assert shapes["states/h_0"] == shapes["states/c_1"] == (TRAIN.streams, 10)
    weights = [name for name in shapes if name.startswith("weights/")]
    slots = [name for name in shapes if name.startswith("optimizer/")]
    assert len(slots) == 2 * len(weights)  # the two moments of AdamW
