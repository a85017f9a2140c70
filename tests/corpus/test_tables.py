"""Tests of ``corpus.tables``: records of CSV, tab-separated values, JSON Lines and JSON."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpus import delimited, objects
from charlstm.corpus import records as records_module
from charlstm.corpus.tables import (
    format_of,
    json_format,
    read_records,
    sample_of,
)
from charlstm.errors import CorpusError

CELL = st.text(st.sampled_from("ab é,;\t|\"'\n\r\\ü中1-"), max_size=8)
NAMES = ["id", "text", "note"]


def blocks_of(text, size):
    return [text[start : start + size] for start in range(0, len(text), size)]


def records(text, kind, columns, size=7):
    found = read_records(blocks_of(text, size), kind, "a file", columns)
    return [(record.cells, record.line) for record in found]


def written(rows, **how):
    text = io.StringIO(newline="")
    csv.writer(text, **how).writerows(rows)
    return text.getvalue()


@given(
    st.lists(st.tuples(CELL, CELL, CELL), max_size=5),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["\r\n", "\n", "\r"]),
    st.integers(1, 9),
)
def test_csv_written_by_python_is_read_again(rows, separator, end, size):
    how = {"delimiter": separator, "lineterminator": end, "quoting": csv.QUOTE_ALL}
    text = written([NAMES, *rows], **how)
    found = records(text, "csv", ["note", "id"], size)
    assert [cells for cells, _ in found] == [[note, number] for number, _, note in rows]


@given(st.lists(st.dictionaries(st.sampled_from("abc"), CELL, min_size=1), min_size=1, max_size=5))
def test_json_is_read_again(values):
    values[0] = {"a": "", "b": "", "c": ""} | values[0]
    expected = [[value.get("b", ""), value.get("a", "")] for value in values]
    lines = "".join(f"{json.dumps(value)}\n" for value in values)
    assert [cells for cells, _ in records(lines, "jsonl", ["b", "a"])] == expected
    assert [cells for cells, _ in records(json.dumps(values), "json", ["b", "a"])] == expected


def test_a_record_has_the_number_of_its_first_line():
    text = 'id,text\n1,"two\nlines"\n\n2,one\r\n3,"x"\n'
    assert records(text, "csv", ["text"]) == [(["two\nlines"], 2), (["one"], 5), (["x"], 6)]
    assert records('{"a":1}\n\n{"a":2}\n', "jsonl", ["a"]) == [(["1"], 1), (["2"], 3)]
    assert records('[{"a":1},{"a":2}]', "json", ["a"]) == [(["1"], 1), (["2"], 2)]


def test_columns_by_number_need_no_header():
    assert records("1,one\n2,two\n", "csv", ["2", "1"]) == [(["one", "1"], 1), (["two", "2"], 2)]
    assert records("7,8\n1,2\n", "csv", ["1"]) == [(["7"], 1), (["1"], 2)]


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        ("0,1,2", ["1"], ["b"]),  # as programs number columns
        ("1,2,3", ["2"], ["b"]),
        ("id,2020,x", ["2020"], ["b"]),
        (" id , text ,x", ["text"], ["b"]),
    ],
)
def test_names_may_be_numbers(header, columns, expected):
    assert records(f"{header}\na,b,c\n", "csv", columns) == [(expected, 2)]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("0,1\n5,a\n", ["0", "1"]),
        ("7,a text of words\n8,another text\n", ["1", "2"]),
        ("2024-01-02;a text\n2024-01-03;b\n", ["1", "2"]),
        ("a,\n1,x\n", ["a", "2"]),
        ("user_id,created_at\n1,x\n", ["user_id", "created_at"]),
        (f"id,{'a long text ' * 9}\n1,x\n", ["1", "2"]),
    ],
)
def test_a_first_row_of_data_is_not_a_header(text, columns):
    assert list(sample_of([text], "csv", "t")) == columns


def test_repeated_names_get_numbers():
    text = "text,text, text\na,b,c\n"
    assert records(text, "csv", ["text.3", "text"]) == [(["c", "a"], 2)]
    assert sample_of([text], "csv", "t") == {"text": ["a"], "text.2": ["b"], "text.3": ["c"]}


@pytest.mark.parametrize(
    "preamble", ["Umsätze\n\n", "Konto\nStand\n", "Umsätze, Konto\n", "a\nb\nc\n"]
)
def test_a_preamble_is_skipped(preamble):
    text = preamble + "Tag;Betrag;Zweck\n" + "1.1.25;-1,50;Tee, Brot\n" * 5
    found = records(text, "csv", ["Zweck"])
    assert [cells for cells, _ in found] == [["Tee, Brot"]] * 5
    assert found[0][1] == preamble.count("\n") + 2


def test_half_characters_are_replaced():
    text = '{"a": "x \\ud83d y", "b": ["\\udc00"]}'
    assert records(text, "jsonl", ["a", "b"])[0][0] == ["x \ufffd y", '["\ufffd"]']


def test_the_first_line_may_name_the_separator():
    text = "sep=;\r\nid;text, all\r\n1;a, b\r\n"
    assert records(text, "csv", ["text, all"]) == [(["a, b"], 3)]


def test_values_within_objects_have_names_with_dots():
    text = '{"a": {"b": "in", "c.d": 1}, "x.y": "own", "x": {"y": "other"}}\n{"a": 5}\n'
    found = records(text, "jsonl", ["a.b", "a.c.d", "x.y"])
    assert [cells for cells, _ in found] == [["in", "1", "own"], ["", "", ""]]
    assert list(sample_of([text], "jsonl", "t")) == ["a.b", "a.c.d", "x.y", "a"]


def test_values_other_than_text_are_written_as_json():
    text = '{"a": true, "b": null, "c": 1.50, "d": ["é", 2]}'
    (found,) = records(text, "jsonl", ["a", "b", "c", "d"])
    assert found[0] == ["true", "", "1.5", '["é", 2]']


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(separator):
    text = separator.join(NAMES) + "\n" + separator.join(["1", "a, b; c", "x"]) + "\n"
    if separator in ",;":
        text = text.replace("a, b; c", '"a, b; c"')
    assert records(text, "csv", ["text"])[0][0] == ["a, b; c"]


def test_tab_separated_text_may_have_plain_quotation_marks():
    for line in ('x\t"no" is what he said\ny\t5" more\n', 'x\t"no"\ny\t"Awful" thing\n'):
        cells = [found for found, _ in records(f"label\ttext\n{line}", "tsv", ["text"])]
        assert cells == [[row.split("\t")[1]] for row in line.splitlines()]
    quoted = 'label\ttext\nx\t"two\nlines"\n'
    assert records(quoted, "tsv", ["text"]) == [(["two\nlines"], 2)]


def test_a_long_table_is_recognized_by_its_beginning(monkeypatch):
    monkeypatch.setattr(delimited, "_LOOKED_AT", 40)
    text = "id;text\n" + 'n;"a, b"\n' * 50
    assert [cells for cells, _ in records(text, "csv", ["text"], 100)] == [["a, b"]] * 50


def test_the_sample_has_the_first_records(monkeypatch):
    for module in (delimited, objects):
        monkeypatch.setattr(module, "SAMPLED", 3)
    rows = "".join(f"{n},x\n" for n in range(9))
    assert sample_of(["n,c\n" + rows], "csv", "t") == {"n": ["0", "1", "2"], "c": ["x"] * 3}
    lines = "".join(json.dumps({"n": n}) + "\n" for n in range(9))
    assert sample_of([lines], "jsonl", "t") == {"n": ["0", "1", "2"]}
    assert sample_of([""], "csv", "t") == {}


@pytest.mark.parametrize(
    ("text", "kind", "columns", "parts"),
    [
        ("a,b\n1,2\n3\n", "csv", ["a"], ["a file", "line 3", "1 cell", "2", "`format` text"]),
        ("a,b\n1,2\n3,4,5\n", "csv", ["a"], ["line 3", "3 cells"]),
        ('a,b\n1,"2\n3,4\n', "csv", ["a"], ["line 2", "never closed"]),
        ("a,b\n1,2\n", "csv", ["c"], ["'c'", "columns are a and b"]),
        ('{"a": 1}\n{"b": 2}\n', "jsonl", ["z"], ["'z'", "columns are a and b"]),
        ("a,b\n1,2\n", "csv", ["3"], ["no column 3", "from 1 to 2"]),
        ("a,b\n1,2\n", "csv", ["0"], ["no column 0"]),
        ("a,a\n1,2\n", "csv", ["a.3"], ["'a.3'", "a and a.2"]),
        ("Text,b\n1,2\n", "csv", ["text"], ["'text'", "Did you mean 'Text'"]),
        ('{"a": {"b": 1, "c": {"d": 2}}}', "jsonl", ["a"], ["line 1", "'a'", "a.b, a.c.d"]),
        ('[{"a": {"b": 1}}]', "json", ["a"], ["record 1", "'a'", "a.b"]),
        ('{"a": 1}\n{"a": }\n', "jsonl", ["a"], ["line 2", "JSON", "column 7"]),
        ('{"a": 1}\n[1]\n', "jsonl", ["a"], ["line 2", "an array", "object"]),
        ('{"a": 1}\n"x"\n', "jsonl", ["a"], ["line 2", "a string"]),
        ('{"a": 1}\n', "jsonl", ["b"], ["'b'", "only column is a"]),
        ('[{"a": 1}]', "json", ["b"], ["'b'", "only column is a"]),
        ('[{"a": 1},\n 2]', "json", ["a"], ["record 2", "a number"]),
        ('{"a": 1}', "json", ["a"], ["an object", "array"]),
        ("[{]", "json", ["a"], ["JSON", "column 3"]),
        ("[" * 100_000, "json", ["a"], ["JSON", "deeply"]),
        ('[{"a": ' + "9" * 5000 + "}]", "json", ["a"], ["JSON"]),
    ],
)
def test_malformed_records_are_reported_with_their_line(text, kind, columns, parts, sentence):
    with pytest.raises(CorpusError) as caught:
        records(text, kind, columns, 1000)
    sentence(caught.value, *parts)


def test_a_json_array_has_a_limit(monkeypatch, sentence):
    monkeypatch.setattr(objects, "LARGEST_JSON", 2**20)
    with pytest.raises(CorpusError) as caught:
        records('[{"a": "' + "x" * 2**21 + '"}]', "json", ["a"], 2**20)
    sentence(caught.value, "1 million characters", "JSON Lines")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("a.CSV.gz", "csv"),
        ("b.tsv", "tsv"),
        ("c.jsonl", "jsonl"),
        ("c.ndjson.zst", "jsonl"),
        ("d.json", "json"),
        ("e.txt", None),
        ("csv", None),
        ("a.csv.bak", None),
    ],
)
def test_names_show_formats(name, expected):
    assert format_of(Path(name), (".gz", ".zst")) == expected


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (' [\n {"a": 1}]', "json", "json"),
        (' [\n {"a": 1}]', "jsonl", "json"),
        ("[1, 2]", "json", None),
        ('{"a": 1}\n', "jsonl", "jsonl"),
        ('{"a": 1}\n', "json", None),
        ('{"a": 1}\n{"a": 2}\n', "json", "jsonl"),
        ('{"a": "very long', "jsonl", "jsonl"),
        ('{"a": "very long', "json", None),
        ('{\n  "a": 1\n}', "json", None),
        ('{"a": 1}\ntext', "jsonl", "jsonl"),
        ('{"a": 1}\ntext', "json", None),
        ('{\n  "a": 1\n}', "jsonl", "jsonl"),
        ("text", "jsonl", None),
        ("", "json", None),
    ],
)
def test_json_may_not_be_a_table(text, kind, expected):
    assert json_format(text, kind) == expected


def test_a_long_line_takes_time_in_proportion(monkeypatch, sentence):
    monkeypatch.setattr(records_module, "LONGEST_LINE", 5000)
    with pytest.raises(CorpusError) as caught:
        list(read_records(["x"] * 6000, "jsonl", "a file", ["a"]))
    sentence(caught.value, "a file", "5,000", "`format` text")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
def test_mutated_tables_give_records_or_an_error(kind):
    whole = {
        "csv": 'id,text,note\n1,"a, ""b""\nc",x\n2,d;e|f,\n3,"",é\n' * 3,
        "tsv": 'id\ttext\n1\t"a"\n2\tb "c"\n3\td\n' * 3,
        "jsonl": '{"id": 1, "text": "a\\n\\ud83d\\ude00", "in": {"x": [1, null]}}\n' * 4,
        "json": json.dumps([{"id": n, "text": "é\n" * n, "in": {"x": n}} for n in range(4)]),
    }[kind]
    generator, read = random.Random(1), 0
    for _ in range(400):
        text = list(whole)
        for _ in range(generator.randint(1, 6)):
            place = generator.randrange(len(text) + 1)
            text[place : place + generator.choice((0, 1, 1, 5, 30))] = generator.choice(
                ("", '"', ",", "\n", "\r", "\t", "{", "}", "[", "]", "\\", ";", "\0", "\ud800", "x")
            )
        blocks = blocks_of("".join(text), generator.randint(1, 60))
        with contextlib.suppress(CorpusError):
            columns = list(sample_of(blocks, kind, "t"))
            read += len(list(read_records(blocks, kind, "t", columns[:2])))
    assert read
