"""Tests of ``generation.decoder``: samples, their figures, and that any batch gives the same."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import SampleConfig, TokenizerConfig
from charlstm.engine.inference import MAX_ROWS
from charlstm.errors import UsageError
from charlstm.generation.decoder import generate
from charlstm.generation.samples import Sample
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.messages import raises_naming
from tests.models import CHARS, PIECES, WORDS, ScriptedEngine, model_of, random_model
from tests.oracles import is_well_spelled, log_probabilities

GREEDY = SampleConfig(temperature=0.0, min_p=0.0)
EVEN = SampleConfig(temperature=1.0, min_p=0.0)

SPECIAL = {"begin_spelling": BEGIN_SPELLING, "end_spelling": END_SPELLING}


def continued(engine, tokenizer, prompt, config, *, count=1, **rest):
    """Continue one prompt."""
    return generate(engine, tokenizer, [prompt] * count, config, **rest)


def scripted(text, end=True):
    ids = CHARS.encode(text).tolist()
    return ScriptedEngine(CHARS.vocab_size, [*ids, END_OF_DOCUMENT] if end else ids)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@settings(max_examples=15, deadline=None)
@given(
    count=st.sampled_from([2, 9, MAX_ROWS + 3]),
    index=st.integers(0, MAX_ROWS + 2),
    seed=st.integers(0, 2**32 - 1),
    prompt=st.text("abc .", max_size=5),
    config=st.builds(
        SampleConfig,
        length=st.integers(1, 40),
        temperature=st.sampled_from([0.0, 0.8, 2.0]),
        top_p=st.sampled_from([0.7, 1.0]),
        repetition_penalty=st.sampled_from([1.0, 1.5]),
        repetition_window=st.sampled_from([1, 3, 64]),
        loop_penalty=st.sampled_from([0.0, 2.0]),
        loop_length=st.sampled_from([1, 4]),
        mirostat=st.sampled_from([0.0, 1.5]),
        stop=st.sampled_from([(), ("a", "bc")]),
    ),
)
def test_a_sample_is_the_same_in_any_batch(precision, count, index, seed, prompt, config):
    engine = random_model(precision)
    index = min(index, count - 1)
    many = list(continued(engine, CHARS, prompt, config, count=count, seed=seed))
    fewer = list(continued(engine, CHARS, prompt, config, count=index + 1, seed=seed))
    assert [each.index for each in many] == list(range(count))
    assert fewer == many[: index + 1]


def test_samples_longer_than_a_block_are_the_same_in_a_batch():
    engine, config = random_model("int8"), EVEN.replace(length=700)
    many = list(continued(engine, CHARS, "", config, count=40, seed=5))
    (one,) = continued(engine, CHARS, "", config, seed=5)
    assert many[0] == one
    assert max(each.tokens for each in many) > 256


def test_samples_differ_by_index_and_by_seed():
    engine, config = random_model("int8"), EVEN.replace(length=30)
    texts = [each.text for each in continued(engine, CHARS, "", config, count=5, seed=1)]
    assert len(set(texts)) == 5
    (other,) = continued(engine, CHARS, "", config, seed=2)
    assert other.text not in texts


def test_every_sample_starts_from_the_end_of_document_then_the_prompt():
    engine = ScriptedEngine(CHARS.vocab_size)
    prompt = "abc" * 50
    list(continued(engine, CHARS, prompt, GREEDY.replace(length=1), count=3, seed=1))
    assert engine.fed == [[END_OF_DOCUMENT], *([token_id] for token_id in CHARS.encode(prompt))]


def test_a_sample_describes_itself():
    (result,) = continued(scripted("abba"), CHARS, "", GREEDY, seed=7)
    chance = 5 - np.log(np.exp(5) + CHARS.vocab_size - 1)
    assert result == Sample(0, "", "abba", 5, 7, "end", result.mean_log_probability)
    assert result.mean_log_probability == pytest.approx(chance, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), temperature=st.sampled_from([0.0, 0.5, 2.0]))
def test_the_mean_log_probability_is_that_of_the_model(seed, temperature):
    engine = random_model("float32")
    config = SampleConfig(length=50, temperature=temperature, repetition_penalty=1.3)
    (result,) = continued(engine, CHARS, "ab", config, seed=seed)
    ids = CHARS.encode("ab" + result.text).astype(np.int64)
    if result.finish_reason == "end":
        ids = np.append(ids, END_OF_DOCUMENT)
    read = np.concatenate([[END_OF_DOCUMENT], ids[:-1]])
    logits, _ = engine.run(read[np.newaxis], engine.initial_state(1))
    values = [
        log_probabilities(row)[token_id] for row, token_id in zip(logits[0], ids, strict=True)
    ]
    assert result.tokens == len(ids) - 2
    assert result.mean_log_probability == pytest.approx(np.mean(values[2:]), abs=1e-4)


def test_length_counts_sampled_tokens():
    (result,) = continued(scripted("abcdef"), CHARS, "", GREEDY.replace(length=4), seed=1)
    assert (result.text, result.tokens, result.finish_reason) == ("abcd", 4, "length")


def test_no_unnecessary_token_is_read():
    engine = scripted("abcdef")
    list(continued(engine, CHARS, "", GREEDY.replace(length=4), seed=1))
    assert len(engine.fed) == 4  # the start and three of the four sampled tokens


@pytest.mark.parametrize("stops", [(".",), ("c.",), ("bc.", "zzz"), ("c.", ".")])
@pytest.mark.parametrize("length", [20, 4])
def test_a_stop_text_ends_a_sample_and_is_not_part_of_it(stops, length):
    config = GREEDY.replace(stop=stops, length=length)
    (result,) = continued(scripted("abc.def"), CHARS, "", config, seed=1)
    expected = "abc."[: -max(len(stop) for stop in stops if stop != "zzz")]
    assert (result.text, result.tokens, result.finish_reason) == (expected, 4, "stop")


def test_a_prompt_does_not_count_for_a_stop_text():
    engine = ScriptedEngine(CHARS.vocab_size, CHARS.encode("bcab"), prompt_length=2)
    (result,) = continued(engine, CHARS, "a", GREEDY.replace(stop=("ab",)), seed=1)
    assert (result.text, result.finish_reason) == ("bc", "stop")


def test_a_stop_text_is_found_inside_a_token():
    engine = ScriptedEngine(WORDS.vocab_size, WORDS.encode("the cat"))
    (result,) = continued(engine, WORDS, "", GREEDY.replace(stop=("e ca",)), seed=1)
    assert (result.text, result.tokens, result.finish_reason) == ("th", 2, "stop")


@pytest.mark.parametrize(
    ("text", "end", "pieces"),
    [
        ("abcdef", True, ["abc", "d", "e", "f"]),
        ("aab", True, ["a", "ab"]),
        ("ababc.", True, ["ab", "abc", "."]),
        ("cab", False, ["c", "ab"]),
    ],
)
def test_only_what_may_become_a_stop_text_is_held_back(text, end, pieces):
    shown = []
    config = GREEDY.replace(stop=("abd",), length=len(text) + end)
    (result,) = continued(
        scripted(text, end), CHARS, "", config, seed=1, on_text=lambda *event: shown.append(event)
    )
    assert shown == [(0, piece) for piece in pieces]
    assert result.text == text


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    stop=st.lists(st.text("abcdefgh .", min_size=1, max_size=2), max_size=3).map(tuple),
)
def test_streamed_pieces_are_the_texts(seed, stop):
    shown = [""] * 6

    def listen(index, piece):
        assert piece
        shown[index] += piece

    config = EVEN.replace(length=60, stop=stop)
    results = list(
        continued(random_model("int8"), CHARS, "", config, count=6, seed=seed, on_text=listen)
    )
    assert shown == [each.text for each in results]
    for each in results:
        assert not any(text in each.text for text in stop)
        drawn = len(each.text) + (each.finish_reason == "end")
        assert each.tokens == drawn or each.finish_reason == "stop"
        assert each.finish_reason != "length" or each.tokens == 60


def test_text_is_shown_as_it_is_sampled():
    engine = scripted("abc")
    steps_before = []
    config = GREEDY.replace(length=3)
    list(
        continued(
            engine,
            CHARS,
            "",
            config,
            seed=1,
            on_text=lambda *_: steps_before.append(len(engine.fed)),
        )
    )
    assert steps_before == [1, 2, 3]


def test_a_sample_is_yielded_as_soon_as_those_before_it_are():
    engine, config = ScriptedEngine(CHARS.vocab_size), EVEN.replace(length=2000)
    results = continued(engine, CHARS, "", config, count=9, seed=1)
    first = next(results)
    assert len(engine.fed) == first.tokens
    assert max(each.tokens for each in results) > first.tokens


def test_finished_rows_leave_the_batch():
    engine = ScriptedEngine(CHARS.vocab_size)
    results = list(continued(engine, CHARS, "", EVEN.replace(length=2000), count=5, seed=1))
    widths = [len(ids) for ids in engine.fed[1:]]
    alive = [sum(each.tokens > step for each in results) for step in range(1, len(widths) + 1)]
    assert widths == alive


def test_the_unknown_token_is_never_sampled():
    engine = ScriptedEngine(CHARS.vocab_size, [UNKNOWN] * 300)
    results = continued(engine, CHARS, "", EVEN.replace(length=300), count=20, seed=1)
    assert not any("\ufffd" in each.text for each in results)


def test_the_repetition_penalty_sees_the_prompt_and_sampled_tokens():
    a, b, c = CHARS.encode("abc").tolist()

    class Preferring(ScriptedEngine):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            logits[:, [a, b, c]] = [4.0, 3.0, 2.5]
            return logits, state

    def text(prompt, window):
        config = GREEDY.replace(length=5, repetition_penalty=3.0, repetition_window=window)
        return next(continued(Preferring(CHARS.vocab_size), CHARS, prompt, config, seed=1)).text

    assert text("", 1) == "ababa"
    assert text("a", 1) == "babab"
    assert text("", 2) == "abcab"
    assert text("cca", 2) == "bcabc"
    assert text("a", 64)[:2] == "bc"


def test_the_loop_penalty_ends_a_loop():
    a, b = CHARS.encode("ab").tolist()

    class Looping(ScriptedEngine):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            logits[:, [a, b]] = [4.0, 3.0]
            return logits, state

    def text(**settings):
        config = GREEDY.replace(length=8, loop_base=2.0, **settings)
        return next(continued(Looping(CHARS.vocab_size), CHARS, "", config, seed=1)).text

    assert text() == "aaaaaaaa"
    # The fourth token would continue a repetition of two at a cost of 2, the fifth one of three.
    assert text(loop_penalty=2.0, loop_length=2)[:4] == "aaab"
    assert text(loop_penalty=0.1, loop_length=2) == "aaaaaaab"


@pytest.mark.parametrize("bits", [1.1, 1.4, 1.8])
def test_mirostat_controls_the_surprisal_of_a_model(bits):
    """The mean is over many samples, without the first tokens."""

    class Skewed(ScriptedEngine):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            return logits - 0.7 * np.arange(self.vocab_size)[::-1].astype(np.float32), state

    config = EVEN.replace(length=400, mirostat=bits)
    engine = Skewed(CHARS.vocab_size)
    results = continued(engine, CHARS, "", config, count=20, seed=4, alternatives=0)
    surprises = [-each.log_probability for result in results for each in result.per_token[100:]]
    assert np.mean(surprises) / np.log(2) == pytest.approx(bits, abs=0.1)


def test_a_required_beginning_is_kept_and_not_repeated():
    for seed in range(30):
        engine = ScriptedEngine(WORDS.vocab_size)
        (result,) = continued(engine, WORDS, "the ", EVEN.replace(length=4), seed=seed)
        assert engine.fed[1] == WORDS.encode("the").tolist()
        assert engine.fed[2] == [BEGIN_SPELLING]  # to get the probability of a space
        drawn = [ids[0] for ids in engine.fed[3:]]
        spelled = drawn[0] == BEGIN_SPELLING
        begun = WORDS.pieces[drawn[1] if spelled else drawn[0]]
        assert begun == " " if spelled else begun.startswith(" ")
        assert WORDS.decode(drawn).startswith(" ")
        assert (" " + result.text).startswith(WORDS.decode(drawn))


def test_a_required_beginning_can_be_spelled():
    x, y = WORDS.encode("x")[0], WORDS.encode("y")[0]
    space = WORDS.encode(" ")[0]
    script = [BEGIN_SPELLING, x, x, y, END_OF_DOCUMENT]  # the space replaces the second token
    engine = ScriptedEngine(WORDS.vocab_size, script, prompt_length=2)
    (result,) = continued(engine, WORDS, "the x", GREEDY, seed=1)
    assert [ids[0] for ids in engine.fed[2:4]] == [BEGIN_SPELLING, space]  # for probabilities
    assert [ids[0] for ids in engine.fed[4:]] == [BEGIN_SPELLING, space, x, y]
    assert (result.text, result.finish_reason) == ("y", "end")


def test_generation_is_lazy():
    engine = ScriptedEngine(CHARS.vocab_size)
    results = continued(engine, CHARS, "", EVEN.replace(length=5), count=10**6, seed=1)
    assert [each.index for each in islice(results, 2)] == [0, 1]
    assert len(engine.fed) < 20


# A batch that is kept full


SETTINGS = st.builds(
    SampleConfig,
    length=st.integers(1, 40),
    temperature=st.sampled_from([0.0, 0.8, 2.0]),
    repetition_penalty=st.sampled_from([1.0, 1.5]),
    loop_penalty=st.sampled_from([0.0, 2.0]),
    mirostat=st.sampled_from([0.0, 1.5]),
    until=st.sampled_from([None, "sentence", "line"]),
    ban=st.sampled_from([(), ("ab", ".")]),
    bias=st.sampled_from([(), (("c", 2.0),)]),
)


@pytest.mark.parametrize("tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"])
@settings(max_examples=12)
@given(
    prompts=st.lists(st.sampled_from(["", "a", "the ", "ca", "the do", "b."]), max_size=12),
    config=SETTINGS,
    seed=st.integers(0, 2**32 - 1),
    first=st.sampled_from([0, 3, 2**40]),
    rows=st.sampled_from([1, 3, 128]),
)
def test_a_sample_is_the_same_alone_and_among_other_prompts(
    tokenizer, prompts, config, seed, first, rows
):
    engine = random_model("int8", tokenizer.vocab_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlstm.generation.decoder.MAX_ROWS", rows)
        together = list(generate(engine, tokenizer, prompts, config, seed=seed, first=first))
    assert [each.prompt for each in together] == prompts
    for index, each in enumerate(together, first):
        (alone,) = generate(engine, tokenizer, [each.prompt], config, seed=seed, first=index)
        assert each == alone


def test_a_free_row_is_reused_immediately():
    """So a batch needs few more steps than its tokens divided by its rows."""
    engine, config = ScriptedEngine(CHARS.vocab_size), EVEN.replace(length=300)
    results = list(continued(engine, CHARS, "", config, count=10 * MAX_ROWS, seed=1))
    widths = [len(ids) for ids in engine.fed]
    drawn = sum(each.tokens for each in results)
    assert widths.count(MAX_ROWS) > 0.8 * drawn / MAX_ROWS - 20
    assert max(widths) == MAX_ROWS


def test_a_repeated_prompt_is_read_once():
    engine = random_model("int8")
    read = []

    class Counting:
        def read(self, sequences):
            read.extend(map(len, sequences))
            return engine.read(sequences)

        def step(self, ids, state):
            return engine.step(ids, state)

    config = EVEN.replace(length=3)
    prompts = ["ab", "", "ab", "abc"] * MAX_ROWS
    list(generate(Counting(), CHARS, prompts, config, seed=1))
    assert sorted(read) == [1, 3, 4]


def test_infinitely_many_prompts_are_read_lazily():
    taken = []

    def prompts():
        while True:
            taken.append("a")
            yield "a"

    config = EVEN.replace(length=5)
    results = generate(random_model("int8"), CHARS, prompts(), config, seed=1)
    assert [each.index for each in islice(results, 1000)] == list(range(1000))
    assert len(taken) <= 1000 + 20 * MAX_ROWS


def test_without_prompts_there_are_no_samples():
    assert list(generate(random_model("int8"), CHARS, [], EVEN, seed=1)) == []


# Conditions on a text


KINGS = build_tokenizer(
    ["the king\nthe king\nthe kind\nthe kind\nthe cat the cat"], TokenizerConfig(level="word")
)


def test_a_half_typed_word_is_completed():
    engine = random_model("int8", KINGS.vocab_size, attention=0)
    config = EVEN.replace(length=8)
    words = [
        KINGS.decode(KINGS.encode("the kin" + each.text)[1:2])
        for each in continued(engine, KINGS, "the kin", config, count=60, seed=2)
    ]
    assert {" king", " kind"} <= set(words)
    preferring = ScriptedEngine(KINGS.vocab_size, KINGS.encode(" king"), prompt_length=2)
    (result,) = continued(preferring, KINGS, "the kin", GREEDY.replace(length=1), seed=1)
    assert preferring.fed[1] == KINGS.encode("the").tolist()
    assert (result.text, result.tokens) == ("g", 1)


@pytest.mark.parametrize("spelled", [False, True])
def test_a_stop_text_in_a_half_typed_word_does_not_count(spelled):
    letters = [KINGS.pieces.index(letter) for letter in " king"]
    word = [BEGIN_SPELLING, *letters, END_SPELLING] if spelled else KINGS.encode(" king").tolist()
    engine = ScriptedEngine(KINGS.vocab_size, [*word, *KINGS.encode(" cat")], prompt_length=2)
    config = GREEDY.replace(stop=("ki", "at"))
    (result,) = continued(engine, KINGS, "the kin", config, seed=1)
    assert (result.text, result.finish_reason) == ("g c", "stop")


@pytest.mark.parametrize("tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"])
@pytest.mark.parametrize("prompt", ["", "ca", "the ca"])
def test_a_banned_text_is_never_written(tokenizer, prompt):
    engine = random_model("int8", tokenizer.vocab_size)
    bans = ("at", "a b", "og", " .", "h")
    config = EVEN.replace(ban=bans, length=40)
    for each in continued(engine, tokenizer, prompt, config, count=60, seed=5):
        whole = prompt + each.text
        for ban in bans:
            assert ban not in whole[max(0, len(prompt) - len(ban) + 1) :]


def test_a_ban_does_not_apply_to_the_prompt():
    engine = ScriptedEngine(CHARS.vocab_size, CHARS.encode("cab"), prompt_length=3)
    (result,) = continued(engine, CHARS, "ab", GREEDY.replace(ban=("ab",), length=3), seed=1)
    assert result.text == "ca"  # then the end is most likely


def test_a_text_ends_if_no_token_may_follow():
    """Its log-probability is finite, whether the model has learned ends or not."""
    config = EVEN.replace(ban=CHARS.vocabulary, length=20)
    for ends in (True, False):
        engine = ScriptedEngine(CHARS.vocab_size)
        (result,) = continued(engine, CHARS, "", config, seed=1, ends=ends)
        assert (result.text, result.tokens, result.finish_reason) == ("", 1, "end")
        assert result.mean_log_probability == pytest.approx(-np.log(CHARS.vocab_size))


@pytest.mark.parametrize("tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"])
@pytest.mark.parametrize("ends", [True, False])
def test_a_text_with_a_minimum_length_avoids_dead_ends(tokenizer, ends):
    """Only the previous letter of the alphabet may follow each letter, so others are dead ends."""
    engine = model_of(tokenizer)
    first, second, *others = [tokenizer.pieces[index] for index in tokenizer.character_ids]
    bans = (first + first, second + second, *others)
    config = EVEN.replace(ban=bans, min_length=12, length=40)
    for each in continued(engine, tokenizer, "", config, count=20, seed=3, ends=ends):
        assert each.tokens >= 12
        assert not any(ban in each.text for ban in bans)
    bans = (*bans, first + second, second + first)
    with raises_naming(UsageError, 12, "`min_length`", "`ban`"):
        next(continued(engine, tokenizer, "", config.replace(ban=bans), seed=3, ends=ends))


@pytest.mark.parametrize("prompt", ["", "the ", "the xy"])
@pytest.mark.parametrize("temperature", [0.0, 9.0])
def test_every_spelled_word_has_a_character(prompt, temperature):
    """This is true even if the model prefers empty words, and if all letters are banned."""
    engine = model_of(WORDS)
    letters = [WORDS.pieces[index] for index in WORDS.character_ids if index]
    for bias, ban in ((), ()), ((("e", 2.0),), ("a",)), ((), tuple(letters)):
        config = EVEN.replace(temperature=temperature, length=60, bias=bias, ban=ban)
        for each in continued(engine, WORDS, prompt, config, count=20, seed=4, alternatives=0):
            drawn = [
                SPECIAL[token.special]
                if token.special in SPECIAL
                else WORDS.pieces.index(token.text)
                for token in each.per_token
            ]
            assert is_well_spelled(WORDS, drawn), drawn


def test_a_bias_makes_a_text_more_or_less_likely():
    engine = random_model("int8")

    def share(bias):
        config = EVEN.replace(length=50, bias=(("a", bias),), min_length=50)
        results = continued(engine, CHARS, "", config, count=20, seed=1)
        return "".join(each.text for each in results).count("a")

    assert share(-1000.0) == 0 < share(-2.0) < share(0.0) < share(2.0) < share(1000.0) == 1000


@pytest.mark.parametrize("least", [0, 1, 7, 30])
@pytest.mark.parametrize("unit", [None, "line", "paragraph", "sentence"])
def test_no_text_is_shorter_than_the_minimum_length(least, unit):
    engine = random_model("int8")
    config = EVEN.replace(min_length=least, length=30, until=unit, stop=("a",) if unit else ())
    for each in continued(engine, CHARS, "", config, count=60, seed=4):
        assert each.tokens >= least
        if each.finish_reason == "end":
            assert len(each.text) >= least


def test_an_ending_before_the_minimum_length_does_not_count():
    config = GREEDY.replace(min_length=4, until="line")
    (result,) = continued(scripted("a\nbc\nd"), CHARS, "", config, seed=1)
    assert (result.text, result.tokens, result.finish_reason) == ("a\nbc", 5, "until")
    config = GREEDY.replace(min_length=4, until="paragraph")
    (result,) = continued(scripted("a\n\nbc\n\nd"), CHARS, "", config, seed=1)
    assert (result.text, result.tokens, result.finish_reason) == ("a\n\nbc", 7, "until")


@pytest.mark.parametrize(
    ("unit", "text", "expected"),
    [
        ("line", "\nab\ncd", "\nab"),
        ("paragraph", "ab\ncd\n\nef", "ab\ncd"),
        ("sentence", "ab. cd.", "ab."),
        ("document", "ab. cd.\n\nef", "ab. cd.\n\nef"),
    ],
)
def test_a_sample_ends_with_its_unit(unit, text, expected):
    shown = []
    (result,) = continued(
        scripted(text), CHARS, "", GREEDY.replace(until=unit), seed=1,
        on_text=lambda _, piece: shown.append(piece),
    )  # fmt: skip
    assert result.text == "".join(shown) == expected
    assert result.finish_reason == ("until" if expected != text else "end")


# Tokens and their alternatives


@pytest.mark.parametrize("tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"])
def test_the_tokens_of_a_sample_are_its_text_and_its_log_probability(tokenizer):
    engine = random_model("int8", tokenizer.vocab_size)
    config = SampleConfig(length=20, min_p=0.1, top_k=5, repetition_penalty=1.4)
    plain = list(continued(engine, tokenizer, "b", config, count=30, seed=2))
    told = list(continued(engine, tokenizer, "b", config, count=30, seed=2, alternatives=3))
    for each, without in zip(told, plain, strict=True):
        assert without.per_token is None
        assert (each.text, each.tokens) == (without.text, without.tokens)
        assert "".join(token.text for token in each.per_token).endswith(each.text)
        assert len(each.per_token) == each.tokens
        total = sum(token.log_probability for token in each.per_token)
        assert total == pytest.approx(each.mean_log_probability * each.tokens, abs=1e-4)
        for token in each.per_token:
            values = [beside.log_probability for beside in token.alternatives]
            assert len(values) == 3
            assert values == sorted(values, reverse=True)
            assert token.log_probability <= values[0] + 1e-5
            assert sum(map(np.exp, values)) <= 1 + 1e-5


def test_special_tokens_are_marked():
    script = [BEGIN_SPELLING, WORDS.pieces.index("a"), END_SPELLING, END_OF_DOCUMENT]
    engine = ScriptedEngine(WORDS.vocab_size, script)
    (result,) = continued(engine, WORDS, "", GREEDY.replace(length=9), seed=1, alternatives=1)
    named = ["begin_spelling", None, "end_spelling", "end"]
    assert [token.special for token in result.per_token] == named
    assert [token.alternatives[0].special for token in result.per_token] == named
    assert result.finish_reason == "end"


def test_alternatives_do_not_depend_on_constraints():
    a, b = CHARS.encode("ab").tolist()
    engine = ScriptedEngine(CHARS.vocab_size, [a, b, UNKNOWN])
    config = EVEN.replace(length=3, ban=("a",), min_length=3)
    (result,) = continued(engine, CHARS, "", config, seed=1, alternatives=1)
    chance = pytest.approx(5 - np.log(np.exp(5) + CHARS.vocab_size - 1), abs=1e-6)
    assert [(each.alternatives[0].text, each.alternatives[0].log_probability)
            for each in result.per_token[:2]] == [("a", chance), ("b", chance)]  # fmt: skip
    assert "a" not in result.text
    assert "\ufffd" not in [each.alternatives[0].text for each in result.per_token]


# Repetitions


@pytest.mark.parametrize(("tokenizer", "allowed"), [(CHARS, 20), (WORDS, 4)])
def test_the_default_loop_length_depends_on_the_level(tokenizer, allowed):
    favorite, other = tokenizer.encode("ab").tolist()[:2] if tokenizer is CHARS else (
        tokenizer.pieces.index(" cat"), tokenizer.pieces.index(" dog"))  # fmt: skip

    class Looping(ScriptedEngine):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            logits[:, [favorite, other]] = [9.0, 8.0]
            return logits, state

    config = GREEDY.replace(length=40, loop_penalty=5.0)
    engine = Looping(tokenizer.vocab_size)
    (result,) = continued(engine, tokenizer, "", config, seed=1, alternatives=0)
    tokens = [token.text for token in result.per_token]
    # The repetition of n tokens is n + 1 tokens long. The next token would continue it.
    assert tokens.index(tokenizer.pieces[other]) == allowed + 1


def test_line_ends_do_not_count_as_repetitions():
    newline, a = CHARS.encode("\na").tolist()

    class Lines(ScriptedEngine):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            logits[:, [newline, a]] = [4.0, 3.0]
            return logits, state

    for penalties in (
        {"repetition_penalty": 10.0}, {"presence_penalty": 9.0}, {"frequency_penalty": 9.0},
        {"loop_penalty": 9.0, "loop_length": 1},
    ):  # fmt: skip
        config = GREEDY.replace(length=6, **penalties)
        (result,) = continued(Lines(CHARS.vocab_size), CHARS, "\n\n", config, seed=1)
        assert result.text == "\n" * 6


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_that_has_not_learned_ends_writes_the_whole_length(temperature):
    config = SampleConfig(temperature=temperature, min_p=0.0, length=30)
    engine = scripted("ab")
    (sample,) = continued(engine, CHARS, "", config, seed=1, ends=False)
    assert (sample.finish_reason, sample.tokens) == ("length", 30)
    drawn = list(
        continued(random_model("float32"), CHARS, "", config, count=40, seed=1, ends=False)
    )
    assert {sample.finish_reason for sample in drawn} == {"length"}
    usual = list(continued(random_model("float32"), CHARS, "", config, count=40, seed=1))
    assert temperature == 0 or "end" in {sample.finish_reason for sample in usual}
