"""``charlstm predict``: words for a prompt, in one or two groups; JSON for each line."""

import json
import os
import re
import subprocess
import sys

import pytest

import charlstm as package
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import ModelConfig, TokenizerConfig
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES, begin, settings
from tests.cli.helpers import objects
from tests.messages import assert_error, assert_misuse, assert_warning, raises_naming
from tests.models import CHARS, random_weights

KEYS = ["text", "probability", "append", "kind"]
LINE = re.compile(r"\d\.\d{4}\t.+")


def predicted(result):
    assert result.err == ""
    return objects(result)


@pytest.mark.parametrize("level", ["prose", "words"])
def test_a_line_holds_the_probability_and_the_word(charlstm, level, request):
    model = request.getfixturevalue(level)
    result = charlstm("predict", model, "the quick")
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert len(lines) == 5
    assert all(LINE.fullmatch(line) for line in lines)
    shares = [float(line.split("\t")[0]) for line in lines]
    assert shares == sorted(shares, reverse=True)
    assert lines[0].split("\t")[1] == "brown"


@pytest.mark.parametrize("level", ["prose", "words"])
@pytest.mark.parametrize(
    ("prompt", "text", "append"),
    [
        ("the qui", "quick", "ck"),
        ("the quick ", "brown", "brown"),
        ("the quick", "brown", " brown"),
    ],
)
def test_a_word_is_completed_or_followed(charlstm, level, prompt, text, append, request):
    model = request.getfixturevalue(level)
    (found,) = predicted(charlstm("predict", model, prompt, "--json", "-k", 1))
    assert list(found) == ["prompt", "predictions"]
    assert found["prompt"] == prompt
    (first,) = found["predictions"]
    assert list(first) == KEYS
    assert first["kind"] == ("completes" if append == "ck" else "follows")
    assert (first["text"], first["append"]) == (text, append)
    assert 0.05 < first["probability"] <= 1


@pytest.mark.parametrize("level", ["prose", "words"])
def test_phrases(charlstm, level, request):
    model = request.getfixturevalue(level)
    (found,) = predicted(charlstm("predict", model, "the qui", "--words", 3, "--json"))
    assert len(found["predictions"]) == 5
    for phrase in found["predictions"]:
        assert phrase["text"].endswith(phrase["append"].lstrip())
        assert len(phrase["text"].replace(";", " ;").replace(".", " .").split()) == 3
    if level == "prose":
        assert found["predictions"][0]["append"] == "ck brown fox"


