"""Tests of ``corpus.split``: dividing a corpus into training and validation text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import Division
from charlstm.corpus import reading
from charlstm.corpus.documents import Corpus
from charlstm.corpus.split import DocumentDraw, divide
from tests.texts import (
    block_sizes,
    corpus_of,
    documents,
    documents_of,
)

fractions = st.floats(0.01, 0.99)


def divided(corpus, size, fraction, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", size)
        characters = sum(len(chunk.text) for chunk in corpus.chunks())
        return list(divide(corpus, characters, fraction, **{"seed": 1, **options}))


def boundary_of(contents, fraction, whole_words):
    """Return the number of training characters, found character by character."""
    text = "".join(contents)
    ends = set(itertools.accumulate(map(len, contents)))
    position = int((1 - fraction) * len(text))
    exact, reach = position, min(max(32, (len(text) - position) // 2), len(text) - position - 3)
    while whole_words and position not in {0, *ends} and not text[position].isspace():
        position += 1
        if position - exact > max(0, reach):
            return None
    return position


@given(documents, block_sizes, fractions, st.booleans())
def test_the_first_part_is_for_training(folder, contents, size, part, whole_words):
    pairs = divided(corpus_of(folder, contents), size, part, whole_words=whole_words)
    sides = [validates for validates, _ in pairs]
    assert sides == sorted(sides)
    assert documents_of(chunk for _, chunk in pairs) == [text for text in contents if text]
    assert all(chunk.text for _, chunk in pairs)
    trained = sum(len(chunk.text) for validates, chunk in pairs if not validates)
    expected = boundary_of(contents, part, whole_words)
    if expected is not None:
        assert trained == expected
    else:
        assert 0 <= trained - int((1 - part) * sum(map(len, contents))) < 256


def trained_by_words(folder, contents, size, fraction):
    corpus = corpus_of(folder, contents)
    pairs = divided(corpus, size, fraction, whole_words=True)
    assert "".join(chunk.text for _, chunk in pairs) == "".join(contents)
    return "".join(chunk.text for validates, chunk in pairs if not validates)


unspaced = st.text("acgt1.\u0301中\u0e17\u0e34👍\u200d", min_size=1, max_size=300)


@given(unspaced, st.lists(st.integers(1, 90), min_size=2, max_size=4), fractions)
def test_blocks_do_not_matter_for_a_text_without_white_space(folder, text, sizes, part):
    trained = {trained_by_words(folder, [text], size, part) for size in sizes}
    assert len(trained) == 1
    exact = int((1 - part) * len(text))
    assert 0 <= len(trained.pop()) - exact <= max(32, (len(text) - exact) // 2)


@pytest.mark.parametrize(
    ("text", "train"),
    [
        ("ACGT" * 500, 1800),  # at the exact character
        ("ACGT" * 500 + "\n", 1800),  # the final line end would leave nothing to validate on
        ("中文字" * 100, 270),
        ('{"key":12,' * 100, 900),
        ("ab12cd34" * 100, 720),
        ("abcd12345." * 99 + "abcd12345!", 900),
        ("x" + "a\u0301" * 499 + "b", 901),  # not between a letter and its accent
        ("\U0001f44d\U0001f3fd" * 50 + "!", 91 - 1),
        ("\r\n".join(["a" * 9] * 100), 988),  # at white space
        ("word " * 100, 454),
    ],
)
@pytest.mark.parametrize("size", [7, 2**20])
def test_the_boundary_in_a_text_without_white_space(tmp_path, text, train, size):
    assert len(trained_by_words(tmp_path, [text], size, 0.1)) == train


def test_distant_white_space_is_not_the_boundary(tmp_path):
    text = "ab." * 40_000
    far, near = int(0.9 * len(text)) + 5000, int(0.9 * len(text)) + 4000
    for place, trained in ((far, 108_000), (near, near)):
        spaced = text[:place] + " " + text[place + 1 :]
        assert len(trained_by_words(tmp_path, [spaced], 2**16, 0.1)) == trained


def test_by_rules_1_the_boundary_does_not_change(tmp_path):
    corpus = corpus_of(tmp_path, ["a1" * 5000 + " b"], division=Division(rules=1))
    pairs = divided(corpus, 2**16, 0.9, whole_words=True)
    assert [chunk.text for validates, chunk in pairs if validates] == [" b"]


@given(documents, block_sizes, fractions)
def test_by_rules_1_the_boundary_is_white_space_at_any_distance(folder, contents, size, part):
    corpus = corpus_of(folder, contents, division=Division(rules=1))
    pairs = divided(corpus, size, part, whole_words=True)
    assert documents_of(chunk for _, chunk in pairs) == [text for text in contents if text]
    text = "".join(contents)
    ends = set(itertools.accumulate(map(len, contents)))
    position = int((1 - part) * len(text))
    while position not in {0, *ends} and not text[position].isspace():
        position += 1
    assert sum(len(chunk.text) for validates, chunk in pairs if not validates) == position


def test_by_rules_1_the_text_is_streamed(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 2**10)
    corpus = corpus_of(tmp_path, ["ab" * 2**15], division=Division(rules=1))
    read = []
    monkeypatch.setattr(
        Corpus, "chunks", lambda corpus, chunks=Corpus.chunks: map(seen(read), chunks(corpus))
    )
    for number, _ in enumerate(divide(corpus, 2**16, 0.9, seed=1, whole_words=True), 1):
        assert len(read) == number


def seen(read):
    """Return a function that records the items that pass through it."""
    return lambda chunk: read.append(chunk) or chunk


@given(documents, block_sizes)
def test_a_fraction_of_0_gives_no_validation_text(folder, contents, size):
    for whole_words in (False, True):
        pairs = divided(corpus_of(folder, contents), size, 0.0, whole_words=whole_words)
        assert not any(validates for validates, _ in pairs)


def test_the_split_of_the_usual_benchmark(tmp_path):
    pairs = divided(corpus_of(tmp_path, ["x" * 1_115_394]), 2**16, 0.1, whole_words=False)
    assert sum(len(chunk.text) for validates, chunk in pairs if not validates) == 1_003_854


@given(st.lists(st.sampled_from(["ann", "bob", "", "é\r.", "cy"]), max_size=30), fractions)
def test_equal_lines_are_in_the_same_part(folder, lines, part):
    corpus = corpus_of(folder, ["".join(f"{line}\n" for line in lines)], lines=True)
    pairs = divided(corpus, 2**20, part, whole_words=False)
    kept = [line for line in lines if line]
    assert [chunk.text for _, chunk in pairs] == kept
    sides = {(chunk.text, validates) for validates, chunk in pairs}
    assert len(sides) == len(set(kept))


@given(st.lists(st.text("abc", min_size=1), min_size=2, unique=True), fractions, st.integers(0, 9))
def test_documents_that_differ_are_in_both_parts(lines, part, seed):
    draw, plain = DocumentDraw(part, seed), DocumentDraw(part, seed)
    for line in lines + lines:
        draw.see(line)
    drawn = [draw.validates(line) for line in lines]
    assert set(drawn) == {False, True}
    assert not draw.all_alike
    usual = [plain.validates(line) for line in lines]
    if len(set(usual)) == 2:
        assert drawn == usual
    else:  # the document with the nearest hash is in the other part
        assert sum(one != other for one, other in zip(drawn, usual, strict=True)) == 1


def test_equal_documents_are_recognized():
    draw = DocumentDraw(0.5, 1)
    for _ in range(3):
        draw.see("a")
    assert draw.all_alike


def test_a_fraction_of_0_selects_no_document():
    draw = DocumentDraw(0, 1)
    draw.see("a")
    assert not any(map(draw.validates, "abc"))


def test_about_the_fraction_of_lines_is_selected_by_seed(tmp_path):
    corpus = corpus_of(tmp_path, ["".join(f"{n}\n" for n in range(10_000))], lines=True)

    def drawn(fraction, seed):
        pairs = divide(corpus, 0, fraction, seed=seed, whole_words=True)
        return {chunk.text for validates, chunk in pairs if validates}

    assert 900 < len(drawn(0.1, 1)) < 1100
    assert drawn(0.1, 1) < drawn(0.2, 1)
    assert drawn(0.1, 1) == drawn(0.1, 1)
    assert len(drawn(0.1, 1) & drawn(0.1, 2**32 - 1)) < 200
