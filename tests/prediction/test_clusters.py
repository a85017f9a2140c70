"""Tests of ``prediction.clusters``: no prediction begins or ends within a visible character."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import TokenizerConfig
from charlstm.engine.state import State
from charlstm.prediction.clusters import PLAIN, Clusters, clusters_of
from charlstm.prediction.predictor import Predictor, grammar_of
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.vocabulary import build_tokenizer
from charlstm.tokenizer.word import WordTokenizer
from tests.prediction.oracles import Chain

FAMILY, SKIN = "👨\u200d👩\u200d👧", "👍🏽"
# A text of each kind. Its characters are the vocabulary.
TEXTS = {
    "Thai": "ที่นี่ น้ำ กำ",
    "Devanagari": "क्षि हिन्दी का।",
    "Burmese": "မြန်မာ ကျွန်ုပ်",
    "Khmer": "ខ្មែរ ភាសា",
    "flags": "🇩🇪🇫🇷 a",
    "family": f"{FAMILY} {SKIN} a!",
    "keycaps": "1\ufe0f\u20e3 2a",
    "decomposed": "e\u0301a u\u0308. \u0301",
    "jamo": "\u1112\u1161\u11ab \u1100\u1173 a",
    "heart": "a \u2764\ufe0f!",
}
UNITS = {
    "Thai": ["ที่", "นี่", "น้ำ"],
    "Burmese": ["မြ", "န်", "မာ"],
    "flags": ["🇩🇪", "🇫🇷"],
    "family": [FAMILY, SKIN, "a"],
    "keycaps": ["1\ufe0f\u20e3", "2"],
    "decomposed": ["e\u0301a", "u\u0308", "."],
    "jamo": ["\u1112\u1161\u11ab", "a"],
    "heart": ["a", "\u2764\ufe0f", "!"],
}


def tokenizer_of(level, text):
    characters = sorted({*text, " "})
    if level == "char":
        return CharTokenizer(tuple(characters))
    if level == "subword":
        return build_tokenizer([text * 9], TokenizerConfig(level=level, vocab_size=60))
    words = [word for part in text.split() for word in (part, " " + part) if len(word) > 1]
    return WordTokenizer((*characters, *dict.fromkeys(words)))


def boundaries(text):
    return {0, *(match.end() for match in regex.finditer(r"\X", text))}


def check(prompt, predictions):
    for one in predictions:
        if one.special or not one.append:
            continue
        text = prompt + one.append
        start = len(text) - len(one.append.lstrip()) if one.append.strip() else len(prompt)
        if one.kind == "follows":
            assert start in boundaries(text), (prompt, one)
            assert not regex.match(r"[\p{M}\u200d\U0001f3fb-\U0001f3ff]", one.text), (prompt, one)
        last = regex.findall(r"\X", text)[-1]
        assert last[-1] != "\u200d", (prompt, one)
        assert not regex.fullmatch(r"\p{RI}", last), (prompt, one)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(TEXTS)), st.sampled_from(["char", "subword", "word"]), st.data())
def test_no_prediction_begins_or_ends_within_a_visible_character(name, level, data):
    tokenizer = tokenizer_of(level, TEXTS[name])
    prompt = data.draw(st.text(st.sampled_from(sorted({*TEXTS[name], "\n"})), max_size=5))
    one = Predictor(Chain(tokenizer.vocab_size, data.draw(st.integers(0, 9))), tokenizer)
    check(prompt, one.predict(prompt, 12))
    check(prompt, one.predict(prompt, 3, words=2))


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("name", sorted(TEXTS))
@pytest.mark.parametrize("prompt", ["", " ", "first", "part"])
def test_all_predictions_share_one_distribution(level, name, prompt):
    """The rest are parts of visible characters, which are not predictions."""
    tokenizer = tokenizer_of(level, TEXTS[name])
    prompt = {"first": TEXTS[name][:1], "part": TEXTS[name][:2]}.get(prompt, prompt)
    one = Predictor(Chain(tokenizer.vocab_size, 1), tokenizer)
    found = one.predict(prompt, 40)
    assert 0.01 < sum(p.probability for p in found) <= 1 + 1e-9
    check(prompt, found)
    assert len({(p.text, p.kind) for p in found}) == len(found)


class Certain(Chain):
    """An engine that writes one text. Its state is the number of tokens read."""

    def __init__(self, tokenizer, ids):
        self.vocab_size = tokenizer.vocab_size
        ids = [*ids, END_OF_DOCUMENT]
        self.logits = np.zeros((len(ids) + 1, self.vocab_size), np.float32)
        self.logits[range(len(ids)), ids] = 25

    def step(self, ids, state):
        at = np.minimum(state.parts[0][0, :, 0].astype(int), len(self.logits) - 1)
        return self.logits[at], State(state.parts[0] + 1)

    def run(self, ids, state):
        steps = []
        for column in ids.T:
            logits, state = self.step(column, state)
            steps.append(logits)
        return np.stack(steps, axis=1), state


@pytest.mark.parametrize("level", ["char", "subword", "word", "word of format 3"])
@pytest.mark.parametrize(("name", "number"), [(n, i) for n in UNITS for i in range(len(UNITS[n]))])
def test_a_visible_character_is_one_unit(level, name, number):
    """It is predicted before its first code point and, half-typed, after each of the others."""
    before, unit = "".join(UNITS[name][:number]), UNITS[name][number]
    if before and before[-1].isalpha() and unit[0].isalpha() and name in ("decomposed", "jamo"):
        before += " "
    text = before + unit + " "
    characters = tuple(sorted({*before, *unit, " "}))
    tokenizer = CharTokenizer(characters)
    if level == "subword":
        tokenizer = build_tokenizer([text * 9], TokenizerConfig(level=level, vocab_size=60))
    elif level != "char":
        if name in ("decomposed", "jamo"):  # words, of which a half is spelled
            return
        rules = 2 if level == "word" else 1
        words = [token for token in tokens_of(text, rules) if len(token) > 1]
        tokenizer = WordTokenizer((*characters, *dict.fromkeys(words)), segmentation=rules)
    ids = tokenizer.encode(text)
    special = {BEGIN_SPELLING, END_SPELLING} if tokenizer.spells else set()
    assert not {UNKNOWN, *special} & {*ids.tolist()}
    one = Predictor(Certain(tokenizer, ids.tolist()), tokenizer)
    # At word level, a unit is one token. A typed part of it is another token, or is a half-typed
    # digit, and then tokens that begin with it are searched for.
    whole = level in ("subword", "word") or (level != "char" and name == "keycaps")
    for typed in range(1 if whole else len(unit)):
        (first, *_) = one.predict(before + unit[:typed], 1)
        assert (first.text, first.append) == (unit, unit[typed:])
        assert first.kind == ("completes" if typed else "follows")
        assert first.probability == pytest.approx(1, abs=1e-4)


def test_single_tokens_stay_code_points():
    tokenizer = tokenizer_of("char", TEXTS["Thai"])
    found = Predictor(Chain(tokenizer.vocab_size, 1), tokenizer).predict_tokens("ท", 100)
    assert {p.text for p in found if not p.special} == {*tokenizer.vocabulary}


def test_a_keyboard_predicts_tokens():
    tokenizer = tokenizer_of("char", TEXTS["Thai"])
    grammar = grammar_of(tokenizer, clusters=False)
    found = Predictor(Chain(tokenizer.vocab_size, 1), tokenizer, grammar).predict("ท", 100)
    assert "ี" in {p.text for p in found}


def test_plain_characters_join_only_marks():
    characters = [chr(code) for code in range(sys.maxunicode + 1)]
    plain = "".join(c for c in characters if c not in "\r\n" and PLAIN.fullmatch(c))
    assert len(regex.findall(r"\X", plain)) == len(plain)
    joins = r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}\p{GCB=Prepend}\p{RI}\p{GCB=L}]"
    assert regex.search(joins, plain) is None
    assert clusters_of(["", "a", "é", "’", "中", "가", "\ufffd"]) is None
    assert isinstance(clusters_of(["a", "\u0301"]), Clusters)
