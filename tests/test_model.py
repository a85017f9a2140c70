"""The network that is trained against the plain Keras model with the same weights."""

import numpy as np
import pytest

from charlstm.backend import tf
from charlstm.checkpoint import expected_shapes
from charlstm.config import ModelConfig
from charlstm.model import (
    LSTMLanguageModel,
    plain_keras_model,
    set_weights,
    weight_name,
    weights_of,
)

CONFIGS = [
    ModelConfig(vocab_size=11, embedding=5, units=6, layers=1),
    ModelConfig(vocab_size=13, embedding=8, units=8, layers=3, tied=True),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_weights_have_the_names_and_shapes_of_a_checkpoint(config):
    shapes = {name: weight.shape for name, weight in weights_of(LSTMLanguageModel(config)).items()}
    assert shapes == expected_shapes(config)
    plain = plain_keras_model(config)
    assert {weight_name(v): tuple(v.shape) for v in plain.trainable_variables} == shapes
    assert config.parameters == plain.count_params()


@pytest.mark.parametrize("config", CONFIGS)
def test_the_plain_keras_model_computes_the_same(config):
    model, plain = LSTMLanguageModel(config, seed=4), plain_keras_model(config)
    set_weights(plain, weights_of(model))
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, config.vocab_size, size=(3, 7)).astype(np.int32)
    states = [
        tuple(tf.constant(rng.normal(size=(3, config.units)), tf.float32) for _ in "hc")
        for _ in range(config.layers)
    ]
    logits, after = model(tokens, states)
    flat = [state for layer in states for state in layer]
    expected, *expected_after = plain([tf.constant(tokens), *flat])
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    for ours, theirs in zip([s for pair in after for s in pair], expected_after, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_seed_determines_the_weights():
    same = [weights_of(LSTMLanguageModel(CONFIGS[0], seed=s)) for s in (1, 1, 2)]
    for name, weight in same[0].items():
        np.testing.assert_array_equal(weight, same[1][name])
    assert not np.array_equal(same[0]["lstm_0/kernel"], same[2]["lstm_0/kernel"])


def test_dropout_is_on_only_while_training_and_follows_its_seed():
    model = LSTMLanguageModel(CONFIGS[0], dropout=0.5)
    tokens, states = np.zeros((2, 4), np.int32), model.zero_states(2)

    def drawn(seed, training=True):
        model.dropout_seed.state.assign([seed, 0])
        return model(tokens, states, training=training)[0].numpy()

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert not np.allclose(drawn(1), drawn(2))
    np.testing.assert_array_equal(drawn(1, training=False), drawn(2, training=False))


def test_a_document_is_read_as_if_it_stood_alone():
    model = LSTMLanguageModel(CONFIGS[0], seed=4)
    first, second = np.array([[0, 3, 5, 2]], np.int32), np.array([[0, 7, 1]], np.int32)
    together, after = model(np.concatenate([first, second], 1), model.zero_states(1))
    alone, after_alone = model(second, model.zero_states(1))
    np.testing.assert_allclose(together[:, first.shape[1] :], alone, atol=1e-6)
    for ours, theirs in zip(after[0], after_alone[0], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
