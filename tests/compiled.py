"""Networks that are compiled once for many tests, for what is not shown by compiling them anew.

Most of a short training is the time in which TensorFlow compiles its steps. A test that looks at
something else (files, messages, options) may take the steps of an equal network that another test
has compiled; all their variables are set back to what they were when they were new, so that of
equal networks only the newest may be used. Tests of what a run keeps and forgets share nothing:
what they show must not come from an object that lived on.
"""

from __future__ import annotations

from charlstm.distributed.replicas import ReplicaGroup
from charlstm.network import lstm, model
from charlstm.training import step
from charlstm.training.step import StepRunner

_compile = StepRunner.__init__
_compiled = {}


def as_new(self, network, train, replicas=None):
    """Stand in for ``StepRunner.__init__``; steps that several devices take are compiled anew."""
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
    """Return all that decides what the steps compute, with what tests put in place of some of it.

    Budget, evaluations and saving are not the steps' business.
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