def written(folder, tokenizer, ending, bias):
    """Write a checkpoint of random weights ; how likely words end is a bias."""
    network = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=8, units=20, layers=2)
    weights = dict(random_weights(network))
    weights["output/bias"] = weights["output/bias"].copy()
    weights["output/bias"][[0, *tokenizer.encode(ending)]] = bias
    begin(folder, settings(network), tokenizer)
    CheckpointWriter(folder).model(weights, FIGURES)
    return folder


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A checkpoint whose words may end after any letter."""
    return written(tmp_path_factory.mktemp("letters") / "model", CHARS, " ", 3.0)


@pytest.fixture(scope="module")
def dna(tmp_path_factory):
    """A checkpoint of a text in which no word ends."""
    tokenizer = build_tokenizer(["ACGT\n"], TokenizerConfig())
    return written(tmp_path_factory.mktemp("dna") / "model", tokenizer, "\n", -30.0)


@pytest.mark.parametrize("options", [[], ["--words", 2], ["--words-only"]])
def test_a_word_that_may_be_complete_has_two_groups(charlstm, letters, options):
    (found,) = predicted(charlstm("predict", letters, "bad cab", "-k", 3, "--json", *options))
    kinds = [one["kind"] for one in found["predictions"]]
    assert sorted(kinds) == ["completes"] * 3 + ["follows"] * 3
    assert len({*kinds[:3]}) == len({*kinds[3:]}) == 1
    shares = [one["probability"] for one in found["predictions"]]
    assert shares[:3] == sorted(shares[:3], reverse=True)
    assert shares[3:] == sorted(shares[3:], reverse=True)
    assert shares[0] == max(shares)
    for one in found["predictions"]:
        if one["kind"] == "completes":
            assert one["text"] == "cab" + one["append"]
        else:
            assert one["text"] == one["append"].lstrip()
    rows = charlstm("predict", letters, "bad cab", "-k", 3, *options).out.splitlines()
    assert [row.split("\t")[1:] for row in rows] == [
        [f"{one['text']} {'<end of document>' if 'end' in one else ''}".strip(), one["kind"]]
        for one in found["predictions"]
    ]
    stdin = predicted(charlstm("predict", letters, "-k", 3, *options, stdin=b"bad cab\n"))
    assert stdin == [found]


@pytest.mark.parametrize("prompt", ["", "bad ", "bad.", "bad\n"])
def test_a_prompt_that_ends_with_no_word_has_one_list(charlstm, letters, prompt):
    rows = charlstm("predict", letters, "-k", 4, "--", prompt).out.splitlines()
    assert [row.count("\t") for row in rows] == [1] * 4


def test_single_tokens_have_no_kind(charlstm, letters):
    (found,) = predicted(charlstm("predict", letters, "bad", "--tokens", "--json"))
    assert all("kind" not in one for one in found["predictions"])


def test_an_unlikely_word_has_a_digit_that_is_not_zero(charlstm, letters):
    rows = charlstm("predict", letters, "bad ", "-k", 1000).out.splitlines()
    shares = [row.split("\t")[0] for row in rows]
    assert len(rows) == 1000
    assert "0.0000" not in shares
    assert re.fullmatch(r"\de-\d\d", shares[-1])
    numbers = [float(share) for share in shares]
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("options", [[], ["--words", 3], ["--words-only"], ["-k", 1]])
@pytest.mark.parametrize("prompt", ["", "GATTACA", "AC\n"])
def test_where_no_word_ends_a_note_names_symbols(charlstm, dna, options, prompt):
    result = charlstm("predict", dna, *options, "--", prompt)
    assert (result.status, result.out) == (0, "")
    assert "--tokens" in result.err
    assert result.err.count("\n") == 1
    as_json = charlstm("predict", dna, *options, "--json", "--", prompt)
    assert objects(as_json) == [{"prompt": prompt, "predictions": []}]
    assert as_json.err == result.err
    assert charlstm("predict", dna, *options, "-q", "--", prompt).err == ""
    assert package.load(dna).predict(prompt) == []


def test_a_session_says_once_that_no_word_ends(charlstm, dna, sentence):
    result = charlstm("predict", dna, stdin=b"GAT\nGATT\nGATTA\n")
    assert [one["predictions"] for one in objects(result)] == [[], [], []]
    sentence(result.err.removesuffix("\n"), "Note", "--tokens")
    assert len(charlstm("predict", dna, "GAT", "--tokens", "-k", 4).out.splitlines()) == 4


def test_punctuation_is_predicted_or_left_out(charlstm, prose):
    (with_it,) = predicted(charlstm("predict", prose, "lazy dog", "--json"))
    (without,) = predicted(charlstm("predict", prose, "lazy dog", "--json", "--words-only"))
    assert ";" in [one["text"] for one in with_it["predictions"]]
    assert without["predictions"]
    assert all(one["text"].isalnum() for one in without["predictions"])


def test_the_end_of_a_line_is_a_prediction(charlstm, names):
    (found,) = predicted(charlstm("predict", names, "cana", "--json"))
    (end,) = [one for one in found["predictions"] if one.get("end")]
    probability = end["probability"]
    assert end == {
        **{"text": "", "probability": probability, "append": "", "kind": "follows"},
        **{"end": True, "special": "end"},
    }
    assert "\t<end of document>\n" in charlstm("predict", names, "cana").out
    assert "<end" not in charlstm("predict", names, "cana", "--words-only").out


@pytest.mark.parametrize("level", ["prose", "words"])
def test_single_tokens(charlstm, level, request):
    model = request.getfixturevalue(level)
    (found,) = predicted(charlstm("predict", model, "the quic", "--tokens", "--json", "-k", 1000))
    shares = [one["probability"] for one in found["predictions"]]
    assert sum(shares) == pytest.approx(1)
    assert len(shares) == package.load(model).tokenizer.vocab_size
    text = charlstm("predict", model, "the quic", "--tokens", "-k", 1000).out
    assert text.count("\n") == len(shares)
    names = ["<end of document>", "<unknown character>"]
    if level == "words":
        names += ["<start of spelling>", "<end of spelling>"]
    for name in names:
        assert f"\t{name}\n" in text
    special = {one["special"]: one for one in found["predictions"] if "special" in one}
    assert len(special) == len(names)
    keys = {"begin_spelling": "spelling", "end_spelling": "spelled"}
    assert all(one[keys.get(name, name)] is True for name, one in special.items())
    assert {"end", "unknown"} <= special.keys() <= {"end", "unknown", *keys}
    assert "\t\\r\n" in text


@pytest.mark.parametrize("level", ["prose", "words"])
def test_lines_are_answered_in_json(charlstm, level, request):
    model = request.getfixturevalue(level)
    prompts = ["", "the", "the ", "the q", "the qu", "the lazy dog", "fox"]
    stdin = "\n".join(prompts).encode()
    found = predicted(charlstm("predict", model, "-", "-k", 2, stdin=stdin))
    assert [one["prompt"] for one in found] == prompts
    assert found == predicted(charlstm("predict", model, "-k", 2, stdin=stdin + b"\n"))
    of_windows = stdin.replace(b"\n", b"\r\n")
    assert found == predicted(charlstm("predict", model, "-k", 2, stdin=of_windows))
    for one in found:
        alone = charlstm("predict", model, "--json", "-k", 2, "--", one["prompt"])
        assert predicted(alone) == [one]


def test_each_line_is_answered_before_the_next_is_read(prose):
    command = [sys.executable, "-m", "charlstm", "predict", str(prose), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for prompt in ("the q", "the qu"):
            process.stdin.write(prompt.encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["prompt"] == prompt
        process.stdin.close()
        assert process.wait() == 0


def test_unknown_characters_are_told_once(charlstm, prose):
    result = charlstm("predict", prose, stdin="the €\nthe €q\n".encode())
    assert_warning(result, "prompt", 1, "1 × '€' U+20AC")
    assert charlstm("predict", prose, "the €", "-q").err == ""


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_precision_is_that_of_the_model(charlstm, prose, precision):
    options = ["--precision", precision, "--threads", 1, "--json"]
    (found,) = objects(charlstm("predict", prose, "the q", *options))
    shares = [one["probability"] for one in found["predictions"]]
    expected = package.load(prose, precision=precision, threads=1).predict("the q")
    assert shares == [one.probability for one in expected]
    other = package.load(prose, precision={"int8": "float32", "float32": "int8"}[precision])
    assert shares != [one.probability for one in other.predict("the q")]


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "parts"),
    [
        (["a", "--tokens", "--words", 2], b"", 2, ["--tokens", "--words"]),
        (["a", "--tokens", "--words-only"], b"", 2, ["--tokens", "--words-only"]),
        (["caf\udce9"], b"", 2, ["PROMPT", "UTF-8"]),
        ([], b"caf\xe9!\n", 1,
         ["line 1", "stdin", "UTF-8", "0xe9", "offset 3", "iconv"]),
    ],
)  # fmt: skip
def test_what_is_refused(charlstm, prose, arguments, stdin, status, parts):
    assert_error(charlstm("predict", prose, *arguments, stdin=stdin), status, *parts)


def test_a_terminal_is_not_waited_for(charlstm, prose, monkeypatch, sentence):
    leader, follower = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "charlstm", "predict", str(prose)],
            stdin=follower,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(leader)
        os.close(follower)
    assert_error(done, 2, "PROMPT", "-")
    sentence(done.stderr.removesuffix("\n"))


def test_the_python_interface_predicts_the_same(charlstm, prose):
    (found,) = predicted(charlstm("predict", prose, "the la", "--json"))
    model = package.load(prose)
    same = model.predict("the la")
    assert [(p.text, p.probability, p.append, p.kind) for p in same] == [
        tuple(one.values()) for one in found["predictions"]
    ]
    assert isinstance(same[0], package.Prediction)
    assert len(model.predict("the ", top=2, words=2, words_only=True)) == 2
    assert model.predict("the quic", tokens=True)[0].text == "k"
    with raises_naming(package.CharlstmError, "tokens", "words"):
        model.predict("a", tokens=True, words=2)
    with raises_naming(package.CharlstmError, "top", 0):
        model.predict("a", top=0)


def test_a_prompt_without_quotes_is_shown_with_them(charlstm, prose):
    assert_misuse(charlstm("predict", prose, "foo", "bar"), "unexpected", "'bar'", "'foo bar'")
