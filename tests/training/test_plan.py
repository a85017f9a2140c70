"""Tests of ``charlstm.training.plan``: the rules that choose the settings of a run."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charlstm.config import ADAMS, DECAYING, ModelConfig, Optimizer, TrainConfig
from charlstm.dataset.batches import Streams
from charlstm.dataset.store import TokenStore
from charlstm.errors import ConfigError, CorpusError
from charlstm.tokenizer.base import END_OF_DOCUMENT
from charlstm.training import memory, presets
from charlstm.training.evaluations import evaluation_cost
from charlstm.training.plan import Start, bounded_epochs, default_epochs, make_plan
from charlstm.training.presets import OPTIMIZER_DEFAULTS, SIZES, choose_size
from charlstm.training.text_facts import TextFacts
from tests.messages import assert_names

ORDER = list(SIZES)  # smallest first
LEAST = 64  # tokens of the smallest batch that is chosen automatically
MEGABYTE = {
    "level": "char",
    "vocab_size": 70,
    "train_tokens": 1_000_000,
    "valid_tokens": 100_000,
    "characters_per_token": 1.0,
    "valid_fraction": 0.1,
}

levels = st.sampled_from(["char", "subword", "word"])
optimizers = st.sampled_from(sorted(OPTIMIZER_DEFAULTS))
# Lengths of every magnitude, not mostly huge ones.
lengths = (
    st.integers(0, 26)
    .flatmap(lambda power: st.integers(0, 2**power))
    .map(lambda more: min(LEAST + more, 10**8))
)
speeds = st.floats(1e8, 1e14)
budgets = st.one_of(
    st.fixed_dictionaries({"epochs": st.floats(1e-3, 1e4)}),
    st.fixed_dictionaries({"steps": st.integers(1, 10**6)}),
    st.fixed_dictionaries({"minutes": st.floats(1e-3, 1e4)}),
    st.just({}),
)


def planned(choices=None, **changes):
    """Plan for a megabyte of text on a machine of a fixed speed, unless given otherwise."""
    facts = MEGABYTE | {
        name: changes.pop(name) for name in (*MEGABYTE, "documents") if name in changes
    }
    return make_plan(TextFacts(**facts), **{"speed": 1e11, "choices": choices} | changes)


def without_speed(plan):
    """Leave out what depends on the machine, such as the expected steps of a budget in minutes."""
    steps = plan.steps if plan.train.minutes is None else 0
    return dataclasses.replace(plan, tokens_per_second=0.0, minutes=0.0, steps=steps)


# Size


def test_sizes_grow():
    parameters = [
        ModelConfig(vocab_size=64, layers=layers, units=units, embedding=embedding).parameters
        for layers, units, embedding in SIZES.values()
    ]
    assert parameters == sorted(set(parameters))


@pytest.mark.parametrize(
    ("level", "tokens", "size"),
    [
        ("char", 0, "tiny"),
        ("char", 39_999, "tiny"),
        ("char", 40_000, "small"),
        ("char", 499_999, "small"),
        ("char", 500_000, "medium"),
        ("char", 49_999_999, "medium"),
        ("char", 50_000_000, "large"),
        ("char", 10**12, "large"),
        ("word", 39_999, "tiny"),
        ("word", 40_000, "small"),
        ("word", 199_999, "small"),
        ("word", 200_000, "medium"),
        ("word", 20_000_000, "large"),
    ],
)
def test_the_size_depends_on_the_length_of_the_text(level, tokens, size):
    assert choose_size(level, tokens) == size
    if tokens >= LEAST:
        size = choose_size(level, tokens, presets.LONGEST_MINUTES)
        preset, plan = SIZES[size], planned(level=level, train_tokens=tokens)
        assert plan.size == size
        assert (plan.model.layers, plan.model.units) == preset[:2]
        assert plan.model.embedding == preset[1 if level == "word" else 2]


@pytest.mark.parametrize(
    ("level", "minutes", "size"),
    [
        ("char", 1e-3, "tiny"),
        ("char", 0.19, "tiny"),
        ("char", 0.2, "small"),
        ("char", 2.4, "small"),
        ("char", 2.5, "medium"),
        ("char", 1e3, "medium"),
        ("word", 0.2, "small"),
        ("word", 5.9, "small"),
        ("word", 6.0, "medium"),
    ],
)
def test_a_budget_in_minutes_may_change_the_size(level, minutes, size):
    speed = presets.SIZING_SPEED / presets.EFFICIENCY["float32"]
    choices = {"minutes": minutes}
    assert planned(choices, level=level, speed=speed).size == size
    assert planned(choices, level=level, speed=100 * speed).size == size
    # On a machine half as fast it takes twice the minutes, unless other machines plan too.
    twice = {"minutes": 2 * minutes}
    assert planned(twice, level=level, speed=speed / 4, processors=2).size == size
    assert planned(choices, level=level, speed=speed / 2, is_shared=True).size == size
    assert planned(choices, size="large", speed=speed).size == "large"


minutes_given = st.floats(1e-3, 1e5)


@given(levels, st.integers(0, 10**9), minutes_given)
def test_a_budget_in_minutes_never_makes_the_model_larger(level, tokens, minutes):
    timed = choose_size(level, tokens, minutes)
    assert ORDER.index(timed) <= ORDER.index(choose_size(level, tokens))


@given(levels, st.integers(0, 10**9), st.integers(0, 10**9), minutes_given, minutes_given)
def test_more_text_or_more_time_never_makes_the_model_smaller(level, one, other, long, longer):
    short, long, longer = min(one, other), *sorted((long, longer))
    size = ORDER.index(choose_size(level, short, long))
    assert ORDER.index(choose_size(level, max(one, other), long)) >= size
    assert ORDER.index(choose_size(level, short, longer)) >= size


@pytest.mark.parametrize("size", ORDER)
def test_a_named_size_wins(size):
    plan = planned(size=size)
    assert plan.size == size
    assert (plan.model.layers, plan.model.units, plan.model.embedding) == SIZES[size]


@pytest.mark.parametrize("choice", [{"units": 300}, {"layers": 5}, {"embedding": 77}])
def test_a_model_with_chosen_sizes_is_custom(choice):
    assert planned(choice).size == "custom"


def test_a_given_model_is_not_changed():
    model = ModelConfig(vocab_size=70, layers=3, units=99, embedding=11)
    plan = planned(start=Start(model), size="large")
    assert plan.size == "given"
    assert plan.model == model


# Ties


def test_words_are_tied_by_default_and_characters_are_not():
    words = planned(level="word").model
    assert words.tied
    assert words.embedding == words.units == 512
    assert not planned(level="char").model.tied
    assert not planned({"embedding": 512}, level="char").model.tied


@pytest.mark.parametrize(
    ("choices", "level", "expected"),
    [
        ({"tied": True}, "char", (512, 512, True)),
        ({"tied": True, "units": 300}, "char", (300, 300, True)),
        ({"tied": True, "embedding": 512}, "char", (512, 512, True)),
        ({"tied": False}, "word", (128, 512, False)),
        ({"units": 300}, "word", (300, 300, True)),
        ({"embedding": 100}, "word", (100, 512, False)),
        ({"embedding": 512}, "word", (512, 512, True)),
        ({"embedding": 300, "units": 300}, "word", (300, 300, True)),
        ({"embedding": 300, "units": 400}, "word", (300, 400, False)),
    ],
)
def test_ties_and_widths_fit(choices, level, expected):
    model = planned(choices, level=level).model
    assert (model.embedding, model.units, model.tied) == expected


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("units", [None, 256])
def test_a_tie_that_can_not_be_is_refused(level, units, sentence):
    with pytest.raises(ConfigError) as caught:
        planned({"tied": True, "embedding": 100, "units": units}, level=level)
    sentence(caught.value, "`tie`", "`embedding` is 100", f"`units` is {units or 512}")


# Batches


@given(levels, lengths)
def test_the_text_has_at_least_one_batch_of_the_automatic_choice(level, tokens):
    plan = planned(level=level, train_tokens=tokens)
    train = plan.train
    assert train.streams * train.sequence_length <= tokens
    assert 4 <= train.streams <= (16 if level == "word" else 48)
    assert train.sequence_length in (16, 32)


@given(levels, lengths)
def test_streams_leave_at_least_fifty_batches_to_an_epoch(level, tokens):
    train = planned(level=level, train_tokens=tokens).train
    fifty = 50 * train.streams * train.sequence_length
    most = 16 if level == "word" else 48
    assert train.streams in (4, 8, 16, 32, 48)
    assert train.streams == 4 or fifty <= tokens
    assert train.streams == most or 2 * fifty > tokens


@given(levels, st.integers(0, LEAST - 1), st.floats(0.5, 20))
def test_a_text_that_is_too_short_is_refused(level, tokens, characters_per_token):
    with pytest.raises(CorpusError) as caught:
        planned(level=level, train_tokens=tokens, characters_per_token=characters_per_token)
    characters = math.ceil(64 * max(1, characters_per_token) / 0.9)
    assert_names(
        caught.value,
        "too short",
        f"{tokens} tokens",
        "4 streams of 16 tokens",
        64,
        f"{characters:,} characters",
        "`valid_fraction`",
    )


@given(st.integers(1, 65_536), st.integers(1, 65_536), st.integers(1, 10**7))
def test_a_text_shorter_than_a_chosen_batch_is_refused(streams, sequence_length, tokens):
    choices = {"streams": streams, "sequence_length": sequence_length}
    needed = streams * sequence_length
    if tokens >= needed:
        assert planned(choices, train_tokens=tokens).train.streams == streams
        return
    with pytest.raises(CorpusError) as caught:
        planned(choices, train_tokens=tokens)
    assert_names(
        caught.value,
        f"{tokens:,} tokens",
        f"{streams:,} streams",
        f"{sequence_length:,} tokens",
        f"{needed:,}",
        f"{math.ceil(needed / 0.9):,} characters",
        "or lower",
    )


def test_the_text_length_in_the_message_is_enough():
    with pytest.raises(CorpusError) as caught:
        planned(train_tokens=10, valid_tokens=2)
    (characters,) = re.findall(r"about ([\d,]+) characters", str(caught.value))
    enough = int(characters.replace(",", ""))
    assert planned(train_tokens=int(0.9 * enough), valid_tokens=3).train.streams == 4


@pytest.mark.parametrize("valid_tokens", [0, 1, 2])
def test_a_text_without_validation_part_is_refused(valid_tokens, sentence):
    with pytest.raises(CorpusError) as caught:
        planned(valid_tokens=valid_tokens)
    sentence(caught.value, "validation", "`valid_fraction` 0")
    assert planned(valid_tokens=3).steps > 0


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([0.0, 0.1, None]))
def test_the_message_on_too_few_documents_does_not_depend_on_the_split(train, valid, fraction):
    """The seed decides which documents are trained on, so the figures count all documents."""

    def said(train, valid):
        try:
            planned(
                train_tokens=train,
                valid_tokens=valid,
                valid_fraction=fraction,
                documents="7 distinct lines",
            )
        except CorpusError as error:
            return str(error)
        return None

    found = said(train, valid)
    is_enough = train >= LEAST and (valid >= 3 or fraction == 0.0)
    assert (found is None) == is_enough
    if found is None or (fraction is None and train >= LEAST):
        return
    all_tokens = train + valid if fraction else train
    assert f"7 distinct lines with {all_tokens} tokens in all" in found
    assert ("`valid_fraction` 0" in found) == (all_tokens >= LEAST)
    if fraction:
        others = {said(part, train + valid - part) for part in range(0, train + valid + 1, 7)}
        assert others <= {found, None}


def test_a_validation_text_of_its_own_that_is_too_short_is_refused(sentence):
    with pytest.raises(CorpusError) as caught:
        planned(valid_tokens=2, valid_fraction=None)
    sentence(caught.value, "`valid`", "2 tokens", 3)


def test_without_validation_no_validation_text_is_needed():
    assert planned(train_tokens=64, valid_tokens=0, valid_fraction=0.0).train.streams == 4


@given(st.integers(1, 400), st.floats(0.01, 0.999), st.floats(0.5, 6))
def test_the_characters_in_the_message_are_enough_for_any_fraction(tokens, fraction, length):
    """A text of exactly this length can be trained on, and a shorter one can't."""
    facts = {"characters_per_token": length, "valid_fraction": fraction}
    train, valid = int((1 - fraction) * tokens), tokens - int((1 - fraction) * tokens)
    if train >= LEAST:
        return
    with pytest.raises(CorpusError) as caught:
        planned(train_tokens=train, valid_tokens=valid, **facts)
    (characters,) = re.findall(r"about ([\d,]+) characters", str(caught.value))
    enough = int(characters.replace(",", "")) / max(1.0, length)
    assert planned(train_tokens=math.ceil((1 - fraction) * enough), **facts).steps > 0
    assert (1 - fraction) * (enough - 1) < LEAST
    assert ("lower `valid_fraction`" in str(caught.value)) == (tokens >= LEAST + 3)


