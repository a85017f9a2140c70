"""Tests of ``charlstm.config``: a setting out of range is refused when it is built."""

from __future__ import annotations

import contextlib
import itertools
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.checkpoint.schema import expected_shapes
from charlstm.config import (
    Config,
    CorpusConfig,
    Division,
    ModelConfig,
    SampleConfig,
    TokenizerConfig,
    TrainConfig,
)
from charlstm.errors import ConfigError
from tests.messages import assert_names, raises_naming

INT32 = 2**31 - 1
# For each of about forty fields. Other tests try the bounds.
few = settings(max_examples=20)
WHOLE = {  # field: least, greatest
    Division: {"rules": (1, 2)},
    CorpusConfig: {"seed": (0, 2**32 - 1)},
    TokenizerConfig: {"vocab_size": (1, INT32), "min_count": (1, INT32)},
    ModelConfig: {
        "vocab_size": (2, 2**21),
        "embedding": (1, 16_384),
        "units": (1, 16_384),
        "layers": (1, 64),
        "attention": (0, 256),
    },
    TrainConfig: {
        "seed": (0, 2**32 - 1),
        "steps": (1, INT32),
        "streams": (1, 65_536),
        "sequence_length": (1, 65_536),
        "warmup_steps": (0, INT32),
        "shards": (1, 1024),
        "eval_every": (1, INT32),
        "patience": (1, INT32),
        "sample_every": (0, INT32),
        "first_evaluation": (1, INT32),
        "validated": (1, INT32),
    },
    SampleConfig: {
        "length": (1, INT32),
        "top_k": (0, INT32),
        "repetition_window": (1, 65_536),
        "loop_length": (1, INT32),
        "loop_window": (1, 65_536),
        "min_length": (0, INT32),
    },
}
REAL = {  # field: lower bound, upper bound, whether each is excluded
    Division: {},
    CorpusConfig: {"valid_fraction": (0.0, 1.0, False, True)},
    TokenizerConfig: {},
    ModelConfig: {},
    TrainConfig: {
        "epochs": (0.0, 1e9, True, False),
        "minutes": (0.0, 1e9, True, False),
        "learning_rate": (0.0, 1e9, True, False),
        "final_rate": (0.0, 1.0, False, False),
        "weight_decay": (0.0, 1e9, False, False),
        "clip_norm": (0.0, 1e9, True, False),
        "dropout": (0.0, 1.0, False, True),
        "dropout_ramp": (0.0, 1e9, False, False),
        "beta_1": (0.0, 1.0, False, True),
        "beta_2": (0.0, 1.0, False, True),
        "token_dropout": (0.0, 1.0, False, True),
        "recurrent_dropout": (0.0, 1.0, False, True),
        "activation_penalty": (0.0, 1e9, False, False),
        "save_every": (0.0, 1e9, True, False),
    },
    SampleConfig: {
        "temperature": (0.0, 1e9, False, False),
        "top_p": (0.0, 1.0, True, False),
        "min_p": (0.0, 1.0, False, True),
        "typical": (0.0, 1.0, True, False),
        "mirostat": (0.0, 1e9, False, False),
        "mirostat_rate": (0.0, 1.0, True, False),
        "repetition_penalty": (1.0, 1e3, False, False),
        "presence_penalty": (-1e3, 1e3, False, False),
        "frequency_penalty": (-1e3, 1e3, False, False),
        "loop_penalty": (0.0, 1e9, False, False),
        "loop_base": (1.0, 1e3, False, False),
    },
}
NAMED = {
    Division: {"unit": ["file", "line", "paragraph", "delimited", "record"]},
    CorpusConfig: {
        "decode_errors": ["strict", "replace"],
        "normalize": ["none", "nfc"],
        "format": ["auto", "text", "csv", "tsv", "jsonl", "json"],
    },
    TokenizerConfig: {"level": ["char", "subword", "word"]},
    ModelConfig: {},
    TrainConfig: {
        "optimizer": ["adamw", "adam", "lion", "rmsprop", "sgd"],
        "precision": ["auto", "float32", "bfloat16"],
    },
    SampleConfig: {"until": ["sentence", "line", "paragraph", "document"]},
}
TRUTH = {
    Division: {"keep_breaks"},
    CorpusConfig: {"index", "dedupe"},
    ModelConfig: {"tied", "shifted_keys", "bidirectional"},
    TrainConfig: {"averages"},
    SampleConfig: {"finished"},
}
TEXT = {Division: {"delimiter"}, CorpusConfig: {"encoding"}, SampleConfig: {"match"}}
CONFIGS = {CorpusConfig: {"division": Division}}
TEXTS = {
    Division: {"columns"},
    CorpusConfig: {"addresses", "valid", "include", "exclude"},
    SampleConfig: {"stop", "ban"},
}
PAIRS = {SampleConfig: {"bias"}}
BUDGETS = ("epochs", "steps", "minutes")
OF_TABLES = ("columns", "keep_breaks")
AGAINST_MATCH = ("stop", "until", "min_length", "ban")

