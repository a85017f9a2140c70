"""Carrying out a run: one writer per folder, nothing replaced too early, reproducible seeds."""

import time
from dataclasses import replace

import numpy as np
import pytest

from charlstm.checkpoint import folder, schema
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.distributed.peers import WorkerGroup
from charlstm.distributed.replicas import ReplicaGroup
from charlstm.distributed.workers import Workers
from charlstm.errors import CheckpointBusy, CheckpointExists
from charlstm.training import request as request_module
from charlstm.training import run, setup
from charlstm.training.step import StepRunner
from tests.distributed.helpers import ready
from tests.training.helpers import Stopper, essence, resume, train, uninterrupted


def test_one_folder_is_trained_into_by_one_run(request_for, tmp_path, sentence):
    first = request_for("taken")

    class Second(Stopper):
        def on_step(self, *arguments):
            super().on_step(*arguments)
            for begin in (
                lambda: resume(first.output),
                lambda: train(first),
                lambda: train(replace(first, overwrite=True)),
            ):
                with pytest.raises(CheckpointBusy) as caught:
                    begin()
                sentence(caught.value, first.output, "another process")

    assert train(first, Second(after=1)).step == 1
    assert resume(first.output).stop_reason == "budget"


def test_the_race_for_a_folder_has_one_winner(request_for):
    """Both find the folder free and load what they need; then one is first."""
    request = request_for("taken")
    late = setup.new_run(request, None)

    class Racer(Stopper):
        def on_start(self, *arguments):
            with pytest.raises(CheckpointBusy):
                run.execute(late, Stopper(), began=time.monotonic())

    assert train(request, Racer(after=2)).step == 2
    with pytest.raises(CheckpointExists):
        run.execute(late, Stopper(), began=time.monotonic())
    assert resume(request.output).stop_reason == "budget"


def test_a_run_that_can_not_start_replaces_nothing(request_for, monkeypatch):
    request = request_for("kept")
    train(request)
    before = essence(request.output)

    def too_large(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(StepRunner, "__init__", too_large)
    prepared = setup.new_run(replace(request, overwrite=True), None)
    with pytest.raises(MemoryError):
        run.execute(prepared, Stopper(), began=time.monotonic(), overwrite=True)
    assert essence(request.output) == before


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(request_for, fresh_networks):
    first = uninterrupted(request_for, level="char")
    for name, seed in (("same", 3), ("other", 4)):
        train(request_for(name, seed=seed))
    same, other = (essence(request_for(name).output) for name in ("same", "other"))
    assert same == first
    assert other[0] != first[0]


def test_workers_share_the_rows_before_their_devices_do():
    assert [run._devices(streams, 2) for streams in (4, 8, 16, 48)] == [1, 1, 2, 6]


def test_a_fine_tuned_run_has_a_digest_of_its_initial_state(tmp_path):
    begun = ready(tmp_path)
    tokenizer = begun.prepared.tokenizer
    with (
        folder.lock_folder(begun.folder),
        folder.create_checkpoint(begun.folder, begun.config, tokenizer),
    ):
        shapes = schema.expected_shapes(begun.config.model)
        weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        figures = schema.Figures(step=0, epoch=0.0, tokens=0, seconds=0.0, learning_rate=0.0)
        CheckpointWriter(begun.folder).model(weights, figures)
    request = request_module.Request(
        corpus=CorpusConfig(addresses=begun.corpus.addresses, seed=3),
        tokenizer=TokenizerConfig(),
        size="auto",
        choices={"steps": 2},
        parent=begun.folder,
    )
    tuned = setup.new_run(request, None)
    assert run._state(tuned) == read_checkpoint(begun.folder).sha256
    assert run._state(begun) == ""


def test_a_finished_run_leaves_the_group_as_finished(tmp_path, monkeypatch):
    left = []

    class Recording(WorkerGroup):
        def barrier_and_leave(self, **given):
            left.append(given)

    class Trained:
        def start(self, writer, weights, corpus):
            assert isinstance(writer, CheckpointWriter)

        def run(self):
            return "done"

    monkeypatch.setattr(run, "_replicas", lambda *given: ReplicaGroup())
    monkeypatch.setattr(run, "_trainer", lambda *given: Trained())
    workers = Workers(Recording())
    assert run.execute(ready(tmp_path), None, began=0.0, workers=workers) == "done"
    assert left == [{"finished": True}]
