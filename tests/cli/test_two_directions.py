"""``--bidirectional``: what the commands print about a model with two networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import charlstm as package
from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.errors import UsageError
from tests.cli.helpers import SHORT, TEXT, TINY
from tests.messages import assert_error, assert_names

QUICK = [*TINY, *SHORT, "--steps", 20, "--eval-every", 10]


@pytest.fixture
def corpus(here):
    Path("tale.txt").write_text(TEXT)
    return "tale.txt"


def test_a_run_reports_both_losses(charlstm, corpus):
    result = charlstm("train", corpus, *QUICK, "--bidirectional", "-o", "model", "--json")
    assert result.status == 0
    shown = json.loads(result.out)
    figures = read_checkpoint(Path("model")).figures
    assert shown["backward_valid_loss"] == figures.backward_valid_loss
    assert shown["backward_train_loss"] == figures.backward_train_loss
    assert "parameters in each direction" in result.err
    lines = [line for line in result.err.splitlines() if "backward" in line]
    losses = [each.backward_valid_loss for each in read_history(Path("model"))]
    assert len(lines) == len(losses) == 2
    for line, loss in zip(lines, losses, strict=True):
        assert f"backward {loss:.4f} nats" in line


def test_a_run_without_the_option_has_no_second_loss(charlstm, corpus):
    result = charlstm("train", corpus, *QUICK, "-o", "model", "--json")
    assert json.loads(result.out)["backward_valid_loss"] is None
    assert "backward" not in result.err
    assert "direction" not in result.err


def test_the_plan_names_two_networks(charlstm, corpus):
    options = ["--dry-run", "--json", *QUICK]
    one = json.loads(charlstm("train", corpus, *options).out)
    both = json.loads(charlstm("train", corpus, *options, "--bidirectional").out)
    assert (one["model"]["bidirectional"], both["model"]["bidirectional"]) == (False, True)
    assert both["train"] == one["train"]
    assert both["parameters"] == one["parameters"]
    assert both["memory_mb"] > one["memory_mb"]


def test_info_shows_both(charlstm, prose_both_ways, prose):
    figures = read_checkpoint(prose_both_ways).figures
    table = charlstm("info", prose_both_ways).out
    assert "parameters in each direction" in table
    assert f"{figures.backward_valid_loss:.4f} nats" in table
    card = charlstm("info", prose_both_ways, "--markdown").out
    assert "1 x 16 in each direction" in card
    assert "backward network" in card
    shown = json.loads(charlstm("info", prose_both_ways, "--json").out)
    assert shown["figures"]["backward_valid_loss"] == figures.backward_valid_loss
    assert shown["model"]["bidirectional"]
    for arguments in ([], ["--markdown"]):
        assert "direction" not in charlstm("info", prose, *arguments).out


@pytest.mark.parametrize("option", ["--from", "--resume"])
def test_the_parent_decides(charlstm, corpus, prose, option):
    texts = [corpus] if option == "--from" else []
    result = charlstm("train", *texts, option, prose, "--bidirectional")
    assert_error(result, 2, option, "--bidirectional")
    name = {"--from": "from_checkpoint", "--resume": "resume"}[option]
    with pytest.raises(UsageError, match="`bidirectional`"):
        package.train(corpus if texts else (), bidirectional=True, **{name: prose})


def test_an_export_has_the_forward_network(charlstm, here, prose_both_ways):
    result = charlstm("export", prose_both_ways, "-o", "model.onnx")
    assert result.status == 0
    assert_names(result.err, "Note", "backward network", "not exported")
    assert charlstm("export", prose_both_ways, "-o", "again.onnx", "-q").err == ""
    result = charlstm("export", prose_both_ways, "--format", "checkpoint", "-o", "small")
    assert result.err == ""
    assert read_checkpoint(Path("small")).backward is not None


def test_python_trains_both(here):
    model = package.train(
        texts=[TEXT], bidirectional=True, units=8, layers=1, streams=4, steps=5, quiet=True
    )
    assert model.checkpoint.backward is not None
    assert model._backward_engine is not None
    with pytest.raises(package.CharlstmError, match="`bidirectional`"):
        package.train(texts=[TEXT], bidirectional="yes", steps=5)
