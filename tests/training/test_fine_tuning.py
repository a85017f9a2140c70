"""Fine-tuning: a parent's ids and weights are kept, and new tokens are learned."""

import math
import time
from dataclasses import replace

import numpy as np

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.training import run, setup
from tests.training.helpers import Stopper, train


def test_fine_tuning_keeps_old_ids_and_learns_new_tokens(request_for):
    parent = request_for("parent")
    train(parent)
    old = read_checkpoint(parent.output)
    child = request_for("child", text="ZEBRA 123! " * 200, layers=None, units=None, embedding=None)
    alone = setup.new_run(child, None).config.train
    child = replace(child, parent=parent.output)
    prepared = setup.new_run(child, None)
    expected = alone.replace(
        learning_rate=alone.learning_rate / 4,
        activation_penalty=prepared.config.model.units / 256,
    )
    assert prepared.config.train == expected
    assert prepared.prepared.tokenizer.vocabulary[: len(old.tokenizer.vocabulary)] == (
        old.tokenizer.vocabulary
    )
    before = old.weights["embedding/embeddings"]
    grown = prepared.weights["embedding/embeddings"]
    np.testing.assert_array_equal(grown[: len(before)], before)
    assert len(grown) == prepared.prepared.tokenizer.vocab_size > len(before)
    run.execute(prepared, Stopper(), began=time.monotonic())
    new = read_checkpoint(child.output)
    assert new.config.provenance.parent == "parent"
    assert new.figures.valid_loss < math.log(new.tokenizer.vocab_size)
