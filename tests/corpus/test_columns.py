"""Tests of ``corpus.columns``: finding the column with text, and joining cells to documents."""

from __future__ import annotations

import pytest

from charlstm.corpus.columns import joined, text_column
from charlstm.errors import CorpusError

TEXT = [f"the {n}th of the quick foxes jumps over {n % 7} lazy dogs" for n in range(60)]
COUNT = len(TEXT)

# Columns that are not text.
DATA = {
    "ids": [str(1000 + n) for n in range(COUNT)],
    "numbers": [f"{n}.5" for n in range(COUNT)],
    "amounts": [f"-{n},50 €" for n in range(COUNT)],
    "dollars": [f"${n:,}.00" for n in range(900, 900 + COUNT)],
    "shares": [f"{n} %" for n in range(COUNT)],
    "dates": [f"2024-01-{n % 28 + 1:02}" for n in range(COUNT)],
    "times": [f"2024-01-{n % 28 + 1:02}T10:{n % 60:02}:00Z" for n in range(COUNT)],
    "german dates": [f"{n % 28 + 1}.01.2024" for n in range(COUNT)],
    "written dates": [f"{n % 28 + 1} January 2024" for n in range(COUNT)],
    "american dates": [f"Jan {n % 28 + 1}, 2024" for n in range(COUNT)],
    "hours": [f"{n % 24}:30" for n in range(COUNT)],
    "keys": [f"a{n:07x}-b{n:04x}" for n in range(COUNT)],
    "addresses": [f"https://example.org/{n}" for n in range(COUNT)],
    "mail": [f"someone{n}@example.org" for n in range(COUNT)],
    "truth": ["true", "false"] * (COUNT // 2),
    "labels": ["positive", "negative"] * (COUNT // 2),
    "people": ["Anna Schmidt", "John Smith", "Li Wei"] * (COUNT // 3),
    "empty": [""] * COUNT,
    "hardly any": ["a note on this"] + [""] * (COUNT - 1),
}


@pytest.mark.parametrize("name", DATA)
def test_the_column_of_text_is_found_next_to_data(name):
    assert text_column({name: DATA[name], "body": TEXT}, "t") == "body"


def test_it_is_found_next_to_all_kinds_of_data():
    assert text_column({**DATA, "body": TEXT}, "t") == "body"


@pytest.mark.parametrize(
    "cells",
    [
        ["Emma", "Olivia", "Ava", "Sophia", "Mia"],
        ["東京", "大阪府に行く", "京都"],
        ["It costs 5 €.", "12 apostles", "2024 was a year"],
        ["", "", "a single text", ""],
        [
            "这家店的服务很好。第2次来,价格:很便宜,下次还会再来,推荐给大家,环境也不错,很安静,适合聊天,交通方便"
        ]
        * 3,
    ],
)
def test_these_are_text(cells):
    ids = [str(n) for n in range(len(cells))]
    assert text_column({"id": ids, "name": cells}, "t") == "name"


def message_of(columns):
    with pytest.raises(CorpusError) as caught:
        text_column(columns, "a table")
    return str(caught.value)


def test_several_columns_of_text_are_shown_with_examples():
    message = message_of({"id": DATA["ids"], "title": TEXT, "body": ["", " \t", *TEXT[2:]]})
    assert "`columns` title,body" in message
    assert "`format` text" in message
    shown = [text[:39] for text in (TEXT[0], TEXT[2])]
    assert message.endswith(f" are id (1000), title ({shown[0]} …), body ({shown[1]} …).")


def test_all_columns_are_shown_if_none_is_text():
    message = message_of({"id": DATA["ids"], "empty": DATA["empty"]})
    assert "no column that looks like text" in message
    assert message.endswith(" are id (1000), empty (empty).")


def test_examples_are_few_short_and_harmless():
    columns = {f"a\x1b[31m {n}": ["x " * 500 + "."] for n in range(500)}
    message = message_of(columns)
    assert "\x1b" not in message
    assert message.endswith(" and 480 more.")
    assert len(message) < 20 * 100


@pytest.mark.parametrize(
    ("names", "typed"),
    [
        (["title", "my text"], "`columns` 'title,my text'"),
        (["title", "one, two"], "`columns` 'title,\"one, two\"'"),
        (["title", "a question " * 9], "`columns` 1,2"),
    ],
)
def test_the_choice_can_be_typed(names, typed):
    assert f" {typed})," in message_of(dict.fromkeys(names, TEXT))


def test_without_text_the_longest_column_is_suggested():
    assert "`columns` addresses)," in message_of(
        {n: DATA[n] for n in ("ids", "addresses", "truth")}
    )


def test_the_only_column_is_taken():
    assert text_column({"name": ["Emma", "Ben"] * 50}, "t") == "name"
    assert text_column({"id": ["1", "2"]}, "t") == "id"


def test_a_table_without_records():
    assert "without records" in message_of({})
    assert "header row but no records" in message_of({"a": [], "b": []})
    assert "for example" not in message_of({"a": ["", " "], "b": ["", ""]})


@pytest.mark.parametrize(
    ("cells", "keep_breaks", "expected"),
    [
        (["a", "b"], False, "a\tb"),
        (["a\r\nb\rc\nd\te", "f"], False, "a b c d e\tf"),
        (["a\r\nb\te", "f"], True, "a\r\nb\te\tf"),
        (["", "b"], False, "\tb"),
        (["", ""], False, ""),
        (["only"], False, "only"),
    ],
)
def test_cells_are_joined_by_tabs(cells, keep_breaks, expected):
    assert joined(cells, keep_breaks=keep_breaks) == expected
