"""Several devices and several workers take the steps that one takes."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm import __version__
from charlstm.checkpoint import folder, schema
from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.cli.train_report import describe_hardware
from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
from charlstm.dataset.batches import TrainingBatch
from charlstm.distributed import replicas as replicas_module
from charlstm.distributed.agreement import Terms, agreed_terms, difference, fetched
from charlstm.distributed.peers import WorkerGroup
from charlstm.distributed.replicas import ReplicaGroup, evenly, mirrored
from charlstm.distributed.tf_config import Cluster
from charlstm.distributed.workers import OtherWorkers, Workers
from charlstm.errors import CheckpointBusy, TrainingError, UsageError
from charlstm.network.backend import keras, tf
from charlstm.network.model import weights_of
from charlstm.training import optimizers, run, setup
from charlstm.training import request as request_module
from charlstm.training.observer import Hardware
from charlstm.training.step import StepRunner, hardware_of
from tests.distributed.test_peers import together
from tests.messages import assert_names
from tests.reliability import workers

MODEL = ModelConfig(vocab_size=12, embedding=6, units=10, layers=2)
TRAIN = TrainConfig(steps=10, streams=5, sequence_length=5, precision="float32", shards=4)


def after_steps(replicas, **settings):
    """Take some steps; return losses, states, weights, optimizer and validation loss."""
    steps = StepRunner(MODEL, TRAIN.replace(**settings), replicas)
    states, losses = steps.zero_states(), []
    for step in range(4):
        ids = np.random.default_rng(step).integers(12, size=(5, 6)).astype(np.int32)
        batch = TrainingBatch(ids[:, :-1], ids[:, 1:], step == 0)
        loss, states = steps.train(batch, states, step, 0.01, 0.3)
        losses.append(loss)
        if step == 2:  # as a resumed run does
            states = steps.own_states(steps.whole_states(states))
    text = np.random.default_rng(9).integers(12, size=700).astype(np.uint8)
    slots = [variable.numpy() for variable in steps.optimizer.variables]
    whole = [part.numpy() for pair in steps.whole_states(states) for part in pair]
    return losses, whole, weights_of(steps.model), slots, steps.validate(text)


def largest_difference(ours, theirs):
    """Return that of any two numbers which stand at the same place."""
    tf.nest.assert_same_structure(ours, theirs)
    pairs = zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True)
    return max(float(np.abs(np.subtract(a, b)).max()) for a, b in pairs)


# One process


def test_alone_there_is_nothing_to_share():
    replicas = ReplicaGroup()
    assert (replicas.count, replicas.is_chief) == (1, True)
    assert replicas.share([1, 2, 3]) == [1, 2, 3]
    assert [replicas.asked(stop) for stop in (True, False)] == [True, False]
    assert replicas.now() <= replicas.now()
    tensors = [tf.constant([1.0])]
    assert replicas.total(tensors) == replicas.whole(tensors) == tensors
    replicas.sync()


def test_a_crew_of_one_device_takes_the_same_steps_bit_for_bit():
    assert largest_difference(after_steps(mirrored(["CPU:0"])), after_steps(ReplicaGroup())) == 0.0


@pytest.mark.parametrize("name", ["adamw", "adam", "lion", "rmsprop", "sgd"])
def test_keras_sums_gradients_where_it_is_kept_from_it(name):
    """Were that another method, gradients would be summed twice in silence."""
    optimizer = optimizers.make_optimizer(TRAIN.replace(optimizer=name))
    variable, seen = keras.Variable(np.zeros(2, np.float32)), []

    def summed(pairs):
        seen.extend(pairs)
        return seen

    assert callable(getattr(optimizer, optimizers.SUMS_GRADIENTS))
    setattr(optimizer, optimizers.SUMS_GRADIENTS, summed)
    optimizer.apply([tf.ones(2)], [variable])
    assert [gradient.shape for gradient, _ in seen] == [(2,)]


def test_a_keras_that_sums_gradients_elsewhere_is_refused(sentence):
    with pytest.raises(TrainingError) as caught:
        optimizers.leave_gradients_alone(object())
    (version,) = re.findall(r"Keras ([0-9.]+\d)", str(caught.value))
    told = str(caught.value).replace(version, "VERSION").replace(__version__, "OURS")
    sentence(told, "Keras VERSION", "gradients")


def test_more_devices_than_rows_are_refused(sentence):
    class Many(ReplicaGroup):
        def __init__(self):
            super().__init__()
            self.count = 6

    with pytest.raises(UsageError) as caught:
        StepRunner(MODEL, TRAIN, Many())
    sentence(caught.value, "6 devices", "5 streams", "--streams 6")


class Device:
    def __init__(self, name):
        self.name = name


@pytest.mark.parametrize(
    ("gpus", "streams", "used"),
    [(0, 48, 0), (1, 48, 0), (8, 4, 0), (8, 7, 0), (8, 8, 2), (8, 16, 4), (8, 48, 8), (2, 48, 2)],
)
def test_no_more_gpus_are_used_than_there_are_rows_for(monkeypatch, gpus, streams, used):
    """One takes the path without a strategy, which is 0 here."""
    devices = [Device(f"GPU:{number}") for number in range(gpus)]
    visible = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: devices)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda seen, kind: visible.extend(seen))
    monkeypatch.setattr(replicas_module, "mirrored", lambda names: names)
    monkeypatch.setattr(replicas_module, "ReplicaGroup", list)
    most = run._devices(streams, 1)
    names = [device.name for device in devices]
    assert replicas_module.replica_group(WorkerGroup(), most) == names[:used]
    assert visible == (devices[:most] if gpus > most else [])


def test_workers_share_the_rows_before_their_devices_do():
    assert [run._devices(streams, 2) for streams in (4, 8, 16, 48)] == [1, 1, 2, 6]


@given(st.integers(0, 200), st.integers(1, 64))
def test_things_are_shared_evenly(count, parts):
    shares = [range(count)[share] for share in evenly(count, parts)]
    assert [thing for share in shares for thing in share] == list(range(count))
    assert len(shares) == parts
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


class TwoProcesses(WorkerGroup):
    """A group whose other member is not there."""

    def __init__(self, lost=None):
        super().__init__(Cluster(("a:1", "b:2"), 0))
        self._known = lost

    def lost(self):
        return self._known


def test_between_meetings_time_stands_still_and_nobody_stops():
    replicas = ReplicaGroup(group=TwoProcesses())
    assert replicas.now() == replicas.now()
    assert not replicas.asked(True)  # the others have not heard of it
    hardware = hardware_of(TRAIN, replicas)
    assert hardware == Hardware(gpus=0, product_type="float32", workers=2)
    assert describe_hardware(hardware) == "CPU, float32 matrix products, 2 workers"


def test_a_lost_worker_is_told_as_such(sentence):
    error = tf.errors.UnavailableError(None, None, "x\nCollective ops is aborted by: gone\ny")
    for lost, part in (
        (TrainingError("worker 1 is lost"), "worker 1 is lost"),
        (None, "Collective ops is aborted by: gone"),
    ):
        replicas = ReplicaGroup(group=TwoProcesses(lost))
        with pytest.raises(TrainingError) as caught, replicas.losses_told():
            raise error
        sentence(caught.value, part)
    with pytest.raises(tf.errors.UnavailableError), ReplicaGroup().losses_told():
        raise error


def test_signals_are_given_back_after_tensorflow_took_them():
    before = signal.getsignal(signal.SIGTERM)
    with replicas_module._signals_kept():
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_workers_that_do_not_connect_are_named_with_what_to_do(sentence):
    told = replicas_module._unconnected(Cluster(("a:1", "b:2"), 1))
    parts = ["worker 0, the chief, at a:1", "worker 1 at b:2", "60 seconds", "TF_CONFIG"]
    sentence(told, "TensorFlow", *parts)


# What workers must agree on


TEXT = "some words to learn from, again and again\n" * 40


def ready(tmp_path, text=TEXT, workers=1, **choices):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(text)
    small = {"layers": 1, "units": 8, "embedding": 6, "streams": 4, "sequence_length": 10}
    request = request_module.Request(
        corpus=CorpusConfig(addresses=(str(corpus),)),
        tokenizer=TokenizerConfig(),
        size="auto",
        choices=small | {"steps": 20} | choices,
        output=tmp_path / "model",
        threads=1,
    )
    return setup.new_run(request, None, workers)


def test_workers_may_differ_in_what_follows_from_their_machine(tmp_path):
    (tmp_path / "other").mkdir()
    ours = ready(tmp_path / "other", shards=2, precision="bfloat16", save_every=3.0).config
    assert difference(ours, ready(tmp_path).config) == ""


def test_workers_may_not_differ_in_anything_else(tmp_path, sentence):
    chiefs = ready(tmp_path).config
    for changed, parts in (
        ({"seed": 2}, ["seed 2", "the chief 1", "options"]),
        ({"units": 9}, ["network", "chief"]),
        ({"text": "other words to learn from\n" * 80}, ["text", "chief"]),
    ):
        ours = ready(tmp_path, **changed)
        sentence(difference(ours.config, chiefs), *parts)
    newer = msgspec.structs.replace(chiefs, charlstm="99")
    told = difference(newer, chiefs).replace(__version__, "OURS")
    sentence(told, "charlstm 99", "chief")


def test_a_run_of_several_workers_has_chains_for_all_of_them(tmp_path):
    one, three = (ready(tmp_path, streams=24, sequence_length=5, workers=n) for n in (1, 3))
    assert (one.config.train.shards, three.config.train.shards) == (1, 3)


def agreed(runs):
    """Let workers with these runs agree; return what each of them holds then, or its error."""

    def agree(group, index):
        own = runs[index]
        terms = Terms(own.config, str(own.folder), float(index), run._state(own))
        return agreed_terms(terms, group).began

    return together(len(runs), agree)


def test_workers_that_start_from_other_weights_are_refused(tmp_path, sentence):
    chiefs = ready(tmp_path)
    assert agreed([chiefs, chiefs]) == [0.0, 0.0]
    ours, other = (replace(chiefs, parent_sha256=digest) for digest in ("12", "34"))
    assert agreed([ours, ours]) == [0.0, 0.0]
    for error in agreed([ours, other]):
        assert isinstance(error, UsageError)
        assert str(error).startswith("worker 1 at 127.0.0.1:")
        sentence(re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", str(error)), "checkpoint", "chief")


@pytest.mark.parametrize("name", [schema.RESUME, schema.MODEL, schema.HISTORY])
def test_workers_that_resume_from_other_files_are_refused(tmp_path, sentence, name):
    """As where another process has saved between the sending of the files and the reading."""
    runs = []
    for worker in "ab":
        (tmp_path / worker).mkdir()
        (tmp_path / worker / schema.RESUME).write_bytes(b"state")
        runs.append(replace(ready(tmp_path), folder=tmp_path / worker, resumes=True))
    assert agreed(runs) == [0.0, 0.0]
    (tmp_path / "b" / name).write_bytes(b"other")
    for error in agreed(runs):
        sentence(re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", str(error)), "checkpoint", "chief")


def test_what_another_process_still_writes_is_not_sent(tmp_path):
    def fetch(group, index):
        return fetched(tmp_path, group)

    with folder.lock_folder(tmp_path):
        busy, lost = together(2, fetch)
        assert fetched(tmp_path, WorkerGroup()) == tmp_path  # alone nothing is sent
    assert isinstance(busy, CheckpointBusy)
    assert "worker 0, the chief," in str(lost)


def test_a_fine_tuned_run_knows_the_state_that_it_begins_with(tmp_path):
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
        corpus=begun.corpus,
        tokenizer=TokenizerConfig(),
        size="auto",
        choices={"steps": 2},
        parent=begun.folder,
    )
    tuned = setup.new_run(request, None)
    assert run._state(tuned) == read_checkpoint(begun.folder).sha256
    assert run._state(begun) == ""


def test_a_run_that_is_done_leaves_as_finished(tmp_path, monkeypatch):
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


def test_workers_beside_the_chief_neither_write_nor_speak(tmp_path):
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


# Several devices and several processes

TWO_DEVICES = """
from charlstm.network.backend import tf
(processor,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(processor, two)
import json
from charlstm.distributed.replicas import ReplicaGroup, mirrored
from tests.distributed.test_replicas import after_steps, largest_difference
found = {}
for name in ("adamw", "rmsprop"):
    several = after_steps(mirrored(["CPU:0", "CPU:1"]), optimizer=name)
    found[name] = largest_difference(several, after_steps(ReplicaGroup(), optimizer=name))
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_devices_take_the_steps_of_one():
    """Five rows in four shards, with dropout, which two replicas share unevenly."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, check=True
    )
    for found in json.loads(done.stdout.splitlines()[-1]).values():
        assert found < 1e-5


@pytest.mark.slow
def test_two_workers_train_what_one_trains_and_the_chief_alone_writes(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\n" * 60)
    options = [
        *("train", corpus, "--units", 8, "--layers", 2, "--embedding", 6, "--streams", 8),
        *("--sequence-length", 10, "--steps", 12, "--eval-every", 6, "--dropout", 0.3),
        *("--precision", "float32", "--sample-every", 0, "-o"),
    ]
    places = [tmp_path / name for name in ("chief", "other")]
    configurations = workers.configurations(2)
    for place in places:
        place.mkdir()
    processes = [
        subprocess.Popen(
            [*map(str, [sys.executable, "-m", "charlstm", *options, "model", "--threads", 1])],
            env=os.environ | {"TF_CONFIG": text, "PYTHONPATH": os.getcwd()},
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place, text in zip(places, configurations, strict=True)
    ]
    statuses, outputs = workers.finished(processes)
    assert statuses == [0, 0], outputs
    assert outputs[0][0] == "model\n"
    assert "2 workers" in outputs[0][1]
    assert outputs[1][0] == ""
    assert_names(outputs[1][1], "worker 0, the chief, at", "300 seconds")
    assert list(places[1].iterdir()) == []
    alone = tmp_path / "alone"
    command = [sys.executable, "-m", "charlstm", *options, alone, "--threads", 2, "-q"]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    subprocess.run([*map(str, command)], env=environment, check=True, capture_output=True)
    ours, theirs = read_checkpoint(places[0] / "model"), read_checkpoint(alone)
    assert not (places[0] / "model" / schema.RESUME).exists()
    assert ours.config.train == theirs.config.train
    for name, weight in ours.weights.items():
        np.testing.assert_allclose(weight, theirs.weights[name], rtol=1e-4, atol=1e-5)
    losses = [[f.valid_loss for f in read_history(p)] for p in (places[0] / "model", alone)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
