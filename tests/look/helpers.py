"""Pages of small models, and the page's modules alone."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import CorpusConfig, Division, ModelConfig, TokenizerConfig
from charlstm.engine.inference import build_engine
from charlstm.look.page import Content, build_page, joined_modules
from charlstm.look.weights import packed
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES, settings
from tests.models import random_weights
from tests.oracles import int8_attention

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
