"""What the Python interface returns: the same facts as ``--json``, and warnings about texts."""

from __future__ import annotations

import dataclasses
import json
import warnings

import numpy as np
import pandas
import pytest

import charlstm
from charlstm.results import Result
from tests.messages import raises_naming
from tests.processes import run_here


@pytest.fixture(scope="module")
def model():
    return charlstm.load("shakespeare", threads=1)


@pytest.fixture
def printed(capfd, monkeypatch):
    """Return what a command prints with ``--json``: one object for each line."""

    def run(*arguments, stdin=""):
        line = [*map(str, arguments), "--json", "-q"]
        status, out, err = run_here(line, stdin.encode(), capfd, monkeypatch)
        assert (status, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    return run


def test_results_are_frozen_dataclasses_with_the_names_of_json(model, printed, tmp_path):
    (tmp_path / "text").write_text("To be, or not to be.\nThat is the question.\n")
    text = str(tmp_path / "text")
    (sample,) = model.generate("ROMEO:", length=9, seed=1, alternatives=2)
    results = [sample, sample.per_token[0], *model.predict("to be", top=2), *model.score("To be")]
    results += [model.evaluate(text), model.evaluate_words(text, sample=3)]
    assert model.memorization(text, characters=100).to_dict()["characters"] >= 100
    results += [model.evaluate_gaps(text, sample=3), model.memorization(text, characters=100)]
    for result in results:
        assert isinstance(result, Result)
        with pytest.raises(dataclasses.FrozenInstanceError):
            result.text = "changed"
        assert json.loads(result.to_json()) == result.to_dict()
    options = ["-n", 9, "--seed", 1, "--alternatives", 2]
    (expected,) = printed("generate", "shakespeare", "-p", "ROMEO:", *options)
    assert sample.to_dict() == expected
    (expected,) = printed("predict", "shakespeare", "to be", "-k", 2)
    assert [each.to_dict() for each in model.predict("to be", top=2)] == expected["predictions"]
    (expected,) = printed("evaluate", "shakespeare", text, "--sample", 0)
    assert model.evaluate(text).to_dict() == expected
    options = ["--sample", 3, "--seed", 2, "--gaps"]
    (expected,) = printed("evaluate", "shakespeare", text, *options)
    found = model.evaluate_words(text, sample=3, seed=2).to_dict()
    assert found == {name: expected[name] for name in found}
    assert model.evaluate_gaps(text, sample=3, seed=2).to_dict() == expected["gaps"]
    (expected,) = printed("rank", "shakespeare", stdin="ot eb\tto be\n")
    assert [each.to_dict() for each in model.rank("ot eb", "to be")] == expected["alternatives"]


def test_what_is_not_set_is_left_out_and_nan_is_null(model):
    (empty,) = model.score("")
    assert "per_token" not in empty.to_dict()
    assert json.loads(empty.to_json())["perplexity"] is None
    (sample,) = model.most_likely("ROMEO:", length=3)
    assert sample.to_dict()["seed"] is None  # which says that it was not sampled
    assert not {"per_token", "columns"} & sample.to_dict().keys()


# Warnings


CALLS = {
    "prompt": [
        lambda model: model.generate("né", length=2),
        lambda model: list(model.stream("né", length=2)),
        lambda model: model.most_likely("né", length=2),
        lambda model: model.predict("né"),
    ],
    "text": [
        lambda model: model.score("né"),
        lambda model: model.rank("né"),
        lambda model: model.fill("né ___"),
    ],
    "context": [lambda model: model.score("no", context="né")],
}


@pytest.mark.parametrize(("which", "call"), [(w, c) for w, each in CALLS.items() for c in each])
def test_unknown_characters_are_warned_of_at_the_line_of_the_caller(model, which, call):
    with pytest.warns(charlstm.UnknownCharacterWarning) as caught:
        call(model)
    (warning,) = caught
    assert str(warning.message) == f"the {which} has 1 unknown character (1 × 'é' U+00E9)"
    assert warning.filename == __file__


def test_one_of_several_texts_is_counted(model):
    with pytest.warns(charlstm.UnknownCharacterWarning, match=r"^a prompt has 2 unknown"):
        model.generate(["éé", "a", "b"], length=1)
    with pytest.warns(charlstm.UnknownCharacterWarning, match=r"^2 of the texts have 3 unknown"):
        model.score("éü", "a", "ü")


def test_known_characters_are_not_warned_of(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.generate(["a", ""], length=1)
        model.score("a", context="b")
        model.predict("to be")


def test_notes_on_a_text_are_warnings(model, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"To be, or not to be. " * 9 + b"\xe9t\xe9")
    with pytest.warns(charlstm.CharlstmWarning) as caught:
        model.evaluate(tmp_path / "latin.txt", encoding="auto")
    assert any("latin.txt" in str(warning.message) for warning in caught)


# Methods that do what options do


def test_novel_samples_are_not_in_the_training_text(names, printed, tmp_path):
    model = charlstm.load(names, threads=1)
    found = model.generate(count=5, seed=1, novel=True, unique=True)
    options = ["-c", 5, "--seed", 1, "--novel", "--unique"]
    assert [each.to_dict() for each in found] == printed("generate", names, *options)
    plain = [each.text for each in model.generate(count=5, seed=1)]
    (tmp_path / "known.txt").write_text("\n".join(plain[:3]))
    others = model.generate(
        count=5, seed=1, against=tmp_path / "known.txt", known={plain[3]}, novel=True
    )
    assert not {each.text for each in others} & set(plain[:4])
    with raises_naming(charlstm.CharlstmError, "`novel`", "`against`"):
        charlstm.load("shakespeare").generate(novel=True)


def test_known_texts_may_be_in_any_collection(names):
    model = charlstm.load(names, threads=1)
    plain = [each.text for each in model.generate(count=4, seed=1)]
    expected = model.generate(count=4, seed=1, known=set(plain[:2]))
    for known in (plain[:2], (text for text in plain[:2]), pandas.Series(plain[:2])):
        assert model.generate(count=4, seed=1, known=known) == expected


def test_rejected_samples_are_not_streamed(model):
    for option in ({"unique": True}, {"known": {"a"}}, {"finished": True}):
        with raises_naming(charlstm.CharlstmError, "`on_text`"):
            model.stream(on_text=print, **option)


def test_a_record_has_its_columns(tmp_path):
    rows = "".join(f"{word},the {word} room\n" for word in ("good", "bad", "fine") * 30)
    (tmp_path / "rooms.csv").write_text(f"label,text\n{rows}")
    model = charlstm.train(
        tmp_path / "rooms.csv", columns="label,text", steps=np.int64(30), units=16, layers=1,
        embedding=8, streams=4, sequence_length=16, learning_rate=np.float32(0.01),
        output=tmp_path / "model", quiet=True,
    )  # fmt: skip
    assert model.checkpoint.config.train.steps == 30
    (sample,) = model.generate("fine\t", seed=1, length=9)
    assert list(sample.columns) == ["label", "text"]
    assert sample.columns["label"] == "fine"
    assert model.most_likely("fine\t", length=5)[0].columns["label"] == "fine"


def test_an_evaluation_warns_of_unknown_characters(model):
    with pytest.warns(charlstm.UnknownCharacterWarning, match=r"^2 of 4 tokens are unknown"):
        assert model.evaluate(texts=["né é"]).unknown == 2


def test_texts_of_numpy_are_texts(model):
    (score,) = model.score(np.str_("to be"))
    assert json.loads(score.to_json())["text"] == "to be"
    assert model.fill(np.str_("to ___ or")).to_json()
    assert model.generate(np.str_("to"), length=2, seed=1)[0].to_json()


def test_lists_of_prompts_are_one_batch(model):
    both = model.generate(["ROMEO:", "JULIET:"], count=2, length=5, seed=1)
    assert [(each.index, each.prompt) for each in both] == list(
        enumerate(["ROMEO:", "ROMEO:", "JULIET:", "JULIET:"])
    )
    found = model.most_likely(["ROMEO:", "JULIET:"], length=3)
    assert [(each.index, each.prompt) for each in found] == [(0, "ROMEO:"), (1, "JULIET:")]
    assert model.predict(["to be", "the"], top=2) == [
        model.predict("to be", top=2),
        model.predict("the", top=2),
    ]


def test_rank_puts_the_most_probable_first(model):
    texts = ["qto be or not", "to be or not", "be", ""]
    by_total = [each.text for each in model.rank(*texts)]
    by_character = [each.text for each in model.rank(*texts, per_character=True)]
    assert by_total == ["be", "to be or not", "qto be or not", ""]
    assert by_character[-1] == ""
    bits = [each.bits_per_character for each in model.rank(*texts, per_character=True)][:3]
    assert bits == sorted(bits)


def test_a_state_is_carried_as_on_the_command_line(model, printed):
    lines = ["To be, or not to be:\n", "that is the question.\n"]
    scores = model.score(*lines, carry=True)
    expected = printed("score", "shakespeare", "--carry", stdin="".join(lines))
    assert [each.log_probability for each in scores] == [
        pytest.approx(line["log_probability"]) for line in expected
    ]
    assert [each.text for each in scores] == lines


def test_a_text_is_read_with_the_options_of_the_command(model, printed, tmp_path):
    (tmp_path / "t.csv").write_text('id,line\n1,"To be, or not."\n2,Aye my lord.\n')
    options = ["--columns", "line", "--format", "csv", "--sample", 0]
    (expected,) = printed("evaluate", "shakespeare", tmp_path / "t.csv", *options)
    assert model.evaluate(tmp_path / "t.csv", columns="line", format="csv").to_dict() == expected
    with raises_naming(charlstm.CharlstmError, "`columns`", "`format`"):
        model.evaluate(texts=["a"], columns="line")
    for option in ({"encoding": "utf-8"}, {"format": "csv"}):
        with raises_naming(charlstm.CharlstmError, *(f"`{name}`" for name in option), "`texts`"):
            model.evaluate(texts=["a"], **option)
