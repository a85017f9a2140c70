"""Pages of small models, and the page's modules alone."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from charlstm.checkpoint.quantization import quantize_columns
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import CorpusConfig, Division, ModelConfig, TokenizerConfig
from charlstm.engine.inference import build_engine
from charlstm.look.page import Content, build_page, joined_modules
from charlstm.look.weights import packed
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES, settings
from tests.models import random_weights
from tests.oracles import keyed_values, sigmoid

ROOT = Path(__file__).parents[2]
ENGLISH = ROOT / "checkpoints" / "english"
SHAKESPEARE = ROOT / "checkpoints" / "shakespeare"


def page_of(checkpoint, path, *, text="", prompt="", title="a model"):
    """Write the page of a checkpoint and return its path."""
    content = Content(title=title, facts="small", card=[], text=text, prompt=prompt)
    path.write_bytes(build_page(checkpoint, content))
    return path


def shakespeare(path, **content):
    """Write the page of the shipped model."""
    return page_of(read_checkpoint(SHAKESPEARE), path, **content)


def load_modules(browser):
    """Define what the worker's modules define, but for its messages."""
    browser.run(joined_modules("rounding.js", "product.js", "attention.js", "engine.js") + "\n0")
    browser.run(joined_modules("tokenizer.js", "sampling.js", "tracking.js", "reader.js") + "\n0")


def load_engine(browser, config, weights):
    """Make ``engine`` the engine of a network."""
    data = base64.b64encode(packed(config, weights)).decode()
    browser.run(
        "globalThis.unpacked = unpack(Uint8Array.from(atob(" + json.dumps(data) + "), "
        "(c) => c.charCodeAt(0)));"
        "globalThis.engine = new Engine(unpacked.header.model, unpacked.tensors); 0"
    )


def int8_step(config, weights, token_id, state):
    """Take one step in float64, rounded where the engine's int8 graph rounds.

    Returns logits [V], the new state [2L, u] and the gates [L, 4u]: input, forget, output,
    candidate.
    """
    hidden, cells = np.split(state.astype(np.float64), 2)
    gates, below = [], None
    for layer in range(config.layers):
        kernel, recurrent, bias = (
            weights[f"lstm_{layer}/{name}"] for name in ("kernel", "recurrent_kernel", "bias")
        )
        if layer == 0:
            table = weights["embedding/embeddings"].astype(np.float64) @ kernel + bias
            z = table[token_id] + product(rounded(hidden[0]), recurrent)
        else:
            both = np.concatenate([rounded(below), rounded(hidden[layer])])
            z = product(both, np.concatenate([kernel, recurrent])) + bias
        i, f, c, o = np.split(z, 4)
        gates.append(np.concatenate([sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(c)]))
        cells[layer] = sigmoid(f) * cells[layer] + sigmoid(i) * np.tanh(c)
        hidden[layer] = below = sigmoid(o) * np.tanh(cells[layer])
    logits = product(rounded(below), output_matrix(config, weights)) + weights["output/bias"]
    return logits, np.concatenate([hidden, cells]), np.stack(gates)


def int8_attention(config, weights, output, before, latest):
    """Attend from an output [u] as ``int8_step`` does.

    ``before`` are the integers [u] of the outputs before it, and ``latest`` its own. Returns logits
    [V] and the shares [n].
    """
    window, keyed = keyed_values(before, latest, config.attention, shifted=config.shifted_keys)
    query = product(latest, weights["attention/query"])
    query = query @ weights["attention/key"].T / np.sqrt(config.key_width)
    column, scale = scaled(query, 127)
    scores = keyed @ column * scale / 127
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    row, scale = scaled(shares, 255)
    added = product(rounded(row @ window * scale / 127), weights["attention/output"])
    attended, scale = scaled(output + added, 127)
    logits = 127 * scale * product(attended, output_matrix(config, weights))
    return logits + weights["output/bias"], shares


def output_matrix(config, weights):
    return weights["embedding/embeddings"].T if config.tied else weights["output/kernel"]


def rounded(hidden):
    return np.rint(np.float32(hidden) / np.float32(1 / 127)).clip(-128, 127)


def scaled(values, levels):
    """Return values as integers, of which the largest is ``levels``, and their scale."""
    scale = np.abs(values).max() / levels
    return np.rint(values / scale), scale


def product(left, matrix):
    columns, scales = quantize_columns(matrix)
    return left @ columns.astype(np.float64) * scales / 127


def attentive(reach, *, text, unit="file", units=40):
    """Return a checkpoint with attention, with random weights and the characters of a text."""
    tokenizer = build_tokenizer([text], TokenizerConfig())
    network = ModelConfig(
        vocab_size=tokenizer.vocab_size, embedding=8, units=units, layers=2, attention=reach
    )
    corpus = CorpusConfig(addresses=("a.txt",), division=Division(unit=unit))
    config = settings(network, corpus=corpus)
    return Checkpoint(Path("run"), config, tokenizer, random_weights(network), FIGURES, "")


def shares_after(checkpoint, ids):
    """Return the shares of the attention after each of some ids of a document, oldest first."""
    config, weights = checkpoint.config.model, checkpoint.weights
    engine = build_engine(config, weights, precision="int8", threads=1)
    state, found, before = engine.initial_state(1), [], []
    for token_id in ids:
        _, state = engine.step(np.array([token_id]), state)
        cells, window, filled = (part.squeeze() for part in state.parts)
        recent = list(window[-int(filled) :] - 128.0)
        output = cells[config.layers - 1]
        found.append(int8_attention(config, weights, output, before, recent[-1])[1])
        before = recent
    return found
