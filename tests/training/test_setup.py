"""From a request to a run: resuming, and errors before TensorFlow is loaded."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from charlstm.checkpoint import reader, schema
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.config import CorpusConfig, Division
from charlstm.errors import (
    CheckpointDamaged,
    CheckpointMissing,
    CorpusError,
)
from charlstm.training import setup
from tests.distributed.helpers import ready
from tests.messages import raises_naming
from tests.training.helpers import TEXT, Stopper, bytes_of, resume, train


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_resumes_with_its_settings_on_any_machine(request_for, monkeypatch, threads):
    """The other machine has another number of cores and another native matmul dtype."""
    stopped = request_for("stopped", streams=8, threads=threads)
    train(stopped, Stopper(2))
    monkeypatch.setattr(setup, "processor_count", lambda: 3 - threads)
    monkeypatch.setattr(setup, "product_type", lambda precision: "bfloat16")
    resumed = setup.resumed_run(stopped.output)
    assert resumed.config.train.shards == resumed.plan.train.shards == threads
    assert resumed.config == reader.read_config(stopped.output)


@pytest.mark.parametrize("address", ["{}/corpus.txt", "corpus.txt", "{}/*.txt"])
def test_a_run_resumes_from_any_folder_and_then_forgets_its_paths(
    request_for, monkeypatch, tmp_path, address
):
    monkeypatch.chdir(tmp_path)
    request = request_for("model")
    named = CorpusConfig(addresses=(address.format(tmp_path),), seed=3)
    request = replace(request, corpus=named)
    train(request, Stopper(after=15))
    told = str(tmp_path).encode()
    assert {n for n, data in bytes_of(request.output).items() if told in data} == {schema.RESUME}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for after in (20, math.inf):
        resume(request.output, Stopper(after=after - 15))
    assert reader.is_finished(request.output)
    assert not any(told in data for data in bytes_of(request.output).values())


@pytest.mark.parametrize(
    ("name", "old", "new", "parts"),
    [
        (
            schema.CONFIG,
            b'"units": 8',
            b'"units": 16384',
            ["lstm_0/kernel", "[6, 32]", "F32", "config.json", "[6, 65536]"],
        ),
        (schema.CONFIG, b'"seed": 3', b'"seed": 4', ["config.json", "Restore"]),
        (schema.RESUME, b"step", b"stop", ["resume.safetensors", "sha256"]),
    ],
)
def test_mismatches_are_refused_before_anything_is_built(
    request_for, monkeypatch, name, old, new, parts
):
    """A hostile configuration may ask for a network that fills the memory."""
    request = request_for("altered")
    train(request, Stopper(2))
    path = request.output / name
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    monkeypatch.setattr(setup, "prepare", lambda *_, **__: pytest.fail("the text was read"))
    with raises_naming(CheckpointDamaged, *parts):
        setup.resumed_run(request.output)


def test_a_text_that_is_not_where_it_was_is_told_with_what_can_be_done(
    request_for, tmp_path, sentence
):
    request = request_for("moved")
    train(request, Stopper(2))
    (tmp_path / "corpus.txt").unlink()
    with pytest.raises(CorpusError) as caught:
        resume(request.output)
    sentence(
        caught.value, request.output, f"`from_checkpoint` {request.output}", tmp_path / "corpus.txt"
    )


@pytest.mark.parametrize("name", [schema.CONFIG, schema.TOKENIZER])
def test_a_run_whose_settings_were_altered_is_not_resumed(request_for, name, sentence):
    request = request_for("altered")
    train(request, Stopper(2))
    path = request.output / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(CheckpointDamaged) as caught:
        resume(request.output)
    sentence(caught.value, path, "Restore")


def test_a_configuration_altered_during_the_run_is_refused(request_for):
    """The weights are tied to the settings that they were trained with."""
    request = request_for("altered")

    class Alters(Stopper):
        def on_step(self, step, *rest):
            super().on_step(step, *rest)
            if step == 5:
                path = request.output / schema.CONFIG
                path.write_bytes(path.read_bytes() + b"\n")

    train(request, Alters())
    with raises_naming(CheckpointDamaged, request.output / schema.CONFIG, "Restore"):
        read_checkpoint(request.output)


def test_a_finished_run_has_nothing_to_resume(request_for):
    request = request_for("done")
    train(request)
    with raises_naming(CheckpointMissing, request.output, "finished"):
        setup.resumed_run(request.output)


def test_a_changed_corpus_is_refused(request_for, sentence):
    request = request_for("changed")
    train(request, Stopper(5))
    request_for("changed", text=TEXT + "more")
    with pytest.raises(CorpusError) as caught:
        setup.resumed_run(request.output)
    sentence(caught.value, request.corpus.addresses[0], "changed", "from_checkpoint")
    request_for("changed")
    assert resume(request.output).stop_reason == "budget"


def test_a_run_of_several_workers_has_shards_for_all_of_them(tmp_path):
    one, three = (ready(tmp_path, streams=24, sequence_length=5, workers=n) for n in (1, 3))
    assert (one.config.train.shards, three.config.train.shards) == (1, 3)


def test_an_index_covers_all_lines_but_those_an_older_parent_held_out(request_for, tmp_path):
    """It includes lines that are only in ``valid``, also without validation."""
    data, lines = Path(__file__).parents[1] / "data", Division(unit="line")
    parents = [data / f"format-{number}" / "lines" for number in (1, 2, 3)]
    bare = tmp_path / "bare"
    shutil.copytree(parents[-1], bare)
    (bare / schema.LINES).unlink()
    (tmp_path / "valid.txt").write_text("".join(f"held {n}\n" for n in range(20)))
    asked = request_for("model", "".join(f"line {n % 50}\n" for n in range(200)))
    asked = replace(asked, choices={"steps": 3, "streams": 2, "sequence_length": 5})
    usual = asked.corpus.replace(division=lines)
    for corpus, parent, count, covers in (
        (usual, None, 50, "all"),
        (usual.replace(valid_fraction=0.0), None, 50, "all"),
        (usual.replace(valid=(str(tmp_path / "valid.txt"),)), None, 70, "all"),
        (usual.replace(index=False), None, 0, None),
        (asked.corpus, None, 0, None),
        (usual, bare, 50, "all"),
        *((usual, parent, None, "training") for parent in parents),
    ):
        run = setup.new_run(replace(asked, corpus=corpus, parent=parent), None)
        origin = run.config.provenance
        assert origin.index_covers == covers, (corpus, parent)
        if count is None:
            count = 50 + reader.read_config(parent).provenance.indexed
        assert origin.indexed == count == len(run.lines or ())
