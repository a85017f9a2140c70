"""``charlstm fill``: words for gaps, as rows or as JSON, and what it refuses."""

from __future__ import annotations

import pytest

import charlstm as package
from tests.cli.helpers import objects
from tests.messages import assert_error


def test_the_words_for_a_gap_are_rows(charlstm, prose):
    result = charlstm("fill", prose, "the quick ___ fox", "-k", 3)
    assert (result.status, result.err) == (0, "")
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert rows[0][1] == "brown"
    assert [len(row) for row in rows] == [2] * len(rows)
    assert len(rows) <= 3
    shares = [float(share) for share, _ in rows]
    assert shares == sorted(shares, reverse=True)


def test_several_gaps_are_numbered(charlstm, prose):
    rows = charlstm("fill", prose, "the ___ brown ___ jumps", "-k", 1).out.splitlines()
    assert [row.split("\t")[1:] for row in rows] == [["quick", "1"], ["fox", "2"]]


def test_json_is_what_python_returns(charlstm, prose):
    text = "the ___ brown ___ jumps"
    (found,) = objects(charlstm("fill", prose, text, "--json", "-k", 2))
    assert found == package.load(prose).fill(text, top=2).to_dict()
    assert list(found) == ["text", "filled", "gaps"]
    assert (found["text"], found["filled"]) == (text, "the quick brown fox jumps")


def test_each_line_of_stdin_gets_a_line(charlstm, prose):
    stdin = b"the ___ brown fox\n\nno gap\r\nthe quick ? fox\n"
    found = objects(charlstm("fill", prose, "-", stdin=stdin))
    assert found == objects(charlstm("fill", prose, stdin=stdin))
    assert [each["filled"] for each in found] == [
        "the quick brown fox", "", "no gap", "the quick ? fox"
    ]  # fmt: skip
    assert [len(each["gaps"]) for each in found] == [1, 0, 0, 0]
    (marked,) = objects(charlstm("fill", prose, "--gap", "?", stdin=b"the quick ? fox\n"))
    assert marked["filled"] == "the quick brown fox"


def test_a_text_needs_a_gap(charlstm, prose):
    assert_error(charlstm("fill", prose, "the fox"), 2, "'the fox'", "___")
    assert_error(charlstm("fill", prose, "the ___ fox", "--gap", "?"), 2, "?")
    assert_error(charlstm("fill", prose, "the ___ fox", "--gap", ""), 2, "--gap")


def test_unknown_characters_are_named_once(charlstm, prose):
    told = charlstm("fill", prose, stdin="the ___ €\nthe ___ €\n".encode())
    assert told.status == 0
    assert told.err.count("€") == 1
    assert charlstm("fill", prose, "-q", stdin="the ___ €\n".encode()).err == ""


@pytest.mark.parametrize("model", ["words", "pieces", "names"])
def test_all_levels_fill_gaps(request, charlstm, model):
    (found,) = objects(charlstm("fill", request.getfixturevalue(model), "an___", "--json"))
    assert found["filled"].startswith("an")


def test_a_bidirectional_model_needs_no_option(charlstm, prose_both_ways):
    text = "the quick ___ fox jumps over"
    (found,) = objects(charlstm("fill", prose_both_ways, text, "--json"))
    assert found == package.load(prose_both_ways).fill(text).to_dict()
    assert found["filled"] == "the quick brown fox jumps over"
