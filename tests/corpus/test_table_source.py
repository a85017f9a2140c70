"""Tests of ``corpus.table_source``: files that are tables, and their records as documents."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from charlstm.config import Division
from charlstm.corpus.documents import open_corpus
from charlstm.corpus.notes import Notes
from charlstm.corpus.reading import Source, StreamSource
from charlstm.corpus.sources import FileChoice
from charlstm.corpus.table_source import TableSource, as_table
from charlstm.errors import CorpusError, UsageError

ROWS = [(n, f'The {n}th, said "nobody",\nis a fox\'s text.', n % 2 == 0) for n in range(30)]
CSV = "id,text,even\r\n" + "".join(
    f'{n},"{text.replace(chr(34), chr(34) * 2)}",{even}\r\n' for n, text, even in ROWS
)
DOCUMENTS = [text.replace("\n", " ") for _, text, _ in ROWS]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name, data):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return name


def opened(*addresses, text_format="auto", include=(), exclude=(), **settings):
    choice = FileChoice(text_format, include, exclude)
    return open_corpus(addresses, choice=choice, **settings)


def documents(corpus):
    return [chunk.text for chunk in corpus.chunks()]


def test_each_record_is_a_document(here):
    corpus = opened(write("a.csv", CSV)).as_tables()
    assert corpus.division == Division(unit="record", columns=("text",))
    assert documents(corpus) == DOCUMENTS
    (note,) = corpus.notes.sentences
    assert "a.csv" in note
    assert "`columns`" in note
    assert corpus.fingerprint().documents == len(DOCUMENTS)


def test_the_same_table_in_other_formats_is_the_same_text(here):
    rows = [{"id": n, "text": text, "even": even} for n, text, even in ROWS]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    written = [
        write("a.csv", CSV),
        write("b.csv.gz", gzip.compress(CSV.encode())),
        write("c.csv", b"\xef\xbb\xbf" + CSV.replace("\r\n", "\n").encode()),
        write("d.csv", CSV.encode("utf-16")),
        write("e.jsonl", lines),
        write("f.json", json.dumps(rows, ensure_ascii=False)),
    ]
    found = [opened(name).as_tables() for name in written]
    assert len({corpus.fingerprint().sha256 for corpus in found}) == 1
    assert len({corpus.division for corpus in found}) == 1


def test_columns_can_be_chosen(here):
    name = write("a.csv", CSV)
    division = Division(columns=("even", "text"), keep_breaks=True)
    corpus = opened(name, division=division).as_tables()
    assert documents(corpus) == [f"{even}\t{text}" for _, text, even in ROWS]
    assert corpus.notes.sentences == ()
    corpus = opened(name, division=Division(columns=("2",))).as_tables()
    assert documents(corpus) == ["text", *DOCUMENTS]


def test_records_without_text_are_left_out(here):
    corpus = opened(write("a.csv", 'id,text\n1,some words\n2,\n3," "\n4,more words\n')).as_tables()
    assert documents(corpus) == ["some words", "more words"]
    assert corpus.fingerprint().blank == 2


def test_a_table_can_be_read_as_text(here):
    corpus = opened(write("a.csv", CSV), text_format="text").as_tables()
    assert documents(corpus) == [CSV]
    assert corpus.division.unit == "file"


def test_text_can_be_read_as_a_table(here):
    corpus = opened(write("a.txt", CSV), text_format="csv").as_tables()
    assert documents(corpus) == DOCUMENTS
    corpus = opened("-", text_format="csv", stdin=Path(write("spooled", CSV))).as_tables()
    assert documents(corpus) == DOCUMENTS


def test_other_json_is_text(here):
    for name, text in {"a.json": '{\n"a": 1}', "b.jsonl": "lines\n", "c.json": "[1, 2]"}.items():
        corpus = opened(write(name, text)).as_tables()
        assert documents(corpus) == [text]
        assert ("plain text" in "".join(corpus.notes.sentences)) == name.endswith(".json")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[{"a": 1}, 2]', []),
        ('[1, {"a": 1}]', ["array of objects", "jq -c '.[] | objects' nest.json > NEW.jsonl"]),
        ('{"a": 1}\n', ["one object", "`format` jsonl"]),
        ('{"n": 1,\n"posts": [{}]}', ["object, not an array", "'.posts[]' nest.json"]),
        ('{"the posts": [{}]}', ["""jq -c '.["the posts"][]' nest.json > NEW.jsonl"""]),
        ('{"posts": [{}, {', ["'.posts[]' nest.json > posts.jsonl"]),
        ('{\n"a": 1}', ["object, not an array"]),
    ],
)
def test_why_json_is_no_table(here, text, parts):
    said = "".join(opened(write("nest.json", text)).notes.sentences)
    assert all(part in said for part in parts)
    assert bool(said) == bool(parts)


def test_json_lines_may_be_named_json(here):
    lines = "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text, _ in ROWS)
    assert documents(opened(write("a.json", lines)).as_tables()) == DOCUMENTS


def test_rare_keys_and_lists_are_not_columns_of_text(here):
    rows = [{"id": n, "text": text, "tags": ["a fox", "a dog"]} for n, text, _ in ROWS]
    rows[3]["note"] = "a word from the moderator"
    name = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert opened(name).as_tables().division.columns == ("text",)


def test_a_table_without_header_is_read_from_its_first_row(here):
    name = write("a.csv", CSV.partition("\r\n")[2])
    corpus = opened(name).as_tables()
    assert corpus.division.columns == ("2",)
    assert documents(corpus) == DOCUMENTS


def test_an_embedded_text_is_not_a_table(here, sentence):
    with pytest.raises(UsageError) as caught:
        opened("python-docs", text_format="csv")
    sentence(caught.value, "python-docs", "`format` csv")


def test_a_folder_may_contain_tables_and_texts(here):
    """Each record is a document, and so is each text."""
    write("all/a.txt", "one\r\ntwo\r\n".encode("utf-16"))
    write("all/b.csv", CSV)
    write("all/c.jsonl.gz", gzip.compress(b'{"body": "a text of words"}\n' * 2))
    write("all/d.txt", b"\xef\xbb\xbfthree")
    corpus = opened("all").as_tables()
    assert corpus.division == Division()
    words = "a text of words"
    assert documents(corpus) == ["one\r\ntwo\r\n", *DOCUMENTS, words, words, "three"]
    assert documents(opened("all", exclude=("*.csv", "*.gz")).as_tables()) == [
        "one\r\ntwo\r\n",
        "three",
    ]
    tables = opened("all", include=("*.csv",)).as_tables()
    assert tables.division.columns == ("text",)


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), ("drafts",), ["a.md", "posts/b.md"]),
        ((), ("drafts/",), ["a.md", "posts/b.md"]),
        ((), ("posts/drafts",), ["a.md", "drafts/d.md", "posts/b.md"]),
        ((), ("/posts/drafts/",), ["a.md", "drafts/d.md", "posts/b.md"]),
        ((), ("posts/**/c.*",), ["a.md", "drafts/d.md", "posts/b.md"]),
        (("posts",), (), ["posts/b.md", "posts/drafts/c.md"]),
        (("posts/**",), ("c.md",), ["posts/b.md"]),
        (("a.*", "d.md"), (), ["a.md", "drafts/d.md"]),
    ],
)
def test_files_in_a_folder_are_chosen(here, include, exclude, expected):
    for name in ("a.md", "posts/b.md", "posts/drafts/c.md", "drafts/d.md"):
        write(f"all/{name}", "text")
    found = opened("all", include=include, exclude=exclude).sources
    assert [source.name for source in found] == [f"all/{name}" for name in expected]


def test_patterns_that_match_nothing(here, sentence):
    write("all/a.md", "text")
    with pytest.raises(CorpusError) as caught:
        opened("all", include=("*.txt",))
    sentence(caught.value, "all", "`include` '*.txt'")


@pytest.mark.parametrize(
    ("division", "option"),
    [
        (Division(unit="line"), "`lines`"),
        (Division(unit="paragraph"), "`paragraphs`"),
        (Division(unit="delimited", delimiter="="), "`delimiter`"),
    ],
)
def test_tables_are_not_divided_like_text(here, division, option, sentence):
    with pytest.raises(UsageError) as caught:
        opened(write("a.csv", CSV), division=division).as_tables()
    sentence(caught.value, "a.csv", option, "`format` text")


def test_columns_need_a_table(here, sentence):
    with pytest.raises(UsageError) as caught:
        opened(write("a.txt", "text"), division=Division(columns=("a",))).as_tables()
    sentence(caught.value, "a.txt", "`columns`", "`format`")


def test_each_table_needs_the_columns(here, sentence):
    names = [write("a.csv", CSV), write("b.csv", "id,body\n1,words of text\n")]
    corpus = opened(*names).as_tables()
    with pytest.raises(CorpusError) as caught:
        documents(corpus)
    sentence(caught.value, "b.csv", "'text'", "body")


def test_a_stream_is_read_once(here):
    stream = io.BufferedReader(io.BytesIO(CSV.encode()))
    source = as_table(StreamSource("stdin", Path("-"), stream), "csv", "utf-8")
    assert isinstance(source, TableSource)
    notes = Notes()
    found = list(source.records(Division(), "utf-8", "strict", notes))
    assert [document.text for document in found] == DOCUMENTS
    assert [document.line for document in found[:3]] == [2, 4, 6]
    assert len(notes.sentences) == 1


def test_memory_does_not_grow_with_the_table(here):
    import tracemalloc

    line = "1,some words of a text that is not short at all,true\n"
    source = opened(write("a.csv", "id,text,even\n" + line * 400_000)).sources[0]
    assert isinstance(source, TableSource)
    tracemalloc.start()
    count = sum(1 for _ in source.records(Division(), "utf-8", "strict"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 400_000
    assert peak < 15e6 < len(line) * count


def test_the_documents_of_a_table_are_its_records(here):
    source = as_table(Source("a.csv", Path(write("a.csv", CSV))), "auto", "utf-8")
    assert ["".join(each) for each in source.documents("utf-8", "strict")] == DOCUMENTS


def test_tables_are_normalized(here):
    name = write("a.csv", "id,text\n1,u\u0308ber den Berg\n")
    assert documents(opened(name, normalize="nfc").as_tables()) == ["über den Berg"]


# Copies


def test_only_the_first_of_equal_documents_is_read(here):
    rows = "".join(f"{n},a text {n % 3}\n" for n in range(9))
    corpus = opened(write("a.csv", "id,text\n" + rows), dedupe=True).as_tables()
    assert documents(corpus) == ["a text 0", "a text 1", "a text 2"]
    assert corpus.fingerprint().documents == 3
    assert any("6 copies" in sentence for sentence in corpus.notes.sentences)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_only_the_first_of_equal_files_is_read(here, size):
    text = "some words\n" * (size // 10)
    names = [
        write("a.txt", text),
        write("b.txt", "other"),
        write("c.txt.gz", gzip.compress(text.encode())),
    ]
    corpus = opened(*names, dedupe=True)
    assert "".join(documents(corpus)) == text + "other"
    assert any("1 copy" in sentence for sentence in corpus.notes.sentences)
    lines = opened(*names, dedupe=True, division=Division(unit="line"))
    assert documents(lines) == ["some words", "other"]
