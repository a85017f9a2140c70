"""The tokenizers in JavaScript divide text as those in Python do."""

from __future__ import annotations

import json

import numpy as np
import pytest

from charlstm.config import TokenizerConfig
from charlstm.look.page import description_of
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
        assert starts == sorted(starts)
        assert all(0 <= start <= len(text.encode("utf-16-le")) // 2 for start in starts)


@pytest.mark.parametrize(
    ("level", "prompt", "expected"),
    [
        ("char", "the ca", ["the ca", ""]),
        ("word", "the ca", ["the", " ca"]),
        ("subword", "the ", ["the", " "]),
        ("subword", "the.", ["the.", ""]),
        ("subword", "", ["", ""]),
    ],
)
def test_a_prompt_is_divided_before_a_word_that_may_go_on(browser, level, prompt, expected):
    tokenizer = build_tokenizer(["the cat " * 30], TokenizerConfig(level=level))
    load_modules(browser)
    about = json.dumps(description_of(tokenizer))
    found = browser.run(f"new Tokenizer({about}).splitPrompt({json.dumps(prompt)})")
    assert found == expected
