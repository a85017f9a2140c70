"""``charlstm generate`` as a filter: what it writes where, and what it refuses."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

import charlstm as package
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import MODEL
from tests.cli.helpers import NAMES, objects
from tests.messages import assert_error, assert_warning, raises_naming

DATA = Path(__file__).parents[1] / "data"  # checkpoints of older formats

KEYS = [
    "index", "prompt", "text", "tokens", "seed", "finish_reason", "mean_log_probability",
]  # fmt: skip


def test_text_goes_to_stdout_and_the_seed_to_stderr(charlstm, prose):
    result = charlstm("generate", prose, "-n", 40, "--seed", 5)
    assert (result.status, result.err) == (0, "seed 5\n")
    again = charlstm("generate", prose, "-n", 40, "--seed", 5, "--quiet")
    assert (again.out, again.err) == (result.out, "")
    assert (
        charlstm("generate", prose, "-n", 40, "--seed", 6, "-t", 3, "--min-p", 0).out != result.out
    )


def test_json_lines_say_the_same_as_the_streamed_text(charlstm, prose):
    text = charlstm("generate", prose, "-p", "the ", "-n", 40, "--seed", 5).out
    result = charlstm("generate", prose, "-p", "the ", "-n", 40, "--seed", 5, "--json")
    sample = json.loads(result.out)
    assert list(sample) == KEYS
    assert sample["prompt"] + sample["text"] == text.removesuffix("\n")
    assert (sample["tokens"], sample["finish_reason"], sample["seed"]) == (40, "length", 5)
    assert sample["mean_log_probability"] < 0


def test_a_drawn_seed_is_told_and_repeats_the_text(charlstm, prose):
    first = charlstm("generate", prose, "-n", 30)
    seed = first.err.removeprefix("seed ").strip()
    assert charlstm("generate", prose, "-n", 30, "--seed", seed).out == first.out


def test_one_sample_a_line(charlstm, names):
    result = charlstm("generate", names, "-c", 20, "--seed", 1)
    assert result.status == 0
    lines = result.out.split("\n")
    assert len(lines) == 21
    assert lines[-1] == ""
    samples = charlstm("generate", names, "-c", 20, "--seed", 1, "--json").out.splitlines()
    assert [json.loads(sample)["text"] for sample in samples] == lines[:-1]
    assert {json.loads(sample)["finish_reason"] for sample in samples} == {"end"}


def test_what_is_written_matches(charlstm, names):
    result = charlstm("generate", names, "-c", 30, "--seed", 1, "--match", "[a-m][a-z]{2,4}[ae]")
    assert result.status == 0
    lines = result.out.splitlines()
    assert len(lines) == 30
    assert all(re.fullmatch("[a-m][a-z]{2,4}[ae]", line) for line in lines)


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ("(?=a)b", ["look-around"]),
        ("[a", ["unterminated character set at position 0"]),
        ("[0-9]+", ["--match"]),
    ],
)
def test_a_pattern_that_can_not_be_followed_is_misuse(charlstm, names, pattern, parts):
    result = charlstm("generate", names, "-q", "--match", pattern)
    assert_error(result, 2, repr(pattern), *parts)


def test_samples_of_documents_are_separated_by_an_empty_line(charlstm, prose):
    result = charlstm("generate", prose, "-c", 2, "-n", 10, "-t", 0, "-p", "the quick")
    one = charlstm("generate", prose, "-n", 10, "-t", 0, "-p", "the quick").out
    assert result.out == f"{one}\n{one}"


def test_line_ends_are_kept(charlstm, prose):
    text = charlstm("generate", prose, "-n", 200, "-t", 0, "-p", "sleeps.\r").out
    assert text.startswith("sleeps.\r\n")


def test_stop_ends_before_the_text(charlstm, prose):
    text = charlstm("generate", prose, "-t", 0, "-p", "the quick", "-n", 60, "--no-prompt").out
    stop = text[20:23]
    result = charlstm(
        "generate", prose, "-t", 0, "-p", "the quick", "-n", 60, "--stop", stop, "--json"
    )
    sample = json.loads(result.out)
    assert sample["finish_reason"] == "stop"
    assert sample["text"] == text[: text.index(stop)]


def test_words_continue_after_a_space(charlstm, words):
    result = charlstm("generate", words, "-p", "the lazy ", "-n", 3, "-t", 0, "--seed", 1)
    assert result.out.startswith("the lazy ")
    assert not result.out.startswith("the lazy  ")


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_precision_is_that_of_the_model(charlstm, prose, precision):
    options = ["-n", 25, "--seed", 9, "--precision", precision, "--threads", 1, "--json"]
    (sample,) = objects(charlstm("generate", prose, *options))
    model = package.load(prose, precision=precision, threads=1)
    (expected,) = model.generate(length=25, seed=9)
    assert sample["text"] == expected.text
    assert sample["mean_log_probability"] == expected.mean_log_probability
    other = package.load(prose, precision={"int8": "float32", "float32": "int8"}[precision])
    (different,) = other.generate(length=25, seed=9)
    assert different.mean_log_probability != expected.mean_log_probability


def test_without_a_checkpoint_the_newest_is_taken(charlstm, prose, names, monkeypatch, tmp_path):
    assert_error(charlstm("generate"), 1, "CHARLSTM_CHECKPOINT", "checkpoints/", "charlstm train")
    shutil.copytree(prose, tmp_path / "checkpoints" / "older")
    shutil.copytree(names, tmp_path / "checkpoints" / "newer")
    os.utime(tmp_path / "checkpoints" / "older" / MODEL, (1, 1))
    result = charlstm("generate", "--seed", 1)
    assert (result.status, result.err) == (0, "checkpoints/newer, seed 1\n")
    monkeypatch.setenv("CHARLSTM_CHECKPOINT", "checkpoints/older")
    assert charlstm("generate", "--seed", 1).err == "checkpoints/older, seed 1\n"


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["-p", "a", "--prompt-file", "b"], 2, ["--prompt", "--prompt-file"]),
        (["--prompt-file", "b"], 1, ["prompt file", "b", "no such file"]),
        (["-p", "caf\udce9"], 2, ["--prompt", "UTF-8"]),
        (["--stop", ""], 2, ["empty"]),
    ],
)
def test_what_is_refused(charlstm, prose, arguments, status, parts):
    assert_error(charlstm("generate", prose, *arguments), status, *parts)


def test_the_python_interface_writes_the_same(charlstm, prose):
    text = charlstm("generate", prose, "-p", "a ", "-n", 25, "--seed", 9).out
    model = package.load(prose)
    (sample,) = model.generate("a ", length=25, seed=9)
    assert "a " + sample.text == text.removesuffix("\n")
    assert model.checkpoint.figures == read_checkpoint(prose).figures
    pieces = []
    (streamed,) = model.stream(
        ["a "], length=25, seed=9, on_text=lambda index, text: pieces.append((index, text))
    )
    assert streamed == sample
    assert "".join(text for _, text in pieces) == sample.text
    with raises_naming(package.CharlstmError, "temperature", "-1.0"):
        model.generate(temperature=-1.0)


# Where a text ends


@pytest.mark.parametrize(
    ("unit", "pattern"),
    [
        ("sentence", r"[^.]*\."),
        ("line", r"[^\r\n]*"),
        ("paragraph", r"[^\r\n]+(\r\n[^\r\n]+)*(\r\n)?"),
        ("document", r"(?s).*"),
    ],
)
def test_a_text_ends_with_its_unit(charlstm, prose, unit, pattern):
    options = ["-p", "the ", "-t", 0, "--until", unit, "-n", 400]
    (sample,) = objects(charlstm("generate", prose, *options, "-q", "--json"))
    assert sample["finish_reason"] == ("length" if unit in ("paragraph", "document") else "until")
    assert re.fullmatch(pattern, sample["prompt"] + sample["text"])
    text = charlstm("generate", prose, *options, "-q").out
    assert text.removesuffix("\n") == (sample["prompt"] + sample["text"]).removesuffix("\n")


def test_a_text_has_its_least_length(charlstm, names):
    result = charlstm("generate", names, "-c", 20, "--min-length", 7, "-n", 12, "-q")
    assert result.status == 0
    assert all(len(line) >= 7 for line in result.out.splitlines())


def test_a_least_length_beyond_the_usual_length_is_the_length(charlstm, prose):
    (sample,) = objects(charlstm("generate", prose, "--min-length", 600, "-q", "--json"))
    assert sample["tokens"] >= 600
    result = charlstm("generate", prose, "--min-length", 600, "-n", 10)
    assert_error(result, 2, "--min-length", 600, "--length", 10)


def test_a_pattern_that_is_not_utf_8_is_misuse(charlstm, names):
    result = charlstm("generate", names, "-q", "--match", "caf\udce9")
    assert_error(result, 2, "--match", "UTF-8")


def test_nothing_is_printed_before_a_refusal(charlstm, names):
    result = charlstm("generate", names, "-q", "-p", "ab", "--match", "c+")
    assert_error(result, 2, "'c+'", "'ab'")


# Beams


def test_a_search_prints_the_likeliest_texts(charlstm, names):
    options = ["generate", names, "--beam", 8, "-c", 5]
    result = charlstm(*options)
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert len(set(lines)) == len(lines) == 5
    samples = objects(charlstm(*options, "--json"))
    assert [each["text"] for each in samples] == lines
    assert {each["seed"] for each in samples} == {None}
    totals = [each["mean_log_probability"] * each["tokens"] for each in samples]
    assert totals == sorted(totals, reverse=True)


def test_a_search_continues_each_prompt(charlstm, names):
    options = ["generate", names, "--beam", 4, "--prompts", "-"]
    result = charlstm(*options, stdin=b"a\nbe\n")
    assert result.status == 0
    assert [line[:1] for line in result.out.splitlines()] == ["a", "b"]
    samples = objects(charlstm(*options, "-c", 2, "--json", stdin=b"a\nbe\n"))
    assert [each["index"] for each in samples] == [0, 1, 2, 3]


def test_a_search_obeys_bans_biases_and_patterns(charlstm, names):
    result = charlstm("generate", names, "--beam", 4, "--ban", "a", "--bias", "e=+1")
    assert result.status == 0
    assert "a" not in result.out
    result = charlstm("generate", names, "--beam", 4, "--match", "c[a-z]*lo")
    assert result.status == 0
    assert re.fullmatch("c[a-z]*lo\n", result.out)


@pytest.mark.parametrize(
    "option",
    [
        ["--novel"], ["--against", "x"], ["--unique"], ["--temperature", 1], ["--top-k", 0],
        ["--repetition-penalty", 1], ["--loop-length", 4], ["--show-probs"],
    ],
)  # fmt: skip
def test_what_has_no_effect_on_a_search_is_misuse(charlstm, names, option):
    result = charlstm("generate", names, "--beam", 4, *option)
    assert_error(result, 2, "--beam", option[0])


def test_a_search_that_is_too_narrow_is_misuse(charlstm, names):
    assert_error(charlstm("generate", names, "--beam", 4, "-c", 5), 2, 4, 5, "--beam")


# What is drawn again


TRAINED = set(NAMES.split())


def test_novel_texts_are_no_line_of_the_text_not_even_one_that_validated(charlstm, names):
    options = ["generate", names, "-c", 30, "--seed", 1, "-q", "-t", 1]
    assert set(charlstm(*options).out.split()) & TRAINED
    result = charlstm(*options, "--novel")
    assert (result.status, result.err) == (0, "")
    assert len(result.out.splitlines()) == 30
    assert not set(result.out.split()) & TRAINED


def test_novel_does_not_know_what_older_models_held_out(charlstm, sentence, here):
    options = ["-c", 2, "--seed", 1, "-n", 9]
    for number in (1, 2, 3):
        old = DATA / f"format-{number}" / "lines"
        result = charlstm("generate", old, "--novel", *options)
        assert result.status == 0
        told = result.err.replace(str(old), "old").splitlines()[0]
        sentence(told, "Note:", "--novel", "held out for validation", "older", "--against")
        for quiet in (["--novel", "-q"], ["--novel", "--against", old.parent / "names.txt"], []):
            assert "held out" not in charlstm("generate", old, *options, *quiet).err


def test_novel_needs_to_know_the_lines(charlstm, prose):
    causes = ["whole files", "--no-index", "lines.safetensors"]
    result = charlstm("generate", prose, "--novel")
    assert_error(result, 2, prose, *causes, "--against", "--novel")


def test_texts_of_a_file_are_drawn_again(charlstm, names, tmp_path):
    (tmp_path / "known").write_bytes(NAMES.replace("\n", "\r\n").encode())
    options = ["generate", names, "-c", 30, "--seed", 1, "-q", "-t", 1]
    result = charlstm(*options, "--against", "known")
    assert result.status == 0
    assert len(result.out.splitlines()) == 30
    assert not set(result.out.split()) & TRAINED
    both = charlstm(*options, "--against", "known", "--novel", "--unique", "--json")
    samples = objects(both)
    assert [each["index"] for each in samples] == list(range(30))
    assert len({each["text"] for each in samples}) == 30


@pytest.mark.parametrize(
    ("file", "status", "parts"),
    [
        ("nowhere", 1, ["nowhere", "file", "folder", "glob pattern", "-", "corpus"]),
        ("-", 2, ["--against", "stdin", "file"]),
    ],
)
def test_a_file_of_lines_that_is_not_there(charlstm, names, file, status, parts):
    assert_error(charlstm("generate", names, "--against", file), status, *parts)


def test_no_text_is_written_twice(charlstm, names):
    options = ["generate", names, "-c", 20, "--seed", 1, "-q", "--unique"]
    lines = charlstm(*options).out.splitlines()
    assert len(set(lines)) == len(lines) == 20
    options[options.index(20)] = 4
    lines = charlstm(*options, "--prompts", "-", stdin=b"a\na\nan\n").out.splitlines()
    assert len(set(lines)) == len(lines) == 12


def test_what_was_found_is_printed_before_it_is_given_up(charlstm, names):
    options = ["generate", names, "-q", "--unique", "-c", 3]
    result = charlstm(*options, "--match", "a|b", "--min-p", 0)
    assert sorted(result.out.split()) == ["a", "b"]
    assert_error(result, 1, "2 of 3", 200, "--temperature", out=None)


def test_the_one_text_without_chance_is_drawn_as_often_as_asked(charlstm, names):
    result = charlstm("generate", names, "-q", "--unique", "-c", 3, "-t", 0)
    assert len(result.out.splitlines()) == 1
    assert_error(result, 1, "1 of 3", 2, "--temperature", out=None)


# Notes and help


def test_help_tells_the_default_lengths(charlstm):
    page = " ".join(charlstm("generate", "--help").out.split())
    assert "[default: 500, or 10,000 with --until]" in page


def test_a_prompt_the_model_lacks_may_begin_a_match(charlstm, names):
    result = charlstm("generate", names, "-q", "-p", "É", "--match", "É[a-z]{2,5}", "--seed", 1)
    assert result.status == 0
    assert re.fullmatch("É[a-z]{2,5}\n", result.out)


def test_a_model_of_one_document_writes_the_whole_length_and_ends_none(charlstm, prose):
    result = charlstm("generate", prose, "-c", 30, "-n", 60, "--seed", 1, "--json", "-t", 2)
    assert {(sample["finish_reason"], sample["tokens"]) for sample in objects(result)} == {
        ("length", 60)
    }
    warned = charlstm("generate", prose, "--until", "document", "-n", 5)
    assert warned.status == 0
    assert_warning(warned, "--until document", prose, "few documents", "--until paragraph")


def test_an_end_that_never_comes_is_one_error(charlstm, prose):
    result = charlstm("generate", prose, "--until", "document", "--finished")
    assert_error(result, 2, "--finished", "--until document", "--stop")


@pytest.mark.parametrize("options", [["--match", "["], ["--match", r"(a)\1", "--unique"]])
def test_a_wrong_pattern_is_found_before_the_seed_is_printed(charlstm, prose, options):
    assert_error(charlstm("generate", prose, *options), 2, f"--match '{options[1]}'")


def test_a_model_that_frequencies_beat_is_warned_of(charlstm, tmp_path, prose):
    """As after six steps and Ctrl-C, when nothing has been validated."""
    (tmp_path / "text.txt").write_text("The cat sat on the mat, and the rat ran. " * 200)
    folder = tmp_path / "early"
    trained = charlstm(
        "train", tmp_path / "text.txt", "-o", folder, "--steps", 2, "--learning-rate", 1e-6,
        "--layers", 1, "--units", 8,
    )  # fmt: skip
    assert trained.status == 0
    assert "worse than token frequencies" in trained.err
    result = charlstm("generate", folder, "-n", 5, "--seed", 1)
    assert result.status == 0
    checkpoint = read_checkpoint(folder)
    assert checkpoint.loss > checkpoint.config.provenance.frequency_loss
    parts = [folder, "characters", f"{checkpoint.loss:.3f}", "2 steps", "longer"]
    assert_warning(result, *parts)
    assert charlstm("generate", folder, "-n", 5, "--seed", 1, "-q") == (0, result.out, "")
    assert "Warning" not in charlstm("generate", prose, "-n", 5, "--seed", 1).err


def test_a_search_that_finds_fewer_texts_says_so(charlstm, names):
    options = ["generate", names, "--beam", 4, "-c", 4, "--match", "(a|b)"]
    result = charlstm(*options)
    assert result.status == 0
    assert len(result.out.splitlines()) == 2
    assert "2 of 4" in result.err
    assert "--beam" in result.err
    assert "2 of 4" not in charlstm(*options, "-q").err
