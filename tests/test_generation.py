from __future__ import annotations

import re
from functools import cache
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import ModelConfig, SampleConfig, TokenizerConfig
from charlstm.engine import build_engine
from charlstm.errors import UsageError
from charlstm.generation import MAX_ROWS, Sample, generate
from charlstm.tokenizer import BEGIN_SPELLING, END_OF_DOCUMENT, UNKNOWN, build_tokenizer

CHARS = build_tokenizer(["abcdefgh .\n"], TokenizerConfig())
WORDS = build_tokenizer(
    ["the cat\nthe cat saw the dog and the dog ran . xylophone"], TokenizerConfig(level="word")
)
GREEDY = SampleConfig(temperature=0.0, min_p=0.0)
EVEN = SampleConfig(temperature=1.0, min_p=0.0)


class ScriptedEngine:
    """Wants to write the given ids one after the other; its state [1,B,1] counts steps read."""

    def __init__(self, vocab_size, script=(), prompt_length=1):
        self.vocab_size = vocab_size
        self.script = list(script)
        self.prompt_length = prompt_length
        self.fed = []

    def initial_state(self, batch):
        return np.zeros((1, batch, 1), np.float32)

    def step(self, ids, state):
        self.fed.append(ids.tolist())
        state = state + 1
        logits = np.zeros((len(ids), self.vocab_size), np.float32)
        for row, steps in enumerate(state[0, :, 0].astype(int)):
            if 0 <= (place := steps - self.prompt_length) < len(self.script):
                logits[row, self.script[place]] = 5.0
        return logits, state

    def read(self, sequences):
        ((logits, state),) = [self.run(ids[np.newaxis], self.initial_state(1)) for ids in sequences]
        return logits[:, -1], state

    def run(self, ids, state):
        logits = []
        for column in ids.T:
            step_logits, state = self.step(column, state)
            logits.append(step_logits)
        return np.stack(logits, axis=1), state


def continued(engine, tokenizer, prompt, config, *, count=1, **rest):
    """Continue one prompt."""
    return generate(engine, tokenizer, [prompt] * count, config, **rest)


def scripted(text, end=True):
    ids = CHARS.encode(text).tolist()
    return ScriptedEngine(CHARS.vocab_size, [*ids, END_OF_DOCUMENT] if end else ids)


@cache
def random_model(precision, vocab_size=CHARS.vocab_size):
    config = ModelConfig(vocab_size=vocab_size, embedding=8, units=20, layers=2)
    rng = np.random.default_rng(1)
    shapes = {
        "embedding/embeddings": (vocab_size, 8),
        "lstm_0/kernel": (8, 80),
        "lstm_0/recurrent_kernel": (20, 80),
        "lstm_0/bias": (80,),
        "lstm_1/kernel": (20, 80),
        "lstm_1/recurrent_kernel": (20, 80),
        "lstm_1/bias": (80,),
        "output/kernel": (20, vocab_size),
        "output/bias": (vocab_size,),
    }
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    weights["output/bias"][END_OF_DOCUMENT] -= 2  # texts of some length
    return build_engine(config, weights, precision=precision, threads=1)


def log_probabilities(logits):
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


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
def test_a_sample_is_the_same_whatever_is_drawn_beside_it(
    precision, count, index, seed, prompt, config
):
    engine = random_model(precision)
    index = min(index, count - 1)
    many = list(continued(engine, CHARS, prompt, config, count=count, seed=seed))
    fewer = list(continued(engine, CHARS, prompt, config, count=index + 1, seed=seed))
    assert [each.index for each in many] == list(range(count))
    assert fewer == many[: index + 1]


def test_more_than_a_uniform_block_is_drawn_alike_in_a_batch():
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
    assert engine.fed == [[END_OF_DOCUMENT], *([symbol] for symbol in CHARS.encode(prompt))]


