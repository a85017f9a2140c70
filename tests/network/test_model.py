"""The network used in training, compared with the plain Keras model with the same weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint.schema import expected_shapes
from charlstm.config import ModelConfig
from charlstm.network.backend import tf
from charlstm.network.model import (
    Dropout,
    LSTMLanguageModel,
    dropped,
    plain_keras_model,
    weight_name,
    weights_of,
)

CONFIGS = [
    ModelConfig(vocab_size=11, embedding=5, units=6, layers=1),
    ModelConfig(vocab_size=13, embedding=8, units=8, layers=3, tied=True),
    # The first layer projects these tables.
    ModelConfig(vocab_size=9, embedding=12, units=6, layers=2),
    ModelConfig(vocab_size=9, embedding=10, units=10, layers=1, tied=True),
]


ATTENTIVE = [
    ModelConfig(vocab_size=11, embedding=5, units=6, layers=1, attention=1),
    ModelConfig(vocab_size=13, embedding=8, units=8, layers=2, tied=True, attention=5),
    ModelConfig(vocab_size=9, embedding=12, units=80, layers=1, attention=64),
    ModelConfig(vocab_size=9, embedding=8, units=12, layers=1, attention=6, shifted_keys=False),
]


def attentive_model(config):
    """Return a network whose attention changes the output from the start."""
    model, rng = LSTMLanguageModel(config, seed=4), np.random.default_rng(1)
    for kernel in (model.attention.query, model.attention.key, model.attention.output_kernel):
        kernel.assign(rng.normal(size=kernel.shape))
    return model


@pytest.mark.parametrize("config", CONFIGS + ATTENTIVE)
def test_weights_have_the_names_and_shapes_of_a_checkpoint(config):
    weights = weights_of(LSTMLanguageModel(config))
    shapes = {name: weight.shape for name, weight in weights.items()}
    assert shapes == expected_shapes(config)
    assert config.parameters == sum(weight.size for weight in weights.values())


@pytest.mark.parametrize("config", CONFIGS)
def test_the_plain_keras_model_has_these_names_and_shapes(config):
    weights = weights_of(LSTMLanguageModel(config))
    plain = plain_keras_model(config, weights)
    untied = expected_shapes(config.replace(tied=False))
    assert {weight_name(v): tuple(v.shape) for v in plain.trainable_variables} == untied


@pytest.mark.parametrize("config", CONFIGS)
def test_the_plain_keras_model_computes_the_same(config):
    model, rng = LSTMLanguageModel(config, seed=4), np.random.default_rng(0)
    model.output_layer.bias.assign(rng.normal(size=config.vocab_size))
    plain = plain_keras_model(config, weights_of(model))
    tokens = rng.integers(1, config.vocab_size, size=(3, 7)).astype(np.int32)
    states = {
        name: tf.constant(rng.normal(size=zeros.shape), tf.float32)
        for name, zeros in model.zero_states(3).items()
    }
    logits, after = model(tokens, states)
    expected, *expected_after = plain([tf.constant(tokens), *states.values()])
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    for ours, theirs in zip(after.values(), expected_after, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("config", ATTENTIVE)
@pytest.mark.parametrize("time", [1, 4, 150])
def test_the_plain_keras_model_attends_as_much_from_the_start_of_a_document(config, time):
    model, rng = attentive_model(config), np.random.default_rng(0)
    plain = plain_keras_model(config, weights_of(model))
    tokens = rng.integers(1, config.vocab_size, size=(3, time)).astype(np.int32)
    states = model.zero_states(3)
    logits, after = model(tokens, states)
    cells = [name for name in states if name not in ("outputs", "filled")]
    expected, *expected_after = plain([tf.constant(tokens), *(states[name] for name in cells)])
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    for name, theirs in zip(cells, expected_after, strict=True):
        np.testing.assert_allclose(after[name], theirs, atol=1e-5)


def test_the_seed_determines_the_weights():
    same = [weights_of(LSTMLanguageModel(CONFIGS[0], seed=s)) for s in (1, 1, 2)]
    for name, weight in same[0].items():
        np.testing.assert_array_equal(weight, same[1][name])
    assert not np.array_equal(same[0]["lstm_0/kernel"], same[2]["lstm_0/kernel"])


def test_dropout_is_on_only_while_training_and_follows_its_seed():
    model = LSTMLanguageModel(CONFIGS[0])
    tokens, states = np.zeros((2, 4), np.int32), model.zero_states(2)

    def logits(*seed, rate=0.5):
        dropout = Dropout(tf.constant(rate), tf.constant(seed)) if seed else None
        return model(tokens, states, dropout=dropout)[0].numpy()

    np.testing.assert_array_equal(logits(1, 1), logits(1, 1))
    assert not np.allclose(logits(1, 1), logits(1, 2))
    assert not np.allclose(logits(1, 1), logits())
    np.testing.assert_allclose(logits(1, 1, rate=0.0), logits(), atol=1e-6)


@given(st.integers(0, 300), st.floats(0, 0.984375, width=32), st.integers(0, 100))
def test_dropped_numbers_are_zero_and_the_rest_is_scaled(count, rate, seed):
    x = tf.constant(np.random.default_rng(seed).uniform(1, 2, count), tf.float32)
    left = dropped(x, Dropout(tf.constant(rate), tf.constant([seed, 0]))).numpy()
    kept = left[left != 0] / x.numpy()[left != 0]
    np.testing.assert_allclose(kept, 256 / (256 - min(255, round(256 * rate))), rtol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 0.35, 0.5])
def test_the_share_that_is_dropped(rate):
    left = dropped(tf.ones(400_000), Dropout(tf.constant(rate), tf.constant([1, 2]))).numpy()
    assert np.mean(left == 0) == pytest.approx(round(256 * rate) / 256, abs=5e-3)
    assert left.mean() == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("config", [CONFIGS[0], *ATTENTIVE[:2]])
def test_a_document_has_the_same_logits_as_alone(config):
    model = attentive_model(config) if config.attention else LSTMLanguageModel(config, seed=4)
    first, second = np.array([[0, 3, 5, 2]], np.int32), np.array([[0, 7, 1]], np.int32)
    together, after = model(np.concatenate([first, second], 1), model.zero_states(1))
    alone, after_alone = model(second, model.zero_states(1))
    np.testing.assert_allclose(together[:, first.shape[1] :], alone, atol=1e-6)
    for name in after.keys() - {"outputs"}:  # those of the first document are not used again
        np.testing.assert_allclose(after[name], after_alone[name], atol=1e-6)
