"""Tables from training to scores and samples: each record is a document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.cli.app import run_command_line
from tests.cli.helpers import TINY, objects
from tests.messages import assert_error

DATA = Path(__file__).parents[1] / "data"
RECORDS = [
    {"id": n, "label": kind, "text": f'A {kind} text, "{n % 5}",\nof two lines'}
    for n, kind in enumerate(["good", "bad"] * 30)
]
CSV = "id,label,text\n" + "".join(
    '{},{},"{}"\n'.format(each["id"], each["label"], each["text"].replace('"', '""'))
    for each in RECORDS
)
LINES = "".join(json.dumps(each) + "\n" for each in RECORDS)
OPTIONS = [*TINY, "--steps", "120", "--sample-every", "0", "-q"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of labels and texts."""
    folder = tmp_path_factory.mktemp("tables")
    table = folder / "records.csv"
    table.write_text(CSV)
    arguments = ["train", table, *OPTIONS, "--columns", "label,text", "-o", folder / "model"]
    assert run_command_line([str(argument) for argument in arguments]) == 0
    return folder / "model"


@pytest.fixture
def tables(here):
    (here / "records.csv").write_text(CSV)
    (here / "records.jsonl").write_text(LINES)
    (here / "records.txt").write_text(CSV)
    return here


def test_a_table_trains_without_an_option(charlstm, tables):
    planned = []
    for name in ("records.csv", "records.jsonl"):
        result = charlstm("train", name, "--dry-run", "--json")
        assert result.status == 0
        assert "'label'" not in result.err
        assert name in result.err
        assert "--columns" in result.err
        facts = json.loads(result.out)
        planned.append((facts["train_tokens"], facts["valid_tokens"]))
    assert len(set(planned)) == 1
    assert sum(planned[0]) == sum(len(each["text"]) + 1 for each in RECORDS)


def test_the_division_is_recorded_and_shown(charlstm, trained):
    corpus = read_checkpoint(trained).config.corpus
    assert (corpus.division.unit, corpus.division.columns) == ("record", ("label", "text"))
    assert "records.csv (each record a document: label, text)" in charlstm("info", trained).out
    assert "60 distinct" not in charlstm("info", trained).out


def test_generated_records_have_columns(charlstm, trained):
    made = objects(charlstm("generate", trained, "-p", "good\t", "--json", "-c", "3", "-q"))
    for each in made:
        assert each["columns"]["label"] == "good"
        assert each["columns"]["text"] == each["text"]
    result = charlstm("generate", trained, "-p", "bad\t", "-c", "3", "-q", "--length", "40")
    assert [line[:4] for line in result.out.splitlines()] == ["bad\t"] * 3
    (half,) = objects(charlstm("generate", trained, "-p", "ba", "--length", "1", "--json", "-q"))
    assert half["columns"] == {"label": half["prompt"] + half["text"]}


def test_records_are_scored_by_the_learned_columns(charlstm, trained, tables):
    found = objects(charlstm("score", trained, "records.csv", "--json", "-q"))
    texts = [f"{each['label']}\t{each['text'].replace(chr(10), ' ')}" for each in RECORDS]
    assert [each["text"] for each in found] == texts
    assert [each["line"] for each in found[:3]] == [2, 4, 6]
    lines = "".join(f"{text}\n" for text in texts).encode()
    by_line = objects(charlstm("score", trained, "--json", "-q", stdin=lines))
    assert [each["bits_per_character"] for each in by_line] == [
        each["bits_per_character"] for each in found
    ]
    piped = charlstm("score", trained, "--format", "csv", "--json", "-q", stdin=CSV.encode())
    assert objects(piped) == found
    surprising = objects(charlstm("score", trained, "records.jsonl", "--top", "2", "--json", "-q"))
    assert {each["text"] for each in surprising} <= set(texts)
    other = charlstm("score", trained, "records.csv", "--columns", "text,label", "--json", "-q")
    assert objects(other)[0]["text"] == "\t".join(reversed(texts[0].split("\t")))
    as_text = charlstm("score", trained, "records.csv", "--format", "text", "--json", "-q")
    assert len(objects(as_text)) == len(CSV.splitlines())


def test_they_are_evaluated_so_too(charlstm, trained, tables):
    options = ("--sample", "0", "--json", "-q")
    facts = json.loads(charlstm("evaluate", trained, "records.csv", *options).out)
    lines = "".join(f"{each['label']}\t{each['text'].replace(chr(10), ' ')}\n" for each in RECORDS)
    (tables / "lines.txt").write_text(lines)
    assert json.loads(charlstm("evaluate", trained, "lines.txt", *options).out) == facts
    assert facts["characters"] == len(lines)
    given = charlstm("evaluate", trained, "records.jsonl", *options, "--columns", "label,text")
    assert json.loads(given.out) == facts