def test_a_sample_tells_everything_about_itself():
    (result,) = continued(scripted("abba"), CHARS, "", GREEDY, seed=7)
    chance = 5 - np.log(np.exp(5) + CHARS.vocab_size - 1)
    assert result == Sample(0, "", "abba", 5, 7, "end", result.mean_log_probability)
    assert result.mean_log_probability == pytest.approx(chance, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), temperature=st.sampled_from([0.0, 0.5, 2.0]))
def test_the_mean_log_probability_is_the_models_own(seed, temperature):
    engine = random_model("float32")
    config = SampleConfig(length=50, temperature=temperature, repetition_penalty=1.3)
    (result,) = continued(engine, CHARS, "ab", config, seed=seed)
    ids = CHARS.encode("ab" + result.text).astype(np.int64)
    if result.finish_reason == "end":
        ids = np.append(ids, END_OF_DOCUMENT)
    read = np.concatenate([[END_OF_DOCUMENT], ids[:-1]])
    logits, _ = engine.run(read[np.newaxis], engine.initial_state(1))
    values = [log_probabilities(row)[symbol] for row, symbol in zip(logits[0], ids, strict=True)]
    assert result.tokens == len(ids) - 2
    assert result.mean_log_probability == pytest.approx(np.mean(values[2:]), abs=1e-4)


def test_length_counts_drawn_symbols():
    (result,) = continued(scripted("abcdef"), CHARS, "", GREEDY.replace(length=4), seed=1)
    assert (result.text, result.tokens, result.finish_reason) == ("abcd", 4, "length")


def test_no_symbol_is_read_that_is_not_needed():
    engine = scripted("abcdef")
    list(continued(engine, CHARS, "", GREEDY.replace(length=4), seed=1))
    assert len(engine.fed) == 4  # the start and three of the four symbols drawn


@pytest.mark.parametrize("stops", [(".",), ("c.",), ("bc.", "zzz"), ("c.", ".")])
@pytest.mark.parametrize("length", [20, 4])
def test_a_stop_text_ends_a_sample_and_is_no_part_of_it(stops, length):
    config = GREEDY.replace(stop=stops, length=length)
    (result,) = continued(scripted("abc.def"), CHARS, "", config, seed=1)
    expected = "abc."[: -max(len(stop) for stop in stops if stop != "zzz")]
    assert (result.text, result.tokens, result.finish_reason) == (expected, 4, "stop")


def test_a_prompt_does_not_count_for_a_stop_text():
    engine = ScriptedEngine(CHARS.vocab_size, CHARS.encode("bcab"), prompt_length=2)
    (result,) = continued(engine, CHARS, "a", GREEDY.replace(stop=("ab",)), seed=1)
    assert (result.text, result.finish_reason) == ("bc", "stop")


def test_a_stop_text_is_found_inside_a_symbol():
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
        drawn_symbols = len(each.text) + (each.finish_reason == "end")
        assert each.tokens == drawn_symbols or each.finish_reason == "stop"
        assert each.finish_reason != "length" or each.tokens == 60


def test_text_is_shown_as_it_is_drawn():
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


def test_a_sample_is_given_as_soon_as_those_before_it_are_done():
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


def test_the_unknown_symbol_is_never_drawn():
    engine = ScriptedEngine(CHARS.vocab_size, [UNKNOWN] * 300)
    results = continued(engine, CHARS, "", EVEN.replace(length=300), count=20, seed=1)
    assert not any("\ufffd" in each.text for each in results)


def test_the_repetition_penalty_sees_the_prompt_and_what_was_drawn():
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


def test_a_loop_is_left_when_it_costs():
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
    # The fourth symbol would go on with a repetition of two and cost 2, the fifth of three.
    assert text(loop_penalty=2.0, loop_length=2)[:4] == "aaab"
    assert text(loop_penalty=0.1, loop_length=2) == "aaaaaaab"


