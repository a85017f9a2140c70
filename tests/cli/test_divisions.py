"""Texts of lines, paragraphs and delimited documents, from training to scores and samples."""

from __future__ import annotations

import json
import re

import pytest

from charlstm.checkpoint.reader import read_checkpoint, read_lines_index
from charlstm.corpus.split import DocumentDraw
from tests.cli.helpers import (
    ALLOWED,
    NAMES,
    RECIPES,
    SHORT,
    TINY,
    assert_figures_of_training,
    objects,
    write_validation_text,
)
from tests.messages import assert_error

DOCUMENTS = [text.removesuffix("\n") for text in RECIPES.split("====\n")]


@pytest.fixture
def trial(charlstm, here):
    """Return a function that plans a run on a text, of which it writes the file."""

    def plan(text, *options):
        (here / "text.txt").write_bytes(text.encode())
        return charlstm("train", "text.txt", "--dry-run", *options)

    return plan


def planned(done):
    assert done.status == 0, done.err
    facts = json.loads(done.out)
    return facts["train_tokens"], facts["valid_tokens"]


def test_line_ends_of_any_kind_give_the_same_text(trial):
    ends = ("\n", "\r\n", "\r")
    texts = [NAMES.replace("\n", end) for end in ends] + [NAMES.replace("a\n", "a\r\n")]
    found = {planned(trial(text, "--lines", "--json", "-q")) for text in texts}
    assert len(found) == 1
    ((train, valid),) = found
    assert train + valid == len(NAMES)


def test_blank_lines_are_left_out_and_counted(trial, sentence):
    plain = planned(trial(NAMES, "--lines", "--json", "-q"))
    blank = NAMES.replace("\n", "\n\n \t\r\n", 7)
    assert planned(trial(blank, "--lines", "--json", "-q")) == plain
    (note,) = [line for line in trial(blank, "--lines").err.splitlines() if "blank" in line]
    sentence(note, "14 blank lines")
    assert "blank" not in trial(blank, "--lines", "-q").err
    assert "blank" not in trial(NAMES, "--lines").err
    assert_error(trial("\n \n\t\r\n", "--lines"), 1, "text.txt", "empty")


@pytest.mark.parametrize("option", [["--paragraphs"], ["--delimiter", "===="]])
def test_documents_of_several_lines(trial, option):
    text = RECIPES if "====" in option else "\n \n".join(DOCUMENTS).replace("\n\n", "\n") + "\n"
    documents = DOCUMENTS if "====" in option else text.split("\n \n")
    more = f"{text}====\n====\n \n====" if "====" in option else f"\n\n{text}\n\n\n"
    expected = sum(len(document.rstrip("\n")) + 1 for document in documents)
    for given in (text, more, text.replace("\n", "\r\n"), text.replace("\n", "\r")):
        train, valid = planned(trial(given, *option, "--json", "-q"))
        inner = sum(d.rstrip("\n").count("\n") for d in documents) if given.count("\r\n") else 0
        assert train + valid == expected + inner


def test_ways_to_divide_exclude_each_other(trial, sentence):
    for one, other in (
        (["--lines"], ["--paragraphs"]),
        (["--lines"], ["--delimiter", "="]),
        (["--paragraphs"], ["--delimiter", "="]),
    ):
        done = trial(RECIPES, *other, *one)
        assert_error(done, 2, one[0], other[0])
        sentence(done.err.strip())


@pytest.mark.parametrize("delimiter", ["", "a\nb", "\r"])
def test_a_delimiter_that_no_line_can_equal(trial, sentence, delimiter):
    done = trial(RECIPES, "--delimiter", delimiter)
    assert_error(done, 2, "--delimiter")
    sentence(done.err.strip())


@pytest.mark.parametrize(("delimiter", "remedy"), [("===", "'===='"), ("%%", "'%%'")])
def test_a_delimiter_that_no_line_equals(trial, sentence, delimiter, remedy):
    done = trial(RECIPES, "--delimiter", delimiter)
    assert_error(done, 1, "text.txt", f"'{delimiter}'", remedy)
    sentence(done.err.strip())


def test_the_training_text_needs_the_delimiter_whatever_validates(trial, here):
    (here / "valid.txt").write_text(RECIPES)
    for text in ("soup\n===\n" * 200, "no delimiter here\n" * 200):
        done = trial(text, "--delimiter", "====", "--valid", "valid.txt")
        assert_error(done, 1, "text.txt", "no line equals the delimiter '===='")
    (here / "valid.txt").write_text("one document that validates\n")
    train, valid = planned(
        trial(RECIPES, "--delimiter", "====", "--valid", "valid.txt", "--json", "-q")
    )
    assert (train > 3000, valid) == (True, 28)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("ACGT" * 2000, ["--lines"]),
        ("same\n" * 2000, ["--lines"]),
        ("one paragraph\n" * 200, ["--paragraphs"]),
        ("====\none document\n====\n", ["--delimiter", "===="]),
    ],
    ids=["line", "lines", "paragraph", "document"],
)
def test_a_text_of_one_document(trial, sentence, text, option):
    done = trial(text, *option)
    assert_error(done, 1, "text.txt", option[0], "--valid-fraction 0")
    sentence(done.err.strip())