# Budget


@given(st.integers(1, 10**12), st.integers(1, 10**12), levels)
def test_longer_texts_get_fewer_epochs(one, other, level):
    short, long = (default_epochs(length, level) for length in sorted((one, other)))
    assert 1.0 <= long <= short <= 70.0
    assert default_epochs(one, "word") <= default_epochs(one, "char")


@given(levels)
def test_a_megabyte_gets_eight_epochs(level):
    assert default_epochs(1_000_000, level) == 8.0
    assert planned().train.epochs == 8.0


def minutes_at_nominal_speed(plan):
    model, train = plan.model, plan.train
    multiplied = model.parameters - (0 if model.tied else model.vocab_size * model.embedding)
    read = train.epochs * plan.steps_per_epoch * train.streams * train.sequence_length
    return 6 * multiplied * read / presets.NOMINAL_SPEED / 60


@given(levels, st.integers(LEAST, 10**12), st.sampled_from([70, 20_200]))
def test_without_options_no_plan_takes_much_longer_than_two_hours(level, tokens, vocab_size):
    plan = planned(level=level, train_tokens=tokens, vocab_size=vocab_size)
    assert minutes_at_nominal_speed(plan) <= 120 * 1.06  # epochs are rounded to two digits
    assert plan.train.epochs <= default_epochs(tokens, level)
    is_bounded = plan.train.epochs < default_epochs(tokens, level)
    assert plan.unbounded_epochs == (default_epochs(tokens, level) if is_bounded else None)
    if is_bounded:
        assert minutes_at_nominal_speed(plan) >= 110


