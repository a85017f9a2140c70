"""Tests of ``corpus.hazards``: problems are reported, and nothing for texts that are fine."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from charlstm.corpus.hazards import (
    ENOUGH,
    LOOKED_AT,
    SHORT,
    copies_hazard,
    hazards,
    size_hazard,
)

SENTENCE = "The quick brown fox, said nobody, jumps over 12 lazy dogs; a dog sleeps.\n"
PROSE = SENTENCE * 300
RANDOM = random.Random(1)

HARMFUL = {
    "one symbol": ("A" * 5000 + "CGT" * 100, "'A'"),
    "json lines": ('{"id": 1, "text": "some words"}\n' * 30, "`format` jsonl"),
    "a table": ("".join(f"{n},name {n},{n * 7}\n" for n in range(50)), "`format` csv"),
    "semicolons": ("".join(f"{n};name {n};{n * 7}\n" for n in range(50)), "';'"),
    "json": ('{"a": [' + '\n  {"text": "some words"},' * 30 + "]}", "jq"),
    "quoted cells": (
        "".join(f'{n},"Hello, {"you, " * (n % 4)}all",x\n' for n in range(50)),
        "`format` csv",
    ),
    "tabs": ("".join(f"name {n}\tand a text\n" for n in range(50)), "`format` tsv"),
    "html": ("<p>Some <b>words</b> of a text<br/>and others</p>\n" * 50, "pandoc"),
    "entities": ("She said &quot;no&quot; &amp; left, and so did he.\n" * 50, "&quot;"),
    "decoded twice": (
        "Ein schöner Tag für Ärger, “sagte” er.\n".encode().decode("cp1252", "replace") * 50,
        "Ã",
    ),
    "lost letters": ("Ein sch\ufffdner Tag f\ufffdr uns.\n" * 50, "`encoding`"),
    "numbers": (
        "".join(f"{RANDOM.random()} {RANDOM.random()} m {n}\n" for n in range(50)),
        "digits",
    ),
}

FINE = {
    "prose": PROSE,
    "names": "\n".join(f"name{n}" for n in range(99)),
    "code": "if a < b && b > c:\n    print(f'<{a}>', x[1], y[2])\n" * 40,
    "chat": "<anna> hello, how are you?\n<tom> fine & you?\n" * 40,
    "verse": "I wandered lonely as a cloud,\nThat floats on high o'er vales and hills,\n" * 40,
    "french": "Été à la plage, où l’âne mangeait des pâtés.\n" * 50,
    "portuguese": "A Ação é boa. NÃO É MÃE? ÃO.\n" * 50,
    "recipes": "2 cups of flour\n1 spoon of oil\n\nStir for 5 minutes.\n" * 40,
    "nothing": "",
    "short": "a,b,c\n1,2,3\n",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_problems_are_reported_with_a_remedy(name, sentence):
    text, part = HARMFUL[name]
    found = hazards(text)
    assert found
    sentence(found[0], part)


@pytest.mark.parametrize("name", FINE)
def test_nothing_is_reported_for_texts_that_are_fine(name):
    assert hazards(FINE[name]) == []


def test_the_text_of_a_table_is_not_reported_as_a_table():
    text, _ = HARMFUL["a table"]
    assert not any("`format`" in found for found in hazards(text, is_plain=False))


def test_tabs_between_columns_are_ignored():
    text = "".join(f"good\ttext number {n} of many\n" for n in range(50))
    assert hazards(text, is_plain=False, columns=2) == []
    assert hazards(text, is_plain=False)


def test_only_the_beginning_is_checked():
    text = SENTENCE * (LOOKED_AT // len(SENTENCE) + 1) + HARMFUL["html"][0] * 100
    assert hazards(text) == []


def test_several_problems_are_reported_the_worst_first():
    text = HARMFUL["lost letters"][0] + HARMFUL["html"][0]
    first, second = hazards(text)
    assert "tags" in first
    assert "U+FFFD" in second


def test_short_texts():
    assert size_hazard(SHORT) is None
    found = size_hazard(SHORT - 1)
    assert found is not None
    assert f"{SHORT - 1:,}" in found
    assert f"{ENOUGH:,}" in found


@pytest.mark.parametrize(
    ("documents", "copies", "share"), [(100, 20, "20%"), (100, 19, None), (10, 9, None)]
)
def test_copies(documents, copies, share):
    found = copies_hazard(documents, copies)
    assert found is None if share is None else share in str(found)


def test_real_texts_are_fine(shared_text):
    assert hazards(shared_text) == []


@pytest.fixture(params=["tinyshakespeare.txt", "names.txt", "wikitext2-test.txt"])
def shared_text(request):
    path = Path(__file__).parents[3] / "shared" / "data" / request.param
    if not path.exists():
        pytest.skip("the text is not in the repository")
    return path.read_text("utf-8")


def test_the_objects_of_an_array_can_be_documents():
    found, *_ = hazards("[\n" + '1,\n{"a": "some words"},\n' * 30 + "2]\n")
    assert "jq -c '.[] | objects' FILE > NEW.jsonl" in found
