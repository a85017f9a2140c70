"""Several devices and several workers take the same steps as one."""

import json
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.cli.train_report import describe_hardware
from charlstm.distributed import replicas as replicas_module
from charlstm.distributed.peers import WorkerGroup
from charlstm.distributed.replicas import ReplicaGroup, evenly, mirrored
from charlstm.distributed.tf_config import Cluster
from charlstm.errors import TrainingError, UsageError
from charlstm.network.backend import tf
from charlstm.training import run
from charlstm.training.observer import Hardware
from charlstm.training.step import StepRunner, hardware_of
from tests.distributed.helpers import MODEL, TRAIN, after_steps, largest_difference


def test_a_single_device_has_nothing_to_share():
    replicas = ReplicaGroup()
    assert (replicas.count, replicas.is_chief) == (1, True)
    assert replicas.share([1, 2, 3]) == [1, 2, 3]
    assert [replicas.asked(stop) for stop in (True, False)] == [True, False]
    assert replicas.now() <= replicas.now()
    tensors = [tf.constant([1.0])]
    assert replicas.total(tensors) == replicas.whole(tensors) == tensors
    replicas.sync()


def test_a_group_of_one_device_takes_the_same_steps_bit_for_bit():
    assert largest_difference(after_steps(mirrored(["CPU:0"])), after_steps(ReplicaGroup())) == 0.0


def test_more_devices_than_rows_are_refused(sentence):
    class Many(ReplicaGroup):
        def __init__(self):
            super().__init__()
            self.count = 6

    with pytest.raises(UsageError) as caught:
        StepRunner(MODEL, TRAIN, Many())
    sentence(caught.value, "6 devices", "5 streams", "`streams` 6")


class Device:
    def __init__(self, name):
        self.name = name


@pytest.mark.parametrize(
    ("gpus", "streams", "used"),
    [(0, 48, 0), (1, 48, 0), (8, 4, 0), (8, 7, 0), (8, 8, 2), (8, 16, 4), (8, 48, 8), (2, 48, 2)],
)
def test_no_more_gpus_are_used_than_there_are_rows_for(monkeypatch, gpus, streams, used):
    """With one GPU there is no strategy, which is 0 here."""
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


@given(st.integers(0, 200), st.integers(1, 64))
def test_items_are_shared_evenly(count, parts):
    shares = [range(count)[share] for share in evenly(count, parts)]
    assert [thing for share in shares for thing in share] == list(range(count))
    assert len(shares) == parts
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


class TwoProcesses(WorkerGroup):
    """A group whose other member is missing."""

    def __init__(self, lost=None):
        super().__init__(Cluster(("a:1", "b:2"), 0))
        self._known = lost

    def lost(self):
        return self._known


def test_between_syncs_clock_and_stop_requests_do_not_change():
    replicas = ReplicaGroup(group=TwoProcesses())
    assert replicas.now() == replicas.now()
    assert not replicas.asked(True)  # the others don't know of it yet
    hardware = hardware_of(TRAIN, replicas)
    assert hardware == Hardware(gpus=0, product_type="float32", workers=2)
    assert describe_hardware(hardware) == "CPU, float32 matrix multiplications, 2 workers"


def test_a_lost_worker_is_told_as_such(sentence):
    error = tf.errors.UnavailableError(None, None, "x\nCollective ops is aborted by: gone\ny")
    for lost, part in (
        (TrainingError("worker 1 is lost"), "worker 1 is lost"),
        (None, "Collective ops is aborted by: gone"),
    ):
        replicas = ReplicaGroup(group=TwoProcesses(lost))
        with pytest.raises(TrainingError) as caught, replicas.lost_worker_named():
            raise error
        sentence(caught.value, part)
    with pytest.raises(tf.errors.UnavailableError), ReplicaGroup().lost_worker_named():
        raise error


def test_signal_handlers_are_restored_after_tensorflow_replaced_them():
    before = signal.getsignal(signal.SIGTERM)
    with replicas_module._signals_kept():
        assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGTERM) == before


def test_workers_that_do_not_connect_are_named_with_what_to_do(sentence):
    told = replicas_module._unconnected(Cluster(("a:1", "b:2"), 1))
    parts = ["worker 0, the chief, at a:1", "worker 1 at b:2", "60 seconds", "TF_CONFIG"]
    sentence(told, "TensorFlow", *parts)


# Several devices

TWO_DEVICES = """
from charlstm.network.backend import tf
(processor,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(processor, two)
import json
from charlstm.distributed.replicas import ReplicaGroup, mirrored
from tests.distributed.helpers import after_steps, largest_difference
found = {}
for name in ("adamw", "rmsprop"):
    several = after_steps(mirrored(["CPU:0", "CPU:1"]), optimizer=name)
    found[name] = largest_difference(several, after_steps(ReplicaGroup(), optimizer=name))
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_devices_take_the_steps_of_one():
    """Five rows in four shards, shared unevenly by two replicas, with dropout."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, check=True
    )
    for found in json.loads(done.stdout.splitlines()[-1]).values():
        assert found < 1e-5