@pytest.mark.parametrize(
    ("megabytes", "size", "epochs"),
    [(0.1, "small", 48.7), (1, "medium", 8.7), (20, "medium", 1.9), (290, "medium", 0.2)],
)
def test_plans_without_options(megabytes, size, epochs):
    plan = planned(train_tokens=int(0.9e6 * megabytes), valid_tokens=int(0.1e6 * megabytes))
    assert (plan.size, plan.train.epochs) == (size, epochs)


@pytest.mark.parametrize("choices", [{"epochs": 1}, {"steps": 10**6}, {"minutes": 1e4}])
def test_a_chosen_budget_is_used_however_long(choices):
    plan = planned(choices, train_tokens=10**9)
    ((name, value),) = choices.items()
    assert getattr(plan.train, name) == value
    assert plan.unbounded_epochs is None
    assert plan.size == ("large" if name == "minutes" else "medium")


@given(
    levels, lengths, st.booleans(), st.sampled_from([None, "epochs", "steps"]), st.integers(1, 999)
)
@example("char", LEAST + 1, False, None, 1)  # the second end mark is not trained on
def test_the_plan_counts_steps_as_training_does(level, tokens, is_cut, budget, value):
    plan = planned(budget and {budget: value}, level=level, train_tokens=tokens)
    train = plan.train
    # The end mark of a text that is not cut is on disk, but not in the ring.
    size, token_id = (tokens, 5) if is_cut else (tokens + 1, END_OF_DOCUMENT)
    ids = np.broadcast_to(np.uint8(token_id), size)
    assert TokenStore(ids, ids).train_tokens == tokens
    streams = Streams(ids, train.streams, train.sequence_length, 1, np.zeros(6))
    assert plan.steps_per_epoch == streams.steps_per_epoch
    if train.steps is None:
        text = TextFacts(**MEGABYTE | {"level": level, "train_tokens": tokens})
        expected = bounded_epochs(text, plan.model) if budget is None else value
        assert train.epochs == expected
        assert plan.steps == max(1, round(train.epochs * streams.steps_per_epoch))
    else:
        assert plan.steps == train.steps == value


