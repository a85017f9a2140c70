"""Tests of ``generation.visible``: no sample ends within a visible character."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import SampleConfig, TokenizerConfig
from charlstm.engine.inference import MAX_ROWS
from charlstm.generation.beam import beam_search
from charlstm.generation.decoder import generate
from charlstm.generation.matching import generate_matching
from charlstm.generation.visible import MOST_EXTRA
from charlstm.tokenizer.base import END_OF_DOCUMENT
from charlstm.tokenizer.vocabulary import build_tokenizer
from charlstm.unicode_text import VISIBLE
from tests.models import ScriptedEngine, model_of, random_model

GREEDY = SampleConfig(temperature=0.0, min_p=0.0)
TEXTS = [
    "ก็กินน้ำที่นี่",
    "हिन्दी में लिखी",
    "မြန်မာစာ",
    "\u1112\u1161\u11ab\u1100\u1173\u11af\u1102\u1161",
    "e\u0301te\u0301 n\u0303a\u0302\u0323",
    "🇩🇪🇫🇷🇮🇹",
    "a👨\u200d👩\u200d👧\u200d👦b👩\u200d❤\ufe0f\u200d👩",
    "1\ufe0f\u20e32\ufe0f\u20e3",
    "👍🏽👋🏿ok",
    "☺\ufe0f☹\ufe0e",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f!",
    "ab\r\n\r\nc\r\n",
    "בְּרֵאשִׁית בָּרָא",
]


@cache
def tokenizer_of(text, level="char"):
    return build_tokenizer([text], TokenizerConfig(level=level))


def engine_of(tokenizer, text, *, prompt_length=1):
    ids = [*tokenizer.encode(text).tolist(), END_OF_DOCUMENT]
    return ScriptedEngine(tokenizer.vocab_size, ids, prompt_length)


def ends_of(text):
    """Return where the visible characters of a text end."""
    return [match.end() for match in regex.finditer(VISIBLE, text)]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_sample_continues_to_the_end_of_its_last_visible_character(text):
    tokenizer = tokenizer_of(text)
    for length in range(1, len(text) + 1):
        end = next(each for each in ends_of(text) if each >= length)
        heard = []
        for options in ({}, {"on_text": lambda _, piece: heard.append(piece)}, {"alternatives": 1}):  # noqa: B023
            config = GREEDY.replace(length=length)
            (drawn,) = generate(
                engine_of(tokenizer, text), tokenizer, [""], config, seed=1, **options
            )
            assert (drawn.text, drawn.tokens, drawn.finish_reason) == (text[:end], end, "length")
            if drawn.per_token:
                assert "".join(each.text for each in drawn.per_token) == text[:end]
        assert "".join(heard) == text[:end]
        (found,) = beam_search(engine_of(tokenizer, text), tokenizer, "", config, beams=2)
        assert (found.text, found.tokens, found.finish_reason) == (text[:end], end, "length")
        assert found.mean_log_probability == pytest.approx(drawn.mean_log_probability)


def test_a_visible_character_may_begin_in_the_prompt():
    text = "🇩🇪🇫🇷e\u0301"
    tokenizer = tokenizer_of(text)
    for cut in range(1, len(text)):
        engine = engine_of(tokenizer, text[cut:], prompt_length=1 + cut)
        (drawn,) = generate(engine, tokenizer, [text[:cut]], GREEDY.replace(length=1), seed=1)
        end = next(each for each in ends_of(text) if each > cut)
        assert drawn.text == text[cut:end]


def test_a_visible_character_has_an_end():
    tokenizer = tokenizer_of("e\u0301")
    engine = engine_of(tokenizer, "e" + "\u0301" * 99)
    (drawn,) = generate(engine, tokenizer, [""], GREEDY.replace(length=3), seed=1)
    assert (drawn.text, drawn.tokens) == ("e" + "\u0301" * (2 + MOST_EXTRA), 3 + MOST_EXTRA)
    (found,) = beam_search(
        engine_of(tokenizer, drawn.text * 2), tokenizer, "", GREEDY.replace(length=3), beams=1
    )
    assert found.text == drawn.text


def test_the_end_of_the_document_after_the_length_is_dropped():
    tokenizer = tokenizer_of("ae\u0301")
    (drawn,) = generate(
        engine_of(tokenizer, "ae"), tokenizer, [""], GREEDY.replace(length=2), seed=1
    )
    assert (drawn.text, drawn.tokens, drawn.finish_reason) == ("ae", 2, "length")


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        ({"stop": ("\r\n",)}, "ab", "stop"),
        ({"until": "line"}, "ab", "until"),
        ({"until": "paragraph"}, "ab\r\n", "length"),
        ({"ban": ("\r\n",)}, "ab\r", "length"),
        ({"match": r"ab\r[\s\S]?"}, "ab\r", "length"),
    ],
)
def test_endings_and_constraints_apply_beyond_the_length(options, text, reason):
    tokenizer = tokenizer_of("ab\r\nc")
    config = GREEDY.replace(length=3, **options)
    engine = engine_of(tokenizer, "ab\r\nc")
    draw = generate_matching if config.match else generate
    (drawn,) = draw(engine, tokenizer, [""], config, seed=1)
    assert (drawn.text, drawn.finish_reason) == (text, reason)
    (found,) = beam_search(engine_of(tokenizer, "ab\r\nc"), tokenizer, "", config, beams=3)
    assert (found.text, found.finish_reason) == (text, reason)


def test_the_marks_of_a_spelled_word_belong_to_it():
    tokenizer = build_tokenizer(
        ["cafe and more cafe\u0301s"] * 3 + ["e\u0301"], TokenizerConfig(level="word")
    )
    pieces = tokenizer.pieces
    assert "\u0301" in pieces
    script = [pieces.index(piece) for piece in ("e", "\u0301", " and")]
    engine = ScriptedEngine(tokenizer.vocab_size, script)
    (drawn,) = generate(engine, tokenizer, [""], GREEDY.replace(length=1), seed=1)
    assert drawn.text == "e\u0301"


def test_no_further_token_is_read_if_characters_have_no_parts():
    tokenizer = tokenizer_of("añ—“中文。ひらがな한국어ф")
    engine = engine_of(tokenizer, "añ—中文")
    (drawn,) = generate(engine, tokenizer, [""], GREEDY.replace(length=3), seed=1)
    assert drawn.tokens == 3
    assert len(engine.fed) == 3


MARKED = tokenizer_of("ab e\u0301\u0302🇩🇪👩\u200d👧\r\nक्षि ำก")


@settings(max_examples=20, deadline=None)
@given(
    count=st.sampled_from([2, 9, MAX_ROWS + 3]),
    index=st.integers(0, MAX_ROWS + 2),
    seed=st.integers(0, 2**32 - 1),
    config=st.builds(
        SampleConfig,
        length=st.integers(1, 20),
        temperature=st.sampled_from([0.0, 0.8, 2.0]),
        repetition_penalty=st.sampled_from([1.0, 1.5]),
        mirostat=st.sampled_from([0.0, 1.5]),
        stop=st.sampled_from([(), ("a", "\u0301")]),
    ),
)
def test_a_sample_is_the_beginning_of_a_longer_one_in_any_batch(count, index, seed, config):
    engine = model_of(MARKED)
    index = min(index, count - 1)
    many = list(generate(engine, MARKED, ["a"] * count, config, seed=seed))
    assert (
        list(generate(engine, MARKED, ["a"] * (index + 1), config, seed=seed)) == many[: index + 1]
    )
    longer = list(generate(engine, MARKED, ["a"] * count, config.replace(length=60), seed=seed))
    for short, long in zip(many, longer, strict=True):
        assert long.text.startswith(short.text)
        if short.finish_reason != "length":
            assert short.tokens <= config.length + MOST_EXTRA
            continue
        ends = [end - 1 for end in ends_of("a" + long.text)]
        expected = next((end for end in ends if end >= config.length), 0)
        assert short.tokens == min(expected, config.length + MOST_EXTRA)
        assert len(short.text) == short.tokens


def test_the_figures_of_a_sample_are_those_without_the_dropped_token():
    engine = random_model("float32", MARKED.vocab_size)
    config = SampleConfig(length=12, temperature=1.0)
    for sample in generate(engine, MARKED, ["a"] * 30, config, seed=3, alternatives=1):
        values = [each.log_probability for each in sample.per_token]
        assert sample.tokens == len(values)
        assert sample.mean_log_probability == pytest.approx(np.mean(values), abs=1e-6)
