"""Small models for tests: tokenizers, networks with random weights, and a scripted engine."""

from __future__ import annotations

from functools import cache

import numpy as np

from charlstm.checkpoint.schema import expected_shapes
from charlstm.config import ModelConfig, TokenizerConfig
from charlstm.engine.inference import build_engine
from charlstm.engine.state import State
from charlstm.tokenizer.base import END_OF_DOCUMENT
from charlstm.tokenizer.subword import SubwordTokenizer
from charlstm.tokenizer.vocabulary import build_tokenizer

CHARS = build_tokenizer(["abcdefgh .\n"], TokenizerConfig())
WORDS = build_tokenizer(
    ["the cat\nthe cat saw the dog and the dog ran . xylophone"], TokenizerConfig(level="word")
)


def subwords(characters, *pieces):
    """Return a tokenizer of pieces, each of which joins two earlier ones."""
    first = len(SubwordTokenizer.reserved)
    vocabulary, merges = [*characters], []
    for piece in pieces:
        cut = next(n for n in range(1, len(piece)) if {piece[:n], piece[n:]} <= {*vocabulary})
        merges.append(
            (vocabulary.index(piece[:cut]) + first, vocabulary.index(piece[cut:]) + first)
        )
        vocabulary.append(piece)
    return SubwordTokenizer(tuple(vocabulary), merges=tuple(merges))


PIECES = subwords("abcdefgh .\n", "ab", " a", "ea", "de", "dea", " ab", "..")


@cache
def random_weights(config):
    """Return random weights for a configuration, with very different logits."""
    rng = np.random.default_rng(config.units)

    def matrix(rows, columns, scale):
        return (rng.normal(size=(rows, columns)) * scale / np.sqrt(rows)).astype(np.float32)

    weights = {"embedding/embeddings": matrix(config.vocab_size, config.embedding, 3.0)}
    for layer in range(config.layers):
        width = config.input_width(layer)
        weights[f"lstm_{layer}/kernel"] = matrix(width, 4 * config.units, 1.5)
        weights[f"lstm_{layer}/recurrent_kernel"] = matrix(config.units, 4 * config.units, 1.5)
        weights[f"lstm_{layer}/bias"] = matrix(1, 4 * config.units, 0.5)[0]
    if config.attention:
        for name in ("query", "key"):
            weights[f"attention/{name}"] = matrix(config.units, config.key_width, 3.0)
        weights["attention/output"] = matrix(config.units, config.units, 1.5)
    if not config.tied:
        weights["output/kernel"] = matrix(config.units, config.vocab_size, 4.0)
    weights["output/bias"] = matrix(1, config.vocab_size, 1.0)[0]
    return weights


@cache
def random_model(precision, vocab_size=CHARS.vocab_size, attention=None):
    """Return the engine of a network of fixed size that rarely ends documents.

    In int8 it has attention by default, so that its state consists of several arrays.
    """
    if attention is None:
        attention = 5 if precision == "int8" else 0
    config = ModelConfig(
        vocab_size=vocab_size, embedding=8, units=20, layers=2, attention=attention
    )
    rng = np.random.default_rng(1)
    shapes = expected_shapes(config)
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights["output/bias"][END_OF_DOCUMENT] -= 2  # so that texts are not too short
    if attention:
        weights["attention/output"] /= 10  # so that texts are not one repeated character
    return build_engine(config, weights, precision=precision, threads=1)


def model_of(tokenizer, precision="int8"):
    """Return the random model of a tokenizer's size."""
    return random_model(precision, tokenizer.vocab_size)


class ScriptedEngine:
    """Makes the given ids likely one after the other. Its state [1, B, 1] counts the steps."""

    def __init__(self, vocab_size, script=(), prompt_length=1):
        self.vocab_size = vocab_size
        self.script = list(script)
        self.prompt_length = prompt_length
        self.fed = []

    def initial_state(self, batch):
        return State(np.zeros((1, batch, 1), np.float32))

    def step(self, ids, state):
        self.fed.append(ids.tolist())
        state = State(state.parts[0] + 1)
        logits = np.zeros((len(ids), self.vocab_size), np.float32)
        for row, steps in enumerate(state.parts[0][0, :, 0].astype(int)):
            if 0 <= (index := steps - self.prompt_length) < len(self.script):
                logits[row, self.script[index]] = 5.0
        return logits, state

    def read(self, sequences):
        ((logits, state),) = [self.run(ids[np.newaxis], self.initial_state(1)) for ids in sequences]
        return logits[:, -1], state

    def run(self, ids, state):
        logits = []
        for column in ids.T:
            step_logits, state = self.step(column, state)
            logits.append(step_logits)
        return np.stack(logits, axis=1), state


class MarkovEngine:
    """A model whose next token depends only on the last one.

    Attributes:
        logits: the logits after each token, float32 [V, V].
    """

    def __init__(self, vocab_size, *, steep=False):
        self.vocab_size = vocab_size
        rng = np.random.default_rng(vocab_size)
        self.logits = rng.normal(size=(vocab_size, vocab_size)).astype(np.float32)
        if steep:  # low ids are much more likely
            self.logits -= np.linspace(0, 8, vocab_size, dtype=np.float32)

    def initial_state(self, batch):
        return State(np.zeros((2, batch, 1), np.float32))

    def step(self, ids, state):
        return self.logits[ids].copy(), state.copy()

    def read(self, sequences):
        last = np.array([ids[-1] for ids in sequences])
        return self.step(last, self.initial_state(len(sequences)))
