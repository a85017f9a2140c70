"""The default recipe learns: what it reaches on real text in a fixed number of steps."""

import time

import pytest

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.training import run, setup
from charlstm.training.observer import Observer
from charlstm.training.request import Request

STEPS = 200
BOUND = 2.3


@pytest.mark.slow
def test_the_default_recipe_learns_english_in_200_steps(tmp_path):
    request = Request(
        corpus=CorpusConfig(addresses=("python-docs",)),
        tokenizer=TokenizerConfig(),
        size="auto",
        choices={"steps": STEPS, "eval_every": STEPS},
        output=tmp_path / "model",
        threads=2,
    )
    run.execute(setup.new_run(request, None), Observer(), began=time.monotonic())
    assert read_checkpoint(request.output).figures.valid_bits_per_character < BOUND
