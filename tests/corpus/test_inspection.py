"""Tests of ``corpus.inspection``: counts of a text do not depend on its pieces."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import Division
from charlstm.corpus.documents import Corpus, open_corpus
from charlstm.corpus.inspection import inspect_corpus
from charlstm.corpus.lines import lines_of
from tests.texts import corpus_of, texts

ALPHABET = st.text(st.sampled_from("ab é\n\r\t中\ud800"), max_size=40)


@given(st.lists(ALPHABET, min_size=1, max_size=4))
def test_counts_match_the_texts(contents):
    found = inspect_corpus(Corpus.of_texts(contents))
    whole = [text for text in contents if text]
    joined = "".join(whole)
    assert found.documents == len(whole)
    assert found.copies == len(whole) - len(
        {text.removesuffix("\n").removesuffix("\r") for text in whole}
    )
    assert found.characters == len(joined)
    assert found.character_counts == Counter(joined)
    assert list(found.character_counts.values()) == sorted(
        found.character_counts.values(), reverse=True
    )
    assert found.words == sum(len(text.split()) for text in whole)
    crlf = joined.count("\r\n")
    ends = {"\n": joined.count("\n") - crlf, "\r\n": crlf, "\r": joined.count("\r") - crlf}
    if len(whole) == 1:
        assert found.line_ends == {end: count for end, count in ends.items() if count}


@given(st.text(st.sampled_from("ab\n"), max_size=40))
def test_lines_are_counted(text):
    found = inspect_corpus(Corpus.of_texts([text or "a"]))
    lines = lines_of(text or "a")
    assert found.lines == len(lines)
    assert found.longest_line == max(map(len, lines))


@given(texts)
def test_pieces_do_not_matter(folder, content):
    if not content:
        return
    corpus = corpus_of(folder, [content])
    assert inspect_corpus(corpus) == inspect_corpus(Corpus.of_texts([content]))


def test_long_texts_are_counted_in_parts(tmp_path):
    line = "a line of words\r\n"
    path = tmp_path / "long.txt"
    path.write_bytes(line.encode() * 200_000)
    found = inspect_corpus(open_corpus([str(path)]))
    assert found.characters == len(line) * 200_000
    assert (found.lines, found.longest_line) == (200_000, len(line) - 2)
    assert found.line_ends == {"\r\n": 200_000}
    assert found.words == 800_000
    assert (found.documents, found.copies) == (1, 0)


def test_copies_and_hazards(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("anna\nbert\n" * 50)
    found = inspect_corpus(open_corpus([str(path)], division=Division(unit="line")))
    assert (found.documents, found.copies, found.lines) == (100, 98, 100)
    assert ["copies" in hazard for hazard in found.hazards] == [False, True]


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_only_a_plain_text_may_be_a_table(tmp_path, name):
    path = tmp_path / name
    path.write_text("id,no,text\n" + "".join(f"{n},{n},the words {n}\n" for n in range(2000)))
    found = inspect_corpus(open_corpus([str(path)]).as_tables())
    assert any("`format`" in hazard for hazard in found.hazards) == (name == "a.txt")
