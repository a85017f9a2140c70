"""Tests of ``corpus.documents``: cutting, counting and naming a corpus."""

from __future__ import annotations

import gzip
import itertools
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import Division
from charlstm.corpus import reading
from charlstm.corpus.documents import Chunk, Corpus, open_corpus
from charlstm.corpus.documents import corpus_of as corpus_of_text
from charlstm.corpus.lines import lines_of
from charlstm.errors import UsageError
from tests.texts import (
    block_sizes,
    chunks_in_blocks,
    corpus_of,
    division_of,
    documents,
    documents_of,
    message,
    texts,
)

# Cutting into chunks


@given(documents, block_sizes)
def test_files_are_documents_and_nothing_is_lost(folder, contents, size):
    chunks = chunks_in_blocks(corpus_of(folder, contents), size)
    assert documents_of(chunks) == [content for content in contents if content]
    assert all(chunk.text for chunk in chunks)


@given(texts, block_sizes)
def test_a_chunk_ends_after_a_newline_if_it_has_one(folder, content, size):
    chunks = chunks_in_blocks(corpus_of(folder, [content]), size)
    for chunk, following in itertools.pairwise(chunks):
        assert not (chunk.text.endswith("\r") and following.text.startswith("\n"))
        holds_newline = "\n" in chunk.text or "\r" in chunk.text
        assert chunk.text.endswith(("\n", "\r")) or not holds_newline


@given(texts, block_sizes)
def test_lines_that_are_not_blank_are_documents(folder, content, size):
    corpus = corpus_of(folder, [content], lines=True)
    expected = [line for line in lines_of(content) if line.strip()]
    assert chunks_in_blocks(corpus, size) == [Chunk(line, True) for line in expected]
    if expected:
        assert corpus.fingerprint().blank == len(lines_of(content)) - len(expected)


@given(texts, block_sizes)
def test_by_rules_1_only_a_line_feed_ends_a_line(folder, content, size):
    expected = content.split("\n")
    if not expected[-1]:
        expected.pop()
    corpus = corpus_of(folder, [content], division=Division(unit="line", rules=1))
    assert chunks_in_blocks(corpus, size) == [Chunk(line, True) for line in expected]


@pytest.mark.parametrize("lines", [False, True])
def test_a_line_of_50_megabytes(tmp_path, lines):
    content = "0123456789" * 5_000_000
    corpus = corpus_of(tmp_path, [content + "\nend"], lines=lines)
    assert documents_of(corpus.chunks()) == [content, "end"] if lines else [content + "\nend"]


def test_chunks_have_about_a_million_characters(tmp_path):
    *chunks, last = corpus_of(tmp_path, ["some words\n" * 400_000]).chunks()
    assert len(chunks) >= 2
    assert all(2**19 < len(chunk.text) <= 2**21 for chunk in chunks)
    assert len(last.text) <= 2**21


@pytest.mark.parametrize("lines", [False, True])
def test_memory_does_not_grow_with_the_corpus(tmp_path, lines):
    path = tmp_path / "long.txt.gz"
    path.write_bytes(
        gzip.compress(b"some words in a line of usual length, repeated\n" * 400_000, 1)
    )
    corpus = open_corpus([str(path)], division=division_of(lines))
    tracemalloc.start()
    try:
        assert sum(len(chunk.text) for chunk in corpus.chunks()) > 1.8e7
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


# Fingerprints and names


@given(documents, block_sizes, st.booleans())
def test_the_fingerprint_counts_and_does_not_depend_on_blocks(folder, contents, size, lines):
    corpus = corpus_of(folder, [*contents, "x"], lines=lines)
    whole = corpus.fingerprint()
    chunks = chunks_in_blocks(corpus, size)
    assert whole.characters == sum(len(chunk.text) for chunk in chunks)
    assert whole.documents == sum(chunk.ends_document for chunk in chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", size)
        assert corpus.fingerprint() == whole


@given(documents, documents, st.booleans(), st.booleans())
def test_different_corpora_have_different_hashes(folder, one, other, one_lines, other_lines):
    kinds, hashes = [], []
    for contents, lines in ((one, one_lines), (other, other_lines)):
        corpus = corpus_of(folder, [*contents, "x"], lines=lines)
        kinds.append((lines, documents_of(corpus.chunks())))
        hashes.append(corpus.fingerprint().sha256)
    assert (kinds[0] == kinds[1]) == (hashes[0] == hashes[1])


def test_the_hash_depends_on_where_documents_end(tmp_path):
    contents = (["ab", "c"], ["a", "bc"], ["abc"])
    hashes = {corpus_of(tmp_path, one).fingerprint().sha256 for one in contents}
    assert len(hashes) == 3


@pytest.mark.parametrize("lines", [False, True])
def test_an_empty_corpus(here, lines, sentence):
    Path("a.txt").write_text("\n\n" if lines else "")
    Path("b.txt").touch()
    corpus = open_corpus(["a.txt", "b.txt"], division=division_of(lines))
    sentence(message(corpus.fingerprint), "a.txt, b.txt", "empty")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("data/tinyshakespeare.txt.gz", "tinyshakespeare"),
        ("names.txt", "names"),
        ("-", "stdin"),
        ("python-docs", "python-docs"),
        ("books/", "books"),
        ("books.2024", "books.2024"),
        (".", "here"),
        ("books/..", "here"),
        ("/", "corpus"),
        ("mail/**/*.txt", "mail"),
        ("my poems!.md", "my-poems"),
        (".bashrc", "bashrc"),
        ("été.txt", "été"),
        (os.fsdecode(b"caf\xe9.txt"), "caf"),
        ("x" * 100, "x" * 60),
    ],
)
def test_names_are_valid_folder_names(tmp_path, monkeypatch, address, name):
    (tmp_path / "here" / "books").mkdir(parents=True)
    (tmp_path / "here" / "books.2024").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert Corpus((), addresses=(address, "other.txt")).name == name


@given(st.text(st.characters(exclude_characters="\0"), max_size=80))
def test_every_address_gives_a_name(address):
    name = Corpus((), addresses=(address,)).name
    assert name
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name.encode()) <= 240


# Imports


def test_decompressors_are_imported_when_needed():
    heavy = "{'gzip', 'numpy', 'backports.zstd'}"
    code = f"import sys, charlstm.corpus.documents; print({heavy} & {{*sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


# Texts in memory


@given(documents, st.booleans())
def test_texts_in_memory_are_a_corpus_like_files(folder, contents, lines):
    files = corpus_of(folder, contents, lines=lines)
    texts = Corpus.of_texts(contents, division=division_of(lines))
    assert documents_of(texts.chunks()) == documents_of(files.chunks())
    if any(documents_of(files.chunks())):
        assert texts.fingerprint() == files.fingerprint()


def test_a_text_can_be_named_in_several_ways(tmp_path, sentence):
    path = tmp_path / "a.txt"
    path.write_text("text")
    expected = open_corpus([str(path)])
    for text in (path, str(path), [path], (str(path), path)):
        assert corpus_of_text(text).sources == expected.sources
    assert corpus_of_text(expected) is expected
    assert documents_of(corpus_of_text(None, ["a", "b"]).chunks()) == ["a", "b"]
    sentence(message(corpus_of_text, path, ["a"], error=UsageError), "text", "texts")
