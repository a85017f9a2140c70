"""``charlstm generate`` as a filter: what it writes where, and what it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import charlstm as package
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import MODEL
from charlstm.cli.generate import command
from tests.cli.helpers import NAMES, objects
from tests.messages import assert_error, assert_misuse, assert_warning, raises_naming

KEYS = [
    "index", "prompt", "text", "tokens", "seed", "finish_reason", "mean_log_probability",
]  # fmt: skip


def test_text_goes_to_stdout_and_the_seed_to_stderr(charlstm, prose):
    result = charlstm("generate", prose, "-n", 40, "--seed", 5)
    assert (result.status, result.err) == (0, "seed 5\n")
    again = charlstm("generate", prose, "-n", 40, "--seed", 5, "--quiet")
    assert (again.out, again.err) == (result.out, "")
    assert charlstm("generate", prose, "-n", 40, "--seed", 6).out != result.out


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
        ("(?=a)b", ["look-around", "back-references", "word boundaries"]),
        ("[a", ["unterminated character set at position 0", "Python"]),
        ("[0-9]+", ["characters"]),
    ],
)
def test_a_pattern_that_can_not_be_followed_is_misuse(charlstm, names, pattern, parts):
    result = charlstm("generate", names, "-q", "--match", pattern)
    assert_error(result, 2, repr(pattern), *parts)


@pytest.mark.parametrize(
    "options",
    [
        ["--bias", "e=-3"],
        ["--ban", "o"],
        ["--repetition-penalty", 1.5],
        ["--repetition-penalty", 1.5, "--repetition-window", 5],
        ["--presence-penalty", 1],
        ["--frequency-penalty", 0.5],
        ["--loop-penalty", 0.8],
        ["--loop-penalty", 0.8, "--loop-length", 4],
        ["--loop-penalty", 0.8, "--loop-base", 2],
        ["--loop-penalty", 0.8, "--loop-window", 50],
        ["--top-k", 2],
        ["--typical", 0.5],
        ["--top-p", 0.5],
        ["--min-p", 0.3],
        ["--mirostat", 2],
        ["--mirostat", 2, "--mirostat-rate", 0.9],
        ["--temperature", 0.5],
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_every_option_of_sampling_changes_the_text(charlstm, prose, options):
    """Compared with the text without the last option."""
    plain = ["generate", prose, "-n", 200, "--seed", 5, "-t", 1.2, "-q"]
    result = charlstm(*plain, *options)
    assert result.status == 0
    assert result.out != charlstm(*plain, *options[:-2]).out


def test_every_option_of_sampling_is_tried():
    """By the test above."""
    (mark,) = test_every_option_of_sampling_changes_the_text.pytestmark
    tried = {options[-2] for options in mark.args[1]}
    (heading,) = {p.heading for p in command.params if "--top-k" in p.opts}
    params = [p for p in command.params if getattr(p, "heading", "") == heading]
    assert {parameter.opts[-1] for parameter in params} == tried


def test_samples_of_documents_are_separated_by_an_empty_line(charlstm, prose):
    result = charlstm("generate", prose, "-c", 2, "-n", 10, "-t", 0, "-p", "the quick")
    one = charlstm("generate", prose, "-n", 10, "-t", 0, "-p", "the quick").out
    assert result.out == f"{one}\n{one}"


def test_line_ends_are_kept(charlstm, prose):
    text = charlstm("generate", prose, "-n", 200, "-t", 0, "-p", "sleeps.\r").out
    assert text.startswith("sleeps.\r\n")


@pytest.mark.parametrize("arguments", [["--prompt", "-"], ["--prompt-file", "-"]])
def test_the_prompt_may_come_from_stdin(charlstm, prose, arguments):
    expected = charlstm("generate", prose, "-p", "the quick\r\n", "-n", 20, "--seed", 1).out
    piped = charlstm("generate", prose, *arguments, "-n", 20, "--seed", 1, stdin=b"the quick\r\n")
    assert piped.out == expected


def test_the_prompt_may_come_from_a_file_and_may_be_left_out(charlstm, prose, tmp_path):
    (tmp_path / "prompt").write_bytes(b"the lazy\r\n")
    options = ["generate", prose, "-n", 20, "--seed", 1, "--prompt-file", "prompt"]
    with_prompt = charlstm(*options)
    without = charlstm(*options, "--no-prompt")
    assert with_prompt.out == "the lazy\r\n" + without.out


@pytest.mark.parametrize("source", ["stdin", "file"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [("ab\n", "ab"), ("ab", "ab"), ("a\nb\n", "a\nb"), ("ab\n\n", "ab\n"), ("\n", ""), ("", "")],
)
def test_a_line_to_continue_ends_before_the_newline_of_its_file(
    charlstm, names, tmp_path, source, given, expected
):
    """``echo ab | charlstm generate names -p -`` continues "ab", not an empty line after it."""
    (tmp_path / "prompt").write_bytes(given.encode())
    arguments = ["-p", "-"] if source == "stdin" else ["--prompt-file", "prompt"]
    options = ["-n", 5, "--seed", 1, "-q", "--json"]
    result = charlstm("generate", names, *arguments, *options, stdin=given.encode())
    assert json.loads(result.out)["prompt"] == expected
    assert result.out == charlstm("generate", names, "-p", expected, *options).out


def test_a_prompt_of_the_command_line_is_taken_as_it_is(charlstm, names, prose):
    for model in (names, prose):
        result = charlstm("generate", model, "-p", "ab\n", "-n", 5, "-q", "--json")
        assert json.loads(result.out)["prompt"] == "ab\n"


def test_stop_ends_before_the_text(charlstm, prose):
    text = charlstm("generate", prose, "-t", 0, "-p", "the quick", "-n", 60, "--no-prompt").out
    stop = text[20:23]
    result = charlstm(
        "generate", prose, "-t", 0, "-p", "the quick", "-n", 60, "--stop", stop, "--json"
    )
    sample = json.loads(result.out)
    assert sample["finish_reason"] == "stop"
    assert sample["text"] == text[: text.index(stop)]


def test_unknown_characters_in_the_prompt_are_told(charlstm, prose):
    result = charlstm("generate", prose, "-p", "the €uick", "-n", 5, "--seed", 1)
    warning, seed = result.err.splitlines()
    assert_warning(result._replace(err=warning), "prompt", 1, "1 × '€' U+20AC")
    assert seed == "seed 1"
    assert result.out.startswith("the €uick")
    assert "\ufffd" not in result.out


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
        (["--prompt-file", "b"], 1, ["prompt file", "b", "No such file or directory"]),
        (["-p", "caf\udce9"], 2, ["--prompt", "UTF-8", "--prompt-file"]),
        (["--stop", ""], 2, ["stop", "empty"]),
    ],
)
def test_what_is_refused(charlstm, prose, arguments, status, parts):
    assert_error(charlstm("generate", prose, *arguments), status, *parts)


def test_a_prompt_that_is_not_utf_8(charlstm, prose):
    result = charlstm("generate", prose, "-p", "-", stdin=b"caf\xe9!")
    assert_error(result, 1, "-", "UTF-8", "0xe9", "offset 3", "iconv")


def test_the_python_interface_writes_the_same(charlstm, prose):
    text = charlstm("generate", prose, "-p", "a ", "-n", 25, "--seed", 9).out
    model = package.load(prose)
    (sample,) = model.generate("a ", length=25, seed=9)
    assert "a " + sample.text == text.removesuffix("\n")
    assert model.checkpoint.figures == read_checkpoint(prose).figures
    pieces = []
    config = package.SampleConfig(length=25)
    (streamed,) = model.stream(
        ["a "], config, seed=9, on_text=lambda index, text: pieces.append((index, text))
    )
    assert streamed == sample
    assert "".join(text for _, text in pieces) == sample.text
    with raises_naming(package.CharlstmError, "temperature", "-1.0"):
        model.generate(temperature=-1.0)


# Many prompts


@pytest.mark.parametrize(
    ("lines", "prompts"),
    [
        (b"ab\nca\n", ["ab", "ca"]),
        (b"ab\r\n\r\nca", ["ab", "", "ca"]),
        (b"\n", [""]),
        (b"ab\n\n", ["ab", ""]),
        (b"a\rb\n", ["a\rb"]),
        (b"a\0b\n", ["a\0b"]),
        (b"", []),
    ],
)
@pytest.mark.parametrize("source", ["-", "prompts"])
def test_each_line_of_a_file_is_a_prompt(charlstm, names, tmp_path, lines, prompts, source):
    (tmp_path / "prompts").write_bytes(lines)
    options = ["--prompts", source, "-c", 2, "-n", 8, "--seed", 1, "-q"]
    result = charlstm("generate", names, *options, "--json", stdin=lines)
    samples = objects(result)
    assert [each["prompt"] for each in samples] == [p for p in prompts for _ in range(2)]
    assert [each["index"] for each in samples] == list(range(2 * len(prompts)))
    texts = charlstm("generate", names, *options, stdin=lines).out
    assert texts == "".join(each["prompt"] + each["text"] + "\n" for each in samples)


def test_a_prompt_alone_is_continued_as_among_others(charlstm, names):
    options = ["-n", 8, "--seed", 1, "-q", "--json"]
    many = objects(charlstm("generate", names, "--prompts", "-", *options, stdin=b"ab\nca\n"))
    (one,) = objects(charlstm("generate", names, "-p", "ab", *options))
    assert many[0] == one


def test_unknown_characters_of_many_prompts_are_told_once(charlstm, names):
    result = charlstm("generate", names, "--prompts", "-", "-q", stdin="é\na\nü!\n".encode())
    unknown = ["1 × '!' U+0021", "1 × 'é' U+00E9", "1 × 'ü' U+00FC"]
    assert_warning(result, "2 of the prompts", 3, *unknown)


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
    assert_error(result, 2, "min_length", 600, "length", 10)


# Bans and biases


def test_a_banned_text_is_not_written(charlstm, names):
    options = ["-c", 50, "--seed", 1, "-q"]
    assert "na" in charlstm("generate", names, *options).out
    result = charlstm("generate", names, *options, "--ban", "na", "--ban", "b")
    assert result.status == 0
    assert "na" not in result.out
    assert "b" not in result.out


def test_a_bias_makes_likelier(charlstm, names):
    options = ["-c", 50, "--seed", 1, "-q", "--bias"]
    result = charlstm("generate", names, *options, "mir=+9")
    assert result.status == 0
    assert result.out.count("mir") > charlstm("generate", names, *options, "mir=-9").out.count(
        "mir"
    )


@pytest.mark.parametrize(
    ("bias", "parts"),
    [
        ("na", ["'na'", "'love=+2'"]),
        ("=2", ["'=2'", "'love=+2'"]),
        ("na=x", ["'na=x'", "'love=+2'"]),
        ("na=nan", ["nan", "finite"]),
        ("na=1001", ["1001.0", "-1000.0<=x<=1000.0"]),
    ],
)
def test_a_malformed_bias_is_misuse(charlstm, names, bias, parts):
    assert_misuse(charlstm("generate", names, "--bias", bias), "--bias", *parts)


def test_a_pattern_that_is_not_utf_8_is_misuse(charlstm, names):
    result = charlstm("generate", names, "-q", "--match", "caf\udce9")
    assert_error(result, 2, "pattern", r"'caf\udce9'", "UTF-8")


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


def test_novel_texts_stand_in_no_line_that_was_trained_on(charlstm, names):
    options = ["generate", names, "-c", 30, "--seed", 1, "-q", "-t", 1]
    validated = len(TRAINED) // 10 + 1  # which the model was not trained on
    assert len(set(charlstm(*options).out.split()) & TRAINED) > validated
    result = charlstm(*options, "--novel")
    assert result.status == 0
    assert len(result.out.splitlines()) == 30
    assert len(set(result.out.split()) & TRAINED) <= validated


def test_novel_needs_to_know_the_lines(charlstm, prose):
    causes = ["--lines", "--no-index", "lines.safetensors"]
    result = charlstm("generate", prose, "--novel")
    assert_error(result, 2, prose, *causes, "--against FILE", "--novel")


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
        ("nowhere", 1, ["nowhere", "file", "folder", "glob pattern", "-", "python-docs"]),
        ("-", 2, ["--against", "standard input", "file"]),
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
    result = charlstm(*options, "--match", "a|b")
    assert sorted(result.out.split()) == ["a", "b"]
    assert_error(result, 1, "2 of 3", "2,000", "--temperature", "--match", out=None)


def test_the_one_text_without_chance_is_drawn_as_often_as_asked(charlstm, names):
    result = charlstm("generate", names, "-q", "--unique", "-c", 3, "-t", 0)
    assert len(result.out.splitlines()) == 1
    assert_error(result, 1, "1 of 3", 2, "--temperature", "--match", out=None)


# Symbols and their probabilities


def test_json_has_each_token(charlstm, names):
    options = ["generate", names, "-p", "an", "--seed", 1, "-q", "--json"]
    (plain,) = objects(charlstm(*options))
    (told,) = objects(charlstm(*options, "--show-probs"))
    (beside,) = objects(charlstm(*options, "--alternatives", 2))
    assert "symbols" not in plain
    assert plain | {"symbols": told["symbols"]} == told
    assert "".join(each["text"] for each in told["symbols"]) == told["text"]
    assert told["finish_reason"] == "end"
    *drawn, end = told["symbols"]
    assert all(list(each) == ["text", "log_probability"] for each in drawn)
    assert end == {"text": "", "log_probability": end["log_probability"], "special": "end"}
    total = sum(each["log_probability"] for each in told["symbols"])
    assert total == pytest.approx(told["mean_log_probability"] * told["tokens"], abs=1e-4)
    assert [len(each["alternatives"]) for each in beside["symbols"]] == [2] * beside["tokens"]


def test_alternatives_are_told_in_json_only(charlstm, names):
    assert_error(charlstm("generate", names, "--alternatives", 2), 2, "--alternatives", "--json")


def test_there_are_no_colors_in_a_pipe(charlstm, names):
    options = ["generate", names, "-c", 3, "--seed", 1]
    assert charlstm(*options, "--show-probs") == charlstm(*options)


def on_a_terminal(*arguments, **variables):
    """Run a command whose stdout and stderr are a terminal; return all it wrote."""
    ours, theirs = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | variables
    command = [sys.executable, "-m", "charlstm", *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        try:
            while block := os.read(ours, 4096):
                written += block
        except OSError:  # how a terminal says that its other side was closed
            pass
        os.close(ours)
    assert process.returncode == 0
    return written.decode().replace("\r\n", "\n")


COLOR = re.compile("\x1b\\[[0-9;]*m")


@pytest.mark.parametrize("prompt", ["", "an"])
def test_a_terminal_shows_colors(charlstm, names, prompt):
    options = ["generate", names, "-p", prompt, "--seed", 1]
    plain = charlstm(*options).out
    shown = on_a_terminal(*options, "--show-probs")
    legend = "probability: 50% and more, 20% and more, 5% and more, less\n"
    assert COLOR.sub("", shown) == f"seed 1\n{legend}{plain}"
    colored = shown.split("\n")[2]
    assert len(COLOR.findall(colored)) == 2 * len(plain.strip().removeprefix(prompt))
    assert colored.startswith(prompt)


@pytest.mark.parametrize(("value", "colors"), [("1", False), ("", True)])
def test_no_color_is_obeyed(charlstm, names, value, colors):
    options = ["generate", names, "--seed", 1]
    shown = on_a_terminal(*options, "--show-probs", NO_COLOR=value)
    assert bool(COLOR.search(shown)) == colors
    if not colors:
        assert shown == "seed 1\n" + charlstm(*options).out


def test_colors_begin_after_what_repeats_the_prompt(words):
    """At word level the first token drawn has the end of the prompt in it."""
    options = ["generate", words, "-p", "the lazy lazy do", "-n", 3, "-t", 0, "-q", "--show-probs"]
    shown = on_a_terminal(*options)
    assert shown.startswith("the lazy lazy do\x1b[")
    plain = COLOR.sub("", shown)
    assert plain.startswith("the lazy lazy dog")


# Notes and help


def test_speed_is_told_when_asked(charlstm, names):
    result = charlstm("generate", names, "-c", 3, "--seed", 1, "-v")
    assert result.status == 0
    tokens = sum(len(line) + 1 for line in result.out.splitlines())
    assert re.fullmatch(rf"seed 1\n{tokens} tokens in \d+\.\d\d s, [\d,]+ tokens/s\n", result.err)
    quiet = charlstm("generate", names, "-c", 3, "--seed", 1, "-v", "-q")
    assert re.fullmatch(rf"{tokens} tokens in .*\n", quiet.err)


def test_help_tells_the_default_lengths(charlstm):
    page = " ".join(charlstm("generate", "--help").out.split())
    assert "Default: 500, with --until 10,000." in page


@pytest.mark.parametrize(
    ("option", "needed"),
    [
        ("--mirostat-rate", "--mirostat"),
        ("--loop-length", "--loop-penalty"),
        ("--loop-base", "--loop-penalty"),
        ("--loop-window", "--loop-penalty"),
        (
            "--repetition-window",
            "--repetition-penalty or --presence-penalty or --frequency-penalty",
        ),
    ],
)
def test_an_option_without_the_one_it_is_for_is_misuse(charlstm, prose, option, needed):
    result = charlstm("generate", prose, "-n", 5, option, 1)
    assert_error(result, 2, option, needed)


def test_a_prompt_the_model_lacks_may_begin_a_match(charlstm, names):
    result = charlstm("generate", names, "-q", "-p", "É", "--match", "É[a-z]{2,5}", "--seed", 1)
    assert result.status == 0
    assert re.fullmatch("É[a-z]{2,5}\n", result.out)
