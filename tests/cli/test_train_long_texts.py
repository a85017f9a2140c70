"""Long texts: a part of the validation text stands for it, and default plans are not too long.

What is long is made short here.
"""

import json
import re
from pathlib import Path

import pytest

from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.schema import FORMAT
from charlstm.metrics import perplexity
from charlstm.training import evaluations, plan
from tests.cli.helpers import TEXT, TINY, objects

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture
def short_is_long(monkeypatch):
    monkeypatch.setattr(evaluations, "MOST_VALIDATED", 1200)
    monkeypatch.setattr(evaluations, "LEAST_VALIDATED", 1024)


def rows(result):
    assert result.status == 0, result.err
    return dict(re.findall(r"^(\S+) +(.*)$", result.out, re.MULTILINE))


@pytest.mark.parametrize("level", ["char", "subword", "word"])
def test_a_part_of_a_long_validation_text_stands_for_it(charlstm, corpus, short_is_long, level):
    Path("valid.txt").write_text(TEXT * 2)
    options = [*TINY, "--valid", "valid.txt", "--level", level, "--eval-every", 15, "-o", "model"]
    planned = charlstm("train", corpus, *options, "--steps", 30, "--dry-run", "--json")
    (facts,) = objects(planned)
    tokens = facts["valid_tokens"]
    assert tokens > facts["validated_tokens"] == facts["train"]["validated"] == 1024
    assert f", 1,024 of {tokens:,} validation tokens" in planned.err

    done = charlstm("train", corpus, *options, "--steps", 30, "--json", "-q")
    (summary,) = objects(done)
    assert summary["validated_tokens"] == 1024
    found = read_checkpoint(Path("model"))
    assert (found.config.format, found.config.train.validated) == (FORMAT, 1024)
    assert f"1,024 of {tokens:,} validation tokens" in rows(charlstm("info", "model"))["text"]
    (info,) = objects(charlstm("info", "model", "--json"))
    assert info["validated_tokens"] == 1024
    # The text repeats one line, so that each part of it is like the whole.
    (whole,) = objects(charlstm("evaluate", "model", "valid.txt", "--sample", 0, "--json"))
    assert whole["tokens"] == tokens
    figures = found.figures
    assert figures.valid_bits_per_character == pytest.approx(whole["bits_per_character"], rel=0.05)
    assert figures.valid_perplexity == perplexity(figures.valid_loss)
    assert len(read_history(Path("model"))) == 2


def test_a_short_validation_text_is_validated_whole(charlstm, corpus):
    (facts,) = objects(charlstm("train", corpus, *TINY, "--dry-run", "--json", "-q"))
    assert facts["validated_tokens"] == facts["valid_tokens"]
    assert facts["train"]["validated"] is None
    without = ["--valid-fraction", 0, "--dry-run", "--json", "-q"]
    (facts,) = objects(charlstm("train", corpus, *TINY, *without))
    assert facts["validated_tokens"] == facts["valid_tokens"] == 0


@pytest.mark.parametrize(
    ("minutes", "read"), [(2e-6, r"\d+% of the text"), (4e-5, "the text [1-9]")]
)
def test_the_plan_of_a_long_text_says_what_a_longer_run_would_take(
    charlstm, corpus, monkeypatch, minutes, read
):
    monkeypatch.setattr(plan, "LONGEST_MINUTES", minutes)
    short = charlstm("train", corpus, *TINY, "--dry-run", "--json")
    said = re.search(
        rf"Note: this run reads {read}.*\. --epochs (\S+) would learn more and take about \d+ s\.",
        short.err,
    )
    assert said
    longer = charlstm("train", corpus, *TINY, "--dry-run", "--json", "--epochs", said[1])
    assert "learn more" not in longer.err
    assert json.loads(longer.out)["steps"] > json.loads(short.out)["steps"]
    assert json.loads(longer.out)["size"] == json.loads(short.out)["size"]
