"""Training steps that are compiled once and shared by many tests.

TensorFlow spends most of a short training on compiling the steps. A test of something else (files,
messages, options) can use the steps that another test has compiled for an equal network. All their
variables are reset to their first values, so only the newest of several equal networks can be used.
Tests of the state of a run do not share steps.
"""

from __future__ import annotations

from charlstm.distributed.replicas import ReplicaGroup
from charlstm.network import lstm, model
from charlstm.training import step
from charlstm.training.step import StepRunner

_compile = StepRunner.__init__
_compiled = {}


def as_new(self, network, train, replicas=None):
    """Replace ``StepRunner.__init__``. Steps of several devices are always compiled again."""
    if replicas is not None and replicas.strategy is not None:
        _compile(self, network, train, replicas)
        return
    key = _what_is_compiled(network, train)
    if key not in _compiled:
        _compile(self, network, train)
        variables = [*self.model.variables, *self.optimizer.variables]
        _compiled[key] = dict(vars(self)), [(v, v.numpy()) for v in variables]
    parts, values = _compiled[key]
    vars(self).update(parts, replicas=replicas or ReplicaGroup())
    for variable, value in values:
        variable.assign(value)


def _what_is_compiled(network, train):
    """Return everything that determines the compiled steps, including replacements by tests.

    Steps do not depend on the budget, evaluations and saving.
    """
    same = {"epochs": None, "minutes": None, "steps": 1, "eval_every": None, "patience": 1}
    same["first_evaluation"] = None
    return (
        network,
        train.replace(**same, sample_every=0, save_every=1.0),
        step.LOGITS_AT_ONCE,
        step.product_type(train.precision),
        *(module.gpu_visible() for module in (lstm, model, step)),
    )