@pytest.mark.parametrize("bits", [1.1, 1.4, 1.8])
def test_mirostat_holds_the_surprise_of_a_model(bits):
    """Of many samples together, after the symbols that it takes to come down."""

    class Skewed(ScriptedEngine):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            return logits - 0.7 * np.arange(self.vocab_size)[::-1].astype(np.float32), state

    config = EVEN.replace(length=400, mirostat=bits)
    engine = Skewed(CHARS.vocab_size)
    results = continued(engine, CHARS, "", config, count=20, seed=4, alternatives=0)
    surprises = [-each.log_probability for result in results for each in result.symbols[100:]]
    assert np.mean(surprises) / np.log(2) == pytest.approx(bits, abs=0.1)


@pytest.mark.parametrize("tokenizer", [CHARS, WORDS], ids=["characters", "words"])
@pytest.mark.parametrize("expression", ["[a-h ]{3,6}", "c?[a-d]+( the| [a-e]{2,})*", "(?s).*"])
def test_every_sample_matches(tokenizer, expression):
    engine = random_model("int8", tokenizer.vocab_size)
    config = EVEN.replace(match=expression, length=9)
    for each in continued(engine, tokenizer, "", config, count=60, seed=3):
        assert re.fullmatch(expression, each.text)
        assert each.tokens <= 9


@pytest.mark.parametrize("prompt", ["ca", "cad ", "cad a"])
@pytest.mark.parametrize("tokenizer", [CHARS, WORDS], ids=["characters", "words"])
def test_the_prompt_is_part_of_the_match(tokenizer, prompt):
    engine = random_model("int8", tokenizer.vocab_size)
    config = EVEN.replace(match="ca[a-d]+( [a-h]+)+", length=20)
    for each in continued(engine, tokenizer, prompt, config, count=40, seed=3):
        assert re.fullmatch(config.match, prompt + each.text)


@pytest.mark.parametrize(
    ("prompt", "settings", "message"),
    [
        ("x", {}, "no match of the pattern '[a-d]{4}' begins with the prompt 'x': the pattern is "
         "for the whole text, the prompt included"),
        ("a", {"length": 2}, "a match of the pattern '[a-d]{4}' needs 3 symbols or more, and the "
         "length is 2: raise --length"),
    ],
)  # fmt: skip
def test_what_can_not_come_to_a_match_is_refused(prompt, settings, message):
    config = EVEN.replace(match="[a-d]{4}", **settings)
    with pytest.raises(UsageError) as caught:
        list(continued(random_model("int8"), CHARS, prompt, config, seed=1))
    assert str(caught.value) == message


def test_a_required_beginning_is_kept_and_not_repeated():
    for seed in range(30):
        engine = ScriptedEngine(WORDS.vocab_size)
        (result,) = continued(engine, WORDS, "the ", EVEN.replace(length=4), seed=seed)
        assert engine.fed[1] == WORDS.encode("the").tolist()
        drawn = [ids[0] for ids in engine.fed[2:]]
        spelled = drawn[0] == BEGIN_SPELLING
        begun = WORDS.pieces[drawn[1] if spelled else drawn[0]]
        assert begun == " " if spelled else begun.startswith(" ")
        assert WORDS.decode(drawn).startswith(" ")
        assert (" " + result.text).startswith(WORDS.decode(drawn))


def test_a_required_beginning_can_be_spelled():
    x, y = WORDS.encode("x")[0], WORDS.encode("y")[0]
    space = WORDS.encode(" ")[0]
    script = [BEGIN_SPELLING, x, x, y, END_OF_DOCUMENT]  # the second must give way to the space
    engine = ScriptedEngine(WORDS.vocab_size, script, prompt_length=2)
    (result,) = continued(engine, WORDS, "the ", GREEDY, seed=1)
    assert [ids[0] for ids in engine.fed[2:]] == [BEGIN_SPELLING, space, x, y]
    assert (result.text, result.finish_reason) == ("xy", "end")


def test_generation_is_lazy():
    engine = ScriptedEngine(CHARS.vocab_size)
    results = continued(engine, CHARS, "", EVEN.replace(length=5), count=10**6, seed=1)
    assert [each.index for each in islice(results, 2)] == [0, 1]
    assert len(engine.fed) < 20
