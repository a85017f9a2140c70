"""Tests of ``generation.beam``: enough beams find the same texts as an enumeration."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import SampleConfig
from charlstm.errors import GenerationError, UsageError
from charlstm.generation.beam import beam_search
from charlstm.generation.decoder import generate
from charlstm.generation.stopping import Endings
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.word import WordTokenizer
from tests.messages import raises_naming
from tests.models import ScriptedEngine, random_model, subwords
from tests.oracles import end_of_match, is_well_spelled

CHARS = CharTokenizer(tuple("ab."))
WORDS = WordTokenizer((*"ab ", " a", "ba", " ab"))
PIECES = subwords("ab ", " a", "ba", " ab")
LEVELS = pytest.mark.parametrize(
    "tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"]
)
EVERYTHING = 4000  # beams
CONFIGS = st.one_of(
    st.builds(
        SampleConfig,
        length=st.integers(2, 4),
        min_length=st.integers(0, 2),
        stop=st.sampled_from([(), ("a",), ("ba", ".")]),
        until=st.sampled_from([None, "sentence"]),
        ban=st.sampled_from([(), ("ab",), ("b.",)]),
        bias=st.sampled_from([(), (("a", -1.0),), (("ab", 3.0), ("b", -0.5))]),
    ),
    st.builds(SampleConfig, length=st.just(4), match=st.sampled_from(["a*b?", "[ab]{2,3}"])),
)


def found_by_trying(engine, tokenizer, prompt, config):
    """Return the best score of every possible text, by enumeration."""
    best = {}
    pieces = tokenizer.pieces

    def allowed(token_id, tokens, text):
        whole = prompt + text
        if token_id == UNKNOWN or (token_id == END_OF_DOCUMENT and tokens <= config.min_length):
            return False
        return not any(whole.endswith(each) and pieces[token_id] for each in config.ban)

    def over(text, score):
        if config.match is None or re.fullmatch(config.match, prompt + text):
            best[text] = max(score, best.get(text, -np.inf))

    def go_on(ids, text, score):
        logits, _ = engine.run(np.array([ids]), engine.initial_state(1))
        last = logits[0, -1].astype(np.float64)
        last -= np.log(np.exp(last).sum())
        tokens = len(ids) - len(read) + 1
        for token_id, value in enumerate(last.tolist()):
            longer = text + pieces[token_id]
            spelled = is_well_spelled(tokenizer, [*ids, token_id])
            if not (spelled and allowed(token_id, tokens, longer)):
                continue
            biases = [v for each, v in config.bias if (prompt + longer).endswith(each)]
            total = score + value + (sum(biases) if pieces[token_id] else 0)
            may_end = tokens >= config.min_length and pieces[token_id]
            ending = Endings(config).find(longer, searched=len(text)) if may_end else None
            if ending:
                over(longer[: ending.cut], total)
            elif config.match is not None and token_id == END_OF_DOCUMENT:
                if re.fullmatch(config.match, prompt + text):
                    end = end_of_match(
                        tokenizer, config.match, prompt + text, np.exp(last), at_once=not text
                    )
                    over(text, score + np.log(end))
            elif token_id == END_OF_DOCUMENT or tokens == config.length:
                over(longer, total)
            else:
                go_on([*ids, token_id], longer, total)

    read = [END_OF_DOCUMENT, *tokenizer.encode(prompt).tolist()]
    go_on(read, "", 0.0)
    return best


@settings(max_examples=40)
@given(CONFIGS, st.sampled_from(["", "a", "b."]))
def test_enough_beams_find_the_most_likely_texts(config, prompt):
    engine = random_model("float32", CHARS.vocab_size)
    expected = found_by_trying(engine, CHARS, prompt, config)
    if not expected:
        return
    count = min(5, len(expected))
    found = beam_search(engine, CHARS, prompt, config, beams=EVERYTHING, count=count)
    order = sorted(expected, key=lambda text: -expected[text])
    assert [each.text for each in found] == order[:count]


def test_tokens_of_several_characters_are_searched_too():
    """A text that can be written in several ways counts once, with its most likely way."""
    engine = random_model("float32", WORDS.vocab_size)
    config = SampleConfig(length=3)
    expected = found_by_trying(engine, WORDS, ".", config)
    found = beam_search(engine, WORDS, ".", config, beams=EVERYTHING, count=40)
    texts = [each.text for each in found]
    assert len(set(texts)) == len(texts) == 40
    assert texts == sorted(expected, key=lambda text: -expected[text])[:40]
    for each in found:
        total = each.mean_log_probability * each.tokens
        assert total == pytest.approx(expected[each.text], abs=1e-4)


@pytest.mark.parametrize("beams", [1, 2, 3, 8])
def test_no_result_is_more_likely_than_the_best_text(beams):
    engine = random_model("float32", CHARS.vocab_size)
    for length in range(1, 7):
        config = SampleConfig(length=length)
        (best,) = beam_search(engine, CHARS, "", config, beams=EVERYTHING)
        (found,) = beam_search(engine, CHARS, "", config, beams=beams)
        assert score(found) <= score(best) + 1e-9


def score(each):
    return each.mean_log_probability * each.tokens


def test_more_beams_find_better_texts():
    """Every text after the most likely token is unlikely. Another token has a certain text."""
    a, b, dot = CHARS.encode("ab.").tolist()

    class Misleading(ScriptedEngine):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            logits[ids == END_OF_DOCUMENT, a] = 2.0
            logits[ids == END_OF_DOCUMENT, b] = 1.5
            logits[ids == b, dot] = 9.0
            return logits, state

    engine, config = Misleading(CHARS.vocab_size), SampleConfig(length=2)
    assert beam_search(engine, CHARS, "", config, beams=1)[0].text[0] == "a"
    assert beam_search(engine, CHARS, "", config, beams=2)[0].text == "b."


@LEVELS
@pytest.mark.parametrize("prompt", ["", "ab a", "ab "])
def test_one_beam_takes_the_most_likely_token(tokenizer, prompt):
    engine = random_model("int8", tokenizer.vocab_size)
    config = SampleConfig(length=12, temperature=0.0, stop=("bb",))
    (greedy,) = generate(engine, tokenizer, [prompt], config, seed=1)
    (found,) = beam_search(engine, tokenizer, prompt, config, beams=1)
    assert (found.text, found.tokens, found.finish_reason, found.seed) == (
        greedy.text,
        greedy.tokens,
        greedy.finish_reason,
        None,
    )
    assert found.mean_log_probability == pytest.approx(greedy.mean_log_probability)


@LEVELS
def test_texts_are_sorted_and_different(tokenizer):
    engine = random_model("int8", tokenizer.vocab_size)
    found = beam_search(engine, tokenizer, "a", SampleConfig(length=6), beams=30, count=30)
    assert len({each.text for each in found}) == len(found) > 20
    assert [score(each) for each in found] == sorted(map(score, found), reverse=True)
    assert [each.index for each in found] == list(range(len(found)))
    assert {each.prompt for each in found} == {"a"}


def test_the_log_probability_does_not_include_the_bias():
    engine = random_model("float32", CHARS.vocab_size)
    plain = SampleConfig(length=4)
    all_texts = beam_search(engine, CHARS, "", plain, beams=EVERYTHING, count=200)
    own = {each.text: each.mean_log_probability for each in all_texts}
    biased = plain.replace(bias=(("a", 5.0),))
    (found, *_) = beam_search(engine, CHARS, "", biased, beams=EVERYTHING, count=3)
    assert found.text == "aaaa"
    assert found.mean_log_probability == pytest.approx(own["aaaa"], abs=1e-5)


def test_a_half_typed_word_is_completed():
    tokenizer = WordTokenizer((*"kingd ", " king", " kind", "the"))
    engine = ScriptedEngine(tokenizer.vocab_size)
    found = beam_search(engine, tokenizer, "the kin", SampleConfig(length=1), beams=4, count=4)
    assert sorted(each.text for each in found) == ["d", "g"]


@pytest.mark.parametrize("length", [1, 4])
def test_a_length_that_is_over_within_the_prompt_is_too_short(length, sentence):
    tokenizer = WordTokenizer((*"kingd ", "the"))
    engine = ScriptedEngine(tokenizer.vocab_size)
    with pytest.raises(GenerationError) as caught:
        beam_search(engine, tokenizer, "the kin", SampleConfig(length=length), beams=4)
    sentence(caught.value, "' kin'", length, "`length`")
    config = SampleConfig(length=5)
    (found,) = beam_search(engine, tokenizer, "the kin", config, beams=4)
    assert (found.text, found.tokens) == ("", 5)


def test_an_ending_before_the_minimum_length_does_not_count():
    engine = ScriptedEngine(CHARS.vocab_size, CHARS.encode("a.b.ab"))
    config = SampleConfig(length=6, stop=(".",), min_length=3)
    (found,) = beam_search(engine, CHARS, "", config, beams=1)
    assert (found.text, found.finish_reason) == ("a.b", "stop")


def test_there_may_be_fewer_texts_than_requested():
    engine = random_model("int8", CHARS.vocab_size)
    config = SampleConfig(length=5, match="a|bb|ab?")
    found = beam_search(engine, CHARS, "", config, beams=8, count=8)
    assert sorted(each.text for each in found) == ["a", "ab", "bb"]


def test_a_text_ends_if_no_token_may_follow():
    engine = ScriptedEngine(CHARS.vocab_size)
    config = SampleConfig(length=5, ban=("a", "b", "."))
    for ends in (True, False):
        (found,) = beam_search(engine, CHARS, "", config, beams=2, ends=ends)
        assert (found.text, found.finish_reason, found.tokens) == ("", "end", 1)
        assert found.mean_log_probability == pytest.approx(-np.log(CHARS.vocab_size))


def test_a_text_with_a_minimum_length_avoids_dead_ends():
    engine = random_model("float32", CHARS.vocab_size)
    config = SampleConfig(length=6, min_length=4, ban=("aa", "ab", "a.", "b.", "..", ".b"))
    texts = [each.text for each in beam_search(engine, CHARS, "", config, beams=9, count=9)]
    assert sorted(texts) == ["bbba", "bbbb", "bbbba", "bbbbb", "bbbbba", "bbbbbb"]
    with raises_naming(UsageError, 4, "`min_length`", "`ban`"):
        beam_search(engine, CHARS, "", config.replace(ban=(*config.ban, "bb")), beams=9)


@pytest.mark.parametrize("prompt", ["", "b ", "b ab"])
def test_no_spelled_word_is_empty(prompt):
    """The model alone would only write empty words."""
    script = [BEGIN_SPELLING, END_SPELLING] * 4
    engine = ScriptedEngine(WORDS.vocab_size, script, prompt_length=1 + len(WORDS.encode("b")))
    config = SampleConfig(length=8)
    for each in beam_search(engine, WORDS, prompt, config, beams=40, count=40):
        assert each.text != "" or each.finish_reason == "end"
    config = SampleConfig(length=8, ban=("a", "b", " ", "."))
    (found,) = beam_search(engine, WORDS, "", config, beams=2)
    assert (found.text, found.tokens, found.finish_reason) == ("", 1, "end")


def test_what_can_not_come_to_a_match_is_refused():
    with raises_naming(UsageError, "'b+'", "'a'"):
        beam_search(
            random_model("int8", CHARS.vocab_size), CHARS, "a", SampleConfig(match="b+"), beams=2
        )


def test_beam_search_does_not_end_a_text_if_the_model_has_not_learned_ends():
    engine = ScriptedEngine(CHARS.vocab_size, [*CHARS.encode("ab").tolist(), END_OF_DOCUMENT])
    config = SampleConfig(length=6)
    found = beam_search(engine, CHARS, "", config, beams=3, ends=False)
    assert [sample.finish_reason for sample in found] == ["length"]
    assert found[0].text.startswith("ab")
    assert beam_search(engine, CHARS, "", config, beams=3)[0].finish_reason == "end"


def test_a_search_for_finished_texts_leaves_out_cut_ones():
    engine = random_model("int8", CHARS.vocab_size, attention=0)
    config = SampleConfig(length=4, stop=("ba",))
    every = beam_search(engine, CHARS, "", config, beams=EVERYTHING, count=EVERYTHING)
    assert {each.finish_reason for each in every} == {"length", "end", "stop"}
    ended = [each.text for each in every if each.finish_reason != "length"]
    config = config.replace(finished=True)
    found = beam_search(engine, CHARS, "", config, beams=EVERYTHING, count=EVERYTHING)
    assert [each.text for each in found] == ended


def test_a_search_that_finds_no_end_says_so(sentence):
    engine = ScriptedEngine(CHARS.vocab_size, CHARS.encode("ab" * 9))
    config = SampleConfig(length=5, finished=True)
    with pytest.raises(GenerationError) as caught:
        beam_search(engine, CHARS, "", config, beams=1, ends=False)
    sentence(caught.value, 5, "`length`", "beams")