@given(levels, lengths, st.sampled_from(["steps", "epochs", "minutes"]), st.integers(1, 5000))
def test_settings_that_depend_on_the_budget_fit_it(level, tokens, budget, value):
    plan = planned({budget: value}, level=level, train_tokens=tokens)
    train = plan.train
    if budget == "minutes":
        assert train.warmup_steps == min(100, 50 * value)
        assert train.eval_every is None  # evaluations depend on the minutes
        assert (train.patience, train.sample_every) == (5, 2)
    else:
        assert 0 <= train.warmup_steps <= min(100, plan.steps / 10)
        assert 1 <= train.eval_every <= plan.steps


@given(st.integers(60, 5000))
def test_a_run_is_evaluated_at_least_ten_times(steps):
    """Every ``eval_every`` steps and at the end, as the help of ``--eval-every`` says."""
    plan = planned({"steps": steps}, valid_tokens=3)
    assert math.ceil(steps / plan.train.eval_every) >= 10
    assert plan.train.eval_every <= plan.steps_per_epoch


@given(levels, lengths, lengths, st.sampled_from(["steps", "epochs", None]), st.integers(1, 5000))
def test_evaluations_take_a_twentieth_of_a_run_or_there_is_one(level, tokens, valid, budget, value):
    plan = planned(budget and {budget: value}, level=level, train_tokens=tokens, valid_tokens=valid)
    train, steps = plan.train, plan.steps
    early = train.first_evaluation is not None
    number = math.ceil(steps / train.eval_every) + early
    cost = number * evaluation_cost(valid, train.validated)
    assert number == 1 or cost <= 0.05 * steps * train.streams * train.sequence_length
    assert not early or 20 <= train.first_evaluation <= train.eval_every / 2


def test_the_first_evaluation_is_early():
    train = planned({"steps": 4000}, valid_tokens=3).train
    assert (train.first_evaluation, train.eval_every) == (100, 400)
    assert planned({"steps": 4000, "eval_every": 400}).train.first_evaluation is None


@given(levels, lengths, lengths, budgets, st.none() | st.integers(1, 1000), speeds)
def test_a_long_validation_text_is_sampled(level, tokens, valid, budget, eval_every, speed):
    """The size of the sample does not depend on the measured speed."""
    choices, facts = budget | {"eval_every": eval_every}, {"level": level, "train_tokens": tokens}
    train = planned(choices, valid_tokens=valid, speed=speed, **facts).train
    assert train.validated == planned(choices, valid_tokens=valid, **facts).train.validated
    if valid <= presets.MOST_VALIDATED:
        assert train.validated is None
    else:
        assert presets.LEAST_VALIDATED <= train.validated <= presets.MOST_VALIDATED
    assert train.tokens_validated(valid) == min(valid, train.validated or valid)


