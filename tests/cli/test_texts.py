"""Texts as people have them, by command: marks, encodings, binary files, checkpoints."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.helpers import TEXT, objects
from tests.messages import assert_error

ENCODINGS = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"
RUSSIAN = "Все счастливые семьи похожи друг на друга.\n" * 9


@pytest.fixture
def files(tmp_path):
    """The same text without and with marks, and what is no text."""
    for encoding in ENCODINGS:
        (tmp_path / f"{encoding}.txt").write_bytes(("\ufeff" + TEXT).encode(encoding))
    (tmp_path / "plain.txt").write_bytes(TEXT.encode())
    (tmp_path / "book.pdf").write_bytes(PDF)
    (tmp_path / "page.html").write_bytes(b"<!DOCTYPE html>" + TEXT.encode())
    (tmp_path / "russian.txt").write_bytes(RUSSIAN.encode("koi8-r"))
    return tmp_path


COMMANDS = {
    "score": ["--json"],
    "score --whole": ["--json"],
    "rank": ["--json"],
    "evaluate": ["--json", "--sample", "0"],
}


@pytest.mark.parametrize("checkpoint", ["prose", "old_windows"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_mark_is_no_text(charlstm, request, files, command, checkpoint):
    model = request.getfixturevalue(checkpoint)  # the old one learned marks as text
    name, *options = command.split()
    options += [*COMMANDS[command], "-q"]
    expected = charlstm(name, model, "plain.txt", *options)
    assert expected.status == 0, expected.err
    for encoding in ENCODINGS:
        path = files / f"{encoding}.txt"
        assert charlstm(name, model, path.name, *options) == expected
        # A pipe holds so much in these tests.
        data = path.read_bytes()
        assert charlstm(name, model, "-", *options, stdin=data) == expected
        assert charlstm(name, model, "-", *options, "--encoding", "auto", stdin=data) == expected


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_training_reads_no_mark(charlstm, files, encoding):
    def planned(*arguments, stdin=b""):
        options = ["--dry-run", "--json", "-q", "--size", "tiny", "-o", "model"]
        (found,) = objects(charlstm("train", *arguments, *options, stdin=stdin))
        del found["minutes"]  # the speed is measured
        return found

    path = files / f"{encoding}.txt"
    expected = planned("plain.txt")
    assert planned(path.name) == expected
    assert planned("-", stdin=path.read_bytes()) == expected
    assert planned("plain.txt", "--valid", path.name) == planned(
        "plain.txt", "--valid", shutil.copy("plain.txt", "other.txt")
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_prompts_have_no_mark(charlstm, prose, tmp_path, encoding):
    data = "\ufeffthe qu\nthe la\n".encode(encoding)
    (tmp_path / "prompts").write_bytes(data)
    options = ["-n", 5, "--seed", 1, "-q", "--json"]
    for source in ("prompts", "-"):
        many = objects(charlstm("generate", prose, "--prompts", source, *options, stdin=data))
        assert [one["prompt"] for one in many] == ["the qu", "the la"]
        (one,) = objects(charlstm("generate", prose, "--prompt-file", source, *options, stdin=data))
        assert one["prompt"] == "the qu\nthe la"
    lines = objects(charlstm("predict", prose, "-", stdin=data))
    assert [line["prompt"] for line in lines] == ["the qu", "the la"]


def test_a_mark_in_an_argument(charlstm, prose):
    (one,) = objects(charlstm("generate", prose, "-p", "\ufeffthe", "-n", 3, "-q", "--json"))
    assert one["prompt"] == "the"
    (one,) = objects(charlstm("predict", prose, "\ufeffthe", "--json"))
    assert one["prompt"] == "the"


def test_the_guess_of_an_encoding(charlstm, prose, files):
    for command in ("score", "rank", "evaluate"):
        wrong = charlstm(command, prose, "russian.txt", "-q")
        assert_error(wrong, 1, "russian.txt", "utf-8", "--encoding koi8-r", out=None)
        right = charlstm(command, prose, "russian.txt", "-q", "--encoding", "koi8-r")
        guessed = charlstm(command, prose, "russian.txt", "-q", "--encoding", "auto")
        assert guessed == right
        assert right.status == 0
        noted = charlstm(command, prose, "russian.txt", "--encoding", "auto")
        assert "Note: russian.txt is read as koi8-r (detected).\n" in noted.err
    planned = charlstm("train", "russian.txt", "--dry-run", "--encoding", "auto")
    assert "Note: russian.txt is read as koi8-r (detected).\n" in planned.err


@pytest.mark.parametrize("command", [*COMMANDS, "train"])
def test_a_binary_file(charlstm, prose, files, command):
    name, *options = command.split()
    model = [] if command == "train" else [prose]
    result = charlstm(name, *model, "book.pdf", *options, "-q", "--decode-errors", "replace")
    assert_error(result, 1, "book.pdf", "PDF", "pdftotext book.pdf - > book.pdf.txt", out=None)
    piped = charlstm(name, *model, "-", *options, "-q", "--encoding", "latin-1", stdin=PDF)
    assert_error(piped, 1, "stdin", "PDF", "pdftotext FILE -", out=None)


@pytest.mark.parametrize("command", [*COMMANDS, "train"])
def test_notes_on_a_folder_and_on_html(charlstm, prose, files, command):
    name, *options = command.split()
    (files / "folder").mkdir()
    for file in ("book.pdf", "page.html", "plain.txt"):
        shutil.move(files / file, files / "folder" / file)
    shutil.copytree(prose, files / "folder" / "checkpoints" / "prose")
    options += ["--dry-run"] if command == "train" else []
    model = [] if command == "train" else [prose]
    result = charlstm(name, *model, "folder", *options)
    assert result.status == 0
    skipped = [line for line in result.err.splitlines() if line.startswith("Note: skipped ")]
    assert len(skipped) == 1
    assert "folder/book.pdf (a PDF document)" in skipped[0]
    (html,) = [line for line in result.err.splitlines() if line.startswith("Note: HTML ")]
    assert "folder/page.html" in html
    quiet = charlstm(name, *model, "folder", *options, "-q")
    assert quiet.err == ""
    assert quiet.out == result.out


@pytest.mark.parametrize("command", [*COMMANDS, "train"])
def test_a_checkpoint_is_no_text(charlstm, prose, files, command):
    name, *options = command.split()
    model = [] if command == "train" else [prose]
    shutil.copytree(prose, "other")
    assert_error(charlstm(name, *model, "other", *options), 1, "other", "checkpoint")
    if command == "train":
        result = charlstm("train", "plain.txt", "--valid", "other", "--dry-run")
        assert_error(result, 1, "other", "checkpoint")


def test_two_checkpoints_are_not_compared(charlstm, prose, files):
    shutil.copytree(prose, "other")
    result = charlstm("evaluate", prose, "other", "plain.txt")
    assert_error(result, 1, "other", "checkpoint", "--models")
    result = charlstm("evaluate", prose, "plain.txt", "--sample", 0, "--against", "other")
    assert_error(result, 1, "other", "checkpoint")


def test_generating_against_a_folder_notes_what_is_skipped(charlstm, names, files):
    options = ["-n", 5, "--seed", 1]
    (files / "russian.txt").unlink()
    result = charlstm("generate", names, "--against", ".", *options)
    assert result.status == 0, result.err
    assert "Note: skipped 1 file: book.pdf (a PDF document).\n" in result.err
    quiet = charlstm("generate", names, "--against", ".", *options, "-q")
    assert (quiet.out, quiet.err) == (result.out, "")


def test_an_empty_text_is_refused(charlstm, names, files):
    (files / "empty.txt").touch()
    for arguments in (["generate", names, "--against"], ["inspect"], ["train"]):
        result = charlstm(*arguments, "empty.txt")
        assert_error(result, 1, "empty.txt", "the text is empty")
    assert_error(charlstm("train", "-"), 1, "stdin is empty")
    planned = charlstm("train", "plain.txt", "-", "--dry-run")
    assert "Note: stdin is empty.\n" in planned.err


def test_what_is_skipped_is_not_said_to_be_what_it_is_not(charlstm, prose, files):
    (files / "folder").mkdir()
    shutil.copy(files / "plain.txt", files / "folder")
    (files / "folder" / "wide.txt").write_bytes("plain text\n".encode("utf-16-le"))
    result = charlstm("score", prose, "folder")
    (line,) = [line for line in result.err.splitlines() if line.startswith("Note: skipped ")]
    assert line == ("Note: skipped 1 file: folder/wide.txt (text that needs --encoding utf-16-le).")
    assert charlstm("score", prose, "folder/wide.txt", "--encoding", "utf-16-le").status == 0
