"""Tests of ``corpus.line_hashes``: a set of hashes behaves like a set of lines."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpus import line_hashes
from charlstm.corpus.known_lines import hashes_of_files
from charlstm.corpus.line_hashes import LineGatherer, LineHashes, hash_line
from charlstm.errors import CorpusError, UsageError
from tests.messages import raises_naming
from tests.texts import COMPRESS

# Few characters, so that lines repeat or differ little.
lines = st.text(st.sampled_from("ab é\r\udc80"), max_size=4)


def without_end(line):
    for end in ("\r\n", "\n", "\r"):
        if line.endswith(end):
            return line[: -len(end)]
    return line


@given(st.lists(lines), st.lists(lines), st.integers(1, 5))
def test_the_hashes_contain_the_same_lines_as_a_set(known, asked, gathered):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_hashes, "GATHERED", gathered)
        found = LineHashes.from_lines(iter(known))
    expected = set(map(without_end, known))
    assert len(found) == len(expected)
    assert [line in found for line in known + asked] == [
        without_end(line) in expected for line in known + asked
    ]
    assert found.hashes.tolist() == sorted(set(map(hash_line, known)))
    assert found.hashes.dtype == np.uint64


@given(st.lists(lines), st.lists(lines))
def test_a_union_contains_both(one, other):
    both = LineHashes.from_lines(one).union(LineHashes.from_lines(other))
    assert both.hashes.tolist() == LineHashes.from_lines(one + other).hashes.tolist()


@given(st.text())
def test_a_hash_equals_that_of_hashlib(text):
    line = without_end(text).encode("utf-8", "surrogatepass")
    assert hash_line(text) == int.from_bytes(
        hashlib.blake2b(line, digest_size=8).digest(), "little"
    )


def test_a_hash_is_the_same_everywhere():
    """Checkpoints store hashes, so these numbers must never change."""
    assert hash_line("emma") == 0x1FB7F7A5A3DFD358
    assert hash_line("") == 0xB4B2797457A0A6E4


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_only_the_line_end_is_ignored(end):
    found = LineHashes.from_lines(["emma" + end, " olivia "])
    assert "emma" in found
    assert "emma\n" in found
    assert "emma\n\n" not in found
    assert "Emma" not in found
    assert "emma " not in found
    assert "olivia" not in found
    assert "" not in found


def test_the_greatest_hash_is_found():
    top = LineHashes(np.array([2**64 - 1], np.uint64))
    assert "x" not in top
    assert "x" in LineHashes(np.array([0, hash_line("x"), 2**64 - 1], np.uint64))


def test_an_empty_set_contains_nothing():
    assert "" not in LineGatherer().finish()


# Files


@pytest.mark.parametrize("suffix", [*COMPRESS, ""])
def test_the_lines_of_files(tmp_path, suffix):
    one, two = tmp_path / f"one.txt{suffix}", tmp_path / "two.txt"
    compress = COMPRESS.get(suffix, bytes)
    one.write_bytes(compress(b"emma\r\nolivia\n\nava"))
    two.write_text("zoé\n")
    found = hashes_of_files([one, str(two)])
    assert len(found) == 4
    assert all(line in found for line in ("emma", "olivia", "ava", "zoé"))
    assert "" not in found


def test_files_in_another_encoding(tmp_path):
    (tmp_path / "one.txt").write_bytes("zoé\n".encode("utf-16"))
    assert "zoé" in hashes_of_files([tmp_path / "one.txt"], encoding="utf-16")
    (tmp_path / "two.txt").write_bytes(b"zo\xe9\n")
    with raises_naming(CorpusError, tmp_path / "two.txt", "0xe9", "utf-8"):
        hashes_of_files([tmp_path / "two.txt"])
    assert "zo\ufffd" in hashes_of_files([tmp_path / "two.txt"], decode_errors="replace")


def test_missing_files(tmp_path):
    with raises_naming(CorpusError, tmp_path / "none"):
        hashes_of_files([tmp_path / "none"])
    with pytest.raises(UsageError):
        hashes_of_files([])
