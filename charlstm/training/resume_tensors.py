"""The tensors that a resumed run restores: weights, averages, optimizer slots and states.

Their names are the names in ``resume.safetensors``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from charlstm.network.backend import keras, tf
from charlstm.network.model import weight_name
from charlstm.network.states import States
from charlstm.training.averaging import WeightAverage
from charlstm.training.step import StepRunner

_STATES = "states/"


class TrainingState:
    """The state of a run that changes with each step.

    Args:
        runner: has the weights and the optimizer.
        averages: whether to average the weights.

    Attributes:
        recurrent: the states of this process's rows.
        average: average of the weights; ``None`` if they are not averaged.
    """

    def __init__(self, runner: StepRunner, *, averages: bool = False) -> None:
        self._runner = runner
        self.recurrent: States = runner.zero_states()
        variables = runner.model.trainable_variables
        self.average = WeightAverage(variables) if averages else None

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """Give the model its averaged weights within the ``with`` block, if it has any."""
        return self.average.swapped_in() if self.average else contextlib.nullcontext()

    def variables(self) -> dict[str, keras.Variable | tf.Variable]:
        """Return the weights, averages and optimizer slots by name."""
        model, slots = self._runner.model, self._runner.optimizer.variables
        weights = {f"weights/{weight_name(v)}": v for v in model.trainable_variables}
        if self.average:
            weights |= {f"averages/{name}": v for name, v in self.average.named().items()}
        # The first two slots, iteration count and learning rate, follow from the step number.
        return weights | {f"optimizer/{n}": v for n, v in enumerate(slots[2:])}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return all tensors that are needed to resume from here, as arrays by name."""
        tensors = {name: variable.numpy() for name, variable in self.variables().items()}
        return tensors | {name: state.numpy() for name, state in self._whole().items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of ``tensors()``."""
        return {
            name: tuple(value.shape) for name, value in (self.variables() | self._whole()).items()
        }

    def restore(self, tensors: Mapping[str, NDArray[Any]], step: int) -> None:
        """Restore tensors that ``tensors()`` returned after ``step`` steps."""
        for name, variable in self.variables().items():
            variable.assign(tensors[name])
        self._runner.optimizer.iterations.assign(step)
        states = {name: tf.constant(tensors[_STATES + name]) for name in self.recurrent}
        self.recurrent = self._runner.own_states(states)

    def _whole(self) -> dict[str, tf.Tensor]:
        """Return the states of all rows by name, including those of other processes."""
        whole = self._runner.whole_states(self.recurrent)
        return {_STATES + name: state for name, state in whole.items()}
