"""Tests of ``dataset.beginnings``: where texts of few documents could begin."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import Division, TokenizerConfig
from charlstm.dataset import beginnings
from charlstm.dataset.beginnings import (
    MANY_DOCUMENTS,
    divide_further,
    find_starts,
    starts_from_the_end,
)
from charlstm.dataset.store import Encoded, TokenStore, read_store, write_store
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.dataset.helpers import levels, prepared, written

SENTENCES = "The miller sold a sack. “Who came?” asked the clerk. It rained! They left… "


def ids_of(text, level="char", **settings):
    tokenizer = build_tokenizer([text], TokenizerConfig(level=level, **settings))
    return tokenizer, tokenizer.encode_beginning(text).astype(np.uint32)


def found(text, level="char", **settings):
    """Return the kind of beginnings of a text, and the text before and after each."""
    tokenizer, ids = ids_of(text, level, **settings)
    kind, starts = find_starts(ids, tokenizer)
    cut = [(tokenizer.decode(ids[:start]), tokenizer.decode(ids[start:])) for start in starts]
    assert all(before + after == text for before, after in cut)
    return kind, cut


def wrapped(text, width=60):
    """Return a text of lines filled with words."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    return "\n".join(lines) + "\n"


VARIED = "".join(f"{SENTENCES[: 40 + n * 7 % 30]} again. {SENTENCES}" for n in range(40))

TEXTS = {
    "paragraphs": ("paragraph", f"{SENTENCES * 3}\n\n" * 20),
    "paragraphs of Windows": ("paragraph", f"{SENTENCES * 3}\r\n\r\n" * 20),
    "paragraphs of old Macs": ("paragraph", f"{SENTENCES * 3}\r\r" * 20),
    "lines of white space between": ("paragraph", f"{SENTENCES * 3}\n \t\n" * 20),
    "wrapped paragraphs": ("paragraph", f"{wrapped(VARIED[:900])}\n" * 12),
    "speeches": ("paragraph", "ROMEO:\nWho is there,\nand why?\n\nNURSE:\nI, sir.\n\n" * 20),
    "code": ("paragraph", "def sum(a):\n    b = 0\n    b += a\n    return b\n\n\n" * 30),
    "headings only": ("line after a sentence", f"Part\n\n{VARIED[:400]}\n" + f"{SENTENCES}\n" * 99),
    "wrapped, no blank line": ("line after a sentence", wrapped(VARIED)),
    "names": ("line", "".join(f"{name}\n" for name in ("anna", "ben", "christopher") * 50)),
    "names of Windows": ("line", "".join(f"{name}\r\n" for name in ("anna", "ben", "jo") * 50)),
    "names of old Macs": ("line", "".join(f"{name}\r" for name in ("anna", "ben", "jo") * 50)),
    "messages": ("line", "Ana: ok\nBen: where are you?\nAna: on my way home, wait for me\n" * 40),
    "a table": ("line", '1,"Who? Nobody."\n2,short\n3,"a longer line, with a comma"\n' * 30),
    "one line": ("sentence", SENTENCES * 30),
    "Chinese": ("sentence", "我昨天去了市场。你买了什么？苹果！" * 40),
    "no sentence": ("word", "so much depends upon a red wheel barrow " * 40),
    "nothing": ("token", "gattacagtca" * 200),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), TEXTS.values(), ids=TEXTS)
def test_the_kind_of_beginnings_fits_the_text(kind, text):
    chosen, cut = found(text)
    assert chosen == kind
    before, after = zip(*cut, strict=True)
    ends = {
        "paragraph": r"(\n|\r\n|\r)[ \t]*(\n|\r\n|\r)\s*\Z",
        "line after a sentence": r"[.!?…][”\"]?\s*\n\s*\Z",
        "line": r"[\r\n]\s*\Z",
        "sentence": r"([.!?…]”? |[。？！])\Z",
        "word": r" \Z",
        "token": r"",
    }
    assert all(re.search(ends[kind], text) for text in before)
    assert kind == "token" or not any(text[0].isspace() for text in after)


@levels
@pytest.mark.parametrize(
    "text",
    [text for kind, text in TEXTS.values() if kind in ("paragraph", "line after a sentence")],
)
def test_most_paragraphs_and_lines_are_found(level, text):
    kind, cut = found(text, level)
    separator = (
        r"(?:\r\n|\n|\r)\s*?(?:\r\n|\n|\r)\s*" if kind == "paragraph" else r"[.!?…]”?\s*\n\s*"
    )
    expected = [text[match.end() :] for match in re.finditer(separator, text)]
    assert {after for _, after in cut} == set(filter(None, expected))