KINDS = list(WHOLE)
WHOLE_FIELDS = [(kind, name, *WHOLE[kind][name]) for kind in KINDS for name in WHOLE[kind]]
REAL_FIELDS = [(kind, name, *REAL[kind][name]) for kind in KINDS for name in REAL[kind]]
NAMED_FIELDS = [(kind, name, NAMED[kind][name]) for kind in KINDS for name in NAMED[kind]]

NO_NUL = st.characters(exclude_categories=["Cs"], exclude_characters="\0")

each_whole = pytest.mark.parametrize(("kind", "name", "least", "greatest"), WHOLE_FIELDS)
each_real = pytest.mark.parametrize(
    ("kind", "name", "low", "high", "low_excluded", "high_excluded"), REAL_FIELDS
)


def built(kind, **fields):
    """Build a config from some fields and those that it needs with them."""
    if kind is ModelConfig:
        fields = {"vocab_size": 10} | fields
    if kind is TrainConfig and fields.keys().isdisjoint(BUDGETS):
        fields = {"epochs": 1.0} | fields
    if "min_length" in fields:
        fields = {"length": INT32} | fields
    if fields.get("unit") == "delimited":
        fields = {"delimiter": "="} | fields
    return kind(**fields)


def refusal(kind, **fields):
    with pytest.raises(ConfigError) as caught:
        built(kind, **fields)
    return str(caught.value)


def reals(low, high, low_excluded, high_excluded):
    return st.floats(low, high, exclude_min=low_excluded, exclude_max=high_excluded)


def field_values(kind):
    """Return a strategy for valid values of some fields of a config."""
    fields = {name: st.integers(*bounds) for name, bounds in WHOLE[kind].items()}
    fields |= {name: reals(*bounds) for name, bounds in REAL[kind].items()}
    fields |= {name: st.sampled_from(values) for name, values in NAMED[kind].items()}
    fields |= dict.fromkeys(TRUTH.get(kind, ()), st.booleans())
    fields |= dict.fromkeys(TEXT.get(kind, ()), st.text())
    texts = st.lists(st.text(NO_NUL, min_size=1), max_size=3).map(tuple)
    fields |= dict.fromkeys(TEXTS.get(kind, ()), texts)
    pairs = st.lists(st.tuples(st.text(min_size=1), st.floats(-1e3, 1e3)), max_size=3).map(tuple)
    fields |= dict.fromkeys(PAIRS.get(kind, ()), pairs)
    for name, other in CONFIGS.get(kind, {}).items():
        fields[name] = field_values(other).map(lambda drawn, other=other: built(other, **drawn))
    return st.fixed_dictionaries({}, optional=fields).map(lambda drawn: sensible(kind, drawn))


def sensible(kind, drawn):
    """Leave out fields that contradict others."""
    if kind is TrainConfig:
        surplus = [name for name in BUDGETS if name in drawn][1:]
        return {name: value for name, value in drawn.items() if name not in surplus}
    if kind is ModelConfig and drawn.get("tied"):
        width = drawn.get("units", 7)
        return drawn | {"units": width, "embedding": width}
    if kind is Division:
        delimiter = "".join(c for c in drawn.pop("delimiter", "") if c not in "\r\n")
        if drawn.get("unit") == "delimited":
            drawn["delimiter"] = delimiter or "="
        if drawn.get("unit", "file") not in ("file", "record"):
            drawn = {name: drawn[name] for name in drawn if name not in OF_TABLES}
    if kind is SampleConfig:
        if drawn.get("match") is not None:
            drawn = {name: value for name, value in drawn.items() if name not in AGAINST_MATCH}
        if "length" in drawn and "min_length" in drawn:
            drawn["min_length"], drawn["length"] = sorted((drawn["min_length"], drawn["length"]))
            drawn["length"] = max(1, drawn["length"])
    return drawn


