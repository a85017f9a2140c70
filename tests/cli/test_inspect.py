"""``charlstm inspect``: what a text is made of, and what training on it would do."""

import json

import pytest

from tests.cli.helpers import NAMES, TEXT
from tests.messages import assert_error


def rows_of(result):
    assert result.status == 0, result.err
    return [tuple(line.split(maxsplit=1)) for line in result.out.splitlines()]


def test_the_table(charlstm, corpus):
    result = charlstm("inspect", corpus)
    rows = dict(rows_of(result))
    assert rows["files"] == "1, utf-8"
    assert rows["documents"] == "1, each a file"
    assert rows["characters"] == f"{len(TEXT):,}, {len(set(TEXT))} distinct"
    assert rows["frequent"].startswith(f"' ' {TEXT.count(' '):,}, ")
    assert rows["words"] == f"{len(TEXT.split()):,}"
    assert "60 Windows" in result.out
    assert "will hurt" in result.out
    plan = charlstm("train", corpus, "--dry-run").err.splitlines()[0]
    assert rows["training"] == plan.partition(": ")[2]
    assert result.err == ""


def test_json(charlstm, corpus):
    facts = json.loads(charlstm("inspect", corpus, "--json").out)
    assert facts["characters"] == len(TEXT)
    assert facts["character_counts"]["\r"] == 60
    assert facts["line_ends"] == {"\r\n": 60}
    assert facts["problem"] is None
    plan = json.loads(charlstm("train", corpus, "--dry-run", "--json").out)
    for name in ("train_tokens", "valid_tokens", "steps"):
        assert facts["training"][name] == plan[name]


def test_the_options_of_train_count(charlstm, here):
    (here / "list.txt").write_text(NAMES * 2)
    lines = json.loads(charlstm("inspect", "list.txt", "--lines", "--json").out)
    assert (lines["documents"], lines["copies"]) == (180, 90)
    assert any("--dedupe" in hazard for hazard in lines["hazards"])
    once = json.loads(charlstm("inspect", "list.txt", "--lines", "--dedupe", "--json").out)
    assert (once["documents"], once["copies"]) == (90, 0)
    words = json.loads(charlstm("inspect", "list.txt", "--level", "word", "--json").out)
    assert words["training"]["level"] == "word"
    assert "--lines" in charlstm("inspect", "list.txt").out


def test_files_in_several_encodings(charlstm, here):
    (here / "texts").mkdir()
    (here / "texts" / "a.txt").write_text(TEXT)
    (here / "texts" / "b.txt").write_bytes(TEXT.encode("utf-16"))
    (here / "texts" / "c.bin").write_bytes(b"\0\1\2")
    result = charlstm("inspect", "texts")
    assert dict(rows_of(result))["files"] == "2, 1 in utf-8, 1 in utf-16-le"
    assert "c.bin" in result.err
    assert charlstm("inspect", "texts", "-q").err == ""


def test_a_text_that_is_too_short_is_looked_over_all_the_same(charlstm):
    result = charlstm("inspect", "-", stdin=b"abc")
    rows = dict(rows_of(result))
    assert rows["characters"] == "3, 3 distinct"
    assert rows["training"].startswith("not possible: ")
    facts = json.loads(charlstm("inspect", "-", "--json", stdin=b"abc").out)
    assert facts["training"] is None
    assert "too short" in facts["problem"]


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        ([], 2, ["CORPUS", "charlstm corpora"]),
        (["nowhere"], 1, ["nowhere"]),
        (["tale.txt", "--lines", "--paragraphs"], 2, ["--lines", "--paragraphs"]),
        (["tale.txt", "--encoding", "utf-99"], 2, ["utf-99"]),
    ],
)
def test_mistakes(charlstm, corpus, arguments, status, parts):
    assert_error(charlstm("inspect", *arguments), status, *parts)


def test_a_delimiter_that_is_not_found(charlstm, corpus):
    result = charlstm("inspect", "tale.txt", "--delimiter", "nosuch")
    assert dict(rows_of(result))["documents"] == "1 document (no line equals the delimiter)"


def test_an_object_is_no_table(charlstm, here):
    (here / "nest.json").write_text('{"posts": [{"text": "one"}]}')
    result = charlstm("inspect", "nest.json", "--columns", "posts.text")
    note, error = result.err.splitlines()
    assert note.startswith("Note: nest.json is an object, not an array")
    assert "jq -c '.posts[]' nest.json > posts.jsonl" in note
    assert error.startswith("Error: nest.json is not a table")


def test_training_says_the_worst(charlstm, here):
    (here / "page.txt").write_text("<p>Some <b>words</b> &amp; a text</p>\n" * 100)
    told = charlstm("train", "page.txt", "--dry-run").err
    (note,) = [line for line in told.splitlines() if "charlstm inspect" in line]
    assert "tags" in note
    assert "charlstm inspect" not in charlstm("train", "page.txt", "--dry-run", "-q").err