def test_few_lines_are_refused_in_the_same_words_whatever_the_seed(trial, sentence):
    found = {trial("ann\nbob\ncy\n" * 9, "--lines", "--seed", seed).err for seed in range(9)}
    (error,) = found
    sentence(error.strip(), "3 distinct lines", "4 streams", "--valid-fraction 0")


@pytest.mark.parametrize(
    "text",
    ["x\n" + "hello world again\n" * 3000, "ab\n" + "cde\n" * 8 + "f" * 80 + "\n"],
)
def test_lines_of_which_too_few_validate_are_refused_in_the_same_words(trial, sentence, text):
    found = [trial(text, "--lines", "--seed", seed) for seed in range(1, 7)]
    refused = {done.err for done in found if done.status}
    (error,) = refused
    sentence(
        error.strip(),
        f"{len(set(text.splitlines()))} distinct lines",
        "--valid-fraction 0",
    )
    assert trial(text, "--lines", "--valid-fraction", 0).status == 0


def test_two_distinct_lines_train_and_validate_whatever_the_seed(trial):
    text = ("a" * 1500 + "\n" + "b" * 1500 + "\n") * 2
    for seed in range(5):
        found = trial(text, "--lines", "--json", "-q", "--seed", seed, "--streams", 4)
        assert min(planned(found)) > 3000


# A model of delimited documents


@pytest.fixture
def validation_text(recipes, tmp_path):
    path = tmp_path / "valid.txt"
    return write_validation_text(recipes, path), path


def test_the_validation_loss_is_that_of_training(charlstm, recipes, validation_text):
    found, path = validation_text
    options = ["--precision", "float32", "--json"]
    (figures,) = objects(charlstm("evaluate", recipes, path, "--sample", 0, *options))
    assert_figures_of_training(found, figures, ALLOWED["float32"])
    rows = objects(charlstm("score", recipes, path, *options))
    for name in ("tokens", "characters"):
        assert sum(row[name] for row in rows) == figures[name]
    assert sum(row["log_probability"] for row in rows) == pytest.approx(
        -figures["loss"] * figures["tokens"], rel=1e-4
    )
    (whole,) = objects(charlstm("score", recipes, path, "--whole", *options))
    assert whole["nats_per_token"] == pytest.approx(figures["loss"], abs=1e-4)


def test_each_document_is_a_row(charlstm, recipes):
    stdin = RECIPES.encode()
    rows = objects(charlstm("score", recipes, "--json", stdin=stdin))
    assert [row["text"] for row in rows] == DOCUMENTS
    assert [row["line"] for row in rows][:3] == [1, 6, 11]
    assert all(row["characters"] == len(row["text"]) + 1 for row in rows)
    table = charlstm("score", recipes, "-q", stdin=stdin).out.splitlines()
    assert len(table) == len(DOCUMENTS)
    assert table[1].endswith("\t6\tturnip soup\\n- 1 turnips\\n\\nStir and serve.")


def test_another_division_can_be_given(charlstm, recipes, prose):
    stdin = b"the fox\ndog\n\n\nlazy\n"
    for model, end in ((recipes, 1), (prose, 0)):
        rows = objects(charlstm("score", model, "--paragraphs", "--json", stdin=stdin))
        assert [(row["line"], row["text"]) for row in rows] == [(1, "the fox\ndog"), (5, "lazy")]
        assert [row["characters"] for row in rows] == [11 + end, 4 + end]
    done = charlstm(
        "evaluate", prose, "-", "--sample", 0, "--delimiter", "dog", "--json", stdin=stdin
    )
    (figures,) = objects(done)
    assert figures["characters"] == len("the fox") + len("\n\nlazy")
    for command in (["score", prose], ["evaluate", prose, "-"]):
        done = charlstm(*command, "--paragraphs", "--delimiter", "=", stdin=stdin)
        assert_error(done, 2, "--paragraphs", "--delimiter")
    assert_error(charlstm("score", prose, "--paragraphs", "--carry", stdin=b""), 2, "--carry")


def test_blank_lines_are_left_out_of_whole_texts_and_counted(charlstm, names, here):
    (here / "plain.txt").write_text("ana\nbelo\n")
    (here / "blank.txt").write_text("\nana\n\n \nbelo\n")
    for command in (["evaluate", "--sample", 0], ["score", "--whole"]):
        name, *options = command
        plain = charlstm(name, names, "plain.txt", *options)
        blank = charlstm(name, names, "blank.txt", *options)
        assert blank.out == plain.out
        assert "blank" not in plain.err
        assert blank.err.splitlines().count("Note: skipped 3 blank lines.") == 1
        assert charlstm(name, names, "blank.txt", "-q", *options) == (0, plain.out, "")
        piped = charlstm(name, names, "-", *options, stdin=b"\nana\n")
        assert "Note: skipped 1 blank line.\n" in piped.err


