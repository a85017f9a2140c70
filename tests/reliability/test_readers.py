"""A reader gets one intact model or one sentence, and the harness detects anything else."""

import os
import threading
import time

import numpy as np
import pytest

from charlstm.checkpoint import folder as folder_module
from charlstm.checkpoint import reader
from charlstm.checkpoint.schema import Figures, expected_shapes
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import ModelConfig, TokenizerConfig
from charlstm.errors import CheckpointError
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import settings
from tests.reliability.readers import Reading, Stand

OVERWRITES, READERS = 30, 2
PATIENCE_SECONDS = 300.0  # for threads that get no time on a busy machine


def model(number):
    """Return one of two checkpoints that differ in tokenizer, width and weights."""
    tokenizing = TokenizerConfig()
    tokenizer = build_tokenizer(["abcdefgh"[: 4 + number] * 9], tokenizing)
    network = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=4, units=8 + number, layers=1)
    config = settings(network, tokenizer=tokenizing)
    weights = {
        name: np.full(shape, number, np.float32) for name, shape in expected_shapes(network).items()
    }
    figures = Figures(step=number, epoch=0.0, tokens=0, seconds=0.0, learning_rate=0.0)
    return config, tokenizer, weights, figures


def test_reading_a_checkpoint_that_is_being_replaced_gives_an_intact_one_or_an_error(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # readers see names, not the disk
    models = [model(number) for number in (0, 1)]
    folder, over = tmp_path / "model", threading.Event()
    folder.mkdir()
    found, strange = [set() for _ in range(READERS)], []

    def read(seen):
        while not over.is_set():
            try:
                got = reader.read_checkpoint(folder)
            except CheckpointError:
                continue
            except BaseException as error:
                strange.append(error)
                return
            number = got.figures.step
            config, tokenizer, weights, _ = models[number]
            same = all((got.weights[name] == weight).all() for name, weight in weights.items())
            if not same or got.config != config or got.tokenizer.to_json() != tokenizer.to_json():
                strange.append(number)
            seen.add(number)

    def overwrite(number):
        config, tokenizer, weights, figures = models[number]
        with folder_module.create_checkpoint(folder, config, tokenizer, overwrite=True):
            writer = CheckpointWriter(folder)
            for _ in range(4):
                writer.model(weights, figures)

    def wait_until_read(number):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(number in seen for seen in found) and not strange:
            assert time.monotonic() < deadline, "a reader never got the model that lay there"
            time.sleep(0.001)

    threads = [threading.Thread(target=read, args=(seen,), daemon=True) for seen in found]
    for thread in threads:
        thread.start()
    try:
        for count in range(OVERWRITES):
            overwrite(count % 2)
        for number in (0, 1):  # each reader must have had both models, however slow the machine
            overwrite(number)
            wait_until_read(number)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert strange == []


@pytest.mark.parametrize(
    ("reading", "right"),
    [
        (Reading(0, "a text\n", ""), True),
        (Reading(1, "", "Error: model.safetensors: no such file. Restore it\n"), True),
        (Reading(1, "", "Error: one\nError: two\n"), False),
        (Reading(1, "", "Traceback (most recent call last):\n"), False),
        (Reading(-11, "", ""), False),
    ],
)
def test_a_reader_ends_in_a_text_or_one_sentence(reading, right):
    assert (reading.wrong is None) == right


def test_the_harness_reports_a_text_of_no_model_and_a_failed_reader(tmp_path, capsys):
    stand = Stand(tmp_path, readers=1, seconds=0)
    readings = [Reading(0, "mixed", ""), Reading(0, "known", "")]
    stand.judge("reading", readings, {"known"}, "1 model", strict=True)
    assert stand.wrong == ["reading: a text of no model: 'mixed'"]
    stand.judge("reading", [Reading(1, "", "Error: no\n")], set(), "1 model", strict=True)
    assert stand.wrong[1:] == ["reading: Error: no\n"]
    stand.judge("reading", [Reading(1, "", "Error: no\n")], set(), "1 model", strict=False)
    assert len(stand.wrong) == 2
    assert len(capsys.readouterr().out.splitlines()) == 3
