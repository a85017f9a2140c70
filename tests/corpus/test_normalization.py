"""Tests of ``corpus.normalization``: blocks are normalized like the whole text."""

import itertools
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import Division
from charlstm.corpus import normalization
from charlstm.corpus.documents import Corpus
from charlstm.corpus.known_lines import hashes_of_files
from charlstm.corpus.line_hashes import LineHashes
from charlstm.corpus.normalization import (
    BEGINNING,
    LONGEST_RUN,
    _begins,
    normalized,
    normalized_blocks,
)
from tests.texts import chunks_in_blocks, corpus_of, documents_of

JOINING = "u\u0308\u0323\u0301e\u030a\u1100\u1161\u11a8\uac00\u0344\u09c7\u09be\u212b\u3099か\n a中"
marked = st.text(JOINING, max_size=40) | st.text(max_size=20)


@given(st.lists(marked, max_size=8))
def test_blocks_are_normalized_like_the_whole_text(blocks):
    expected = unicodedata.normalize("NFC", "".join(blocks))
    assert "".join(normalized_blocks(blocks, "nfc")) == expected
    assert list(normalized_blocks(blocks, "none")) == blocks


MARKS = ["\u0308", "\u0323", "\u0344", "\u1161"]
many_marks = st.lists(st.sampled_from(["a", "u", "\u1100", " ", *MARKS * 5]), max_size=60).map(
    "".join
)


def cut_after(longest, text):
    """Return the parts of a text, cut after each run of marks of the greatest length."""
    parts, marks = [""], 0
    for character in text:
        parts[-1] += character
        marks = 0 if _begins(character) else marks + 1
        if marks == longest:
            parts.append("")
            marks = 0
    return parts


@given(many_marks, st.lists(st.integers(0, 60), max_size=8))
def test_only_runs_of_very_many_marks_are_cut(text, cuts):
    """This does not depend on blocks, and the text before and after such a run is exact."""
    edges = [0, *sorted(cuts), max(60, len(text))]
    blocks = [text[start:end] for start, end in itertools.pairwise(edges)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalization, "LONGEST_RUN", 7)
        assert "".join(normalized_blocks(blocks, "nfc")) == "".join(
            unicodedata.normalize("NFC", part) for part in cut_after(7, text)
        )
        assert normalized(text, "nfc") == "".join(normalized_blocks(blocks, "nfc"))


def test_an_endless_run_of_marks_is_not_held_back():
    """The time to sort them all would grow with their square."""
    blocks = list(normalized_blocks(["a" + "\u0308\u0323" * 40_000] * 2, "nfc"))
    assert max(map(len, blocks)) < 2 * LONGEST_RUN
    text = "a" + "\u0308\u0323" * (LONGEST_RUN // 2 - 1) + "b"
    assert normalized(text * 9, "nfc") == unicodedata.normalize("NFC", text * 9)


def test_characters_in_the_ranges_begin():
    found = re.findall(f"[{BEGINNING}]", "".join(map(chr, range(0x10000))))
    assert all(map(_begins, found))


def test_no_character_that_combines_with_the_one_before_begins():
    """This holds in the Unicode version of this Python."""
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            assert not _begins(chr(int(parts[1], 16))), hex(code)
    for jamo in range(0x1160, 0x1200):
        assert not _begins(chr(jamo))


def test_ordinary_text_is_not_held_back():
    blocks = ["中" * 50, "ไทย" * 20, "한국" * 30, "абв" * 10]
    assert len(list(normalized_blocks(blocks, "nfc"))) > len(blocks)


@given(st.lists(marked, max_size=3), st.integers(1, 6), st.sampled_from(["file", "line"]))
def test_a_normalized_corpus_equals_the_corpus_of_normalized_texts(folder, contents, size, unit):
    division = Division(unit=unit)
    contents = [re.sub("[\r\0]", "", text).encode(errors="ignore").decode() for text in contents]
    ours = chunks_in_blocks(corpus_of(folder, contents, division=division, normalize="nfc"), size)
    theirs = chunks_in_blocks(
        corpus_of(folder, [normalized(t, "nfc") for t in contents], division=division), 2**20
    )
    assert documents_of(ours) == documents_of(theirs)


def test_the_hash_is_that_of_the_normalized_text():
    texts = [["\u00fcber"], ["u\u0308ber"]]
    composed, decomposed = (Corpus.of_texts(text).fingerprint().sha256 for text in texts)
    assert composed != decomposed
    for text in texts:
        corpus = Corpus.of_texts(text)
        found = Corpus(corpus.sources, normalize="nfc").fingerprint()
        assert (found.sha256, found.characters) == (composed, 4)


@pytest.mark.parametrize(("form", "known"), [("nfc", True), ("none", False)])
def test_lines_are_compared_in_the_form_of_the_model(tmp_path, form, known):
    (tmp_path / "names.txt").write_text("Ju\u0308rgen\n")
    hashes = hashes_of_files([tmp_path / "names.txt"], normalize=form)
    assert isinstance(hashes, LineHashes)
    assert ("Jürgen" in hashes) is known