def test_a_delimiter_that_is_given_and_not_found_is_noted(charlstm, recipes, prose, here, sentence):
    (here / "one.txt").write_text("the fox\n")
    (here / "two.txt").write_text("the fox\n%\ndog\n")
    commands = (["score"], ["score", "--whole"], ["evaluate", "--sample", 0])
    for model in (recipes, prose):
        for name, *options in commands:
            done = charlstm(name, model, "one.txt", *options, "--delimiter", "%")
            (note,) = [line for line in done.err.splitlines() if "delimiter" in line]
            sentence(note, "'%'", "one.txt")
            for found in (
                charlstm(name, model, "two.txt", *options, "--delimiter", "%"),
                charlstm(name, model, "one.txt", *options, "--delimiter", "%", "-q"),
                charlstm(name, model, "one.txt", *options),  # the delimiter of training
                charlstm(name, model, "one.txt", *options, "--paragraphs"),
            ):
                assert (found.status, "delimiter" in found.err) == (0, False)


def test_samples_are_divided_by_the_delimiter(charlstm, recipes):
    out = charlstm("generate", recipes, "-c", 4, "--seed", 1, "-q", "-n", 60).out
    samples = objects(charlstm("generate", recipes, "-c", 4, "--seed", 1, "-q", "-n", 60, "--json"))
    assert out == "\n====\n".join(sample["text"] for sample in samples) + "\n"


def test_whole_documents_are_known(charlstm, recipes, here):
    known = read_lines_index(recipes)
    distinct = set(DOCUMENTS)
    assert read_checkpoint(recipes).config.provenance.indexed == len(known) == len(distinct)
    assert all(text in known for text in distinct)
    assert not any(line in known for line in RECIPES.splitlines())


def test_copies_of_whole_documents_are_rejected(charlstm, recipes, here):
    """Each pattern leaves one text to write, which is the copy of a document or is not."""
    corpus = read_checkpoint(recipes).config.corpus
    validates = DocumentDraw(corpus.valid_fraction, corpus.seed).validates
    old = next(text for text in DOCUMENTS if not validates(text))
    held_out = next(text for text in DOCUMENTS if validates(text))
    ending = old + "\n\n"  # by blank lines, as only a document can
    (here / "ending.txt").write_text(f"{ending}\n====\n{held_out}")
    for text, options, is_new in (
        (old, ["--novel"], False),
        (held_out, ["--novel"], False),
        (held_out[:-1], ["--novel"], True),
        (old[:-1], ["--novel"], True),
        (ending, ["--against", "ending.txt"], False),
        (held_out, ["--against", "ending.txt"], False),
        (held_out[:-1], ["--against", "ending.txt"], True),
        (ending, ["--novel", "--against", "ending.txt"], False),
    ):
        drawn = ["--match", re.escape(text), "-n", len(text) + 1, "--temperature", 0, "-q"]
        done = charlstm("generate", recipes, *drawn, *options)
        if is_new:
            assert done == (0, text + "\n", "")
        else:
            assert_error(done, 1, "0 of 1 samples", "known")


def test_the_division_is_told(charlstm, recipes):
    config = read_checkpoint(recipes).config
    assert (config.corpus.division.unit, config.corpus.division.delimiter) == ("delimited", "====")
    out = charlstm("info", recipes).out
    assert "documents separated by lines '===='" in out
    assert "hashes of 80 distinct documents" in out


def test_samples_during_training_are_divided(charlstm, here):
    (here / "text.txt").write_text(RECIPES)
    options = [*TINY, *SHORT, "--steps", 4, "--eval-every", 2, "--sample-every", 1]
    done = charlstm("train", "text.txt", "--delimiter", "====", "-o", "model", *options)
    assert done.status == 0
    assert done.err.splitlines().count("    | ====") == 4


# Notes on texts that are refused


@pytest.mark.parametrize("text", ["ann\nbob\ncy\ndora\nemil\n", "Ann\r\nBob\r\n", "ann\rbo\rcy\r"])
def test_a_short_list_gets_a_hint_with_the_error(trial, text):
    done = trial(text)
    hint, error = done.err.splitlines()
    assert "--lines" in hint
    assert "too short" in error
    assert "--lines" not in trial(text, "-q").err
    assert "--lines" not in trial(text, "--lines").err.splitlines()[0]
    for other in ("It rained.\nIt rained all night.\n", "one line alone", "a: b\nc: d\n"):
        assert_error(trial(other), 1, "too short")


@pytest.mark.parametrize("options", [[], ["--lines"], ["--delimiter", "%"]])
def test_skipped_files_are_told_with_the_error(charlstm, here, options):
    (here / "texts").mkdir()
    (here / "texts" / "a.txt").write_text("one line alone\n")
    (here / "texts" / "book.pdf").write_bytes(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n")
    done = charlstm("train", "texts", "--dry-run", *options)
    skipped, error = done.err.splitlines()
    assert (done.status, error[:6]) == (1, "Error:")
    assert "book.pdf" in skipped
    assert "book.pdf" not in charlstm("train", "texts", "--dry-run", "-q", *options).err
