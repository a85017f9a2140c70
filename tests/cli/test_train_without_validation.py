"""``charlstm train --valid-fraction 0``: what it prints, and what others tell of the model."""

import json
from pathlib import Path

import pytest

import charlstm as package
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.errors import UsageError
from tests.cli.helpers import NAMES, TEXT, TINY
from tests.messages import assert_error

QUICK = [*TINY, "--sequence-length", "10", "--steps", "4", "--eval-every", "2"]
VALIDATION = (
    "valid_loss",
    "valid_bits_per_character",
    "valid_perplexity",
    "valid_word_perplexity",
)

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.mark.parametrize(
    ("text", "options"), [(TEXT, []), (TEXT, ["--level", "word"]), (NAMES, ["--lines"])]
)
def test_figures_of_validation_are_left_out_or_null(charlstm, tmp_path, text, options):
    (tmp_path / "tale.txt").write_text(text)
    options = [*options, "--valid-fraction", "0", "--sample-every", 1, "--json"]
    result = charlstm("train", "tale.txt", *QUICK, *options)
    assert result.status == 0, result.err
    told = json.loads(result.out)
    assert [told[name] for name in VALIDATION] == [None] * 4
    assert (told["best_step"], told["stop_reason"]) == (4, "budget")
    plan, _, *rest = result.err.splitlines()
    assert " training tokens, no validation tokens" in plan
    lines = [line for line in rest if line.startswith("step ")]
    assert len(lines) == 2
    assert f"train {told['train_loss']:.4f} nats" in lines[1]
    for word in ("valid", "best", "bits", "perplexity", "None", "nan"):
        assert word not in "".join(lines)
    assert any(line.startswith("    | ") for line in rest)
    facts = json.loads(charlstm("info", told["checkpoint"], "--json").out)
    assert facts["figures"]["train_loss"] == told["train_loss"]
    assert [facts["figures"][name] for name in VALIDATION] == [None] * 4
    table = charlstm("info", told["checkpoint"]).out
    assert "last        step 4," in table
    assert f"{told['train_loss']:.4f} nats per token in training" in table
    assert "None" not in table
    assert "best" not in table
    assert charlstm("generate", told["checkpoint"], "-q", "-n", 5).status == 0


def test_patience_has_no_effect_with_it(charlstm, corpus):
    result = charlstm("train", corpus, "--valid-fraction", 0, "--patience", 3)
    assert_error(result, 2, "--valid-fraction 0", "--patience")
    with pytest.raises(UsageError, match="patience"):
        package.train(corpus, valid_fraction=0, patience=3)
    result = charlstm("train", corpus, "--valid-fraction", 0, "--valid", corpus)
    assert_error(result, 2, "--valid-fraction", "--valid")


def test_a_fraction_below_0_is_refused(charlstm, corpus):
    assert charlstm("train", corpus, "--valid-fraction", "-0.1").status == 2
    assert charlstm("train", corpus, "--valid-fraction", "1").status == 2


def test_it_goes_on_from_python(corpus, here):
    model = package.train(
        corpus, valid_fraction=0, steps=2, units=8, layers=1, streams=4, quiet=True, output="one"
    )
    assert model.training.best.valid_loss is None
    assert "not validated" in repr(model)
    again = package.train(corpus, from_checkpoint="one", steps=2, quiet=True, output="two")
    assert again.training.best.valid_loss is None  # all of the text has been trained on
    assert read_checkpoint(Path("two")).config.provenance.parent == "one"


def test_a_model_worse_than_chance_is_told(charlstm, corpus):
    options = ["--valid-fraction", 0, "--learning-rate", 2, "--warmup-steps", 0]
    result = charlstm("train", corpus, *QUICK, *options, "--json", "-o", "model")
    loss = json.loads(result.out)["train_loss"]
    guess = read_checkpoint(Path("model")).config.provenance.frequency_loss
    figures = f"({loss:.3g} against {guess:.3g} nats per token)"
    assert f"worse than token frequencies alone {figures}" in result.err


@pytest.mark.parametrize(
    ("fraction", "remedies"),
    [
        ("0", ["64 characters"]),
        ("0.1", ["72 characters"]),
        ("0.5", ["128 characters"]),
    ],
)
def test_the_advice_for_a_short_text_is_of_the_fraction_given(
    charlstm, tmp_path, fraction, remedies
):
    (tmp_path / "short.txt").write_text("ab" * 10)
    result = charlstm("train", "short.txt", "--valid-fraction", fraction)
    assert_error(result, 1, *remedies, "--streams", "--sequence-length")
    assert "--valid-fraction" not in result.err


def test_a_lower_fraction_is_the_remedy_where_the_rest_would_do(charlstm, tmp_path):
    (tmp_path / "long.txt").write_text("the quick brown fox " * 3000)
    result = charlstm("train", "long.txt", "--valid-fraction", "0.999")
    assert_error(result, 1, "61 tokens", "--valid-fraction (now 0.999)", "64,000 characters")
