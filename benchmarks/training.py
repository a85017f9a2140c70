"""Compares training steps of charlstm with the same network in stock Keras (float32) and PyTorch.

All use the same shapes, AdamW, clipping by the global norm, dropout after each layer, and states
carried from batch to batch. Each runs in its own process, with its own thread settings and peak
memory. Rounds are interleaved, and medians are reported. The limit is the speed of large bfloat16
(or float32) matmuls on the same cores, at 6 FLOP per weight and token. With a small vocabulary,
charlstm saves some of these in the first layer's input projection.

python -m benchmarks.training [SHAPE ...]     includes PyTorch if it is installed
"""

import importlib.util
import multiprocessing
import resource
import statistics
import sys
import time
from typing import NamedTuple

import numpy as np

from benchmarks.timing import processor
from charlstm.system.hardware import processor_count

ROUNDS, DROPOUT, RATE = 9, 0.35, 1e-3


class Shape(NamedTuple):
    """The network and the batch of a step."""

    layers: int
    units: int
    streams: int
    length: int
    vocabulary: int
    embedding: int

    @property
    def multiplied(self):
        """Number of weights that a token is multiplied by."""
        widths = [self.embedding] + [self.units] * (self.layers - 1)
        return sum(4 * self.units * (w + self.units) for w in widths) + self.units * self.vocabulary


SHAPES = {
    "2x256": Shape(2, 256, 64, 100, 65, 128),
    "2x512": Shape(2, 512, 64, 100, 65, 128),
    "2x512@32": Shape(2, 512, 32, 100, 65, 128),
    "2x512@16": Shape(2, 512, 16, 100, 65, 128),
    "3x1024": Shape(3, 1024, 32, 100, 65, 256),
    "2x650 words": Shape(2, 650, 32, 70, 10_000, 650),
}


def charlstm_step(shape, ids, attention=0):
    from charlstm.config import ModelConfig, TrainConfig
    from charlstm.dataset.batches import TrainingBatch
    from charlstm.training.plan import shards_for
    from charlstm.training.step import StepRunner, use_threads

    shards = shards_for(processor_count(), shape.streams)
    use_threads(processor_count(), shards)
    model = ModelConfig(
        vocab_size=shape.vocabulary,
        embedding=shape.embedding,
        units=shape.units,
        layers=shape.layers,
        attention=attention,
    )
    train = TrainConfig(
        steps=1,
        streams=shape.streams,
        sequence_length=shape.length,
        shards=shards,
    )
    steps = StepRunner(model, train)
    batch = TrainingBatch(ids[:, :-1], ids[:, 1:], False, np.zeros(len(ids), np.bool_))
    states = steps.model.zero_states(shape.streams)

    def step():
        nonlocal states
        _, states = steps.train(batch, states, 1, RATE, DROPOUT)

    return step


def keras_step(shape, ids):
    from charlstm.network.backend import keras

    layers = keras.layers
    tokens = keras.Input((shape.length,), batch_size=shape.streams, dtype="int32")
    x = layers.Embedding(shape.vocabulary, shape.embedding)(tokens)
    for _ in range(shape.layers):
        x = layers.LSTM(shape.units, return_sequences=True, stateful=True)(x)
        x = layers.Dropout(DROPOUT)(x)
    model = keras.Model(tokens, layers.Dense(shape.vocabulary)(x))
    model.compile(
        keras.optimizers.AdamW(RATE, weight_decay=0.05, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: model.train_on_batch(ids[:, :-1], ids[:, 1:])


def torch_step(shape, ids, half=False):
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(shape.vocabulary, shape.embedding)
            self.lstm = nn.LSTM(
                shape.embedding, shape.units, shape.layers, dropout=DROPOUT, batch_first=True
            )
            self.dropout = nn.Dropout(DROPOUT)
            self.output = nn.Linear(shape.units, shape.vocabulary)

        def forward(self, tokens, states):
            outputs, states = self.lstm(self.embedding(tokens), states)
            return self.output(self.dropout(outputs)), states

    torch.set_num_threads(processor_count())
    model = Network()
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05, fused=True)
    inputs = torch.tensor(ids[:, :-1], dtype=torch.long)
    targets = torch.tensor(ids[:, 1:], dtype=torch.long).flatten()
    states = [torch.zeros(shape.layers, shape.streams, shape.units) for _ in range(2)]

    def step():
        nonlocal states
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits, after = model(inputs, states)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        states = [state.detach().float() for state in after]
        return loss.item()

    return step


def torch_half_step(shape, ids):
    return torch_step(shape, ids, half=True)


SIDES = {"charlstm": charlstm_step, "Keras": keras_step}
if importlib.util.find_spec("torch"):
    SIDES |= {"PyTorch float32": torch_step, "PyTorch bfloat16": torch_half_step}


def serve(make, shape, pipe):
    """Take a step for each request through the pipe; reply with its seconds and the peak bytes."""
    ids = np.random.default_rng(0).integers(
        shape.vocabulary, size=(shape.streams, shape.length + 1), dtype=np.int32
    )
    step = make(shape, ids)
    while pipe.recv():
        begin = time.perf_counter()
        step()
        seconds = time.perf_counter() - begin
        pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def serve_limit(shape, pipe):
    """Reply with the seconds of a training step if matmuls were its only cost."""
    from charlstm.network.backend import tf
    from charlstm.system.hardware import product_type

    size = 2048
    factors = [tf.cast(tf.random.normal([size, size]), product_type("auto")) for _ in range(2)]
    multiply = tf.function(lambda: tf.matmul(*factors))
    while pipe.recv():
        seconds = []
        for _ in range(4):
            begin = time.perf_counter()
            multiply()
            seconds.append(time.perf_counter() - begin)
        rate = 2 * size**3 / min(seconds) / (6 * shape.multiplied)
        pipe.send((shape.streams * shape.length / rate, 0))


def measure(shape, sides):
    """Return the median tokens per second and the peak bytes of each side."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for name, (target, arguments) in sides.items():
        pipes[name], other = context.Pipe()
        context.Process(target=target, args=(*arguments, shape, other), daemon=True).start()
        other.close()  # so that the end of a process is noticed
    answers = {name: [] for name in sides}
    for _ in range(ROUNDS + 2):
        for name, pipe in pipes.items():
            pipe.send(True)
            answers[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    told = {}
    for name, pairs in answers.items():
        seconds, peaks = zip(*pairs[2:], strict=True)  # the first steps compile
        told[name] = shape.streams * shape.length / statistics.median(seconds), max(peaks)
    return told


def main(*names):
    chosen = names or SHAPES
    print(f"training, tokens per second, median of {ROUNDS} interleaved rounds ({processor()})\n")
    print("| network, streams | limit | share | " + " | ".join(SIDES) + " | ratios |")
    print("| --- " * (len(SIDES) + 4) + "|")
    for name in chosen:
        shape = SHAPES[name]
        sides = {side: (serve, (make,)) for side, make in SIDES.items()}
        told = measure(shape, sides | {"limit": (serve_limit, ())})
        limit, _ = told.pop("limit")
        rate = told["charlstm"][0]
        cells = [f"{r:,.0f} ({peak / 2**30:.2f} GiB)" for r, peak in told.values()]
        ratios = ", ".join(f"{rate / r:.2f}" for side, (r, _) in told.items() if side != "charlstm")
        start = f"| {name.split('@')[0]}, {shape.streams} | {limit:,.0f} | {rate / limit:.0%} | "
        print(start + " | ".join(cells) + f" | {ratios} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
