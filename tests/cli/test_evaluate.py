"""Tests of ``charlstm evaluate`` through the command line."""

import inspect
import math
import os
import sys

import pytest

from charlstm.api.model import LanguageModel, load
from charlstm.cli.scores import SAME_TOKENIZER
from charlstm.corpus.documents import Corpus
from charlstm.errors import ConfigError, CorpusError, UsageError
from charlstm.evaluation.dynamic import _no_new_gpu
from tests.cli.helpers import (
    ALLOWED,
    NAMES,
    TEXT,
    assert_figures_of_training,
    objects,
    write_validation_text,
)
from tests.messages import assert_error, assert_names, raises_naming

NOTE = SAME_TOKENIZER + "\n"
KEYS = [
    "loss", "bits_per_character", "perplexity", "perplexity_known", "word_perplexity", "tokens",
    "characters", "words", "unknown",
]  # fmt: skip
WORD_KEYS = [
    "next_word_accuracy", "keystrokes_saved", "keystrokes_saved_standard_error", "sample", "seed",
]  # fmt: skip


def facts(result):
    (found,) = objects(result)
    return found


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_bytes(TEXT.encode()[:700])
    return "text"


# Figures


@pytest.mark.parametrize("checkpoint", ["prose", "names", "words"])
def test_the_validation_text_has_the_figures_of_training(charlstm, request, tmp_path, checkpoint):
    checkpoint = request.getfixturevalue(checkpoint)
    found = write_validation_text(checkpoint, tmp_path / "valid")
    for precision, allowed in ALLOWED.items():
        options = ["--sample", 0, "--json", "-q", "--precision", precision]
        score = facts(charlstm("evaluate", checkpoint, "valid", *options))
        assert list(score) == KEYS
        assert_figures_of_training(found, score, allowed)
        assert score["words"] == found.config.provenance.valid_words
        assert score["perplexity_known"] == score["perplexity"]
        assert score["word_perplexity"] == pytest.approx(
            found.figures.valid_word_perplexity, rel=0.1
        )


@pytest.mark.parametrize("checkpoint", ["prose", "words"])
def test_a_text_that_was_learned_is_foreseen(charlstm, request, text, checkpoint):
    checkpoint = request.getfixturevalue(checkpoint)
    found = facts(charlstm("evaluate", checkpoint, text, "--json", "--sample", 80, "-q"))
    assert list(found) == KEYS + WORD_KEYS
    accuracy = found["next_word_accuracy"]
    assert list(accuracy) == ["1", "3", "5", "standard_error"]
    assert 0.2 < accuracy["1"] <= accuracy["3"] <= accuracy["5"] <= 1
    assert accuracy["standard_error"]["1"] == pytest.approx(
        math.sqrt(accuracy["1"] * (1 - accuracy["1"]) / 80)
    )
    assert 0.5 < found["keystrokes_saved"] < 1
    assert 0 < found["keystrokes_saved_standard_error"] < 0.1
    assert (found["sample"], found["seed"]) == (80, 1)


def test_a_model_of_lines_is_asked_for_its_lines(charlstm, names, tmp_path):
    (tmp_path / "names").write_text(NAMES)
    found = facts(charlstm("evaluate", names, "names", "--json", "-q"))
    assert found["sample"] == len(NAMES.split())
    assert found["characters"] == len(NAMES)


