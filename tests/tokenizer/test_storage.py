"""Tests of ``tokenizer.storage``: tokenizers are read again, and damaged ones are refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import CheckpointDamaged
from charlstm.tokenizer.storage import tokenizer_from_json
from tests.tokenizer.helpers import (
    PROSE,
    anything,
    built,
    levels,
)


@given(levels, st.lists(anything, max_size=4))
def test_a_stored_tokenizer_is_read_again(level, texts):
    tokenizer = built(level, *texts, min_count=1)
    data = tokenizer.to_json()
    rules = {} if level == "char" else {"segmentation": 2}
    if level == "subword":
        rules["merges"] = [list(pair) for pair in tokenizer.merges]
    assert json.loads(data) == {"level": level, **rules, "symbols": list(tokenizer.vocabulary)}
    again = tokenizer_from_json(data)
    assert again == tokenizer
    assert type(again) is type(tokenizer)


@pytest.mark.parametrize(
    "merges",
    [
        [],  # no merge makes "ab"
        [[2, 9]],
        [[2, 1]],
        [[-1, 2]],
        [[3, 2]],  # "ba" is not a piece
        [[2, 3], [2, 3]],
        [[4, 5], [2, 3]],  # "ab" is not made yet
        [[2]],
        [[2, 3, 2]],
        [["a", "b"]],
    ],
)
def test_merges_must_make_the_pieces(merges):
    symbols = ["a", "b", "ab"] if merges != [[4, 5], [2, 3]] else ["a", "b", "ab", "c", "abc"]
    stored = {"level": "subword", "segmentation": 2, "symbols": symbols, "merges": merges}
    with pytest.raises(CheckpointDamaged):
        tokenizer_from_json(json.dumps(stored).encode())
    merges = [[2, 3], [4, 5]][: len(symbols) // 2]
    tokenizer_from_json(json.dumps(stored | {"merges": merges}).encode())


@pytest.mark.parametrize("level", ["char", "subword", "word"])
def test_other_levels_have_no_merges(level):
    stored = {"level": level, "symbols": ["a", "b"], "merges": [[2, 3]]}
    with pytest.raises(CheckpointDamaged):
        tokenizer_from_json(json.dumps(stored).encode())


def test_older_tokenizers_keep_their_rules():
    old = tokenizer_from_json(b'{"level": "word", "symbols": ["a"]}')
    assert old.segmentation == 1
    assert tokenizer_from_json(old.to_json()) == old
    assert old.extend(built("word", "b")).segmentation == 1
    assert old.encode("ท\u0e35").size == 2
    assert built("word", "").encode("ท\u0e35").size == 4  # spelled


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Input data was truncated"),
        (b"[]", "Expected 'object', got 'array'"),
        (b"{", "Input data was truncated"),
        (b'{"level": "char"}', "Object missing required field 'symbols'"),
        (b'{"level": "word", "segmentation": 3, "symbols": []}', "Invalid enum value 3"),
        (b'{"level": "byte", "symbols": []}', "Invalid enum value 'byte' - at '$.level'"),
        (b'{"level": "char", "symbols": [1]}', "Expected 'str', got 'int' - at '$.symbols[0]'"),
        (b'{"level": "char", "symbols": "ab"}', "Expected 'array', got 'str' - at '$.symbols'"),
        (b'{"level": "char", "symbols": [], "x": 1}', "Object contains unknown field 'x'"),
        (
            b'{"level": "char", "symbols": [""]}',
            "Expected 'str' of length >= 1 - at '$.symbols[0]'",
        ),
        (b'{"level": "char", "symbols": ["a", "a"]}', "a token occurs twice"),
        (b'{"level": "word", "symbols": ["ab", "ab"]}', "a token occurs twice"),
        (
            b'{"level": "char", "symbols": ["ab"]}',
            "a token of a character-level model has several characters",
        ),
        (
            b'{"level": "char", "symbols": ["\xff"]}',
            "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
    ],
)
def test_damaged_tokenizers(data, reason, sentence):
    with pytest.raises(CheckpointDamaged) as caught:
        tokenizer_from_json(data)
    sentence(caught.value, reason)


@pytest.mark.parametrize("escape", [rb"\ud800", rb"\udfff", rb"\ud800a", b"\xed\xa0\x80"])
def test_stored_surrogates_are_damage(escape):
    with pytest.raises(CheckpointDamaged):
        tokenizer_from_json(b'{"level": "word", "symbols": ["' + escape + b'"]}')


@given(st.sampled_from(["char", "subword", "word"]), st.data())
def test_a_truncated_tokenizer_is_damaged(level, data):
    stored = built(level, PROSE).to_json()
    with pytest.raises(CheckpointDamaged):
        tokenizer_from_json(stored[: data.draw(st.integers(0, len(stored) - 1))])


def test_more_merges_than_pieces_are_not_even_decoded():
    data = b'{"level":"subword","symbols":["a","b"],"merges":[' + b"[2,3]," * 10**6 + b"[2,3]]}"
    with pytest.raises(CheckpointDamaged) as caught:
        tokenizer_from_json(data)
    assert "more merges than pieces" in str(caught.value)