any_config = st.sampled_from(KINDS).flatmap(
    lambda kind: field_values(kind).map(lambda fields: built(kind, **fields))
)


@pytest.mark.parametrize("kind", KINDS)
def test_these_tests_know_every_field(kind):
    tables = (WHOLE, REAL, NAMED, TRUTH, TEXT, TEXTS, PAIRS, CONFIGS)
    assert sorted(name for table in tables for name in table.get(kind, ())) == sorted(
        kind.__struct_fields__
    )


def test_these_tests_know_every_config():
    assert set(Config.__subclasses__()) == set(KINDS)


# One field


@each_whole
@few
@given(st.data())
def test_whole_numbers_inside_their_bounds_are_taken(kind, name, least, greatest, data):
    value = data.draw(st.integers(least, greatest))
    assert getattr(built(kind, **{name: value}), name) == value


@each_whole
@few
@given(st.data())
def test_whole_numbers_outside_their_bounds_are_refused(kind, name, least, greatest, data):
    value = data.draw(st.integers(max_value=least - 1) | st.integers(greatest + 1))
    bound = f"{least if value < least else greatest:,}"
    assert_names(refusal(kind, **{name: value}), f"`{name}`", value, "whole number", bound)


@each_whole
def test_the_bounds_of_whole_numbers_are_taken_and_numbers_beyond_are_not(
    kind, name, least, greatest
):
    assert getattr(built(kind, **{name: least}), name) == least
    assert getattr(built(kind, **{name: greatest}), name) == greatest
    assert_names(refusal(kind, **{name: least - 1}), name, least - 1)
    assert_names(refusal(kind, **{name: greatest + 1}), name, greatest + 1)


@each_real
@few
@given(st.data())
def test_numbers_inside_their_bounds_are_taken(
    kind, name, low, high, low_excluded, high_excluded, data
):
    value = data.draw(reals(low, high, low_excluded, high_excluded))
    assert getattr(built(kind, **{name: value}), name) == value


@each_real
@few
@given(st.data())
def test_numbers_outside_their_bounds_are_refused(
    kind, name, low, high, low_excluded, high_excluded, data
):
    below = st.floats(max_value=low, exclude_max=not low_excluded)
    above = st.floats(min_value=high, exclude_min=not high_excluded)
    value = data.draw(below | above)
    bound = f"{low if value <= low else high:,.0f}"
    assert_names(refusal(kind, **{name: value}), f"`{name}`", value, "a number", bound)


@each_real
def test_the_bounds_of_numbers_are_taken_unless_excluded(
    kind, name, low, high, low_excluded, high_excluded
):
    for bound, excluded in ((low, low_excluded), (high, high_excluded)):
        if excluded:
            assert_names(refusal(kind, **{name: bound}), name, bound, "a number")
        else:
            assert getattr(built(kind, **{name: bound}), name) == bound


@pytest.mark.parametrize(("kind", "name"), [field[:2] for field in REAL_FIELDS])
def test_nan_is_refused_everywhere(kind, name):
    assert_names(refusal(kind, **{name: math.nan}), name, "nan", "a number")


@pytest.mark.parametrize(("kind", "name", "values"), NAMED_FIELDS)
def test_names_are_taken_from_their_list_only(kind, name, values):
    for value in values:
        assert getattr(built(kind, **{name: value}), name) == value
    wrong = values[0].upper()
    assert_names(refusal(kind, **{name: wrong}), name, f"'{wrong}'", *map(repr, values))


