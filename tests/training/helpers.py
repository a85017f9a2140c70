"""Helpers for tests of runs: a small text and network, an observer, a clock, comparisons."""

import json
import math
import time

from safetensors import safe_open

from charlstm.checkpoint import resume as resume_module
from charlstm.checkpoint import schema
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.config import ModelConfig, TrainConfig
from charlstm.distributed import replicas
from charlstm.training import run, setup
from charlstm.training.step import StepRunner

TEXT = "the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\n" * 40

SMALL = {
    "layers": 2,
    "units": 8,
    "embedding": 6,
    "streams": 4,
    "sequence_length": 10,
    "dropout": 0.3,
    "dropout_ramp": 0.4,
    "recurrent_dropout": 0.2,
    "seed": 3,
    "steps": 30,
    "eval_every": 10,
}

# A tiny network and its training settings, for tests of single steps.
MODEL = ModelConfig(vocab_size=12, embedding=6, units=10, layers=2)
TRAIN = TrainConfig(steps=10, streams=3, sequence_length=5, precision="float32", dropout=0.0)


class Stopper:
    """An observer that stops after a number of steps and records what it is told."""

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


def train(request, observer=None):
    prepared = setup.new_run(request, None)
    return run.execute(prepared, observer or Stopper(), began=time.monotonic())


def resume(folder, observer=None):
    return run.execute(setup.resumed_run(folder), observer or Stopper(), began=time.monotonic())


def essence(folder):
    """Return the parts of a checkpoint that don't depend on when and how fast it was written."""
    found = read_checkpoint(folder)
    history = [json.loads(line) for line in (folder / schema.HISTORY).read_text().splitlines()]
    for figures in history:
        figures.pop("seconds")
    weights = {name: weight.tobytes() for name, weight in found.weights.items()}
    return weights, history, found.figures.step, found.figures.valid_loss


_UNINTERRUPTED = {}


def uninterrupted(request_for, **options):
    """Return the essence of an uninterrupted run, which is trained once for all tests."""
    key = tuple(sorted(options.items()))
    if key not in _UNINTERRUPTED:
        train(request_for("whole", **options))
        _UNINTERRUPTED[key] = essence(request_for("whole").output)
    return _UNINTERRUPTED[key]


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_state(folder):
    """Return the tensors and the progress of an interrupted run."""
    with safe_open(folder / schema.RESUME, framework="numpy") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return resume_module.read_resume(folder, shapes)


class Clock:
    """A fake time module: time passes only when a test says so."""

    def __init__(self, now=1000.0):
        self.now = now

    def monotonic(self):
        return self.now


def timed(request, monkeypatch, *, step, evaluation, first=None):
    """Train by a clock on which steps and evaluations take the given seconds.

    Returns:
        The outcome, and the times of the evaluations in seconds.
    """
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
    monkeypatch.setattr(StepRunner, "train", train_step)
    monkeypatch.setattr(StepRunner, "validate", validate)
    outcome = run.execute(prepared, observer, began=clock.now)
    assert outcome.stop_reason == "budget"
    return outcome, [figures.seconds for figures, _ in observer.evaluations]