def test_what_was_read_as_text_is_read_so_again(charlstm, tables):
    options = ("--format", "text", "-o", "model")
    assert charlstm("train", "records.csv", *OPTIONS, *options).status == 0
    whole = charlstm("score", "model", "records.csv", "--whole", "--json", "-q")
    assert objects(whole)[0]["characters"] == len(CSV)


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["records.csv", "--lines"], 2, ["records.csv", "--lines", "--format text"]),
        (["records.csv", "--delimiter", "="], 2, ["records.csv", "--delimiter"]),
        (["records.csv", "--columns", "label", "--lines"], 2, ["--lines", "--columns"]),
        (["records.csv", "--columns", "labels"], 1, ["'labels'", "label"]),
        (["records.csv", "--lines", "--keep-breaks"], 2, ["--lines", "--keep-breaks"]),
        (["records.csv", "--columns", "label,"], 2, ["--columns", "title,body"]),
        (["records.csv", "--columns", "9"], 1, ["no column 9"]),
        (["records.txt", "--columns", "label"], 2, ["records.txt", "--columns", "--format"]),
        (["records.txt", "--keep-breaks"], 2, ["--keep-breaks"]),
        (["records.txt", "--no-index"], 2, ["--no-index", "--lines"]),
        ([".", "--include", "*.md"], 1, ["--include '*.md'"]),
    ],
)
def test_mistakes(charlstm, tables, arguments, status, parts):
    assert_error(charlstm("train", *arguments, "--dry-run"), status, *parts)


def test_several_columns_of_text(charlstm, tables):
    rows = "".join(f"{n},The title number {n},The body with number {n}\n" for n in range(9))
    (tables / "posts.csv").write_text("id,title,body\n" + rows)
    result = charlstm("train", "posts.csv", "--dry-run")
    assert_error(result, 1, "posts.csv", "--columns title,body", "The title number 0", "id (0)")


def test_the_hashes_of_records_can_be_left_out(charlstm, tables):
    options = ("records.csv", *OPTIONS, "--no-index", "-o", "model")
    assert charlstm("train", *options).status == 0
    assert not (tables / "model" / "lines.safetensors").exists()


def test_a_table_is_learned_further(charlstm, trained, tables):
    """The columns are the model's, whether they are given or not."""
    arguments = ("records.csv", "--from", trained, "--steps", "5", "--dry-run", "--json")
    given = charlstm("train", *arguments, "--columns", "label,text")
    assert given.status == 0
    assert charlstm("train", *arguments).status == 0
    other = charlstm("train", *arguments, "--columns", "text,label")
    assert_error(other, 2, "records", "--columns label,text")
    for option in ("--keep-breaks", "--format=text"):
        refused = charlstm("train", *arguments, option)
        assert_error(refused, 2, "records", "--columns label,text")


def test_another_table_is_learned_by_the_same_columns(charlstm, trained, tables):
    more = "".join(f"other words {n},a title {n},bad\n" for n in range(40))
    (tables / "more.csv").write_text("text,title,label\n" + more)
    arguments = ("more.csv", "--from", trained, "--steps", "5", "--dry-run", "--json")
    planned = json.loads(charlstm("train", *arguments).out)
    given = json.loads(charlstm("train", *arguments, "--columns", "label,text").out)
    assert planned["train_tokens"] == given["train_tokens"]


def test_samples_that_are_records_of_a_table_are_rejected(charlstm, trained, tables):
    options = ("-c", "5", "--seed", "1", "-q", "--top-k", "1", "-p", "good\t")
    assert charlstm("generate", trained, *options, "--against", "records.csv").status == 0


def test_old_models_read_tables_as_text(charlstm, names, tables):
    """As they did when they were trained, --against included."""
    two = "".join(f"one text {n},another text {n}\n" for n in range(9))
    (tables / "two.csv").write_text("title,body\n" + two)
    options = ("-c", "2", "--seed", "1", "-q", "--against", "two.csv")
    old = DATA / "format-7" / "lines"
    assert charlstm("generate", old, *options).status == 0
    found = objects(charlstm("score", old, "two.csv", "--json", "-q"))
    assert [each["text"] for each in found] == ["title,body", *two.splitlines()]


def test_records_without_text_are_not_scored(charlstm, prose, tables):
    (tables / "chat.csv").write_text("id,text\n" + "1,the lazy dog\n2,\n3,  \n4,a fox\n" * 9)
    found = objects(charlstm("score", prose, "chat.csv", "--json", "-q"))
    assert [each["text"] for each in found] == ["the lazy dog", "a fox"] * 9


def test_columns_may_have_commas_and_be_given_one_by_one(charlstm, tables):
    rows = "".join(f"{n},words {n},other words {n}\n" for n in range(40))
    (tables / "t.csv").write_text(f'id,"last, first",text\n{rows}')
    given = [["--columns", '"last, first",text'], ["--columns", "2,3"]]
    given.append(["--columns", '"last, first"', "--columns", "text"])
    plans = [charlstm("train", "t.csv", "--dry-run", "--json", *each) for each in given]
    tokens = [json.loads(plan.out)["train_tokens"] for plan in plans]
    assert tokens[0] == tokens[2] < tokens[1]  # by number, the first row is a record


def test_streams_of_tables(charlstm, prose, tables):
    rows = "id,text\n" + "".join(f"{n},the lazy dog {n}é\n" for n in range(9))
    arguments = ("score", prose, "-", "--format", "csv", "--json", "-q", "--encoding", "latin-1")
    for option in ((), ("--keep-breaks",), ("--columns", "text")):
        found = objects(charlstm(*arguments, *option, stdin=rows.encode("latin-1")))
        assert [each["text"] for each in found] == [f"the lazy dog {n}é" for n in range(9)]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["records.csv", "--carry"], ["records.csv", "--carry"]),
        (["records.csv", "--paragraphs"], ["records.csv", "--paragraphs"]),
        (["records.txt", "--columns", "text"], ["--columns", "--format"]),
    ],
)
def test_mistakes_when_scoring(charlstm, trained, tables, arguments, parts):
    assert_error(charlstm("score", trained, *arguments, "-q"), 2, *parts)