def test_a_text_does_not_begin_inside_a_spelled_word():
    text = "so it depends upon a red wheel barrow. Xylophagous Quokkas went home! " * 3
    text += "Zyzzyva Qwertz. " + text
    for settings in ({"min_count": 10}, {"min_count": 1}):
        tokenizer, ids = ids_of(text, "word", **settings)
        for start in find_starts(ids, tokenizer)[1].tolist():
            spelled = ids[:start].tolist().count(BEGIN_SPELLING)
            assert spelled == ids[:start].tolist().count(BEGIN_SPELLING + 1)
            assert ids[start] != BEGIN_SPELLING + 1


@given(st.lists(st.sampled_from(["a", "b. ", ".\n", "\n", "\r\n", "\n\n", " "]), max_size=200))
def test_the_size_of_blocks_does_not_matter(pieces):
    tokenizer, _ = ids_of("ab. \r\n")
    ids = tokenizer.encode_beginning("".join(pieces)).astype(np.uint32)
    kind, starts = find_starts(ids, tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beginnings, "_BLOCK", 7)
        again, same = find_starts(ids, tokenizer)
    assert (again, same.tolist()) == (kind, starts.tolist())
    assert all(0 < start < ids.size for start in starts)


def test_evenly_spaced_positions_of_a_huge_text_are_stored(monkeypatch):
    monkeypatch.setattr(beginnings, "MOST_STARTS", 10)
    tokenizer, ids = ids_of("ab\n" * 95)
    _, starts = find_starts(ids, tokenizer)
    assert 5 <= starts.size <= 10
    assert len(set(np.diff(starts))) == 1


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("run", ["\n", "\n ", " ", '."', "\r"])
def test_long_runs_are_fast(level, run):
    """The search is linear: a quadratic one would take hours here."""
    text = f"One. Two. Three four. {run * 200_000}Five. six.{run * 200_000}"
    tokenizer, ids = ids_of(text, level)
    _, starts = find_starts(ids, tokenizer)
    assert starts.size


def stored(folder, documents, division):
    tokenizer = build_tokenizer(documents, TokenizerConfig())
    pieces = [Encoded(False, tokenizer.encode(text), True) for text in documents]
    write_store(folder, pieces, tokenizer.vocab_size)
    learned = divide_further(folder, tokenizer, division)
    return learned, read_store(folder, tokenizer.vocab_size)


@pytest.mark.parametrize(
    ("count", "length", "division", "few"),
    [
        (1, 50, Division(), True),
        (MANY_DOCUMENTS - 1, 50, Division(), True),
        (MANY_DOCUMENTS, 50, Division(), False),
        (MANY_DOCUMENTS, 5_000, Division(), True),
        (1, 50, Division(unit="paragraph"), False),
        (1, 50, Division(unit="line"), False),
        (3, 8_000, Division(unit="delimited", delimiter="="), True),
        (1, 50, Division(rules=1), False),
    ],
)
def test_texts_with_few_documents(tmp_path, count, length, division, few):
    learned, store = stored(tmp_path, ["one\ntwo\n" * length] * count, division)
    assert learned == (("line", False) if few else ("document", True))
    assert (store.starts.size > 0) == few


@levels
def test_the_statistics_say_what_can_be_learned(tmp_path, level):
    result = prepared(written(tmp_path, f"{SENTENCES}\n\n" * 60), level)
    assert (result.statistics.beginnings, result.statistics.ends) == ("paragraph", False)
    firsts = np.asarray(result.store.train)[result.store.starts]
    assert {result.tokenizer.decode([token])[:1] for token in firsts} == {"T"}
    assert END_OF_DOCUMENT not in firsts


@levels
@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \t\n"])
def test_a_text_that_is_read_from_its_end_begins_with_the_last_visible_token(level, gap):
    tokenizer, ids = ids_of(f"{SENTENCES * 3}{gap}" * 20, level)
    for train in (ids, np.append(ids, np.uint32(END_OF_DOCUMENT))):
        _, starts = find_starts(train, tokenizer)
        found = starts_from_the_end(TokenStore(train, train, starts), tokenizer)
        assert 15 < len(found) <= len(starts)
        assert (np.diff(found) > 0).all()
        ring = ids[::-1]
        for position in found:
            assert tokenizer.decode(ring[position:][::-1]).endswith(SENTENCES.rstrip())


def test_a_text_of_white_space_has_no_end():
    tokenizer, ids = ids_of(" \n" * 50)
    assert not len(starts_from_the_end(TokenStore(ids, ids, np.arange(1, 50)), tokenizer))
