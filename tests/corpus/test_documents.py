"""Cutting, counting, naming and dividing a corpus."""

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

from charlstm.corpus import reading
from charlstm.corpus.documents import Chunk, Corpus, open_corpus
from charlstm.corpus.documents import corpus_of as corpus_of_text
from charlstm.corpus.lines import split_lines
from charlstm.corpus.split import divide
from charlstm.corpus.word_count import WordCounter
from charlstm.errors import UsageError
from tests.texts import (
    block_sizes,
    chunks_in_blocks,
    corpus_of,
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
def test_a_chunk_ends_after_a_newline_where_it_can(folder, content, size):
    chunks = chunks_in_blocks(corpus_of(folder, [content]), size)
    for chunk, following in itertools.pairwise(chunks):
        assert not (chunk.text.endswith("\r") and following.text.startswith("\n"))
        holds_newline = "\n" in chunk.text or "\r" in chunk.text
        assert chunk.text.endswith(("\n", "\r")) or not holds_newline


@given(texts, block_sizes)
def test_lines_end_with_a_line_feed_only(folder, content, size):
    expected = content.split("\n")
    if not expected[-1]:
        expected.pop()
    chunks = chunks_in_blocks(corpus_of(folder, [content], lines=True), size)
    assert chunks == [Chunk(line, True) for line in expected]


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
    corpus = open_corpus([str(path)], lines=lines)
    tracemalloc.start()
    try:
        assert sum(len(chunk.text) for chunk in corpus.chunks()) > 1.8e7
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


# Fingerprint and name


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
def test_the_hash_tells_corpora_apart(folder, one, other, one_lines, other_lines):
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
    corpus = open_corpus(["a.txt", "b.txt"], lines=lines)
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
def test_names_are_fit_for_folders(tmp_path, monkeypatch, address, name):
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


# Training and validation text


def divided(corpus, size, fraction, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", size)
        characters = sum(len(chunk.text) for chunk in corpus.chunks())
        return list(divide(corpus, characters, fraction, **{"seed": 1, **options}))


def boundary_of(contents, fraction, whole_words):
    """Return how many characters train, found character by character."""
    text = "".join(contents)
    ends = set(itertools.accumulate(map(len, contents)))
    position = int((1 - fraction) * len(text))
    while whole_words and position not in {0, *ends} and not text[position].isspace():
        position += 1
    return position


fractions = st.floats(0.01, 0.99)


@given(documents, block_sizes, fractions, st.booleans())
def test_the_first_part_trains_and_the_rest_validates(folder, contents, size, part, whole_words):
    pairs = divided(corpus_of(folder, contents), size, part, whole_words=whole_words)
    sides = [validates for validates, _ in pairs]
    assert sides == sorted(sides)
    assert documents_of(chunk for _, chunk in pairs) == [text for text in contents if text]
    assert all(chunk.text for _, chunk in pairs)
    trained = sum(len(chunk.text) for validates, chunk in pairs if not validates)
    assert trained == boundary_of(contents, part, whole_words)


def test_the_division_of_the_usual_benchmark(tmp_path):
    pairs = divided(corpus_of(tmp_path, ["x" * 1_115_394]), 2**16, 0.1, whole_words=False)
    assert sum(len(chunk.text) for validates, chunk in pairs if not validates) == 1_003_854


@given(st.lists(st.sampled_from(["ann", "bob", "", "é\r", "cy"]), max_size=30), fractions)
def test_equal_lines_fall_on_the_same_side(folder, lines, part):
    corpus = corpus_of(folder, ["".join(f"{line}\n" for line in lines)], lines=True)
    pairs = divided(corpus, 2**20, part, whole_words=False)
    assert [chunk.text for _, chunk in pairs] == lines
    sides = {(chunk.text, validates) for validates, chunk in pairs}
    assert len(sides) == len(set(lines))


def test_about_the_fraction_of_lines_validates_by_seed(tmp_path):
    corpus = corpus_of(tmp_path, ["".join(f"{n}\n" for n in range(10_000))], lines=True)

    def drawn(fraction, seed):
        pairs = divide(corpus, 0, fraction, seed=seed, whole_words=True)
        return {chunk.text for validates, chunk in pairs if validates}

    assert 900 < len(drawn(0.1, 1)) < 1100
    assert drawn(0.1, 1) < drawn(0.2, 1)
    assert drawn(0.1, 1) == drawn(0.1, 1)
    assert len(drawn(0.1, 1) & drawn(0.1, 2**32 - 1)) < 200


# Weight


def test_decompressors_are_imported_when_needed():
    heavy = "{'gzip', 'numpy', 'backports.zstd'}"
    code = f"import sys, charlstm.corpus.documents; print({heavy} & {{*sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


def test_a_line_that_is_too_long_for_a_document(tmp_path, monkeypatch, sentence):
    monkeypatch.setattr("charlstm.corpus.lines.LONGEST_LINE", 3 * 2**20)
    corpus = corpus_of(tmp_path, ["a\n" + "b" * 3 * 2**20 + "\nc\n"], lines=True)
    assert [len(chunk.text) for chunk in corpus.chunks()] == [1, 3 * 2**20, 1]
    corpus = corpus_of(tmp_path, ["a\n" + "b" * 5 * 2**20 + "\nc\n"], lines=True)
    sentence(message(list, corpus.chunks()), tmp_path / "0.txt", "3,145,728 characters", "--lines")


# Lines and words


def pieces_of(text, size):
    return [text[at : at + size] for at in range(0, len(text), size)]


@given(texts, block_sizes)
def test_lines_are_split_at_newlines(text, size):
    expected = text.split("\n")
    if not expected[-1]:
        expected.pop()
    found = list(split_lines(pieces_of(text, size), "it", "too long"))
    assert [line for lines, _ in found for line in lines] == expected
    assert "".join("\n".join(lines) + "\n" * ended for lines, ended in found) == text
    assert all(lines and ended for lines, ended in found[:-1])


def test_lines_are_there_as_soon_as_they_end():
    blocks = iter(["a\nb", "c\nd\n", "e"])
    lines = split_lines(blocks, "it", "too long")
    assert next(lines) == (["a"], True)
    assert next(blocks) == "c\nd\n"
    assert list(lines) == [(["be"], False)]


@given(documents, block_sizes)
def test_words_are_counted_over_the_borders_of_pieces(contents, size):
    counter = WordCounter()
    for text in contents:
        for piece in pieces_of(text, size):
            counter.add(piece)
            counter.add("")
        counter.end_document()
    assert counter.count == sum(len(text.split()) for text in contents)


# Texts in memory


@given(documents, st.booleans())
def test_texts_in_memory_are_a_corpus_as_files_are(folder, contents, lines):
    files = corpus_of(folder, contents, lines=lines)
    texts = Corpus.of_texts(contents, lines=lines)
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
