"""``--level subword`` from end to end: all commands take its models as they take others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.tokenizer.subword import SubwordTokenizer
from tests.cli.helpers import ALLOWED, NAMES, SHORT, TEXT, TINY, objects
from tests.messages import assert_error

LEVEL = ["--level", "subword", "--vocab-size", 60]


def test_it_learns_pieces_of_words(pieces):
    tokenizer = read_checkpoint(pieces).tokenizer
    assert isinstance(tokenizer, SubwordTokenizer)
    assert {" lazy", " dog", " over"} <= set(tokenizer.vocabulary)
    assert len(tokenizer.merges) <= 60
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


@pytest.mark.parametrize("prompt", ["the quick bro", "the quick", "the quick ", "", "the lazy d"])
def test_a_half_typed_word_goes_on(charlstm, pieces, prompt):
    options = ["-p", prompt, "-c", 5, "-n", 12, "-t", 0.3, "--seed", 1, "--json", "-q"]
    texts = [prompt + sample["text"] for sample in objects(charlstm("generate", pieces, *options))]
    assert len(texts) == 5
    learned = TEXT.replace("\r\n", " ").split()
    for text in texts:
        whole = text.split()[:-1]  # the last one may be cut
        assert sum(word in learned for word in whole) >= 0.8 * len(whole)
    if prompt.endswith("bro"):
        assert sum(text.startswith("the quick brown fox") for text in texts) >= 3


def test_patterns_stops_bans_and_biases_are_of_text(charlstm, pieces):
    plain = ["generate", pieces, "-q", "--seed", 1, "-n", 60, "-t", 0.5]
    done = charlstm(*plain, "-p", "the l", "--match", "the l[a-z ]+fox", "-c", 3)
    assert done.status == 0, done.err
    assert all(text.endswith("fox") for text in done.out.splitlines() if text)
    assert "zy" not in charlstm(*plain, "-p", "the la", "--ban", "zy").out.removeprefix("the la")
    (sample,) = objects(charlstm(*plain, "-p", "the quick", "--stop", "n fo", "--json"))
    assert (sample["text"], sample["finish_reason"]) == (" brow", "stop")
    (sample,) = objects(charlstm(*plain, "-p", "the quick", "--bias", "u=-20", "--json"))
    assert "u" not in sample["text"]
    found = charlstm("generate", pieces, "-q", "-n", 9, "-p", "the quick b", "--beam", 4)
    assert found.out.startswith("the quick brown")


def test_words_are_predicted(charlstm, pieces):
    found = objects(charlstm("predict", pieces, "the quick bro", "-k", 3, "--json"))[0]
    assert found["predictions"][0]["text"] == "brown"
    assert found["predictions"][0]["kind"] == "completes"
    assert sum(one["probability"] for one in found["predictions"]) <= 1
    (line,) = objects(charlstm("predict", pieces, "the quick ", "--tokens", "-k", 4, "--json"))
    assert all(one["text"].startswith(" ") for one in line["predictions"])


def test_lines_are_scored_and_ranked(charlstm, pieces):
    lines = "the lazy dog sleeps.\nthe lzay dgo speels.\n"
    known, garbled = objects(charlstm("score", pieces, "--json", stdin=lines.encode()))
    assert known["bits_per_character"] < garbled["bits_per_character"]
    assert known["tokens"] < known["characters"]
    ranked = charlstm("rank", pieces, "--best", "-q", stdin=b"jumps oevr\tjumps over\n")
    assert ranked.out == "jumps over\n"


def test_a_text_is_evaluated_as_training_found(charlstm, pieces):
    found = read_checkpoint(pieces)
    size = found.config.provenance.valid_characters
    Path("valid.txt").write_bytes(TEXT[-size:].encode())
    done = charlstm("evaluate", pieces, "valid.txt", "--sample", 5, "--json", "-q")
    (figures,) = objects(done)
    expected = found.figures.valid_bits_per_character
    assert figures["bits_per_character"] == pytest.approx(expected, abs=ALLOWED["int8"])
    assert figures["tokens"] < figures["characters"] == size


def test_another_text_adds_its_characters(charlstm, pieces):
    Path("new.txt").write_text("el zorro marrón, ¿el perro perezoso? " * 60)
    options = ["--from", pieces, "--steps", 5, "-q", "-o", "child"]
    assert charlstm("train", "new.txt", *options).status == 0
    old, new = (read_checkpoint(folder).tokenizer for folder in (pieces, Path("child")))
    assert new.vocabulary[: len(old.vocabulary)] == old.vocabulary
    assert sorted(new.vocabulary[len(old.vocabulary) :]) == sorted("ó¿?,")
    assert new.merges == old.merges


def test_lines_are_documents(charlstm):
    Path("names.txt").write_text(NAMES)
    options = [*TINY, *SHORT, *LEVEL, "--lines", "--steps", 200, "-q", "-o", "names"]
    assert charlstm("train", "names.txt", *options).status == 0
    options = ["-c", 20, "--seed", 1, "--novel", "--unique", "-t", 1.2, "-q"]
    done = charlstm("generate", "names", *options)
    assert done.status == 0, done.err
    written = done.out.splitlines()
    assert len(set(written)) == 20
    assert not set(written) & set(NAMES.splitlines())


def test_options_of_other_levels_are_refused(charlstm):
    Path("text.txt").write_text(TEXT)
    done = charlstm("train", "text.txt", "--level", "subword", "--min-count", 3)
    assert_error(done, 2, "--min-count", "subword", "--level word")
    done = charlstm("train", "text.txt", "--vocab-size", 3)
    assert_error(done, 2, "--vocab-size", "char", "--level subword", "--level word")


def test_the_plan_names_the_level_that_learns_more(charlstm):
    Path("text.txt").write_text(TEXT)
    for level, told in (("subword", True), ("char", False), ("word", False)):
        done = charlstm("train", "text.txt", "--level", level, "--dry-run")
        assert ("--level char learns more from a text of this length" in done.err) is told


def test_a_text_without_words_has_pieces_too(charlstm):
    Path("dna.txt").write_text("GATTACA" * 900)
    options = [*TINY, *SHORT, *LEVEL, "--steps", 60, "-q", "-o", "dna"]
    assert charlstm("train", "dna.txt", *options).status == 0
    (sample,) = objects(charlstm("generate", "dna", "-p", "GATT", "-n", 20, "--json", "-q"))
    assert set(sample["text"]) <= set("GATC")


def test_damaged_merges_are_told(charlstm, pieces):
    shutil.copytree(pieces, "damaged")
    stored = json.loads(Path("damaged/tokenizer.json").read_text("utf-8"))
    stored["merges"][0] = stored["merges"][0][::-1]
    Path("damaged/tokenizer.json").write_text(json.dumps(stored))
    done = charlstm("generate", "damaged")
    assert_error(done, 1, "damaged/tokenizer.json", "does not join two pieces")
