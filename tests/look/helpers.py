"""Pages of small models, and the page's modules alone."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from charlstm.checkpoint.quantization import quantize_columns
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.look.page import Content, build_page, joined_modules
from charlstm.look.weights import packed
from tests.oracles import sigmoid

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
    browser.run(joined_modules("product.js", "engine.js", "tokenizer.js", "sampling.js") + "\n0")
    browser.run(joined_modules("tracking.js", "reader.js") + "\n0")


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

    def rounded(hidden):
        return np.rint(np.float32(hidden) / np.float32(1 / 127)).clip(-128, 127)

    def product(left, matrix):
        columns, scales = quantize_columns(matrix)
        return left @ columns.astype(np.float64) * scales / 127

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
    kernel = weights["embedding/embeddings"].T if config.tied else weights["output/kernel"]
    logits = product(rounded(below), kernel) + weights["output/bias"]
    return logits, np.concatenate([hidden, cells]), np.stack(gates)
