"""The optimizers: clipping, weight decay, and fused updates that equal those of Keras."""

import re

import numpy as np
import pytest

from charlstm import __version__
from charlstm.errors import TrainingError
from charlstm.network.backend import keras, tf
from charlstm.network.model import weights_of
from charlstm.training import optimizers
from charlstm.training.optimizers import FusedAdamW, FusedSGD, make_optimizer
from charlstm.training.step import StepRunner
from tests.training.helpers import MODEL, TRAIN


def test_the_gradient_is_clipped_by_its_global_norm():
    optimizer = make_optimizer(TRAIN.replace(optimizer="sgd", clip_norm=1.0), MODEL)
    variables = [keras.Variable(np.zeros(n), dtype="float32") for n in (2, 1)]
    optimizer.build(variables)
    optimizer.learning_rate.assign(1.0)
    optimizer.apply([tf.constant([3.0, 0.0]), tf.constant([4.0])], variables)
    np.testing.assert_allclose(np.concatenate([v.numpy() for v in variables]), [-0.6, 0, -0.8])


def test_weight_decay_does_not_apply_to_biases():
    steps = StepRunner(MODEL, TRAIN.replace(weight_decay=0.9))
    before = weights_of(steps.model)
    zeros = [tf.zeros(v.shape) for v in steps.model.trainable_variables]
    steps.optimizer.learning_rate.assign(0.1)
    steps.optimizer.apply(zeros, steps.model.trainable_variables)
    for name, after in weights_of(steps.model).items():
        decayed = before[name] if "bias" in name else before[name] * (1 - 0.1 * 0.9)
        np.testing.assert_allclose(after, decayed, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_the_decay_rates_of_the_moments_are_those_of_the_settings(name):
    optimizer = make_optimizer(TRAIN.replace(optimizer=name, beta_1=0.7, beta_2=0.9), MODEL)
    assert (optimizer.beta_1, optimizer.beta_2) == (0.7, 0.9)


FUSED = [
    ((FusedAdamW, keras.optimizers.AdamW), {"weight_decay": 0.2}),
    ((FusedAdamW, keras.optimizers.AdamW), {"weight_decay": 0.2, "beta_1": 0.8, "beta_2": 0.95}),
    ((FusedSGD, keras.optimizers.SGD), {"momentum": 0.9}),
]


def updated(kind, settings):
    """Return weights and slots after some steps with clipping and weight decay except on biases."""
    rng = np.random.default_rng(0)
    first = {"kernel": rng.normal(size=(5, 7)), "bias": rng.normal(size=7)}
    variables = [keras.Variable(value, name=name, dtype="float32") for name, value in first.items()]
    optimizer = kind(**settings, learning_rate=0.1, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(variables)
    drawn = np.random.default_rng(1)
    for _ in range(5):
        gradients = [tf.constant(drawn.normal(size=v.shape), tf.float32) for v in variables]
        optimizer.apply(gradients, variables)
    return [v.numpy() for v in (*variables, *optimizer.variables)]


@pytest.mark.parametrize(("kinds", "settings"), FUSED)
def test_a_fused_update_equals_that_of_keras(kinds, settings):
    for ours, theirs in zip(*(updated(kind, settings) for kind in kinds), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("VARIABLE_INDEX", "_other_index"),
        ("ADAM_SLOTS", ("_momentums", "_other_slots")),
        ("MOMENTUM_SLOTS", ("other_slots",)),
    ],
)
@pytest.mark.parametrize(("kinds", "settings"), FUSED)
def test_without_the_private_names_of_keras_its_own_update_is_used(
    monkeypatch, kinds, settings, name, gone
):
    """This is how another version of Keras, with other names, behaves."""
    expected, stock = (updated(kind, settings) for kind in kinds)
    monkeypatch.setattr(optimizers, name, gone)
    found = updated(kinds[0], settings)
    for ours, fused, theirs in zip(found, expected, stock, strict=True):
        np.testing.assert_allclose(ours, fused, rtol=1e-4, atol=1e-5)
        if name == "VARIABLE_INDEX":
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["adamw", "adam", "lion", "rmsprop", "sgd"])
def test_keras_sums_gradients_in_the_method_that_is_replaced(name):
    """If it were another method, gradients would silently be summed twice."""
    optimizer = optimizers.make_optimizer(TRAIN.replace(optimizer=name), MODEL)
    variable, seen = keras.Variable(np.zeros(2, np.float32)), []

    def summed(pairs):
        seen.extend(pairs)
        return seen

    assert callable(getattr(optimizer, optimizers.SUMS_GRADIENTS))
    setattr(optimizer, optimizers.SUMS_GRADIENTS, summed)
    optimizer.apply([tf.ones(2)], [variable])
    assert [gradient.shape for gradient, _ in seen] == [(2,)]


def test_a_keras_that_sums_gradients_elsewhere_is_refused(sentence):
    with pytest.raises(TrainingError) as caught:
        optimizers.leave_gradients_alone(object())
    (version,) = re.findall(r"Keras ([0-9.]+\d)", str(caught.value))
    told = str(caught.value).replace(version, "VERSION").replace(__version__, "OURS")
    sentence(told, "Keras VERSION", "gradients")


@pytest.mark.parametrize("name", ["adamw", "adam", "lion", "rmsprop", "sgd"])
def test_the_output_of_the_attention_learns_at_a_share_of_the_rate(name, monkeypatch):
    """Without weight decay, a step of each weight is proportional to its rate."""

    def moved(rate):
        monkeypatch.setattr(optimizers, "_ATTENDING_RATE", rate)
        steps = StepRunner(MODEL.replace(attention=3), TRAIN.replace(optimizer=name))
        before = weights_of(steps.model)
        variables = steps.model.trainable_variables
        steps.optimizer.learning_rate.assign(1e-3)
        steps.optimizer.apply([tf.ones(v.shape) for v in variables], variables)
        after = weights_of(steps.model)
        decay = 1e-3 * TRAIN.weight_decay if name in ("adamw", "lion") else 0.0
        return {key: after[key] - (1 - decay * ("bias" not in key)) * before[key] for key in after}

    full, slow = moved(2.0 * MODEL.units), moved(0.25 * MODEL.units)
    for key, step in full.items():
        share = 0.25 if key == "attention/output" else 1.0
        np.testing.assert_allclose(slow[key], share * step, rtol=1e-2, atol=1e-7)
        assert (step != 0).all()


def test_runs_of_format_10_go_on_at_their_rate():
    config = MODEL.replace(units=512, attention=3)
    assert optimizers.attending_rate(config) == 0.05
    assert optimizers.attending_rate(config.replace(units=256)) == 0.1
    assert optimizers.attending_rate(config.replace(units=8)) == 1.0
    assert optimizers.attending_rate(config.replace(units=512, shifted_keys=False)) == 0.1