@pytest.mark.parametrize(
    ("choices", "valid_fraction"),
    [({"steps": 10_000}, None), ({"minutes": 30.0}, 0.1), ({"epochs": 9.0}, 0.1)],
)
def test_longer_runs_validate_on_more(choices, valid_fraction):
    (name, value), facts = (
        *choices.items(),
        {"valid_tokens": 10**7, "valid_fraction": valid_fraction},
    )
    counted = [
        planned({name: type(value)(value * n)}, **facts).train.validated for n in (0.004, 1, 100)
    ]
    assert counted[0] == presets.LEAST_VALIDATED < counted[1] < counted[2] == 128 * 1536


@given(st.integers(1, 100_000), st.none() | st.integers(1, 1000))
def test_patience_is_a_fifth_of_all_evaluations(steps, eval_every):
    """This holds whether or not the user chose how often to evaluate."""
    train = planned({"steps": steps, "eval_every": eval_every}).train
    evaluations = steps // train.eval_every
    assert train.patience == max(5, evaluations // 5)
    assert train.sample_every == max(1, evaluations // 5)


@given(levels, lengths, st.floats(1e-3, 1e4), speeds)
def test_a_budget_in_minutes_gives_an_estimate_of_the_steps(level, tokens, minutes, speed):
    plan = planned({"minutes": minutes}, level=level, train_tokens=tokens, speed=speed)
    assert plan.minutes == plan.train.minutes == minutes
    assert plan.train.epochs is plan.train.steps is None
    per_step = plan.train.streams * plan.train.sequence_length / plan.tokens_per_second
    seconds = 60 * minutes - presets.START_SECONDS
    assert plan.steps == 1 or plan.steps * per_step <= seconds * (1 + 1e-9)
    assert (plan.steps + 1) * per_step >= seconds * (1 - 1e-9)


@pytest.mark.parametrize(
    "names", [("epochs", "steps"), ("epochs", "minutes"), ("epochs", "steps", "minutes")]
)
def test_two_budgets_are_refused(names, sentence):
    with pytest.raises(ConfigError) as caught:
        planned(dict.fromkeys(names, 3))
    sentence(caught.value, *names)


# Speed


@given(levels, lengths, speeds, st.sampled_from(["float32", "bfloat16"]))
def test_without_minutes_nothing_depends_on_the_speed(level, tokens, speed, product_type):
    expected = planned(level=level, train_tokens=tokens)
    plan = planned(level=level, train_tokens=tokens, speed=speed, product_type=product_type)
    train = plan.train.replace(precision="float32")
    same = dataclasses.replace(plan, train=train, memory=expected.memory)
    assert without_speed(same) == without_speed(expected)
    assert plan.memory <= expected.memory


@given(levels, lengths, st.integers(1, 300), budgets, st.sampled_from(["float32", "bfloat16"]))
def test_only_shards_and_the_expected_time_depend_on_the_cores(
    level, tokens, processors, budget, product
):
    """Shards run in parallel, one per core. Fewer than four rows per shard don't pay off.

    The number of cores also affects what a budget in minutes can do, and therefore the size, unless
    the plan is shared.
    """
    options = {"level": level, "train_tokens": tokens, "product_type": product, "is_shared": True}
    plan = planned(budget, processors=processors, **options)
    alone = planned(budget, processors=1, **options)
    assert alone.train.shards == 1
    assert plan.train.shards == max(1, min(processors, plan.train.streams // 4))
    train = plan.train.replace(shards=1)
    assert without_speed(dataclasses.replace(plan, train=train)) == without_speed(alone)
    assert plan.tokens_per_second == pytest.approx(processors * alone.tokens_per_second)


@given(st.integers(1, 64), st.integers(1, 500))
def test_each_shard_has_four_rows_or_there_is_one(processors, streams):
    shards = planned({"streams": streams}, processors=processors).train.shards
    assert shards == 1 or streams // shards >= 4
    assert 1 <= shards <= processors
    assert shards == processors or streams // (shards + 1) < 4


def test_chosen_shards_win():
    assert planned({"shards": 3}, processors=16).train.shards == 3
    assert planned({"shards": 3}, processors=1).train.shards == 3


@pytest.mark.parametrize("product_type", ["float32", "bfloat16"])
@pytest.mark.parametrize("precision", [None, "auto"])
def test_the_plan_records_the_precision_of_training(product_type, precision):
    """So that a resumed run uses the same precision on any machine."""
    plan = planned({"precision": precision}, product_type=product_type)
    assert plan.train.precision == product_type


@given(levels, lengths, st.floats(0.01, 1.0))
def test_the_rate_share_changes_only_the_automatic_rate(level, tokens, share):
    model = planned(level=level, train_tokens=tokens).model
    usual = planned(level=level, train_tokens=tokens, start=Start(model))
    gentle = planned(level=level, train_tokens=tokens, start=Start(model, share))
    rate = usual.train.learning_rate
    assert gentle.train.learning_rate == pytest.approx(share * rate, rel=0.1)
    assert dataclasses.replace(gentle, train=gentle.train.replace(learning_rate=rate)) == usual
    chosen = planned({"learning_rate": 0.123}, train_tokens=tokens, start=Start(model, share))
    assert chosen.train.learning_rate == 0.123


@given(levels, lengths)
def test_fine_tuning_takes_more_steps_unless_on_the_text_of_the_model(level, tokens):
    usual = planned(level=level, train_tokens=tokens)
    tuned = planned(level=level, train_tokens=tokens, start=Start(usual.model))
    known = planned(level=level, train_tokens=tokens, start=Start(usual.model, continues=True))
    assert known.train.streams == usual.train.streams >= tuned.train.streams
    assert tuned.train.streams >= min(8, usual.train.streams)
    per_epoch = tokens / (tuned.train.streams * tuned.train.sequence_length)
    assert tuned.train.streams in (8, usual.train.streams) or per_epoch >= 200


def test_earlier_epochs_count_for_dropout():
    model = planned().model
    plans = [
        planned({"epochs": 2}, train_tokens=10**6, start=Start(model, epochs=epochs))
        for epochs in (0.5, 4.0, 20.0)
    ]
    assert [plan.train.dropout for plan in plans] == [0.0, 0.15, 0.3]
    assert {plan.train.dropout_ramp for plan in plans} == {0.0}


@given(levels, lengths)
def test_a_faster_machine_takes_less_time(level, tokens):
    slow = planned(level=level, train_tokens=tokens)
    fast = planned(level=level, train_tokens=tokens, speed=4e11)
    assert fast.tokens_per_second == pytest.approx(4 * slow.tokens_per_second)
    train = slow.train
    evaluations = math.ceil(slow.steps / train.eval_every) + bool(train.first_evaluation)
    evaluated = evaluations * evaluation_cost(MEGABYTE["valid_tokens"], None)
    tokens_in_all = slow.steps * train.streams * train.sequence_length + evaluated
    for plan in (slow, fast):
        seconds = presets.START_SECONDS + tokens_in_all / plan.tokens_per_second
        assert plan.minutes == pytest.approx(seconds / 60)


def test_the_output_projection_counts_for_speed_and_the_embedding_table_does_not():
    speeds = [
        planned({"tied": False, "embedding": 512}, vocab_size=size).tokens_per_second
        for size in (100, 200, 300)
    ]
    rate = 1e11 * presets.EFFICIENCY["float32"]
    weights = [rate / 6 / speed for speed in speeds]
    assert np.diff(weights) == pytest.approx([513 * 100] * 2)
    tied = planned({"tied": True}, vocab_size=100).tokens_per_second
    assert rate / 6 / tied == pytest.approx(weights[0])


# Two networks


BOTH = {"bidirectional": True}


@given(levels, lengths, budgets.filter(lambda budget: "minutes" not in budget and budget))
def test_a_backward_network_changes_only_the_time_and_the_memory(level, tokens, budget):
    facts = {"level": level, "train_tokens": tokens}
    one, both = planned(budget, **facts), planned(budget | BOTH, **facts)
    assert both.train == one.train
    assert both.model == one.model.replace(bidirectional=True)
    assert both.tokens_per_second == pytest.approx(one.tokens_per_second / 2)
    start, base = presets.START_SECONDS / 60, memory.BASE_MEMORY
    assert both.minutes - start == pytest.approx(2 * (one.minutes - start))
    assert both.memory - base == pytest.approx(2 * (one.memory - base))


@given(levels, lengths, st.floats(0.5, 1e4))
def test_two_networks_share_the_minutes(level, tokens, minutes):
    facts = {"level": level, "train_tokens": tokens}
    one = planned({"minutes": minutes / 2}, **facts)
    both = planned(BOTH | {"minutes": minutes}, **facts)
    assert both.size == one.size
    assert both.train.minutes == minutes


# Choices


CHOICES = {
    "layers": st.integers(1, 64),
    "units": st.integers(1, 16_384),
    "embedding": st.integers(1, 16_384),
    "attention": st.integers(0, 256),
    "bidirectional": st.booleans(),
    "seed": st.integers(0, 2**32 - 1),
    "streams": st.integers(1, 100),
    "sequence_length": st.integers(1, 100),
    "optimizer": optimizers,
    "learning_rate": st.floats(1e-9, 10),
    "final_rate": st.floats(0, 1),
    "warmup_steps": st.integers(0, 10**6),
    "weight_decay": st.floats(0, 10),
    "clip_norm": st.floats(1e-3, 1e3),
    "dropout": st.floats(0, 0.99),
    "dropout_ramp": st.floats(0, 100),
    "precision": st.sampled_from(["float32", "bfloat16"]),
    "shards": st.integers(1, 1024),
    "eval_every": st.integers(1, 10**6),
    "patience": st.integers(1, 10**6),
    "sample_every": st.integers(0, 10**6),
    "save_every": st.floats(1e-3, 1e6),
    "beta_1": st.floats(0, 0.99),
    "beta_2": st.floats(0, 0.999),
    "token_dropout": st.floats(0, 0.99),
    "recurrent_dropout": st.floats(0, 0.99),
    "activation_penalty": st.floats(0, 10),
    "averages": st.booleans(),
    "first_evaluation": st.integers(1, 10**6),
    "validated": st.integers(1, 10**6),
}


def consistent(choices, level):
    """Leave out a weight decay that would have no effect."""
    optimizer = choices.get("optimizer", "sgd" if level == "word" else "adamw")
    without = {"weight_decay"} if optimizer not in DECAYING else set()
    return {name: value for name, value in choices.items() if name not in without}


def test_these_tests_cover_every_setting():
    settings = {*TrainConfig.__struct_fields__, *ModelConfig.__struct_fields__}
    others = {"epochs", "steps", "minutes", "tied", "vocab_size", "shifted_keys"}
    assert settings == {*CHOICES, *others}


@given(levels, st.fixed_dictionaries({}, optional=CHOICES), budgets)
def test_the_choices_of_the_user_are_not_changed(level, choices, budget):
    choices = consistent(choices, level)
    left_open = dict.fromkeys(CHOICES)
    product_type = choices.get("precision", "float32")
    plan = planned(left_open | choices | budget, level=level, product_type=product_type)
    settings = msgspec.structs.asdict(plan.model) | msgspec.structs.asdict(plan.train)
    assert {name: settings[name] for name in choices | budget} == choices | budget
    assert plan.model.vocab_size == 70


@given(levels, lengths, st.fixed_dictionaries({}, optional=CHOICES), budgets, st.integers(1, 64))
def test_planning_again_from_the_planned_settings_gives_the_same_plan(
    level, tokens, choices, budget, processors
):
    """A resumed run is planned from the settings it was started with."""
    choices = consistent(choices, level) | {"streams": None, "sequence_length": None} | budget
    options = {"product_type": choices.get("precision", "bfloat16")}
    options |= {"level": level, "train_tokens": tokens}
    model = planned(choices, processors=processors, **options).model
    plan = planned(choices, processors=processors, start=Start(model, 0.25), **options)
    settings = {name: getattr(plan.train, name) for name in TrainConfig.__struct_fields__}
    again = planned(settings, start=Start(plan.model), processors=processors, **options)
    assert again.train == plan.train
    assert again.model == plan.model
    assert (again.steps, again.steps_per_epoch) == (plan.steps, plan.steps_per_epoch)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("units", 0),
        ("layers", 65),
        ("embedding", -1),
        ("dropout", 1.0),
        ("learning_rate", 0.0),
        ("eval_every", 0),
        ("patience", 0),
        ("streams", 0),
        ("streams", -1),
        ("sequence_length", 0),
        ("steps", 0),
        ("steps", -5),
        ("epochs", -1.0),
        ("epochs", math.nan),
        ("epochs", math.inf),
        ("minutes", 0.0),
        ("minutes", math.nan),
        ("minutes", math.inf),
    ],
)
def test_a_choice_out_of_range_is_refused_by_name(name, value, sentence):
    with pytest.raises(ConfigError) as caught:
        planned({name: value})
    sentence(caught.value, name, value)


@pytest.mark.parametrize(
    ("level", "characters", "better"),
    [
        *[("char", 2_999_999, None), ("char", 3_000_000, "subword"), ("subword", 999_999, "char")],
        *[("subword", 1_000_000, None), ("word", 10**8, None)],
    ],
)
def test_the_level_that_learns_more_depends_on_the_length(level, characters, better):
    assert presets.better_level(level, characters) == better


# Learning


@given(levels, lengths)
def test_dropout_rises_while_the_text_is_new(level, tokens):
    train = planned({"epochs": 60.0}, level=level, train_tokens=tokens).train
    is_short = level == "char" and tokens < 100_000
    most = {"char": 0.4 if is_short else 0.3, "subword": 0.45, "word": 0.5}
    assert train.dropout == most[level]
    assert 1 < train.dropout_ramp < 10
    assert train.token_dropout == (0.1 if is_short else 0.0)
    assert train.recurrent_dropout == (0.4 if is_short else 0.2 if level == "char" else 0.0)
    few = planned({"epochs": 1.0}, level=level, train_tokens=tokens).train
    if level != "word":
        assert few.dropout == few.dropout_ramp == few.token_dropout == few.recurrent_dropout == 0
    chosen = planned({"dropout": 0.2}, level=level, train_tokens=tokens).train
    assert (chosen.dropout, chosen.dropout_ramp) == (0.2, 0.0)
    assert (chosen.token_dropout, chosen.recurrent_dropout) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("tokens", "epochs", "dropped"),
    [
        *[(60_000, 4, (0, 0, 0)), (60_000, 5, (0.2, 0, 0)), (60_000, 9, (0.3, 0.05, 0.1))],
        *[(60_000, 19, (0.3, 0.05, 0.1)), (60_000, 20, (0.4, 0.05, 0.2))],
        *[(60_000, 39, (0.4, 0.05, 0.2)), (60_000, 40, (0.4, 0.1, 0.4))],
        *[(600_000, 4, (0, 0, 0)), (600_000, 7, (0.15, 0, 0)), (600_000, 9, (0.3, 0, 0))],
        *[(600_000, 14, (0.3, 0, 0)), (600_000, 15, (0.3, 0, 0.2))],
    ],
)
def test_texts_with_few_epochs_need_less_dropout(tokens, epochs, dropped):
    text = {"train_tokens": tokens, "valid_tokens": 6_000}
    budgets = [{"epochs": epochs}]
    plan = planned({"steps": 1}, **text)
    budgets.append({"steps": epochs * plan.steps_per_epoch})
    seconds = epochs * plan.steps_per_epoch * plan.train.streams * plan.train.sequence_length
    minutes = (seconds / plan.tokens_per_second + presets.START_SECONDS) / 60
    budgets.append({"minutes": minutes + 0.001})
    for budget in budgets:
        train = planned(budget, size=plan.size, **text).train
        assert (train.dropout, train.token_dropout, train.recurrent_dropout) == dropped
    # Workers of different speeds all plan with the nominal speed.
    plans = [planned({"minutes": 1}, is_shared=True, speed=s, **text) for s in (1e10, 1e12)]
    assert without_speed(plans[0]) == without_speed(plans[1])


@given(st.floats(0, 0.99), st.none() | st.floats(0, 100))
def test_a_chosen_dropout_rises_only_with_a_chosen_ramp(rate, ramp):
    train = planned({"dropout": rate, "dropout_ramp": ramp}).train
    assert (train.dropout, train.dropout_ramp) == (rate, ramp or 0.0)


def test_the_learning_rate_is_the_measured_one():
    assert planned(size="medium").train.learning_rate == 8e-3


def test_words_are_trained_with_sgd():
    characters, words = (planned(level=level).train for level in ("char", "word"))
    assert (characters.optimizer, characters.clip_norm) == ("adamw", 1.0)
    assert (words.optimizer, words.clip_norm) == ("sgd", 0.25)
    assert words.learning_rate > 100 * characters.learning_rate
    chosen = planned({"optimizer": "adamw", "streams": words.streams}, level="word").train
    same = planned({"streams": words.streams}, level="char").train
    assert (chosen.learning_rate, chosen.clip_norm) == (same.learning_rate, same.clip_norm)


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_optimizers_with_moments_get_shorter_averages(optimizer):
    train = planned({"optimizer": optimizer}).train
    expected = (0.8, 0.95) if optimizer in ADAMS else (0.9, 0.999)
    assert (train.beta_1, train.beta_2) == expected
    assert train.averages


@pytest.mark.parametrize(
    ("size", "penalty"), [("tiny", 0.5), ("small", 1.0), ("medium", 1.0), ("large", 1.0)]
)
def test_the_activation_penalty_depends_on_the_width_of_the_network(size, penalty):
    assert planned(size=size).train.activation_penalty == penalty


@given(optimizers, levels)
def test_weight_decay_is_only_for_optimizers_that_support_it(optimizer, level):
    train = planned({"optimizer": optimizer}, level=level).train
    assert train.weight_decay == (0.05 if optimizer in DECAYING else 0.0)
    assert planned({"optimizer": optimizer, "weight_decay": 0.0}).train.weight_decay == 0.0


@pytest.mark.parametrize(
    ("choices", "level", "optimizer"),
    [({"optimizer": "adam"}, "char", "adam"), ({}, "word", "sgd")],
)
def test_a_weight_decay_without_effect_is_refused(choices, level, optimizer, sentence):
    with pytest.raises(ConfigError) as caught:
        planned(choices | {"weight_decay": 0.1}, level=level)
    sentence(
        caught.value, "`weight_decay`", f"`optimizer` {optimizer}", "`optimizer` adamw", "lion"
    )


@given(
    optimizers,
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.integers(1, 4096),
    st.integers(1, 4096),
)
def test_larger_batches_get_higher_rates_and_wider_models_lower_ones(
    optimizer, few, many, narrow, wide
):
    few, many, narrow, wide = *sorted((few, many)), *sorted((narrow, wide))

    def rate(streams, units):
        choices = {"optimizer": optimizer, "streams": streams, "units": units}
        return planned(choices).train.learning_rate

    most = 1.5 * OPTIMIZER_DEFAULTS[optimizer].rate
    assert 0 < rate(few, wide) <= rate(many, wide) <= rate(many, narrow) <= 1.01 * most


def test_a_plan_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        planned().steps = 1
