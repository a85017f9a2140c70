"""``charlstm score``: the figures of lines and of whole texts, as they arrive or sorted."""

import gzip
import json
import math
import select
import subprocess
import sys

import pytest

import charlstm as package
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.cli.app import run_command_line
from charlstm.cli.scores import SAME_TOKENIZER
from tests.cli.helpers import (
    ALLOWED,
    NAMES,
    SHORT,
    TEXT,
    TINY,
    assert_figures_of_training,
    objects,
    text_of,
    write_validation_text,
)
from tests.messages import assert_error, assert_names

KEYS = [
    "line", "text", "characters", "tokens", "unknown", "log_probability", "bits_per_character",
    "nats_per_token",
    "perplexity",
]  # fmt: skip
LINES = ["the lazy dog sleeps.", "zzzqx", "", "a quick fox", "zzzqx", "the €"]
NOTE = SAME_TOKENIZER + "\n"


def test_columns_stand_between_tabs(charlstm, prose):
    result = charlstm("score", prose, stdin=text_of(LINES))
    assert result.status == 0
    assert result.err.endswith(NOTE)
    columns = result.err.removesuffix(NOTE)
    assert_names(
        columns, "bits per character", "log-probability in nats", "perplexity", "unknown", "line"
    )
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert [row[5] for row in rows] == LINES
    assert [row[4] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [row[3] for row in rows] == ["0", "0", "0", "0", "0", "1"]
    assert rows[2][:3] == ["nan", "0.0000", "nan"]
    for row, line in zip(rows, LINES, strict=True):
        if line:
            bits, log_probability, perplexity = map(float, row[:3])
            assert bits * len(line) * math.log(2) == pytest.approx(-log_probability, abs=0.01)
            assert math.exp(-log_probability / len(line)) == pytest.approx(perplexity, rel=0.01)
    assert float(rows[0][0]) < float(rows[1][0])


def test_json_lines_say_the_same_as_the_python_interface(charlstm, prose):
    result = charlstm("score", prose, "--json", stdin=text_of(LINES))
    assert result.err == ""
    found = objects(result)
    assert [list(line) for line in found] == [KEYS] * len(LINES)
    with pytest.warns(package.UnknownCharacterWarning):
        scores = package.load(prose).score(*LINES)
    for line, score in zip(found, scores, strict=True):
        assert {"line": line["line"], **json.loads(score.to_json())} == line
        assert line["text"] == score.text
        assert line["log_probability"] == score.log_probability
        assert (line["characters"], line["tokens"]) == (score.characters, score.tokens)
        assert line["unknown"] == score.unknown
    assert found[2]["bits_per_character"] is None
    assert found[2]["perplexity"] is None


def test_quiet_leaves_the_note_out(charlstm, prose):
    for options in ([], ["--json"], ["--whole"]):
        loud = charlstm("score", prose, *options, stdin=b"the\n")
        quiet = charlstm("score", prose, "-q", *options, stdin=b"the\n")
        assert quiet == (0, loud.out, "")
        assert (NOTE in loud.err) == ("--json" not in options)


def test_a_model_of_lines_scores_the_end_as_a_character(charlstm, names, prose):
    (line,) = objects(charlstm("score", names, "--json", stdin=b"binalo\n"))
    assert (line["characters"], line["tokens"], line["text"]) == (7, 7, "binalo")
    (line,) = objects(charlstm("score", prose, "--json", stdin=b"a fox\r\n"))
    assert (line["characters"], line["tokens"], line["text"]) == (5, 5, "a fox")


def test_a_carriage_return_is_no_text_to_a_model_that_never_saw_one(charlstm, names):
    (line,) = objects(charlstm("score", names, "--json", stdin=b"ana\r\n"))
    assert (line["text"], line["characters"], line["unknown"]) == ("ana", 4, 0)
    ranked = charlstm("rank", names, "--best", "-q", stdin=b"zqx\tana\r\n")
    assert (ranked.status, ranked.out) == (0, "ana\n")


def test_a_carriage_return_is_text_to_an_old_model_of_lines_that_had_it(charlstm, old_windows):
    (line,) = objects(charlstm("score", old_windows, "--json", stdin=b"ana\r\n"))
    assert (line["text"], line["characters"], line["unknown"]) == ("ana\r", 5, 0)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_precision_is_that_of_the_model(charlstm, prose, precision):
    options = ["--json", "--precision", precision, "--threads", 1]
    lines = objects(charlstm("score", prose, *options, stdin=text_of(LINES)))
    with pytest.warns(package.UnknownCharacterWarning, match="a text has 1 unknown character"):
        expected = package.load(prose, precision=precision, threads=1).score(*LINES)
    assert [line["log_probability"] for line in lines] == [s.log_probability for s in expected]
    other = package.load(prose, precision={"int8": "float32", "float32": "int8"}[precision])
    assert other.score(LINES[0])[0].log_probability != expected[0].log_probability


@pytest.mark.parametrize("checkpoint", ["prose", "names", "words"])
def test_each_token_can_be_shown(charlstm, request, checkpoint):
    checkpoint = request.getfixturevalue(checkpoint)
    tokenizer = read_checkpoint(checkpoint).tokenizer
    found = objects(charlstm("score", checkpoint, "--json", "--per-token", stdin=text_of(LINES)))
    plain = objects(charlstm("score", checkpoint, "--json", stdin=text_of(LINES)))
    for line, without in zip(found, plain, strict=True):
        tokens = line.pop("per_token")
        assert line == without
        assert len(tokens) == line["tokens"]
        shown = "".join(token["text"] for token in tokens)
        assert shown == tokenizer.decode(tokenizer.encode(line["text"]))
        total = sum(token["log_probability"] for token in tokens)
        assert total == pytest.approx(line["log_probability"])


def test_tokens_are_shown_under_their_line(charlstm, prose):
    result = charlstm("score", prose, "-q", "--per-token", stdin=b'a "\tb\n')
    first, *tokens = result.out.splitlines()
    assert first.endswith('\t1\ta "\tb')
    assert [line.split("\t")[0] for line in tokens] == [""] * 5
    assert [json.loads(line.split("\t")[2]) for line in tokens] == ["a", " ", "�", "�", "b"]
    total = sum(float(line.split("\t")[1]) for line in tokens)
    assert total == pytest.approx(float(first.split("\t")[1]), abs=0.001)


# Order


def test_the_most_surprising_lines_come_first(charlstm, prose):
    plain = objects(charlstm("score", prose, "--json", stdin=text_of(LINES)))
    ranked = sorted(plain, key=lambda line: -(line["bits_per_character"] or -1))
    assert [line["line"] for line in ranked[-1:]] == [3]
    assert objects(charlstm("score", prose, "--json", "--sort", stdin=text_of(LINES))) == ranked
    for count in (1, 3, 100):
        top = objects(charlstm("score", prose, "--json", "--top", count, stdin=text_of(LINES)))
        assert top == ranked[:count]
    equal = [line["line"] for line in ranked if line["text"] == "zzzqx"]
    assert equal == [2, 5]


# Where texts come from


def test_several_files_are_named(charlstm, prose, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"the\nfox\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"dog"))
    found = objects(charlstm("score", prose, "a.txt", "b.txt.gz", "-", "--json", stdin=b"a\n"))
    assert [(line["file"], line["line"], line["text"]) for line in found] == [
        ("a.txt", 1, "the"), ("a.txt", 2, "fox"), ("b.txt.gz", 1, "dog"), ("stdin", 1, "a"),
    ]  # fmt: skip
    assert list(found[0]) == ["file", *KEYS]
    text = charlstm("score", prose, "-q", "a.txt", "b.txt.gz").out
    assert [line.split("\t")[4] for line in text.splitlines()] == [
        "a.txt:1", "a.txt:2", "b.txt.gz:1",
    ]  # fmt: skip


def test_a_file_and_a_pipe_score_alike(charlstm, prose, tmp_path):
    text = TEXT.encode()[:2000]
    (tmp_path / "text").write_bytes(text)
    options = ["score", prose, "-q"]
    piped = charlstm(*options, stdin=text)
    assert charlstm(*options, "text") == piped
    assert charlstm(*options, "-", stdin=text) == piped
    lines = [charlstm(*options, stdin=line).out for line in text.splitlines(keepends=True)[:3]]
    one_by_one = [line.split("\t")[:4] for line in lines]
    assert [line.split("\t")[:4] for line in piped.out.splitlines()[:3]] == one_by_one


def test_many_lines_come_in_order(charlstm, names, tmp_path):
    lines = [f"{'abc'[n % 3]}{'na' * (n % 11)}" for n in range(1500)]
    (tmp_path / "text").write_bytes(text_of(lines))
    found = objects(charlstm("score", names, "text", "--json"))
    assert [line["text"] for line in found] == lines
    assert [line["line"] for line in found] == list(range(1, 1501))
    figures = {}
    for line in found:
        assert figures.setdefault(line["text"], line["log_probability"]) == line["log_probability"]


@pytest.mark.parametrize(("given", "expected"), [
    (b"", []), (b"\n", [""]), (b"a", ["a"]), (b"a\n\nb", ["a", "", "b"]), (b"a\rb\n", ["a\rb"]),
])  # fmt: skip
def test_lines_end_at_newlines(charlstm, prose, given, expected):
    found = objects(charlstm("score", prose, "--json", stdin=given))
    assert [line["text"] for line in found] == expected


def test_a_line_is_scored_as_soon_as_it_is_there(prose):
    """As behind ``tail -f``: the pipe stays open."""
    with subprocess.Popen(
        [sys.executable, "-m", "charlstm", "score", prose, "-q", "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        for number, text in enumerate(["the lazy dog", "a", "é"], 1):
            process.stdin.write(text_of([text]))
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0]
            line = json.loads(process.stdout.readline())
            assert (line["line"], line["text"]) == (number, text)
        process.stdin.close()
        assert process.wait(60) == 0


def test_other_encodings(charlstm, prose, tmp_path):
    (tmp_path / "latin").write_bytes("é fox\n".encode("latin-1"))
    result = charlstm("score", prose, "latin", "-q", "--json", "--encoding", "latin-1")
    assert objects(result)[0]["text"] == "é fox"
    result = charlstm("score", prose, "latin", "-q", "--json", "--decode-errors", "replace")
    assert objects(result)[0]["text"] == "\ufffd fox"
    for arguments, stdin, name in ([["latin"], b"", "latin"], [[], b"\xe9 fox\n", "stdin"]):
        result = charlstm("score", prose, "-q", *arguments, stdin=stdin)
        remedies = ["--encoding", "--decode-errors replace"]
        assert_error(result, 1, name, "0xe9", "offset 0", "utf-8", *remedies)


# Texts


@pytest.mark.parametrize("checkpoint", ["prose", "names", "words"])
def test_the_whole_validation_text_has_the_loss_of_training(
    charlstm, request, tmp_path, checkpoint
):
    checkpoint = request.getfixturevalue(checkpoint)
    found = write_validation_text(checkpoint, tmp_path / "valid")
    for precision, allowed in ALLOWED.items():
        options = ["--whole", "--json", "--precision", precision]
        (score,) = objects(charlstm("score", checkpoint, "valid", *options))
        assert_figures_of_training(found, score | {"loss": score["nats_per_token"]}, allowed)


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """A checkpoint of several documents, which has learned where they end."""
    folder = tmp_path_factory.mktemp("documents")
    for number in range(4):
        (folder / f"{number}.txt").write_text(f"document {number} begins and ends.\n" * 3)
    arguments = ["train", str(folder), "-o", str(folder / "model"), "-q", *TINY, *SHORT]
    assert run_command_line(arguments) == 0
    return folder / "model"


def test_an_end_that_was_learned_is_scored(charlstm, documents, prose):
    for checkpoint, marks in ((documents, 1), (prose, 0)):
        (score,) = objects(charlstm("score", checkpoint, "--whole", "--json", stdin=b"document\n"))
        assert (score["characters"], score["tokens"]) == (9, 9 + marks)
    (line,) = objects(charlstm("score", documents, "--json", stdin=b"document\n"))
    assert (line["characters"], line["tokens"]) == (8, 8)


def test_the_figures_of_a_whole_text_are_labeled(charlstm, names, tmp_path):
    (tmp_path / "text").write_bytes(NAMES.encode()[:500])
    result = charlstm("score", names, "text", "--whole")
    assert (result.status, result.err) == (0, NOTE)
    rows = dict(line.split("  ", 1) for line in result.out.splitlines())
    assert list(rows) == [
        "nats per token", "bits per character", "perplexity", "log-probability", "tokens",
        "characters", "unknown",
    ]  # fmt: skip
    (score,) = objects(charlstm("score", names, "text", "--whole", "--json"))
    assert float(rows["nats per token"]) == pytest.approx(score["nats_per_token"], abs=1e-4)
    twice = charlstm("score", names, "text", "text", "--whole", "-q").out
    block = f"file                text\n{result.out}"
    assert twice == f"{block}\n{block}"
    files = objects(charlstm("score", names, "text", "text", "--whole", "--json"))
    assert files == 2 * [{"file": "text", **score}]


def test_an_empty_text_has_no_figures(charlstm, prose, names):
    for checkpoint in (prose, names):
        (score,) = objects(charlstm("score", checkpoint, "--whole", "--json"))
        assert (score["tokens"], score["log_probability"]) == (0, 0.0)
        assert score["nats_per_token"] is None


def test_the_tokens_of_a_whole_text(charlstm, prose):
    options = ["score", prose, "--whole", "--json", "--per-token"]
    (score,) = objects(charlstm(*options, stdin=b"the\r\nfox"))
    assert "".join(token["text"] for token in score["per_token"]) == "the\r\nfox"


# From line to line


def test_carried_lines_are_one_text(charlstm, prose):
    text = TEXT.encode()[:300] + b"the"
    (whole,) = objects(charlstm("score", prose, "--whole", "--json", stdin=text))
    carried = objects(charlstm("score", prose, "--carry", "--json", stdin=text))
    assert sum(line["characters"] for line in carried) == whole["characters"] == len(text)
    total = sum(line["log_probability"] for line in carried)
    assert total == pytest.approx(whole["log_probability"], abs=1e-6)
    assert [line["text"] for line in carried] == text.decode().replace("\r", "").split("\n")
    assert carried[1]["log_probability"] != carried[0]["log_probability"]


def test_each_file_is_carried_by_itself(charlstm, prose, tmp_path):
    (tmp_path / "a").write_bytes(b"the\nfox\n")
    first, second, *again = objects(charlstm("score", prose, "a", "a", "--carry", "--json"))
    assert again == [first, second]


def test_a_model_of_lines_carries_nothing(charlstm, names):
    plain = charlstm("score", names, "--json", stdin=b"ana\nbelo\n")
    carried = charlstm("score", names, "--json", "--carry", stdin=b"ana\nbelo\n")
    assert carried.out == plain.out
    assert_names(carried.err, "documents", "--carry")


# What is refused


@pytest.mark.parametrize("option", [["--carry"], ["--sort"], ["--top", 3]])
def test_whole_texts_have_no_lines(charlstm, prose, option):
    result = charlstm("score", prose, "--whole", *option)
    assert_error(result, 2, option[0], "--whole")


def test_what_can_not_be_read_is_told(charlstm, prose, tmp_path):
    (tmp_path / "text").write_bytes(b"a\n")
    assert_error(charlstm("score", "text"), 1, "text", "config.json is missing", "charlstm train")
    assert_error(charlstm("score", prose, "nothing.txt"), 1, "nothing.txt")
    klingon = charlstm("score", prose, "text", "--encoding", "klingon")
    assert_error(klingon, 2, "'klingon'", "encoding")
    binary = charlstm("score", prose, "-q", stdin=b"a\0b\n")
    assert_error(binary, 1, "stdin", "binary", "NUL byte at offset 1")
    assert charlstm("score").status == 2


def test_a_line_that_is_too_long_to_be_held(charlstm, prose, monkeypatch, sentence):
    monkeypatch.setattr("charlstm.corpus.lines.LONGEST_LINE", 1000)
    result = charlstm("score", prose, "-q", stdin=b"the lazy dog\n" + b"b" * 1001)
    assert_error(result, 1, "1,000 characters", "--whole", out=None)
    sentence(result.err.removesuffix("\n"))
