"""Starts several workers on this machine, and checks that they train what one worker trains.

    python -m tests.reliability.workers 2 -- train my.txt --steps 500 -o checkpoints/two

starts the command line twice, each with its own ``TF_CONFIG``, on free ports of the loopback
address. The output of the workers is passed through. The exit status is the highest of theirs.

    python -m tests.reliability.workers

trains one model with 1, 2 and 4 workers with the same batch, in float32 and bfloat16. It prints
losses, a hash of each worker's weights and the largest difference from one worker. Then it prints
the speed of one and of two workers, with one core each if there are two, and the time for summing
gradients. It exits with 1 if workers differ from each other, or differ from one worker by more than
rounding. It takes about five minutes on two cores. With the argument ``equality`` or ``speed``, it
does only that.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# Rounding after these steps, by dtype of the matmuls: of losses in nats, and of weights.
STEPS = 100
TOLERANCES = {"float32": (1e-4, 1e-3), "bfloat16": (5e-3, 5e-2)}

SETTINGS = {
    **{"layers": 2, "units": 64, "embedding": 32, "streams": 16, "sequence_length": 20},
    **{"shards": 4, "dropout": 0.3, "recurrent_dropout": 0.2},
    **{"seed": 1, "steps": STEPS, "eval_every": STEPS // 2},
}


def free_ports(count):
    """Return ports that are not in use."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def configurations(count):
    """Return the ``TF_CONFIG`` of each of some workers on the loopback address."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(count)]}
    return [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in range(count)
    ]


def start(count, arguments, **options):
    """Start a Python command line in several workers; a single one has no ``TF_CONFIG``."""
    environments = [os.environ | {"TF_CONFIG": text} for text in configurations(count)]
    return [
        subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env=environment if count > 1 else os.environ | {"TF_CONFIG": ""},
            text=True,
            **options,
        )
        for environment in environments
    ]


def finished(processes, seconds=600):
    """Wait for all; return their exit statuses and outputs. Kill them after a timeout."""
    deadline = time.monotonic() + seconds
    try:
        outputs = [p.communicate(timeout=max(1, deadline - time.monotonic())) for p in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], outputs


# What each worker of a measurement does


class _Listener:
    """Records the weights of the last evaluation."""

    def __init__(self):
        self.losses, self.sha256, self.valid = [], "", math.nan

    def on_start(self, hardware, step, steps):
        pass

    def on_step(self, step, done, loss, tokens_per_second):
        self.losses.append(loss)

    def on_evaluation(self, figures, is_best, weights):
        digest = hashlib.sha256()
        for name, weight in sorted(weights().items()):
            digest.update(name.encode() + weight.tobytes())
        self.sha256, self.valid = digest.hexdigest(), figures.valid_loss

    def on_overfitting(self, best, now):
        pass

    def should_stop(self):
        return False


def trained(group, task):
    """Train as the task describes; return what is compared."""
    from charlstm.config import CorpusConfig, TokenizerConfig
    from charlstm.distributed.workers import workers_of
    from charlstm.training import request as request_module
    from charlstm.training import run, setup

    workers = workers_of(group)
    request = request_module.Request(
        corpus=CorpusConfig(addresses=(task["corpus"],)),
        tokenizer=TokenizerConfig(),
        size="auto",
        choices=task["choices"],
        output=workers.output(Path(task["output"])),
        threads=task.get("threads", 1),
    )
    listener = _Listener()
    ready = setup.new_run(request, None, workers.count)
    outcome = run.execute(
        ready, listener, began=time.monotonic(), threads=request.threads, workers=workers
    )
    return {
        "train": float(np.mean(listener.losses[-10:])),
        "valid": listener.valid,
        "sha256": listener.sha256,
        "tokens_per_second": outcome.tokens_per_second,
    }


def summed(group, task):
    """Measure the sum of gradients of some networks; return the median in milliseconds."""
    from charlstm.checkpoint.schema import expected_shapes
    from charlstm.config import ModelConfig
    from charlstm.training.step import use_threads

    use_threads(1, 1)
    from charlstm.distributed.replicas import replica_group
    from charlstm.network.backend import tf

    replicas, found = replica_group(group, 1), {}
    for name, sizes in task["networks"].items():
        shapes = expected_shapes(ModelConfig(**sizes)).values()

        def gradients(x, shapes=shapes):
            parts = replicas.total([tf.fill(shape, x + 1.0) for shape in shapes])
            return tf.add_n([part[(0,) * len(part.shape)] for part in parts]), ()

        call, times = replicas.summed_losses(gradients), []
        for _ in range(12):
            begin = time.perf_counter()
            call(tf.constant(1.0))
            times.append(time.perf_counter() - begin)
        found[name] = {
            "megabytes": sum(4 * math.prod(shape) for shape in shapes) / 1e6,
            "milliseconds": 1e3 * float(np.median(times[2:])),
        }
    group.barrier_and_leave()
    return found


def work(task):
    """Carry out a task as one of the workers, and print its result."""
    from charlstm.distributed.peers import WorkerGroup
    from charlstm.distributed.tf_config import cluster_of

    with WorkerGroup(cluster_of(), wait=120) as group:
        if task["pinned"]:
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[group.cluster.index % len(cores)]})
        print(json.dumps({"trained": trained, "summed": summed}[task["do"]](group, task)))


# Measurements


def results(count, task):
    """Carry out a task with several workers; return the result of each."""
    arguments = ["-m", "tests.reliability.workers", "--task", json.dumps({"pinned": False} | task)]
    started = start(count, arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    statuses, outputs = finished(started)
    if any(statuses):
        raise SystemExit("\n".join(errors for _, errors in outputs))
    return [json.loads(output) for output, _ in outputs]


def weights_in(folder):
    from charlstm.checkpoint.reader import read_checkpoint

    return read_checkpoint(Path(folder)).weights


def corpus_in(folder):
    """Write prose and code that come with Python to a file."""
    import argparse
    import tarfile
    import typing

    path = Path(folder) / "corpus.txt"
    path.write_text("".join(inspect.getsource(module) for module in (argparse, tarfile, typing)))
    return str(path)


def equality(folder, corpus, counts=(1, 2, 4)):
    """Print a table; return whether all workers agree with each other and with one worker."""
    print("dtype     workers  training  validation  difference  of weights  weights of each worker")
    good = True
    for precision, (of_losses, of_weights) in TOLERANCES.items():
        alone = None
        for count in counts:
            output = str(Path(folder) / f"{precision}-{count}")
            choices = SETTINGS | {"precision": precision}
            found = results(
                count, {"do": "trained", "corpus": corpus, "output": output, "choices": choices}
            )
            weights, hashes = weights_in(output), [result["sha256"][:12] for result in found]
            alone = alone or (found[0], weights)
            loss = max(abs(found[0][key] - alone[0][key]) for key in ("train", "valid"))
            weight = max(np.abs(weights[name] - other).max() for name, other in alone[1].items())
            good &= len(set(hashes)) == 1 and loss <= of_losses and weight <= of_weights
            print(
                f"{precision:9} {count:7}  {found[0]['train']:8.5f}  {found[0]['valid']:10.5f}  "
                f"{loss:10.1e}  {weight:10.1e}  {' '.join(hashes)}",
                flush=True,
            )
    return good


def speed(folder, corpus):
    """Print the speed of one and two workers, and the time for summing gradients."""
    network = {"layers": 2, "units": 512, "embedding": 128}
    base = {"streams": 48, "sequence_length": 32, "steps": 30, "eval_every": 30, "dropout": 0.3}
    speeds = {}
    for name, count, pinned, threads in (
        ("one worker, one core", 1, True, 1),
        ("one worker, all cores", 1, False, os.cpu_count()),
        ("two workers, one core each", 2, True, 1),
    ):
        task = {
            **{"do": "trained", "corpus": corpus, "output": str(Path(folder) / name)},
            **{"choices": base | network, "pinned": pinned, "threads": threads},
        }
        speeds[name] = results(count, task)[0]["tokens_per_second"]
        print(f"{name}: {speeds[name]:,.0f} tokens/s", flush=True)
    networks = {
        "2 x 512": {"vocab_size": 100, "embedding": 128, "units": 512, "layers": 2},
        "3 x 1024": {"vocab_size": 100, "embedding": 256, "units": 1024, "layers": 3},
    }
    sums = results(2, {"do": "summed", "networks": networks, "pinned": True})[0]
    for name, sum_of in sums.items():
        print(
            f"the gradients of {name}, {sum_of['megabytes']:.1f} MB, are summed over two workers "
            f"in {sum_of['milliseconds']:.0f} ms"
        )
    step = 1e3 * 48 * 32 / speeds["two workers, one core each"]
    share = sums["2 x 512"]["milliseconds"] / step
    print(f"a step of two workers at 2 x 512 takes {step:.0f} ms, and summing is {share:.0%} of it")


def main(arguments):
    if arguments[:1] == ["--task"]:
        work(json.loads(arguments[1]))
        return 0
    if arguments not in ([], ["equality"], ["speed"]):
        count, mark, *command = [*arguments, ""]
        if not count.isdigit() or mark != "--":
            raise SystemExit("give a number of workers, --, and a charlstm command")
        statuses, _ = finished(start(int(count), ["-m", "charlstm", *command[:-1]]), 1e9)
        return max(statuses)
    with tempfile.TemporaryDirectory(prefix="charlstm-workers-") as folder:
        corpus = corpus_in(folder)
        if arguments == ["speed"]:
            speed(folder, corpus)
            return 0
        good = equality(folder, corpus)
        print("equal" if good else "NOT equal", flush=True)
        if not arguments:
            speed(folder, corpus)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
