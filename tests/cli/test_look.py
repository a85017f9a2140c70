"""Tests of ``charlstm look``: the file it writes. ``tests/look`` opens it in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from charlstm.cli import look
from tests.messages import assert_error


def description(path):
    found = re.search(r'id="description">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_a_page_is_written(charlstm, prose, tmp_path, monkeypatch):
    monkeypatch.setattr(look, "_open", lambda path: pytest.fail("opened"))
    path = tmp_path / "page.html"
    result = charlstm("look", prose, "-o", path, "-p", "the ")
    assert (result.status, result.out, result.err) == (0, f"{path}\n", "")
    assert path.read_text().startswith("<!doctype html>")
    assert description(path)["prompt"] == "the "
    assert description(path)["text"] == ""
    assert_error(charlstm("look", prose, "-o", path), 1, path, "--overwrite")
    facts = json.loads(charlstm("look", prose, "-o", path, "--overwrite", "--json").out)
    assert facts == {"file": str(path), "bytes": path.stat().st_size}


def test_a_text_is_an_argument_a_file_or_a_pipe(charlstm, prose, tmp_path):
    path, file = tmp_path / "page.html", tmp_path / "text.txt"
    file.write_text("from a file\n")
    table = tmp_path / "names.jsonl"
    table.write_text('{"name": "anna"}\n{"name": "emma"}\n')
    for argument, stdin, expected in [
        ("no file", b"", "no file"),
        (file, b"", "from a file\n"),
        ("-", "fünf".encode(), "fünf"),
        (table, b"", "anna\nemma"),
    ]:
        assert charlstm("look", prose, argument, "-o", path, "--overwrite", stdin=stdin).status == 0
        assert description(path)["text"] == expected


def test_a_missing_file_is_noted(charlstm, prose, tmp_path):
    path = tmp_path / "page.html"
    for argument, is_noted in [("lost.txt", True), ("a/b", True), ("A word.", False), ("w", False)]:
        result = charlstm("look", prose, argument, "-o", path, "--overwrite")
        assert description(path)["text"] == argument
        assert (argument in result.err) == is_noted


def test_a_long_text_is_cut(charlstm, prose, tmp_path):
    file, path = tmp_path / "long.txt", tmp_path / "page.html"
    file.write_text("the fox\n" * 40_000)
    result = charlstm("look", prose, file, "-o", path)
    assert result.status == 0
    assert result.err.startswith("Note: ")
    assert "200,000" in result.err
    assert len(description(path)["text"]) == look.LONGEST_TEXT


def test_a_browser_opens_the_page_if_there_is_a_display(charlstm, prose, monkeypatch):
    opened = []
    monkeypatch.setattr(look, "_open", lambda path: not opened.append(path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    result = charlstm("look", prose)
    assert Path(result.out.rstrip()).exists()
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    result = charlstm("look", prose)
    assert [str(path) for path in opened] == result.out.split()


def test_misuse(charlstm, prose):
    assert_error(charlstm("look", prose, "--overwrite"), 2, "--overwrite", "-o")
    assert_error(charlstm("look", "nowhere", "-o", "a.html"), 1, "nowhere")