def test_a_sample_follows_from_its_seed(charlstm, prose, tmp_path):
    (tmp_path / "text").write_text("a sleepy fox quips over old dog jokes, the lazy one\n" * 9)
    first, again, other = (
        facts(charlstm("evaluate", prose, "text", "--json", "-q", "--sample", 20, "--seed", seed))
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first["keystrokes_saved"] != other["keystrokes_saved"]
    assert first["loss"] == other["loss"]


def test_unknown_tokens_are_told_apart(charlstm, prose):
    given = ("the quick é fox" * 3).encode()
    found = facts(charlstm("evaluate", prose, "-", "--json", "-q", stdin=given))
    assert found["unknown"] == 3
    assert found["perplexity_known"] < found["perplexity"]


def test_figures_are_labeled_one_a_line(charlstm, prose, text):
    result = charlstm("evaluate", prose, text, "--sample", 30)
    assert (result.status, result.err) == (0, NOTE)
    rows = [(line[:24].strip(), line[24:]) for line in result.out.splitlines()]
    assert [label for label, _ in rows] == [
        "loss", "bits per character", "perplexity", "perplexity, known", "perplexity, words",
        "tokens", "characters", "unknown", "next word, top 1", "next word, top 3",
        "next word, top 5", "keystrokes saved", "sample",
    ]  # fmt: skip
    found = facts(charlstm("evaluate", prose, text, "--sample", 30, "--json"))
    shown = dict(rows)
    assert shown["loss"] == f"{found['loss']:.4f} nats per token"
    saved, error = found["keystrokes_saved"], found["keystrokes_saved_standard_error"]
    assert shown["keystrokes saved"] == (
        f"{100 * saved:.1f}% ± {100 * error:.1f} by three suggestions"
    )
    assert shown["sample"] == "30 words, seed 1"


def test_a_figure_that_is_no_number_is_null(charlstm, prose):
    found = facts(charlstm("evaluate", prose, "-", "--json", "-q", "--sample", 0, stdin=b"\r\n"))
    assert found["word_perplexity"] is None
    result = charlstm("evaluate", prose, "-", "-q", "--sample", 0, stdin=b"\r\n")
    assert "perplexity, words       none, too little white space\n" in result.out


# Texts


def test_texts_are_opened_as_for_training(charlstm, prose, text, tmp_path):
    import gzip

    plain = facts(charlstm("evaluate", prose, text, "--json", "-q", "--sample", 10))
    (tmp_path / "text.gz").write_bytes(gzip.compress((tmp_path / text).read_bytes()))
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    piped = (tmp_path / text).read_bytes()
    for arguments, stdin in ((["text.gz"], b""), (["-"], piped), ([text, text], b"")):
        assert plain == facts(
            charlstm("evaluate", prose, *arguments, "--json", "-q", "--sample", 10, stdin=stdin)
        )
    options = ["--json", "-q", "--sample", 0]
    found = facts(charlstm("evaluate", prose, "latin", *options, "--encoding", "latin-1"))
    assert (found["characters"], found["unknown"]) == (1, 1)
    found = facts(charlstm("evaluate", prose, "latin", *options, "--decode-errors", "replace"))
    assert (found["characters"], found["unknown"]) == (1, 1)


# Dynamic evaluation


@pytest.mark.parametrize("checkpoint", ["prose", "words", "names"])
def test_a_model_learns_as_it_reads(charlstm, request, sentence, tmp_path, checkpoint):
    checkpoint = request.getfixturevalue(checkpoint)
    (tmp_path / "other").write_text("a sleepy fox quips over old dog jokes\n" * 30)
    options = ["--sample", 0, "--precision", "float32", "--dynamic"]
    result = charlstm("evaluate", checkpoint, "other", *options, "--json")
    assert NOTE not in result.err
    loading = result.err.removesuffix(NOTE).removesuffix("\n")
    sentence(loading, "TensorFlow")
    found = facts(result)
    dynamic = found["dynamic"]
    assert list(dynamic) == [
        "tokens", "characters", "static", "loss", "bits_per_character", "perplexity", "rate",
        "decay", "segment",
    ]  # fmt: skip
    assert dynamic["static"] == {name: found[name] for name in dynamic["static"]}
    assert (dynamic["tokens"], dynamic["characters"]) == (found["tokens"], found["characters"])
    assert dynamic["loss"] < found["loss"] - 0.1
    assert dynamic["perplexity"] == pytest.approx(math.exp(dynamic["loss"]))
    still = charlstm(
        "evaluate", checkpoint, "other", *options, "--json", "--dynamic-rate", 0,
        "--dynamic-decay", 0.5, "--dynamic-tokens", 100,
    )  # fmt: skip
    dynamic = facts(still)["dynamic"]
    assert (dynamic["rate"], dynamic["decay"]) == (0, 0.5)
    assert 80 < dynamic["tokens"] < 180
    assert dynamic["loss"] == pytest.approx(dynamic["static"]["loss"], abs=1e-3)


def test_dynamic_figures_are_labeled(charlstm, prose, text):
    result = charlstm("evaluate", prose, text, "--sample", 0, "--dynamic", "-q")
    assert (result.status, result.err) == (0, "")
    labels = [line[:24].strip() for line in result.out.splitlines()]
    assert labels[8:] == ["dynamic loss", "dynamic bits", "dynamic perplexity", "dynamic read"]


def test_a_rate_that_is_too_high_is_warned_of(charlstm, prose, text):
    options = ["--sample", 0, "--dynamic", "--dynamic-tokens", 200, "--dynamic-rate", 1000]
    result = charlstm("evaluate", prose, text, *options)
    assert_names(result.err.splitlines()[1], "Warning", "static loss", "--dynamic-rate")


# Memorization


def test_what_stands_in_the_training_text_is_found(charlstm, prose, text, tmp_path):
    (tmp_path / "training").write_text(TEXT, newline="")
    (tmp_path / "strange").write_text("zzz", newline="")
    options = ["--sample", 0, "--json", "-q", "--against-sample", 500]
    found = facts(charlstm("evaluate", prose, text, "--against", "training", *options))
    memory = found["memorization"]
    assert list(memory) == ["characters", "seed", "generated", "text"]
    assert list(memory["generated"]) == ["10", "20", "30", "40", "50"]
    assert (memory["characters"], memory["seed"]) == (500, 1)
    assert memory["text"] == dict.fromkeys(memory["text"], 1.0)
    assert 0.3 < memory["generated"]["50"] <= memory["generated"]["10"] <= 1
    memory = facts(charlstm("evaluate", prose, text, "--against", "strange", *options))
    assert memory["memorization"]["generated"]["10"] == 0
    both = ["--against", "strange", "--against", "training"]
    assert facts(charlstm("evaluate", prose, text, *both, *options)) == found
    shown = charlstm("evaluate", prose, text, "--against", "strange", *options[:2]).out
    assert "verbatim 10             0.00% generated, 0.00% text\n" in shown


def test_lines_that_are_shorter_than_a_window_have_no_share(charlstm, names, tmp_path):
    (tmp_path / "names").write_text(NAMES)
    options = ["--sample", 0, "--against", "names", "--against-sample", 100]
    memory = facts(charlstm("evaluate", names, "names", *options, "--json"))["memorization"]
    line = memory["generated"].pop("line"), memory["text"].pop("line")
    assert 0.3 < line[0] <= line[1] == 1
    assert memory["text"] == dict.fromkeys(["10", "20", "30", "40", "50"])
    shown = charlstm("evaluate", names, "names", *options).out
    assert "verbatim 20             none generated, none text\n" in shown
    assert "% generated, 100.00% text\n" in shown


def test_an_object_is_no_table(charlstm, prose, tmp_path):
    (tmp_path / "nest.json").write_text('{"posts": [{"text": "one"}]}')
    for command in ("evaluate", "score"):
        result = charlstm(command, prose, "nest.json", "--columns", "posts.text")
        note, error = result.err.splitlines()
        assert note.startswith("Note: nest.json is an object, not an array")
        assert error.startswith("Error: nest.json is not a table, so --columns")


def test_an_empty_training_text_is_refused(charlstm, prose, text, tmp_path):
    (tmp_path / "empty.txt").touch()
    result = charlstm("evaluate", prose, text, "--sample", 0, "--against", "empty.txt")
    assert_error(result, 1, "empty.txt", "the text is empty")
    result = charlstm("evaluate", prose, text, "--against-sample", 100)
    assert_error(result, 2, "--against-sample", "--against")


# From Python


EVERY = pytest.mark.parametrize("checkpoint", ["prose", "words", "names"])
OTHER = "a sleepy fox quips over old dog jokes\n" * 5


@EVERY
def test_a_whole_text_has_the_same_score(charlstm, request, tmp_path, checkpoint):
    checkpoint = request.getfixturevalue(checkpoint)
    (tmp_path / "other").write_text(OTHER + "é")
    found = facts(charlstm("evaluate", checkpoint, "other", "--sample", 0, "--json", "-q"))
    score = facts(charlstm("score", checkpoint, "--whole", "other", "--json", "-q"))
    assert score["nats_per_token"] == found["loss"]
    for name in ("bits_per_character", "perplexity", "tokens", "characters", "unknown"):
        assert score[name] == found[name]


@pytest.mark.filterwarnings("ignore::charlstm.UnknownCharacterWarning")
@EVERY
def test_the_figures_are_there_in_python(charlstm, request, tmp_path, checkpoint):
    checkpoint = request.getfixturevalue(checkpoint)
    (tmp_path / "other").write_text(OTHER)
    found = facts(charlstm("evaluate", checkpoint, "other", "--sample", 9, "--seed", 3, "--json"))
    model = load(checkpoint)
    figures = model.evaluate("other")
    assert {name: getattr(figures, name) for name in KEYS} == {name: found[name] for name in KEYS}
    for same in (tmp_path / "other", ["other"], [tmp_path / "other"], Corpus.of_texts([OTHER])):
        assert model.evaluate(same) == figures
    assert model.evaluate(texts=[OTHER]) == figures
    words = model.evaluate_words("other", sample=9, seed=3)
    assert words == model.evaluate_words(texts=[OTHER], sample=9, seed=3)
    assert words.keystrokes_saved == found["keystrokes_saved"]
    assert words.sample == found["sample"]


def test_strings_are_documents(prose):
    model = load(prose)
    one, two = model.evaluate(texts=["the fox"]), model.evaluate(texts=["the fox", "", "the"])
    assert (one.tokens, two.tokens, two.words) == (7, 10, 3)
    (first, second) = model.score("the fox", "the")
    expected = -(first.log_probability + second.log_probability) / 10
    assert two.loss == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore::charlstm.UnknownCharacterWarning")
@EVERY
def test_dynamic_evaluation_is_there_in_python(charlstm, request, tmp_path, checkpoint):
    checkpoint = request.getfixturevalue(checkpoint)
    (tmp_path / "other").write_text(OTHER * 3)
    options = ["--dynamic-rate", 0.1, "--dynamic-decay", 0, "--dynamic-tokens", 120]
    arguments = ["evaluate", checkpoint, "other", "--sample", 0, "--dynamic", "--json", *options]
    found = facts(charlstm(*arguments))["dynamic"]
    model = load(checkpoint)
    figures = model.evaluate_dynamic("other", rate=0.1, decay=0, tokens=120)
    assert (figures.rate, figures.decay, figures.segment) == (0.1, 0, found["segment"])
    assert figures.static.tokens == found["tokens"]
    assert figures.static.loss == found["static"]["loss"]
    for name in ("loss", "bits_per_character", "perplexity"):
        assert getattr(figures, name) == pytest.approx(found[name], rel=1e-5)
    whole = model.evaluate_dynamic(texts=[OTHER * 3], tokens=0)
    assert whole.static == model.evaluate("other")
    assert whole.perplexity == pytest.approx(math.exp(whole.loss))


@EVERY
def test_memorization_is_there_in_python(charlstm, request, tmp_path, checkpoint):
    checkpoint = request.getfixturevalue(checkpoint)
    training = NAMES if checkpoint.name == "names" else TEXT
    (tmp_path / "training").write_text(training, newline="")
    (tmp_path / "other").write_text(OTHER)
    options = ["--against", "training", "--against-sample", 300, "--seed", 5]
    arguments = ["evaluate", checkpoint, "other", "--sample", 0, "--json", *options]
    found = facts(charlstm(*arguments))["memorization"]
    model = load(checkpoint)
    memory = model.memorization("training", compare="other", characters=300, seed=5)
    assert (memory.characters, memory.seed) == (300, 5)
    for name, overlap in (("generated", memory.generated), ("text", memory.text)):
        line = found[name].pop("line", None)
        assert overlap.documents == line
        assert {str(length): share for length, share in overlap.shares.items()} == found[name]
    alone = model.memorization(Corpus.of_texts([training]), characters=300, seed=5)
    assert (alone.generated, alone.text) == (memory.generated, None)


def test_the_defaults_are_those_of_the_command_line():
    from charlstm.cli import evaluate
    from charlstm.evaluation import dynamic, memorization

    defaults = {
        name: parameter.default
        for function in (LanguageModel.evaluate_words, LanguageModel.evaluate_dynamic,
                         LanguageModel.memorization)
        for name, parameter in inspect.signature(function).parameters.items()
    }  # fmt: skip
    given = {option.name: option.default for option in evaluate.command.params}
    assert defaults["sample"] == given["sample"]
    assert defaults["seed"] == given["seed"]
    assert defaults["characters"] == given["against_sample"] == memorization.CHARACTERS
    assert defaults["tokens"] == dynamic.TOKENS


@pytest.mark.parametrize(("method", "arguments", "error", "parts"), [
    ("evaluate", {"texts": [""]}, CorpusError, ["texts", "empty"]),
    ("evaluate", {"texts": "one"}, ConfigError, ["texts", "a list", "[text]"]),
    ("evaluate", {"text": "a", "texts": ["b"]}, UsageError, ["text", "texts"]),
    ("evaluate_words", {"texts": ["a"], "sample": 0}, ConfigError, ["sample", 0, "1 or more"]),
    ("evaluate_words", {"texts": ["a"], "seed": -1}, ConfigError, ["seed", -1, 0]),
    ("evaluate_dynamic", {"texts": ["a"], "rate": -1}, ConfigError, ["rate", -1, "1,000"]),
    ("evaluate_dynamic", {"texts": ["a"], "decay": 1.5}, ConfigError, ["decay", 1.5, "0 to 1"]),
    ("evaluate_dynamic", {"texts": ["a"], "tokens": -1}, ConfigError,
     ["tokens", -1, "0 or more"]),
    ("memorization", {"training_text": [], "characters": 0}, ConfigError,
     ["characters", 0, "1 or more"]),
])  # fmt: skip
def test_what_python_can_not_ask_for(prose, sentence, method, arguments, error, parts):
    with pytest.raises(error) as caught:
        getattr(load(prose), method)(**arguments)
    sentence(caught.value, *parts)


def test_a_missing_text_is_told_in_python(prose, sentence):
    model = load(prose)
    with raises_naming(CorpusError, "nothing.txt"):
        model.evaluate("nothing.txt")
    with pytest.raises(UsageError) as caught:
        model.evaluate()
    sentence(caught.value, "`text`", "`texts`")


@pytest.mark.parametrize("before", [None, "0"])
def test_a_first_use_of_tensorflow_sees_no_gpu(monkeypatch, before):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before or "")
    if before is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with _no_new_gpu():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    with _no_new_gpu():
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


