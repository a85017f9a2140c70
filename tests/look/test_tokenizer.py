"""The tokenizers in JavaScript divide text as those in Python do."""

from __future__ import annotations

import json

import numpy as np
import pytest

from charlstm.config import TokenizerConfig
from charlstm.look.page import description_of
from charlstm.tokenizer.base import UNKNOWN
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.look.helpers import load_modules

TEXT = (
    "The cat isn't here; \"don't\" said the cat's   owner.\r\n\tOld houses: 12,5 km!!! "
    "ไทย ที่นี่ ok 🇩🇪🇫🇷 👍🏽 1️⃣ e\u0301te\u0301 naïve \u00a0 x\u2003y <unk> </p> __init__ "
    "हिन्दी العربية 日本語 ~~~ a\nb\n\nc \x1c \x85 𝔘𝔫𝔦 \ufeff end"
)  # fmt: skip


@pytest.mark.parametrize("level", ["char", "subword", "word"])
def test_ids_and_places_are_the_same(browser, level):
    vocabulary = TEXT * 3 + "the old cat and the older house " * 20
    tokenizer = build_tokenizer([vocabulary], TokenizerConfig(level=level))
    load_modules(browser)
    about = json.dumps(description_of(tokenizer))
    browser.run(f"globalThis.tokenizer = new Tokenizer({about}); 0")
    rng = np.random.default_rng(5)
    characters = [*TEXT, "z", "Ω", "é", "'", " ", "\n"]
    texts = [TEXT, "", " ", "the oldest cathouse zzz"] + [
        "".join(rng.choice(characters, size=rng.integers(1, 40))) for _ in range(400)
    ]
    found = browser.run(
        f"{json.dumps(texts)}.map((text) => {{ const {{ ids, starts }} = tokenizer.encode(text);"
        "return [Array.from(ids), Array.from(starts)]; })"
    )
    for text, (ids, starts) in zip(texts, found, strict=True):
        assert ids == tokenizer.encode(text).tolist(), text
        units = text.encode("utf-16-le")
        ends = [*starts[1:], len(units) // 2][: len(ids)]
        for token_id, start, end in zip(ids, starts, ends, strict=True):
            piece = tokenizer.pieces[token_id]
            if token_id != UNKNOWN:
                assert units[2 * start : 2 * end].decode("utf-16-le") == piece, text


@pytest.mark.parametrize(
    ("level", "prompt", "expected"),
    [
        ("char", "the ca", ["the ca", ""]),
        ("word", "the ca", ["the", " ca"]),
        ("subword", "the ", ["the", " "]),
        ("subword", "the.", ["the.", ""]),
        ("subword", "", ["", ""]),
        ("subword", "it isn't", ["it", " isn't"]),
        ("subword", "it isn'", ["it", " isn'"]),
        ("word", "it isn'", ["it isn'", ""]),
        ("subword", "日本語です", ["日本語です", ""]),
        ("subword", "ab12", ["ab", "12"]),
        ("word", "a\nb c", ["a\nb", " c"]),
    ],
)
def test_a_prompt_is_divided_before_a_word_that_may_go_on(browser, level, prompt, expected):
    tokenizer = build_tokenizer(["the cat " * 30], TokenizerConfig(level=level))
    load_modules(browser)
    about = json.dumps(description_of(tokenizer))
    found = browser.run(f"new Tokenizer({about}).splitPrompt({json.dumps(prompt)})")
    assert found == expected
    assert tuple(found) == tokenizer.split_prompt(prompt)


@pytest.mark.parametrize(
    ("division", "text", "expected"),
    [
        ({"unit": "file"}, "a\nb\n", ["a\nb\n"]),
        ({"unit": "line"}, "a\n\nb", ["a", "b"]),
        ({"unit": "line"}, "a\r\nb\n", ["a", "b"]),
        ({"unit": "record"}, "a\tb\nc", ["a\tb", "c"]),
        ({"unit": "paragraph"}, "\na\nb\n \nc", ["a\nb", "c"]),
        ({"unit": "delimiter", "delimiter": "=="}, "a ==\nb\n==\n==\nc\n==", ["a ==\nb", "c"]),
    ],
)  # fmt: skip
def test_documents(browser, division, text, expected):
    load_modules(browser)
    found = browser.run(f"documentsOf({json.dumps(text)}, {json.dumps(division)})")
    assert [text[each["start"] : each["end"]] for each in found] == expected
    ends = [each["end"] + each["gap"] for each in found]
    assert ends == [*(each["start"] for each in found[1:]), len(text)]