@pytest.mark.parametrize(
    ("kind", "name", "value", "parts"),
    [
        (TrainConfig, "streams", True, ["True", "whole number"]),
        (TrainConfig, "streams", 2.0, ["2.0", "whole number"]),
        (TrainConfig, "streams", "2", ["'2'", "whole number"]),
        (TrainConfig, "streams", None, ["None", "whole number"]),
        (TrainConfig, "dropout", True, ["True", "a number"]),
        (TrainConfig, "dropout", "0.5", ["'0.5'", "a number"]),
        (TrainConfig, "epochs", "1", ["'1'", "a number"]),
        (ModelConfig, "tied", 1, ["1", "True or False"]),
        (CorpusConfig, "addresses", "a.txt", ["'a.txt'", "tuple of strings"]),
        (CorpusConfig, "encoding", b"utf-8", ["b'utf-8'", "a string"]),
        (CorpusConfig, "division", "line", ["'line'", "a Division"]),
        (SampleConfig, "stop", (1,), ["(1,)", "tuple of strings"]),
        (SampleConfig, "bias", (("a", "1"),), ["(('a', '1'),)", "string", "number"]),
        (SampleConfig, "bias", (("a", 2e3),), ["(('a', 2000.0),)", "1,000"]),
    ],
)
def test_values_of_another_type_are_refused(sentence, kind, name, value, parts):
    sentence(refusal(kind, **{name: value}), name, *parts)


@pytest.mark.parametrize("texts", [["a"], {"a"}, frozenset("a")])
def test_texts_are_a_tuple_once_they_are_in_a_config(texts):
    """Other collections could be changed later, and would not survive a round trip."""
    with contextlib.suppress(ConfigError):
        assert CorpusConfig(addresses=texts).addresses == ("a",)


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_fields_are_refused(kind):
    with pytest.raises(TypeError, match="'unitz'"):
        built(kind, unitz=3)
    text = msgspec.json.encode(msgspec.to_builtins(built(kind)) | {"unitz": 3})
    with pytest.raises(msgspec.ValidationError, match="unknown field `unitz`"):
        msgspec.json.decode(text, type=kind)


def test_messages_name_the_range(sentence):
    sentence(refusal(TrainConfig, steps=0), "`steps`", 0, "1 or more")
    sentence(refusal(TrainConfig, steps=2**31), "`steps`", 2**31, "from 1 to 2,147,483,647")
    sentence(refusal(ModelConfig, layers=65), "`layers`", 65, "from 1 to 64")
    sentence(refusal(SampleConfig, temperature=-1.0), "`temperature`", -1.0, "0 or more")
    sentence(refusal(SampleConfig, top_p=0.0), "`top_p`", 0.0, "greater than 0 and at most 1")
    sentence(refusal(TrainConfig, dropout=1.0), "`dropout`", 1.0, "0 or more and less than 1")
    sentence(refusal(TrainConfig, minutes=math.nan), "`minutes`", "nan", "greater than 0")
    sentence(refusal(TokenizerConfig, level="WORD"), "`level`", "'WORD'", "'char'", "'word'")


# Several fields


@pytest.mark.parametrize("count", [0, 2, 3])
def test_there_is_exactly_one_budget(count, sentence):
    values = {"epochs": 2.0, "steps": 3, "minutes": 4.0}
    for names in itertools.combinations(BUDGETS, count):
        with pytest.raises(ConfigError) as caught:
            TrainConfig(**{name: values[name] for name in names})
        sentence(caught.value, *(f"`{name}`" for name in names or BUDGETS))


def test_several_budgets_are_listed(sentence):
    with pytest.raises(ConfigError) as caught:
        TrainConfig(epochs=2.0, steps=3, minutes=4.0)
    sentence(caught.value, "`epochs`, `steps` and `minutes`")


@given(st.integers(1, 16_384), st.integers(1, 16_384))
def test_a_tied_projection_needs_equal_widths(embedding, units):
    assert built(ModelConfig, tied=True, embedding=units, units=units).tied
    assert built(ModelConfig, tied=False, embedding=embedding, units=units).units == units
    if embedding != units:
        assert_names(
            refusal(ModelConfig, tied=True, embedding=embedding, units=units),
            "tied",
            f"`embedding` is {embedding}",
            f"`units` is {units}",
        )


@pytest.mark.parametrize("name", ["stop", "ban", "bias"])
@given(texts=st.lists(st.text(min_size=1), max_size=3))
def test_an_empty_text_is_refused(name, texts):
    def given(*texts):
        return tuple((text, 1.0) if name == "bias" else text for text in texts)

    assert getattr(SampleConfig(**{name: given(*texts)}), name) == given(*texts)
    assert_names(refusal(SampleConfig, **{name: given(*texts, "")}), name, "empty")


