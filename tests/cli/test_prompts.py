"""The prompts of ``charlstm generate``: from the command line, a file or stdin."""

import json

import pytest

from tests.cli.helpers import objects
from tests.messages import assert_error, assert_names, assert_warning


@pytest.mark.parametrize("arguments", [["--prompt", "-"], ["--prompt-file", "-"]])
def test_the_prompt_may_come_from_stdin(charlstm, prose, arguments):
    expected = charlstm("generate", prose, "-p", "the quick", "-n", 20, "--seed", 1).out
    piped = charlstm("generate", prose, *arguments, "-n", 20, "--seed", 1, stdin=b"the quick\r\n")
    assert piped.out == expected


def test_the_prompt_may_come_from_a_file_and_may_be_left_out(charlstm, prose, tmp_path):
    (tmp_path / "prompt").write_bytes(b"the lazy\r\n")
    options = ["generate", prose, "-n", 20, "--seed", 1, "--prompt-file", "prompt"]
    with_prompt = charlstm(*options)
    without = charlstm(*options, "--no-prompt")
    assert with_prompt.out == "the lazy" + without.out


@pytest.mark.parametrize("model", ["names", "prose", "words"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [("ab\n", "ab"), ("ab", "ab"), ("a\r\nb\r\n", "a\r\nb"), ("ab\n\n", "ab\n"), ("ab \n", "ab "),
     ("\n", ""), ("", ""), ("a\rb\r", "a\rb"), ("a\u2028\n", "a\u2028")],
)  # fmt: skip
def test_a_prompt_ends_before_the_newline_of_its_file(
    charlstm, request, tmp_path, model, given, expected
):
    """``echo ab | charlstm generate MODEL -p -`` continues "ab", not a line after it."""
    model = request.getfixturevalue(model)
    (tmp_path / "prompt").write_bytes(given.encode())
    options = ["-n", 5, "--seed", 1, "-q", "--json"]
    asked = charlstm("generate", model, "-p", expected, *options).out
    assert json.loads(asked)["prompt"] == expected
    for arguments in (["-p", "-"], ["--prompt-file", "-"], ["--prompt-file", "prompt"]):
        result = charlstm("generate", model, *arguments, *options, stdin=given.encode())
        assert result.out == asked


def test_a_prompt_of_the_command_line_is_taken_as_it_is(charlstm, names, prose):
    for model in (names, prose):
        result = charlstm("generate", model, "-p", "ab\n", "-n", 5, "-q", "--json")
        assert json.loads(result.out)["prompt"] == "ab\n"


def test_unknown_characters_in_the_prompt_are_told(charlstm, prose):
    result = charlstm("generate", prose, "-p", "the €uick", "-n", 5, "--seed", 1)
    warning, seed = result.err.splitlines()
    assert_warning(result._replace(err=warning), "prompt", 1, "1 × '€' U+20AC")
    assert seed == "seed 1"
    assert result.out.startswith("the €uick")
    assert "\ufffd" not in result.out


def test_a_prompt_that_is_not_utf_8(charlstm, prose):
    result = charlstm("generate", prose, "-p", "-", stdin=b"caf\xe9!")
    assert_error(result, 1, "-", "UTF-8", "0xe9", "offset 3", "iconv")


@pytest.mark.parametrize("option", ["--prompts", "--prompt-file"])
@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n", ["PDF", "pdftotext"]),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ["PNG", "not text"]),
        (b"{\\rtf1\\ansi the quick}", ["RTF", "unrtf"]),
        (bytes(range(1, 8)) * 100, ["binary"]),
    ],
    ids=["PDF", "PNG", "RTF", "unknown"],
)
def test_a_prompt_in_a_binary_file(charlstm, prose, tmp_path, option, data, parts):
    (tmp_path / "book.bin").write_bytes(data)
    file = charlstm("generate", prose, option, "book.bin", "-n", 5)
    assert_error(file, 1, "the prompt in book.bin", *parts)
    piped = charlstm("generate", prose, option, "-", "-n", 5, stdin=data)
    assert_error(piped, 1, "the prompt on stdin", *parts)


def test_a_prompt_in_utf_16_is_not_binary(charlstm, prose, tmp_path):
    text = "\ufeff" + "жӂԃ" * 50
    (tmp_path / "prompt").write_bytes(text.encode("utf-16-be"))
    result = charlstm("generate", prose, "--prompt-file", "prompt", "-n", 5, "-q", "--json")
    assert json.loads(result.out)["prompt"] == text[1:]


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
    result = charlstm("generate", names, "--prompts", "-", stdin="é\na\nü!\n".encode())
    unknown = ["1 × '!' U+0021", "1 × 'é' U+00E9", "1 × 'ü' U+00FC"]
    assert_warning(result, "2 of the prompts", 3, *unknown)


def test_a_long_prompt_is_read_from_its_end_and_noted_once(charlstm, prose, words, monkeypatch):
    monkeypatch.setattr("charlstm.tokenizer.long_prompts.MAX_PROMPT", 64)
    monkeypatch.setattr("charlstm.prediction.prompt_cache.PROMPT_STEP", 16)
    text = "the quick brown fox. " * 4
    options = ["generate", prose, "-n", 9, "-t", 0, "--no-prompt"]
    result = charlstm(*options, "-p", "-", stdin=text[-65:].encode())
    note, seed = result.err.splitlines()
    assert_names(note, "64 characters", "the prompt")
    assert seed.startswith("seed ")
    end = charlstm(*options, "-p", text[-64:], "-q")
    assert (end.err, end.out) == ("", result.out)
    assert charlstm(*options, "-p", text, "-q").err == ""
    lines = f"a\n{text}\n{text}\n".encode()
    note, _ = charlstm(*options, "--prompts", "-", stdin=lines).err.splitlines()
    assert_names(note, "2 of the prompts", "64 characters")
    assert charlstm("generate", words, "-n", 1, "-p", text, "--seed", 1).err == "seed 1\n"
    longer = lines.replace(b"\n", text.encode() + b"\n")
    (note,) = charlstm("predict", prose, "-", stdin=longer).err.splitlines()
    assert_names(note, "the prompt", "64 characters")
    (note,) = charlstm("rank", prose, "--context", text, stdin=b"a\nb\n").err.splitlines()
    assert_names(note, "the context", "64 characters")
    for command in (["predict", prose, text, "-q"], ["rank", prose, "--context", text, "-q"]):
        assert charlstm(*command, stdin=b"a\n").err == ""
