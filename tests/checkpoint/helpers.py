"""Small checkpoints for the tests in this folder, and the errors that refuse them."""

from __future__ import annotations

import hashlib
import json
import re

import msgspec
import numpy as np
import pytest

from charlstm.checkpoint.folder import (
    create_checkpoint,
    lock_folder,
)
from charlstm.checkpoint.safetensors import digest_of
from charlstm.checkpoint.schema import (
    CONFIG,
    FORMAT,
    TOKENIZER,
    Figures,
    Provenance,
    RunConfig,
    expected_shapes,
    of_networks,
)
from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
from charlstm.errors import (
    CharlstmError,
)
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.messages import names

CHARACTERS = build_tokenizer(["abc"], TokenizerConfig())  # five ids, including reserved ones
NETWORK = ModelConfig(vocab_size=5, embedding=2, units=3, layers=2)
FIGURES = Figures(
    step=30,
    epoch=1.5,
    tokens=300,
    seconds=2.25,
    learning_rate=0.001,
    train_loss=1.5,
    valid_loss=1.25,
    valid_bits_per_character=1.8,
    valid_perplexity=3.49,
)


def settings(network=NETWORK, **changes):
    values = {
        "format": FORMAT,
        "charlstm": "0.1.0",
        "corpus": CorpusConfig(addresses=("/texts/a.txt",)),
        "tokenizer": TokenizerConfig(),
        "model": network,
        "train": TrainConfig(steps=100),
        "provenance": Provenance(
            corpus_sha256="ab" * 32,
            sources=("/texts/a.txt",),
            documents=1,
            characters=1000,
            train_tokens=901,
            valid_tokens=102,
            valid_characters=100,
            valid_words=20,
            created="2026-01-02T03:04:05+00:00",
        ),
    }
    return RunConfig(**values | changes)


def weights_for(network, seed=0):
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(size=shape).astype(np.float32)
        for name, shape in of_networks(network, expected_shapes(network)).items()
    }


def begin(folder, config=None, tokenizer=CHARACTERS, **options):
    with lock_folder(folder), create_checkpoint(folder, config or settings(), tokenizer, **options):
        pass


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(kind, function, *args):
    with pytest.raises(CharlstmError) as caught:
        function(*args)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert "\n" not in message
    return message


def fail_with_a_full_disk(*args, **kwargs):
    raise OSError(28, "No space left on device")


def is_damaged(message, path):
    """Return whether a message says which file is damaged and, in parentheses, how."""
    parts = (path, "damaged", "Restore it")
    return all(names(message, part) for part in parts) and re.search(r"\([^()].+\)", message)


def sign(path, tensors, **metadata):
    """Write tensors like an attacker who can compute hashes."""
    from safetensors.numpy import save

    metadata |= {
        f"{name}_sha256": hashlib.sha256((path.parent / name).read_bytes()).hexdigest()
        for name in (CONFIG, TOKENIZER)
    }
    metadata = {"figures": msgspec.json.encode(FIGURES).decode()} | metadata
    path.write_bytes(save(tensors, {**metadata, "sha256": digest_of(tensors, metadata)}))


def with_header(path, change):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = change(json.loads(data[8 : 8 + length]))
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
