"""Tests of ``corpus.division``: the text of a file becomes documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import Division
from charlstm.corpus.division import Divider, Document
from charlstm.corpus.lines import lines_of
from tests.texts import block_sizes, corpus_of, documents_of, message, pieces_of

DIVISIONS = {
    "lines": (Division(unit="line"), "\n"),
    "paragraphs": (Division(unit="paragraph"), "\n \n"),
    "delimited": (Division(unit="delimited", delimiter="=="), "\n==\n"),
}
each_division = pytest.mark.parametrize("name", DIVISIONS)
lines_of_text = st.text("ab= é", max_size=4)


def divided(text, division, size=100):
    divider = Divider(division)
    return list(divider.documents(pieces_of(text, size), "it")), divider


@each_division
@given(st.data(), block_sizes, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_joined_documents_are_divided_again(name, data, size, ended, end):
    division, between = DIVISIONS[name]
    lines = st.lists(lines_of_text.filter(lambda line: line != "=="), min_size=1, max_size=4)
    if name != "delimited":
        lines = st.lists(lines_of_text.filter(str.strip), min_size=1, max_size=4)
    parts = data.draw(st.lists(lines.map("\n".join).filter(str.strip), max_size=4))
    if name == "lines":
        parts = [line for part in parts for line in part.split("\n")]
    parts = [part.replace("\n", end) for part in parts]
    # The last line end is not part of the text, so an empty last document needs two.
    ended = ended or "".join(parts[-1:]).endswith(end)
    text = between.replace("\n", end).join(parts) + end * (ended and bool(parts))
    found, _ = divided(text, division, size)
    assert [document.text for document in found] == parts


@each_division
@given(st.text("ab=\n\r ", max_size=40), block_sizes)
def test_blocks_do_not_matter(name, text, size):
    division, _ = DIVISIONS[name]
    found, divider = divided(text, division, size)
    whole, other = divided(text, division, len(text) + 1)
    assert found == whole
    assert (divider.blank, divider.delimiters) == (other.blank, other.delimiters)
    assert all(document.text.strip() for document in found)


@each_division
@given(st.text("ab=\n\r ", max_size=40))
def test_each_document_has_the_number_of_its_first_line(name, text):
    lines = lines_of(text)
    for document in divided(text, DIVISIONS[name][0])[0]:
        assert document.text.startswith(lines[document.line - 1])


def test_delimiters_at_the_ends_and_twice_give_no_documents():
    found, divider = divided("==\n==\n\na\n\n==\n \n==\n==\nb\n==", DIVISIONS["delimited"][0])
    assert found == [Document("\na\n", 3), Document("b", 10)]
    assert divider.delimiters == 6


def test_blank_lines_divide_paragraphs():
    found, divider = divided("\n\na\n b\n \t\n\nc", DIVISIONS["paragraphs"][0])
    assert found == [Document("a\n b", 3), Document("c", 7)]
    assert divider.blank == 0


@pytest.mark.parametrize("unit", ["paragraph", "delimited"])
def test_a_document_ends_with_its_file(tmp_path, unit):
    division = Division(unit=unit, delimiter="==" if unit == "delimited" else None)
    corpus = corpus_of(tmp_path, ["a\nb", "c\n", "", "\n"], division=division)
    assert documents_of(corpus.chunks()) == ["a\nb", "c"]


@pytest.mark.parametrize("unit", ["paragraph", "delimited"])
def test_a_document_that_is_too_long(tmp_path, monkeypatch, sentence, unit):
    monkeypatch.setattr("charlstm.corpus.lines.LONGEST_LINE", 2**16)
    division = Division(unit=unit, delimiter="==" if unit == "delimited" else None)
    corpus = corpus_of(tmp_path, ["0123456\n" * 2**13], division=division)
    assert len(list(corpus.chunks())) == 1
    corpus = corpus_of(tmp_path, ["0123456\n" * 2**13 + "a"], division=division)
    option = "`paragraphs`" if unit == "paragraph" else "`delimiter`"
    sentence(message(list, corpus.chunks()), tmp_path / "0.txt", "65,536 characters", option)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_documents_are_yielded_as_soon_as_they_are_complete(end):
    blocks = iter([f"a{end}==", f"{end}b", f"{end}==\n", "c"])
    groups = Divider(DIVISIONS["delimited"][0]).groups(blocks, "it")
    assert next(groups) == [Document("a", 1)]
    assert next(blocks) == f"{end}==\n"


def test_a_line_similar_to_the_delimiter_is_found():
    for line, delimiter in (("====", "=="), (" == ", "=="), ("<END>", "<end>"), ("Next", "next")):
        division = Division(unit="delimited", delimiter=delimiter)
        assert divided(f"a\n{line}\nb", division)[1].nearest == line
    for line in ("a", "b = c", "", "=" * 100):
        assert (
            divided(f"a\n{line}\nb", Division(unit="delimited", delimiter="=="))[1].nearest is None
        )
