"""Tests of ``generation.matching``: every sample matches, and samples resemble free ones."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import SampleConfig
from charlstm.errors import UsageError
from charlstm.generation import constraints, match_guide, matching, particles
from charlstm.generation.decoder import generate
from charlstm.generation.matching import generate_matching
from charlstm.generation.pattern import Pattern
from charlstm.metrics import log_softmax
from charlstm.tokenizer.base import END_OF_DOCUMENT, UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from tests.models import CHARS, PIECES, WORDS, MarkovEngine, ScriptedEngine, random_model
from tests.oracles import end_of_match

EVEN = SampleConfig(temperature=1.0, min_p=0.0)
FEW = CharTokenizer(tuple("ab."))
LEVELS = pytest.mark.parametrize(
    "tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"]
)


def continued(engine, tokenizer, prompt, config, *, count=1, **rest):
    """Continue one prompt."""
    return list(generate_matching(engine, tokenizer, [prompt] * count, config, **rest))


@pytest.fixture
def searches(monkeypatch):
    """Sample nothing freely."""
    monkeypatch.setattr(matching, "_WAVES", ())


# Matches


@LEVELS
@pytest.mark.parametrize("expression", ["[a-h ]{3,6}", "c?[a-d]+( the| [a-e]{2,})*", "(?s).*"])
@pytest.mark.parametrize("waves", [(1, 4, 15), ()])
def test_every_sample_matches(monkeypatch, tokenizer, expression, waves):
    monkeypatch.setattr(matching, "_WAVES", waves)
    engine = random_model("int8", tokenizer.vocab_size)
    config = EVEN.replace(match=expression, length=9)
    for each in continued(engine, tokenizer, "", config, count=20, seed=3):
        assert re.fullmatch(expression, each.text)
        assert each.tokens <= 9


@LEVELS
@pytest.mark.parametrize("prompt", ["ca", "cad ", "cad a"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_prompt_is_part_of_the_match(tokenizer, prompt, temperature):
    engine = random_model("int8", tokenizer.vocab_size)
    config = EVEN.replace(match="ca[a-d]+( [a-h]+)+", length=20, temperature=temperature)
    for each in continued(engine, tokenizer, prompt, config, count=10, seed=3):
        assert re.fullmatch(config.match, prompt + each.text)


@LEVELS
def test_a_match_may_be_empty_and_may_take_all_tokens(tokenizer):
    engine = random_model("int8", tokenizer.vocab_size)
    for expression, length, texts in (("", 1, {""}), ("[ab]{3}", 3, None)):
        config = EVEN.replace(match=expression, length=length)
        found = {each.text for each in continued(engine, tokenizer, "", config, count=50, seed=1)}
        assert found == texts or all(re.fullmatch(expression, text) for text in found)


@pytest.mark.parametrize(
    ("prompt", "settings", "parts"),
    [("x", {}, ["'x'"]), ("a", {"length": 2}, ["3 tokens", 2, "`length`"])],
)
def test_what_can_not_come_to_a_match_is_refused(sentence, prompt, settings, parts):
    config = EVEN.replace(match="[a-d]{4}", **settings)
    with pytest.raises(UsageError) as caught:
        continued(random_model("int8"), CHARS, prompt, config, seed=1)
    sentence(caught.value, "'[a-d]{4}'", *parts)


# Free samples


def scripted(text):
    return ScriptedEngine(CHARS.vocab_size, [*CHARS.encode(text).tolist(), END_OF_DOCUMENT])


def test_a_match_ends_where_the_model_prefers_forbidden_tokens():
    config = SampleConfig(match="ab[^\n]*", temperature=0.1)
    (sample,) = continued(scripted("abba.\ncc"), CHARS, "", config, seed=1)
    assert (sample.text, sample.finish_reason, sample.tokens) == ("abba.", "end", 5)
    chance = 5 - np.log(np.exp(5) + CHARS.vocab_size - 1)
    assert sample.mean_log_probability == pytest.approx(chance, abs=1e-6)


def test_a_match_may_end_before_another_word():
    config = SampleConfig(match="(ab)+", temperature=0.1, length=50)
    (sample,) = continued(scripted("ab ac"), CHARS, "", config, seed=1)
    assert (sample.text, sample.tokens) == ("ab", 2)


def test_a_match_does_not_end_immediately():
    config = EVEN.replace(match="[^a]*")
    (sample,) = continued(scripted("abba"), CHARS, "", config, seed=1, ends=False)
    assert sample.text  # the model prefers "a"
    (sample,) = continued(scripted(""), CHARS, "", config, seed=1)
    assert (sample.text, sample.tokens) == ("", 1)  # it prefers the end


def test_the_end_of_a_document_belongs_to_a_sample():
    (sample,) = continued(scripted("abba"), CHARS, "", SampleConfig(match="[ab]+"), seed=1)
    assert (sample.text, sample.finish_reason, sample.tokens) == ("abba", "end", 5)


@LEVELS
def test_a_free_match_equals_the_sample_without_a_pattern(tokenizer):
    engine = random_model("int8", tokenizer.vocab_size, attention=0)
    config = EVEN.replace(length=40)
    plain = list(generate(engine, tokenizer, ["a"] * 400, config, seed=4))
    expression = "[^h]*"
    found = continued(engine, tokenizer, "a", config.replace(match=expression), count=400, seed=4)
    same = [
        each
        for each in plain
        if re.fullmatch(expression, "a" + each.text) and each.finish_reason == "end"
    ]
    assert len(same) >= 5
    assert all(found[each.index] == each for each in same)


@pytest.mark.usefixtures("searches")
def test_a_model_that_does_not_end_documents_ends_matches():
    config = SampleConfig(match="[ab]{3}", min_p=0.0)
    (sample,) = continued(random_model("float32"), CHARS, "", config, seed=1, ends=False)
    assert (sample.finish_reason, sample.tokens) == ("end", 3)
    assert re.fullmatch("[ab]{3}", sample.text)


# The search


@pytest.mark.usefixtures("searches")
@pytest.mark.parametrize("length", [63, 64, 65, 128])
def test_all_particles_can_end_at_the_length(length):
    config = EVEN.replace(match=f"[ab]{{{length}}}", length=200)
    (sample,) = continued(random_model("int8"), CHARS, "", config, seed=1)
    assert len(sample.text) == length


@pytest.mark.usefixtures("searches")
@pytest.mark.parametrize(
    "expression", ["[ab]+c", "([ab]+)+c", "[ab]*[ab]*[ab]c", "(a|b|ab){1,30}c"]
)
def test_a_search_does_not_depend_on_how_a_pattern_is_written(expression):
    config = EVEN.replace(match=expression, length=100)
    found = continued(random_model("int8"), CHARS, "", config, count=20, seed=1)
    usual = continued(
        random_model("int8"), CHARS, "", config.replace(match="[ab]+c"), count=20, seed=1
    )
    mean, expected = (np.mean([len(each.text) for each in each]) for each in (found, usual))
    assert mean == pytest.approx(expected, abs=3)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_another_thread_may_use_another_pattern(monkeypatch, temperature):
    """The caches of a pattern can be emptied at any time."""
    monkeypatch.setattr(matching, "_WAVES", ())
    for module in (constraints, match_guide):
        monkeypatch.setattr(module, "pattern_of", Pattern)
    config = EVEN.replace(match="ca[a-d]+( [a-h]+)+", length=20, temperature=temperature)
    for each in continued(random_model("int8"), CHARS, "cad a", config, count=3, seed=3):
        assert re.fullmatch(config.match, "cad a" + each.text)


@pytest.mark.parametrize("prompt", ["t", "the c"])
def test_a_search_continues_a_half_typed_word_like_free_samples(monkeypatch, prompt):
    """Tokens and spelled words have the same shares."""
    engine = random_model("float32", WORDS.vocab_size)
    config = EVEN.replace(match=f"{prompt}(?s:.*)", length=12)
    free = continued(engine, WORDS, prompt, config, count=120, seed=1)
    monkeypatch.setattr(matching, "_WAVES", ())
    found = continued(engine, WORDS, prompt, config, count=120, seed=1)
    share, expected = (Counter(sample.text[:1] for sample in samples) for samples in (free, found))
    for text in share | expected:
        assert share[text] == pytest.approx(expected[text], abs=28)


@pytest.mark.usefixtures("searches")
@pytest.mark.parametrize("bias", [3.0, -2.0])
def test_a_bias_has_the_same_effect_in_a_search_as_in_free_samples(bias):
    engine = MarkovEngine(FEW.vocab_size)
    config = EVEN.replace(match="[ab.]{8}", length=8, bias=(("b", bias),))
    found = continued(engine, FEW, "", config, count=200, seed=1)
    free = generate(engine, FEW, [""] * 3000, config.replace(match=None), seed=1)
    texts = [each.text for each in free if len(each.text) == 8]
    share, expected = (
        np.mean([text.count("b") for text in each])
        for each in ([sample.text for sample in found], texts)
    )
    assert len(texts) > 100
    assert share == pytest.approx(expected, abs=0.6)


@settings(max_examples=10)
@given(
    count=st.integers(2, 7),
    seed=st.integers(0, 2**32 - 1),
    config=st.builds(
        SampleConfig,
        length=st.integers(4, 20),
        temperature=st.sampled_from([0.0, 0.8, 2.0]),
        repetition_penalty=st.sampled_from([1.0, 1.5]),
        mirostat=st.sampled_from([0.0, 1.5]),
        match=st.sampled_from(["[ab]*c[a-h]*", "[^a]{4}", ".*(a.*){3}"]),
    ),
    free=st.booleans(),
)
def test_a_sample_is_the_same_in_any_batch(count, seed, config, free):
    engine = random_model("int8")
    with pytest.MonkeyPatch.context() as patch:
        if not free:
            patch.setattr(matching, "_WAVES", ())
        many = continued(engine, CHARS, "", config, count=count, seed=seed)
        fewer = continued(engine, CHARS, "", config, count=1, seed=seed, at_once=1)
        other = continued(engine, CHARS, "", config, count=1, seed=seed, first=count - 1)
    assert [each.index for each in many] == list(range(count))
    assert fewer == many[:1]
    assert other == many[-1:]


@cache
def matches_of(expression, length):
    """Return the share of every match in all texts of a model, by trying all short texts."""
    engine = random_model("float32", FEW.vocab_size)
    weights = {}
    for size in range(length + 1):
        for text in map("".join, product("ab.", repeat=size)):
            if not re.fullmatch(expression, text):
                continue
            ids = np.array([[END_OF_DOCUMENT, *FEW.encode(text).tolist()]])
            logits, _ = engine.run(ids, engine.initial_state(1))
            logits[..., UNKNOWN] = -np.inf
            chances = np.exp(log_softmax(logits[0]))
            weights[text] = np.prod(chances[np.arange(size), ids[0, 1:]])
            if size < length:
                weights[text] *= end_of_match(FEW, expression, text, chances[-1], at_once=not text)
    total = sum(weights.values())
    return {text: weight / total for text, weight in weights.items()}


@pytest.mark.usefixtures("searches")
@pytest.mark.parametrize("expression", [r".*\.\.b.*", r"[ab]*\.[ab]{2}\.", ".*(aa|bb).*"])
def test_a_search_finds_texts_as_often_as_the_model_writes_them(monkeypatch, expression):
    """With enough particles, shares are as close as those of equally many exact samples."""
    monkeypatch.setattr(particles, "PARTICLES", 512)
    expected, count = matches_of(expression, 5), 120
    shares = np.array([*expected.values()])
    config = EVEN.replace(match=expression, length=5)
    samples = continued(
        random_model("float32", FEW.vocab_size), FEW, "", config, count=count, seed=2
    )
    found = Counter(sample.text for sample in samples)
    assert found.keys() <= expected.keys()
    drawn = np.random.default_rng(1).multinomial(count, shares, size=50)
    by_chance = np.abs(drawn / count - shares).sum(axis=1).mean()
    distance = np.abs(np.array([found[text] for text in expected]) / count - shares).sum()
    assert distance < 1.4 * by_chance
    assert np.abs(1 / len(shares) - shares).sum() > 2 * by_chance  # the test can fail


@pytest.mark.usefixtures("searches")
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_tokens_of_a_match_are_those_of_its_text(temperature):
    engine = random_model("float32")
    config = EVEN.replace(match="[a-h]{3}( [a-h]+)+", length=14, temperature=temperature)
    for each in continued(engine, CHARS, "", config, count=3, seed=5, alternatives=2):
        assert "".join(symbol.text for symbol in each.per_token) == each.text
        values = [symbol.log_probability for symbol in each.per_token]
        assert len(values) == each.tokens
        assert np.mean(values) == pytest.approx(each.mean_log_probability, abs=1e-6)
        assert all(len(symbol.alternatives) == 2 for symbol in each.per_token)


def test_a_listener_gets_whole_texts():
    heard = []
    config = EVEN.replace(match="[a-h]{3,5}", length=9)
    samples = continued(
        random_model("int8"), CHARS, "", config, count=3, seed=1,
        on_text=lambda *event: heard.append(event),
    )  # fmt: skip
    assert heard == [(sample.index, sample.text) for sample in samples]


@pytest.mark.usefixtures("searches")
def test_at_temperature_zero_all_samples_are_the_best_match():
    engine = random_model("float32", FEW.vocab_size)
    config = EVEN.replace(match=r".*\.\.b.*", length=5, temperature=0.0)
    expected = matches_of(config.match, 5)
    samples = continued(engine, FEW, "", config, count=2, seed=3)
    assert {sample.text for sample in samples} == {max(expected, key=expected.get)}
    assert [(sample.index, sample.seed) for sample in samples] == [(0, 3), (1, 3)]
