"""Tests of ``checkpoint.schema``: the files and the shapes of weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charlstm.checkpoint import schema
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.resume import Progress
from charlstm.checkpoint.schema import (
    CONFIG,
    FILES,
    HISTORY,
    MODEL,
    RESUME,
    TOKENIZER,
    Figures,
    expected_shapes,
)
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import ModelConfig
from tests.checkpoint.helpers import FIGURES, contents


@given(st.integers(2, 99), st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.booleans())
def test_every_weight_has_the_shape_of_stock_keras(vocab_size, embedding, units, layers, tied):
    embedding = units if tied else embedding
    network = ModelConfig(
        vocab_size=vocab_size, embedding=embedding, units=units, layers=layers, tied=tied
    )
    shapes = expected_shapes(network)
    assert shapes.pop("embedding/embeddings") == (vocab_size, embedding)
    for layer in range(layers):
        width = units if layer else embedding
        assert shapes.pop(f"lstm_{layer}/kernel") == (width, 4 * units)
        assert shapes.pop(f"lstm_{layer}/recurrent_kernel") == (units, 4 * units)
        assert shapes.pop(f"lstm_{layer}/bias") == (4 * units,)
    assert shapes.pop("output/bias") == (vocab_size,)
    assert shapes == ({} if tied else {"output/kernel": (units, vocab_size)})


def test_the_files_are_those_in_the_docstring(folder):
    assert sorted(contents(folder)) == [CONFIG, MODEL, TOKENIZER]
    CheckpointWriter(folder).history([FIGURES])
    CheckpointWriter(folder).resume({"w": np.ones(1, np.float32)}, Progress(step=1, seconds=1.0))
    assert {CONFIG, MODEL, TOKENIZER, HISTORY, RESUME} == set(contents(folder))
    for name in FILES:
        assert f"    {name} " in schema.__doc__


def test_a_checkpoint_is_shown_in_one_line(folder):
    bits = f"{FIGURES.valid_bits_per_character:.4f}"
    shown = repr(read_checkpoint(folder))
    assert shown == f"<Checkpoint {folder}: char, 2x3, {bits} bits per character>"
    none = Figures(step=0, epoch=0.0, tokens=0, seconds=0.0, learning_rate=0.0)
    found = replace(read_checkpoint(folder), figures=none)
    assert repr(found) == f"<Checkpoint {folder}: char, 2x3, not validated>"
