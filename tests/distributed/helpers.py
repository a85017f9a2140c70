"""Helpers: groups of workers in threads of one process, small runs, single steps."""

import threading

import numpy as np

from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig, TrainConfig
from charlstm.dataset.batches import TrainingBatch
from charlstm.distributed.peers import WorkerGroup
from charlstm.distributed.tf_config import Cluster
from charlstm.errors import CharlstmError
from charlstm.network.backend import tf
from charlstm.network.model import weights_of
from charlstm.training import request as request_module
from charlstm.training import setup
from charlstm.training.step import StepRunner
from tests.reliability.workers import free_ports


def together(count, do, wait=20.0):
    """Run ``do`` in as many threads, each a member of one group; return results or errors."""
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(count))
    found = [None] * count

    def member(index):
        try:
            with WorkerGroup(
                Cluster(addresses, index), wait=wait, end=lambda status: None
            ) as group:
                found[index] = do(group, index)
        except CharlstmError as error:
            found[index] = error

    threads = [threading.Thread(target=member, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


MODEL = ModelConfig(vocab_size=12, embedding=6, units=10, layers=2)
TRAIN = TrainConfig(
    steps=10,
    streams=5,
    sequence_length=5,
    precision="float32",
    shards=4,
    activation_penalty=1.0,
    beta_1=0.8,
    beta_2=0.95,
)


def after_steps(replicas, **settings):
    """Take some steps; return losses, states, weights, optimizer and validation loss."""
    steps = StepRunner(MODEL, TRAIN.replace(**settings), replicas)
    states, losses = steps.zero_states(), []
    for step in range(4):
        ids = np.random.default_rng(step).integers(12, size=(5, 6)).astype(np.int32)
        batch = TrainingBatch(ids[:, :-1], ids[:, 1:], step == 0, np.zeros(len(ids), np.bool_))
        loss, states = steps.train(batch, states, step, 0.01, 0.3)
        losses.append(loss)
        if step == 2:  # as a resumed run does
            states = steps.own_states(steps.whole_states(states))
    text = np.random.default_rng(9).integers(12, size=700).astype(np.uint8)
    slots = [variable.numpy() for variable in steps.optimizer.variables]
    whole = {name: state.numpy() for name, state in steps.whole_states(states).items()}
    return losses, whole, weights_of(steps.model), slots, steps.validate(text)


def largest_difference(ours, theirs):
    """Return the largest difference between numbers at the same index."""
    tf.nest.assert_same_structure(ours, theirs)
    pairs = zip(tf.nest.flatten(ours), tf.nest.flatten(theirs), strict=True)
    return max(float(np.abs(np.subtract(a, b)).max()) for a, b in pairs)


TEXT = "some words to learn from, again and again\n" * 40


def ready(tmp_path, text=TEXT, workers=1, **choices):
    """Return a run of ``workers`` processes that is ready to start."""
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