@given(st.integers(1, INT32), st.integers(0, INT32))
def test_the_minimum_length_is_at_most_the_length(length, least):
    if least <= length:
        assert SampleConfig(length=length, min_length=least).min_length == least
        return
    assert_names(
        refusal(SampleConfig, length=length, min_length=least),
        f"`min_length` ({least:,})",
        f"`length` ({length:,})",
    )


@pytest.mark.parametrize(
    ("name", "value"), [("stop", ("a",)), ("until", "line"), ("min_length", 1), ("ban", ("a",))]
)
@pytest.mark.parametrize("pattern", ["", "a+"])
def test_some_settings_can_not_be_combined_with_match(name, value, pattern, sentence):
    sentence(refusal(SampleConfig, match=pattern, **{name: value}), f"`{name}`", "`match`")


# The whole


@given(any_config)
def test_every_config_survives_json(config):
    assert msgspec.json.decode(msgspec.json.encode(config), type=type(config)) == config


def test_whole_numbers_in_fields_for_fractions_survive_json():
    config = TrainConfig(epochs=3, clip_norm=1)
    assert msgspec.json.decode(msgspec.json.encode(config), type=TrainConfig) == config


def test_a_file_name_that_is_not_unicode_is_refused_or_survives_json():
    """Python represents such names with lone surrogates, which JSON can't contain."""
    with contextlib.suppress(ConfigError):
        config = CorpusConfig(addresses=("caf\udce9.txt",))
        assert msgspec.json.decode(msgspec.json.encode(config), type=CorpusConfig) == config


@pytest.mark.parametrize(
    ("text", "kind", "parts"),
    [
        (b'{"epochs":1,"steps":1}', TrainConfig, ["`epochs` and `steps`"]),
        (b'{"vocab_size":9,"tied":true}', ModelConfig, ["tied", 128, 256]),
        (b'{"stop":[""]}', SampleConfig, ["stop", "empty"]),
    ],
)
def test_contradictions_are_refused_in_json_too(sentence, text, kind, parts):
    with pytest.raises(ConfigError) as caught:
        msgspec.json.decode(text, type=kind)
    sentence(caught.value, *parts)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b'{"vocab_size":9,"units":0}', ModelConfig),
        (b'{"vocab_size":"9"}', ModelConfig),
        (b'{"vocab_size":9.5}', ModelConfig),
        (b"{}", ModelConfig),
        (b"[9]", ModelConfig),
        (b'{"temperature":NaN}', SampleConfig),
        (b'{"temperature":null}', SampleConfig),
        (b'{"top_p":1e999}', SampleConfig),
        (b'{"level":"byte"}', TokenizerConfig),
        (b'{"level":"word"', TokenizerConfig),
    ],
)
def test_values_out_of_range_are_refused_in_json_too(text, kind):
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text, type=kind)


@given(any_config, st.data())
def test_a_replaced_field_is_the_only_change(config, data):
    kind = type(config)
    fields = [name for name in WHOLE[kind] if name != "steps"]  # it excludes other budgets
    if kind is ModelConfig and config.tied:
        fields = ["vocab_size", "layers"]
    if kind is SampleConfig:  # some lengths can't be combined with each other or with a pattern
        fields = [name for name in fields if "length" not in name]
    name = data.draw(st.sampled_from(fields))
    value = data.draw(st.integers(*WHOLE[kind][name]))
    before = msgspec.structs.asdict(config)
    assert msgspec.structs.asdict(config.replace(**{name: value})) == before | {name: value}
    assert msgspec.structs.asdict(config) == before
    with raises_naming(ConfigError, name, -1):
        config.replace(**{name: -1})


@given(any_config)
def test_no_field_can_be_set(config):
    for name in config.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(config, name, getattr(config, name))


@given(
    st.integers(2, 2**21),
    st.integers(1, 16_384),
    st.integers(1, 16_384),
    st.integers(1, 64),
    st.booleans(),
)
def test_parameters_are_those_of_all_weights(vocab_size, embedding, units, layers, tied):
    config = ModelConfig(
        vocab_size=vocab_size,
        embedding=units if tied else embedding,
        units=units,
        layers=layers,
        tied=tied,
    )
    assert config.parameters == sum(map(math.prod, expected_shapes(config).values()))


def test_a_long_value_is_shortened():
    with pytest.raises(ConfigError) as caught:
        ModelConfig(vocab_size="x" * 10**6)
    assert len(str(caught.value)) < 300
