"""Tests of ``tokenizer.long_prompts``: the last tokens are read, without half words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import SampleConfig
from charlstm.evaluation.scoring import score_texts
from charlstm.generation.beam import beam_search
from charlstm.generation.decoder import generate
from charlstm.generation.matching import generate_matching
from charlstm.prediction.predictor import Predictor
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING
from charlstm.tokenizer.long_prompts import MAX_PROMPT, is_long, read_tokens
from charlstm.tokenizer.segmentation import tokens_of
from tests.models import CHARS, PIECES, WORDS, model_of

LEVELS = pytest.mark.parametrize(
    "tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"]
)
TEXT = "the cat had a cat and a hat.\n" * 1000


@LEVELS
@pytest.mark.parametrize("step", [1, 7, 1024])
def test_a_short_prompt_is_read_as_a_whole(tokenizer, step):
    ids = np.array([END_OF_DOCUMENT, *np.resize(tokenizer.encode("the cat "), MAX_PROMPT + step)])
    whole = ids[: MAX_PROMPT + step]
    assert read_tokens(whole, spells=tokenizer.spells, step=step) is whole
    read = read_tokens(ids, spells=tokenizer.spells, step=step)
    assert len(read) == 1 + MAX_PROMPT
    assert read[0] == END_OF_DOCUMENT
    assert read[1:].tolist() == ids[1 + step :].tolist()


@given(words=st.lists(st.sampled_from(["the", " cat", " bad", " dab", "\n", "xylo"]), max_size=60),
       most=st.integers(1, 40), step=st.integers(1, 9))  # fmt: skip
def test_no_spelled_word_is_cut(words, most, step):
    ids = WORDS.encode_beginning("".join(words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlstm.tokenizer.long_prompts.MAX_PROMPT", most)
        read = read_tokens(ids, spells=True, step=step).tolist()
        assert is_long(WORDS, "".join(words), step=step) == (len(read) < len(ids))
    assert read[0] == END_OF_DOCUMENT
    assert read[1:] == ids.tolist()[len(ids) - len(read) + 1 :]
    marks = [each for each in read if each in (BEGIN_SPELLING, END_SPELLING)]
    assert marks == [BEGIN_SPELLING, END_SPELLING] * (len(marks) // 2)
    longest = max(len(WORDS.encode(token)) for token in tokens_of("x" + "".join(words)))
    if len(read) < len(ids):
        assert most - longest <= len(read) - 1 < most + step


@given(st.integers(0, 60), st.integers(1, 20), st.integers(1, 9))
def test_a_growing_prompt_is_read_from_the_same_token(length, most, step):
    ids = np.arange(length + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlstm.tokenizer.long_prompts.MAX_PROMPT", most)
        first = [read_tokens(ids[: n + 1], spells=False, step=step)[1] for n in range(1, length)]
    assert all((each - 1) % step == 0 for each in first)


@pytest.fixture
def shorter(monkeypatch):
    """Read fewer tokens to save time."""
    monkeypatch.setattr("charlstm.tokenizer.long_prompts.MAX_PROMPT", 64)
    monkeypatch.setattr("charlstm.prediction.prompt_cache.PROMPT_STEP", 32)


def end_of(tokenizer, step=1):
    """Return the end of the text that is read; it has the same tokens."""
    read = read_tokens(tokenizer.encode_beginning(TEXT), spells=tokenizer.spells, step=step)
    end = tokenizer.decode(read[1:])
    assert len(end) < len(TEXT)
    assert tokenizer.encode_beginning(end).tolist() == read.tolist()
    return end


@LEVELS
@pytest.mark.usefixtures("shorter")
def test_a_long_prompt_is_continued_like_its_end(tokenizer):
    engine, end = model_of(tokenizer), end_of(tokenizer)
    config = SampleConfig(length=9)
    whole, same, other = (
        next(generate(engine, tokenizer, [prompt], config, seed=1)).mean_log_probability
        for prompt in (TEXT, end, end[-9:])
    )
    assert whole == same != other
    whole, same = (beam_search(engine, tokenizer, p, config, beams=2)[0] for p in (TEXT, end))
    assert (whole.text, whole.mean_log_probability) == (same.text, same.mean_log_probability)
    whole, same, other = (
        score_texts(engine, tokenizer, ["a cat"], ends=True, context=context)
        for context in (TEXT, end, end[-9:])
    )
    assert whole == same != other


@pytest.mark.usefixtures("shorter")
def test_a_pattern_and_penalties_see_the_whole_prompt():
    engine, prompt = model_of(CHARS), "h" + "ab " * 40
    config = SampleConfig(length=3, match="h(ab )+c")
    assert next(generate_matching(engine, CHARS, [prompt], config, seed=1)).text == "c"
    config = SampleConfig(length=1, temperature=0, repetition_window=121, bias=(("h", 99),))
    (free,) = generate(engine, CHARS, [prompt], config, seed=1)
    (penalized,) = generate(engine, CHARS, [prompt], config.replace(presence_penalty=999), seed=1)
    assert free.text == "h" != penalized.text


@LEVELS
@pytest.mark.usefixtures("shorter")
def test_a_long_prompt_gives_the_same_predictions_as_its_end(tokenizer):
    end = end_of(tokenizer, step=32)
    typed = Predictor(model_of(tokenizer), tokenizer)
    for prompt in (end[-9:], TEXT[:-2], TEXT[:-1]):
        typed.predict(prompt)
    expected = Predictor(model_of(tokenizer), tokenizer).predict(end)
    assert typed.predict(TEXT) == expected != typed.predict(end[-9:])
    assert typed.predict_tokens(TEXT) == typed.predict_tokens(end)
