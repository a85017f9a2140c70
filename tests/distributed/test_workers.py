"""All workers as one object: who writes, who reports, and that they train what one trains."""

import os
import subprocess
import sys

import numpy as np
import pytest

from charlstm.checkpoint import folder, schema
from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.distributed.workers import OtherWorkers, Workers
from tests.messages import assert_names
from tests.reliability import workers


def test_only_the_chief_writes_and_reports(tmp_path):
    chief, other = Workers(), OtherWorkers()
    speaks, silent = object(), object()
    assert chief.observer(speaks, silent) is speaks
    assert other.observer(speaks, silent) is silent
    assert (chief.output(tmp_path), other.output(tmp_path)) == (tmp_path, None)
    with other.once(folder.lock_folder(tmp_path / "new")):
        assert not (tmp_path / "new").exists()
    with chief.once(folder.lock_folder(tmp_path / "new")):
        assert (tmp_path / "new").exists()
    writer = other.writer(tmp_path / "nowhere")
    writer.model({}, None)
    writer.history([])
    writer.resume({}, None)
    writer.finish()
    writer.check_folder()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.slow
def test_two_workers_train_what_one_trains_and_the_chief_alone_writes(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\n" * 60)
    options = [
        *("train", corpus, "--units", 8, "--layers", 2, "--embedding", 6, "--streams", 8),
        *("--sequence-length", 10, "--steps", 12, "--eval-every", 6, "--dropout", 0.3),
        *("--precision", "float32", "--sample-every", 0, "--bidirectional", "-o"),
    ]
    homes = [tmp_path / name for name in ("chief", "other")]
    configurations = workers.configurations(2)
    for home in homes:
        home.mkdir()
    processes = [
        subprocess.Popen(
            [*map(str, [sys.executable, "-m", "charlstm", *options, "model", "--threads", 1])],
            env=os.environ | {"TF_CONFIG": text, "PYTHONPATH": os.getcwd()},
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for home, text in zip(homes, configurations, strict=True)
    ]
    statuses, outputs = workers.finished(processes)
    assert statuses == [0, 0], outputs
    assert outputs[0][0] == "model\n"
    assert "2 workers" in outputs[0][1]
    assert outputs[1][0] == ""
    assert_names(outputs[1][1], "worker 0, the chief, at", "300 seconds")
    assert list(homes[1].iterdir()) == []
    alone = tmp_path / "alone"
    command = [sys.executable, "-m", "charlstm", *options, alone, "--threads", 2, "-q"]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    subprocess.run([*map(str, command)], env=environment, check=True, capture_output=True)
    ours, theirs = read_checkpoint(homes[0] / "model"), read_checkpoint(alone)
    assert not (homes[0] / "model" / schema.RESUME).exists()
    assert ours.config.train == theirs.config.train
    for network in ("weights", "backward"):
        for name, weight in getattr(ours, network).items():
            expected = getattr(theirs, network)[name]
            np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-5)
    for loss in ("valid_loss", "backward_valid_loss", "backward_train_loss"):
        folders = homes[0] / "model", alone
        found = [[getattr(figures, loss) for figures in read_history(path)] for path in folders]
        assert found[0] == pytest.approx(found[1], abs=1e-5)
