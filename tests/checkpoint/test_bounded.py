"""Tests of ``checkpoint.bounded``: only regular files of a bounded size are read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.resume import Progress, read_resume
from charlstm.checkpoint.schema import CONFIG, HISTORY, MODEL, RESUME, TOKENIZER
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.errors import (
    CheckpointDamaged,
    CheckpointMissing,
)
from tests.checkpoint.helpers import (
    FIGURES,
    refusal,
    with_header,
)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, MODEL])
def test_what_is_no_regular_file_is_refused_not_waited_for(folder, name, make, sentence):
    (folder / name).unlink()
    make(folder / name)
    sentence(refusal(CheckpointMissing, read_checkpoint, folder), folder / name, "regular file")


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER, HISTORY, MODEL, RESUME])
def test_files_that_may_not_be_read(folder, monkeypatch, name, sentence):
    """They are not damaged: they need permission, not to be restored."""
    CheckpointWriter(folder).history([FIGURES])
    CheckpointWriter(folder).resume({}, Progress(step=1, seconds=1.0))
    real = os.open

    def refuse(path, *args, **kwargs):
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    read = {HISTORY: read_history, RESUME: lambda folder: read_resume(folder, {})}
    sentence(
        refusal(CheckpointMissing, read.get(name, read_checkpoint), folder),
        folder / name,
        "Permission denied",
        "readable",
    )


@pytest.mark.parametrize("name", ["x" * 10_000, "\x1b[2J", "\u202e", "a\nb"])
@pytest.mark.parametrize("part", ["config", "tensor", "history"])
def test_messages_quote_little_of_hostile_files(folder, name, part):
    match part:
        case "config":
            config = json.loads((folder / CONFIG).read_bytes())
            (folder / CONFIG).write_text(json.dumps(config | {name: 1}))
        case "tensor":
            with_header(
                folder / MODEL,
                lambda header: (
                    header | {name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
                ),
            )
        case _:
            (folder / HISTORY).write_text(json.dumps({name: 1}))
    read = read_history if part == "history" else read_checkpoint
    message = refusal(CheckpointDamaged, read, folder)
    assert message.isprintable()
    assert len(message) < len(str(folder)) + 400


def test_files_that_are_too_large_are_not_read(folder, sentence):
    for name in (CONFIG, TOKENIZER, HISTORY):
        path = folder / name
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(before)
        os.truncate(path, 2**40)
        read = read_history if name == HISTORY else read_checkpoint
        message = refusal(CheckpointDamaged, read, folder)
        sentence(message, path, "damaged", "1,099,511,627,776 bytes")
        path.write_bytes(before)


def test_a_file_that_becomes_a_pipe_after_the_check(folder, monkeypatch, sentence):
    path = folder / CONFIG
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    sentence(refusal(CheckpointMissing, read_checkpoint, folder), path, "regular file")
