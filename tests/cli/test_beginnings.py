"""A model of one file begins and ends texts as its paragraphs do, in every command."""

from __future__ import annotations

import random
import re

import pytest

from tests.cli.helpers import objects

STARTERS = ("The miller", "My aunt", "“Nobody", "An old ferry", "“The clerk")
VERBS = ("sold", "painted", "forgot", "carried", "mended")
OBJECTS = ("the blue lamp", "three wet sacks", "a letter", "an empty drum")
ENDS = ("after supper.", "at noon!”", "before the rain came.", "without a word.")


def prose(separator="\n\n"):
    rng = random.Random(5)

    def sentence():
        return " ".join(map(rng.choice, (STARTERS, VERBS, OBJECTS, ENDS)))

    paragraphs = (" ".join(sentence() for _ in range(rng.randint(1, 4))) for _ in range(250))
    return separator.join(paragraphs) + "\n"


def first_word(text):
    return re.match(r"[“\"\s]*(\w*)", text).group(1)


@pytest.fixture(scope="module", params=["\n\n", "\n"], ids=["paragraphs", "lines"])
def model(request, trained_once):
    text = prose(request.param)
    kind = {"\n\n": "paragraph", "\n": "line after a sentence"}[request.param]
    options = (
        "--units", "64", "--embedding", "24", "--streams", "16", "--sequence-length", "32",
        "--steps", "350", "--learning-rate", "0.02", "--eval-every", "350",
    )  # fmt: skip
    return trained_once(f"prose of a {kind}", text, *options), kind


@pytest.mark.slow
def test_samples_begin_as_sentences_do_and_have_the_whole_length(charlstm, model):
    folder, kind = model
    assert objects(charlstm("info", folder, "--json"))[0]["provenance"]["beginnings"] == kind
    samples = objects(charlstm("generate", folder, "-c", 200, "-n", 60, "--seed", 1, "--json"))
    words = {first_word(starter) for starter in STARTERS}
    begun = sum(first_word(sample["text"]) in words for sample in samples)
    assert begun >= 190
    assert {sample["finish_reason"] for sample in samples} == {"length"}


@pytest.mark.slow
def test_other_commands_begin_in_the_same_place(charlstm, model, tmp_path):
    folder, _ = model
    (tmp_path / "lines.txt").write_text("at without a\nThe miller sold\n")
    ranked = charlstm("rank", folder, tmp_path / "lines.txt", "--per-character")
    assert ranked.out.splitlines() == ["The miller sold", "at without a"]
    scores = objects(charlstm("score", folder, tmp_path / "lines.txt", "--json", "-q"))
    assert scores[0]["bits_per_character"] > 2 * scores[1]["bits_per_character"]
    (found,) = objects(charlstm("predict", folder, "", "--json", "--top", 4))
    likely = {first_word(one["text"]) for one in found["predictions"]} - {""}
    assert likely <= {first_word(starter) for starter in STARTERS}
