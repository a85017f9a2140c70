"""Line ends of what is read after training: one rule for every command."""

import json

import pytest

from charlstm.cli.line_ends import strip_line_end

READERS = [
    ["generate", "--prompt-file", "-", "-n", 5, "-q", "--json"],
    ["generate", "--prompt", "-", "-n", 5, "-q", "--json"],
    ["generate", "--prompts", "-", "-n", 5, "-q", "--json"],
    ["predict", "-"],
    ["score", "--json", "-q"],
    ["rank", "--json", "-q"],
]


def read_by(charlstm, checkpoint, reader, stdin):
    """Return the text that a command has read, as it tells in JSON."""
    command, *options = reader
    files = ["-"] if options[0] == "-" else []
    done = charlstm(command, checkpoint, *files, *options[len(files) :], stdin=stdin)
    assert (done.status, done.err) == (0, "")
    told = json.loads(done.out)
    if command == "rank":
        (told,) = told["alternatives"]
    return told["prompt" if command in ("generate", "predict") else "text"]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: " ".join(map(str, reader[:2])))
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r"])
def test_a_line_end_is_no_text(charlstm, names, reader, end):
    assert read_by(charlstm, names, reader, b"an" + end) == "an"


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: " ".join(map(str, reader[:2])))
@pytest.mark.parametrize(("end", "text"), [(b"\n", "an"), (b"\r\n", "an\r"), (b"\r", "an\r")])
def test_a_carriage_return_is_text_to_an_old_model_of_lines_that_had_it(
    charlstm, old_windows, reader, end, text
):
    assert read_by(charlstm, old_windows, reader, b"an" + end) == text


@pytest.mark.parametrize("reader", READERS[2:], ids=lambda reader: " ".join(map(str, reader[:2])))
def test_old_line_ends_divide_what_is_read(charlstm, names, reader):
    command, *options = reader
    files = ["-"] if options[0] == "-" else []
    found = [
        charlstm(command, names, *files, *options[len(files) :], "--seed", 1, stdin=text).out
        if command == "generate"
        else charlstm(command, names, *files, *options[len(files) :], stdin=text).out
        for text in (b"an\nel\n", b"an\rel\r", b"an\r\nel\r\n", b"an\r\nel")
    ]
    assert found[0]
    assert len({*found}) == 1


def test_one_line_end_is_stripped():
    for line, kept, stripped in (
        *(("", "", ""), ("\n", "", ""), ("\r\n", "\r", ""), ("a\rb", "a\rb", "a\rb")),
        *(("a\r\r\n", "a\r\r", "a\r"), ("a\n\n", "a\n", "a\n"), ("a\r", "a\r", "a")),
        ("a\nb\r", "a\nb\r", "a\nb\r"),
    ):
        assert strip_line_end(line, rules=1) == kept
        assert strip_line_end(line, rules=2) == stripped
