"""Tests of ``corpus.short_lines``: lists are distinguished from other texts of short lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpus.short_lines import LOOKED_AT, ListFinder, looks_like_list

NAMES = [f"{a}{b}{c}" for a in "BDKLMN" for b in "aeiou" for c in ("ra", "lin", "ndo")]
TITLES = [f"The {a} of the {b}" for a in ("Lord", "Return", "House") for b in NAMES[:20]]
LISTS = {
    "names": NAMES,
    "small": [name.lower() for name in NAMES],
    "full names": [f"{one} {other}" for one, other in zip(NAMES, NAMES[::-1], strict=True)],
    "titles": TITLES,
    "japanese": [f"{a}{b}" for a in "山川田中村" for b in "一二三四五太郎"],
    "cyrillic": [f"{a}{b}ов" for a in "БВГД" for b in ("ар", "ел", "ил", "он", "ум")],
}
OTHERS = {
    "prose": ["It rained all night and the road", "was under water. We waited at the", "mill."],
    "poem": ["The sun came up upon the left,", "Out of the sea came he!", "And he shone bright,"],
    "play": ["HAMLET.", "To be, or not to be, that is", "the question:", "OPHELIA.", "My lord!"],
    "python": ["import os", "for name in names:", "    print(name)", "x = 1", "def f():"],
    "c": ["int main() {", "return 0;", "}", "#include <stdio.h>"],
    "markdown": ["# Title", "- one", "- two", "* three", "> said", "text"],
    "csv": [f"{name},{n}" for n, name in enumerate(NAMES)],
    "tsv": [f"{name}\t{name}" for name in NAMES],
    "chat": [f"{name}: hi there" for name in NAMES],
    "log": [f"12:0{n % 10} started job {name}" for n, name in enumerate(NAMES)],
    "numbers": [str(n * 37) for n in range(100)],
    "paths": [f"/usr/bin/{name}" for name in NAMES],
    "settings": [f"{name}={n}" for n, name in enumerate(NAMES)],
    "genome": ["ACGTTGCAACGTTGCAACGTTGCAACGTTGCAACGTTGCAACGTTGCAACGTTGCAACGTTGCA"],
    "indented": [f"  {name}" for name in NAMES],
    "repeated": ["Yes", "No"],
    "stanzas": ["the sun goes down", "the moon comes up", ""],
}


def text_of(lines, end="\n"):
    return "".join(line + end for line in lines * (1 + 60 // len(lines) * (len(lines) < 20)))


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists(kind, end):
    assert looks_like_list(text_of(LISTS[kind], end))


@pytest.mark.parametrize("kind", OTHERS)
def test_other_texts(kind):
    assert not looks_like_list(text_of(OTHERS[kind]))


def test_a_list_has_at_least_20_lines():
    assert looks_like_list(text_of(NAMES[:20]))
    assert not looks_like_list("".join(name + "\n" for name in NAMES[:19]))
    assert not looks_like_list("")


@given(st.integers(1, 50))
def test_pieces_do_not_matter(size):
    finder = ListFinder()
    for start in range(0, len(NAMES), size):
        finder.add("".join(name + "\n" for name in NAMES[start : start + size]))
    assert finder.found


def test_only_the_beginning_is_checked():
    finder = ListFinder()
    finder.add(text_of(NAMES) * (1 + LOOKED_AT // len(text_of(NAMES))))
    finder.add("It rained, and it rained; nobody knew why.\n" * 10_000)
    assert not finder.found  # repeated names are not a list
    finder = ListFinder()
    finder.add(
        "".join(
            f"Name{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676 % 26)}\n"
            for n in range(30_000)
        )
    )
    finder.add("It rained, and it rained; nobody knew why.\n" * 10_000)
    assert finder.found


def test_a_list_may_be_short():
    finder = ListFinder()
    finder.add("Ann\nBob\n")
    assert (finder.found, finder.may_be_short) == (False, True)
    finder = ListFinder()
    finder.add("It rained.\nNobody came.\n")
    assert not finder.may_be_short
