"""Arguments of the Python interface: what is refused, and which name is suggested for another."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import charlstm
from charlstm.api.arguments import suggesting
from charlstm.checkpoint.names import shipped_folder
from charlstm.config import SampleConfig
from charlstm.errors import ConfigError
from charlstm.generation.options import SampleOptions, TextLimits, sample_config
from tests.messages import raises_naming


@pytest.fixture(scope="module")
def model():
    return charlstm.load("shakespeare", threads=1)


LOADS = {
    "precision": [{"precision": "int4"}, {"precision": None}, {"precision": 8}],
    "threads": [{"threads": 0}, {"threads": -1}, {"threads": 2000}, {"threads": "2"}],
    "path": [{"path": 5}, {"path": b"shakespeare"}],
}


@pytest.mark.parametrize(("name", "given"), [(n, g) for n, each in LOADS.items() for g in each])
def test_load_refuses_what_the_command_line_refuses(name, given, sentence):
    with pytest.raises(ConfigError) as caught:
        charlstm.load(**{"path": "shakespeare"} | given)
    sentence(caught.value, f"`{name}`", repr(given[name]))


CALLS = [
    ("generate", {"prompt": 5}, "prompt"),
    ("generate", {"prompt": ["a", None]}, "prompt"),
    ("generate", {"prompt": b"a"}, "prompt"),
    ("generate", {"count": "3"}, "count"),
    ("generate", {"count": 2.5}, "count"),
    ("generate", {"count": True}, "count"),
    ("generate", {"seed": 1.5}, "seed"),
    ("generate", {"seed": "1"}, "seed"),
    ("generate", {"alternatives": 1001}, "alternatives"),
    ("generate", {"length": 0}, "length"),
    ("generate", {"length": "9"}, "length"),
    ("generate", {"min_length": None}, "min_length"),
    ("generate", {"temperature": -1}, "temperature"),
    ("generate", {"temperature": float("nan")}, "temperature"),
    ("generate", {"stop": 5}, "stop"),
    ("generate", {"stop": [5]}, "stop"),
    ("generate", {"stop": ""}, "stop"),
    ("generate", {"ban": ["a", ""]}, "ban"),
    ("generate", {"bias": "love"}, "bias"),
    ("generate", {"bias": {"love": "2"}}, "bias"),
    ("generate", {"bias": [("love",)]}, "bias"),
    ("generate", {"until": "word"}, "until"),
    ("generate", {"match": 5}, "match"),
    ("stream", {"count": 0}, "count"),
    ("stream", {"prompt": 5}, "prompt"),
    ("most_likely", {"beams": 10**6}, "beams"),
    ("most_likely", {"beams": 2, "count": 3}, "count"),
    ("predict", {"top": 10**6}, "top"),
    ("predict", {"top": 0}, "top"),
    ("predict", {"top": "5"}, "top"),
    ("predict", {"words": 51}, "words"),
    ("predict", {"prompt": 5}, "prompt"),
    ("predict", {"tokens": True, "words": 2}, "tokens"),
    ("score", {"context": 5}, "context"),
    ("score", {"context": "a", "carry": True}, "carry"),
    ("fill", {"text": 5}, "text"),
    ("fill", {"text": "a ___", "top": 0}, "top"),
    ("fill", {"text": "a ___", "gap": ""}, "gap"),
    ("generate", {"known": "abc"}, "known"),
    ("generate", {"known": 5}, "known"),
    ("generate", {"unique": "no"}, "unique"),
    ("generate", {"novel": 1}, "novel"),
    ("predict", {"words_only": "no"}, "words_only"),
    ("score", {"carry": "no"}, "carry"),
    ("rank", {"per_character": "no"}, "per_character"),
    ("evaluate", {"texts": [5]}, "texts"),
    ("evaluate", {"text": __file__, "encoding": 5}, "encoding"),
    ("evaluate", {"text": __file__, "paragraphs": "no"}, "paragraphs"),
    ("evaluate_gaps", {"texts": ["a"], "sample": 0}, "sample"),
    ("memorization", {"training_text": __file__, "characters": 0}, "characters"),
    ("evaluate", {"texts": "a"}, "texts"),
    ("evaluate", {"text": __file__, "format": "xml"}, "format"),
    ("evaluate", {"text": __file__, "decode_errors": "ignore"}, "decode_errors"),
    ("evaluate", {"text": __file__, "delimiter": 5}, "delimiter"),
    ("evaluate_words", {"texts": ["a"], "sample": 0}, "sample"),
    ("evaluate_words", {"texts": ["a"], "sample": "5"}, "sample"),
    ("evaluate_dynamic", {"texts": ["a"], "rate": -1}, "rate"),
    ("evaluate_dynamic", {"texts": ["a"], "rate": "1"}, "rate"),
    ("evaluate_dynamic", {"texts": ["a"], "tokens": 1.5}, "tokens"),
    ("evaluate_dynamic", {"texts": ["a"], "threads": 0}, "threads"),
]


@pytest.mark.parametrize(("method", "given", "name"), CALLS)
def test_a_wrong_argument_is_named(model, method, given, name):
    with raises_naming(ConfigError, f"`{name}`"):
        getattr(model, method)(**given)


@pytest.mark.parametrize("method", ["score", "rank"])
def test_texts_to_score_are_strings(model, method):
    for given in (["a", "b"], 5, None):
        with raises_naming(ConfigError, "`texts`", repr(given)):
            getattr(model, method)("a", given)


NAMES = [
    (lambda model: model.generate(temprature=1), "generate", "temprature", "temperature"),
    (lambda model: model.generate(temp=1), "generate", "temp", "temperature"),
    (lambda model: model.generate(num_samples=2), "generate", "num_samples", "count"),
    (lambda model: model.generate(max_new_tokens=2), "generate", "max_new_tokens", "length"),
    (lambda model: model.stream(stop_sequence="a"), "stream", "stop_sequence", "stop"),
    (lambda model: model.most_likely(num_beams=3), "most_likely", "num_beams", "beams"),
    (lambda model: model.most_likely(temperature=1), "most_likely", "temperature", None),
    (lambda model: model.predict("a", topk=3), "predict", "topk", "top"),
    (lambda model: model.score("a", contxt="b"), "score", "contxt", "context"),
    (lambda model: model.rank("a", per_char=True), "rank", "per_char", "per_character"),
    (lambda model: model.evaluate(texts=["a"], charset="utf-8"), "evaluate", "charset", "encoding"),
    (lambda _: charlstm.load("shakespeare", dtype="int8"), "load", "dtype", "precision"),
    (lambda _: charlstm.train("my.txt", lr=0.1), "train", "lr", "learning_rate"),
    (lambda _: charlstm.train("my.txt", epoch=1), "train", "epoch", "epochs"),
    (lambda _: charlstm.train("my.txt", base_model="a"), "train", "base_model", "from_checkpoint"),
    (lambda model: model.most_likely(beam_width=3), "most_likely", "beam_width", "beams"),
    (lambda _: charlstm.plot("a", out="b"), "plot", "out", "output"),
    (lambda _: charlstm.train("my.txt", xyzzy=1), "train", "xyzzy", None),
]


@pytest.mark.parametrize(("call", "function", "wrong", "right"), NAMES)
def test_a_misspelled_argument_gets_a_suggestion(model, call, function, wrong, right):
    with pytest.raises(TypeError) as caught:
        call(model)
    expected = f"{function}() got an unexpected keyword argument {wrong!r}"
    hint = f". Did you mean {right!r}?" if right else ""
    assert str(caught.value) == expected + hint


def test_a_decorated_function_looks_like_itself():
    @suggesting()
    def rank(*texts: str, context: str = "") -> str:
        """Rank."""
        return context.join(texts)

    assert rank("a", "b", context="-") == "a-b"
    assert str(inspect.signature(rank)) == "(*texts: 'str', context: 'str' = '') -> 'str'"
    assert (rank.__name__, rank.__doc__) == ("rank", "Rank.")


def test_numbers_of_numpy_are_numbers(model):
    counted = model.generate("A", count=np.int64(2), seed=np.uint32(3), length=np.int16(4))
    assert counted == model.generate("A", count=2, seed=3, length=4)
    warm = {"temperature": np.float32(0.5), "bias": {"e": np.float64(1)}}
    assert model.generate("A", seed=3, length=9, **warm) == model.generate(
        "A", seed=3, length=9, temperature=0.5, bias={"e": 1.0}
    )


# The options of sampling


def test_the_options_are_the_fields_of_the_configuration_and_are_documented():
    assert set(SampleOptions.__annotations__) == set(SampleConfig.__struct_fields__)
    for options in (TextLimits, SampleOptions, charlstm.TextOptions):
        own = set(vars(options)["__annotations__"]) - set(TextLimits.__annotations__)
        for name in own or TextLimits.__annotations__:
            assert f"\n    {name}: " in inspect.getdoc(options), name


def test_one_text_is_a_list_of_one():
    rest = {"ban": ("b",), "bias": [("c", 2.0)]}
    several = sample_config({"stop": ["a"], **rest})
    assert sample_config({"stop": (text for text in ["a"]), **rest}) == several
    assert sample_config({"stop": "a", "ban": "b", "bias": {"c": 2.0}}) == several
    assert sample_config({}) == SampleConfig()


@pytest.mark.parametrize(
    ("options", "length"),
    [({}, 500), ({"until": "line"}, 10_000), ({"min_length": 700}, 700), ({"length": None}, 500)],
)
def test_the_length_depends_on_the_end(options, length):
    assert sample_config(options).length == length


# What load finds


def test_load_finds_the_default_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARLSTM_CHECKPOINT", raising=False)
    with raises_naming(charlstm.CharlstmError, "CHARLSTM_CHECKPOINT", "charlstm train"):
        charlstm.load()
    monkeypatch.setenv("CHARLSTM_CHECKPOINT", "shakespeare")
    assert charlstm.load(threads=1).checkpoint.folder == shipped_folder() / "shakespeare"
