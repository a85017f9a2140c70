"""Commands and options that don't exist: which ones errors suggest, and that none is accepted."""

from __future__ import annotations

import importlib

import click
import pytest

from charlstm import similar_names
from charlstm.cli import near_misses
from charlstm.cli.app import COMMANDS
from tests.messages import assert_misuse

OPTIONS = {
    "train": {
        "--lr": "--learning-rate",
        "--batch-size": "--streams",
        "--seq-len": "--sequence-length",
        "--hidden-size": "--units",
        "--output-dir": "--output",
        "--epoch": "--epochs",
        "--early-stopping": "--patience",
        "--num_layers": "--layers",
        "--para": "--paragraphs",
        "--drpout": "--dropout",
        "--checkpoint": "--resume",
        "--model": "--from",
        "--data": "CORPUS",
        "--gpu": "CUDA_VISIBLE_DEVICES",
    },
    "generate": {
        "--temp": "--temperature",
        "--num": "--count",
        "--n": "--count",
        "--max-length": "--length",
        "--max-tokens": "--length",
        "--max-new-tokens": "--length",
        "--text": "--prompt",
        "--model": "CHECKPOINT",
        "--checkpoint": "CHECKPOINT",
        "--num-beams": "--beam",
        "--device": "CPU",
        "--top_k": "--top-k",
        "--top": "--top-k or --top-p",
        "--greedy": "--temperature 0",
    },
    "score": {"--input": "FILE", "--data": "FILE"},
    "inspect": {"--input": "CORPUS"},
    "rank": {"--prompt": "--context"},
    "predict": {"--topk": "--top"},
}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trian", "Did you mean train?"),
        ("Train", "Did you mean train?"),
        ("sample", "Did you mean generate?"),
        ("list", "Did you mean models?"),
        ("ls", "Did you mean models?"),
        ("complete", "Did you mean predict?"),
        ("test", "Did you mean evaluate?"),
        ("eval", "Did you mean evaluate?"),
        ("perplexity", "Did you mean score?"),
        ("finetune", "Did you mean train --from?"),
        ("fine-tune", "Did you mean train --from?"),
        ("fine_tune", "Did you mean train --from?"),
        ("delete", "charlstm models"),
        ("help", "Did you mean --help?"),
    ],
)
def test_a_command_is_suggested(charlstm, typed, meant):
    assert_misuse(charlstm(typed), f"'{typed}'", meant)


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [(command, *pair) for command, pairs in OPTIONS.items() for pair in pairs.items()],
)
def test_an_option_is_suggested(charlstm, command, typed, meant):
    assert_misuse(charlstm(command, typed, "1"), f"no such option {typed}", meant)


def test_nothing_is_suggested_for_what_is_like_nothing(charlstm):
    for arguments in (["xyzzy"], ["generate", "--xyzzy"], ["train", "--s"]):
        result = charlstm(*arguments)
        assert_misuse(result, arguments[-1])
        assert "mean" not in result.err


def test_help_for_a_command_is_its_option(charlstm):
    assert_misuse(charlstm("help", "train"), "'help'", "charlstm train --help")


def test_suggestions_exist_and_replace_no_command_or_option():
    options = set()
    for name in COMMANDS:
        params = importlib.import_module(f"charlstm.cli.{name}").command.params
        options |= {
            opt for param in params if isinstance(param, click.Option) for opt in param.opts
        }
    assert {meant for each in similar_names._BY_OPTION.values() for meant in each} <= options
    for meant in near_misses._COMMANDS:
        command, *option = meant.split()
        assert command in {*COMMANDS, "--help", "--version"}
        assert {*option} <= options
    typed = {*near_misses._BY_COMMAND, *near_misses._REMOVING.split()}
    assert not typed & {*COMMANDS}