# What is refused


def test_what_can_not_be_evaluated_is_told(charlstm, prose, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "dots").write_bytes(b"... ---\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for arguments, status, parts in (
        ([], 2, ["FILE", "folder", "glob pattern", "-", "corpus"]),
        (["empty"], 1, ["empty"]),
        (["dots"], 1, ["dots", "word", "no word"]),
        (["latin"], 1,
         ["latin", "0xe9", "offset 3", "utf-8", "--encoding", "--decode-errors replace"]),
        (["-", "-"], 2, ["twice"]),
        (["-", "--against", "-"], 2, ["twice"]),
        (["dots", "--dynamic-rate", 1], 2, ["--dynamic-rate", "--dynamic"]),
    ):  # fmt: skip
        assert_error(charlstm("evaluate", prose, *arguments), status, *parts)
    assert charlstm("evaluate", prose, "dots", "--sample", 0, "-q").status == 0
    assert_error(charlstm("evaluate", prose, "nothing.txt"), 1, "nothing.txt")


# Hidden words


def test_hidden_words_are_measured_on_request(charlstm, prose, tmp_path):
    (tmp_path / "text").write_text("the quick brown fox jumps over the lazy dog\n" * 2)
    (found,) = objects(charlstm("evaluate", prose, "text", "--gaps", "--sample", 12, "--json"))
    assert list(found["gaps"]) == ["sample", "accuracy", "left_accuracy"]
    assert found["gaps"]["sample"] == 12
    assert found["gaps"]["accuracy"]["1"] >= found["gaps"]["left_accuracy"]["1"]
    rows = charlstm("evaluate", prose, "text", "--gaps", "--sample", 12, "-q").out.splitlines()
    assert [row[:18] for row in rows[-4:-1]] == [f"hidden word, top {n}" for n in (1, 3, 5)]
    assert rows[-1].split(maxsplit=1) == ["hidden", "12 words"]
    assert "hidden" not in charlstm("evaluate", prose, "text", "--sample", 12, "-q").out
    assert_error(charlstm("evaluate", prose, "text", "--gaps", "--sample", 0), 2, "--gaps")
    both = charlstm("evaluate", "--gaps", "--sample", 5, "--models", prose, prose, "--", "text")
    assert "hidden, top 1" in both.out
