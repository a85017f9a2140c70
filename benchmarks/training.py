"""Training steps of charlstm beside the same network of stock Keras layers.

Same shapes, AdamW, global-norm clipping, dropout; each side in a process of its own, so that each
has its own thread settings; rounds interleaved; medians.

python -m benchmarks.training
"""

import multiprocessing
import statistics
import time

import numpy as np

from benchmarks.timing import processor

LENGTH, ROUNDS, VOCABULARY = 100, 7, 65
SHAPES = ((2, 256, 32), (2, 512, 32))


def charlstm_step(layers, units, streams, ids):
    from charlstm.config import ModelConfig, TrainConfig
    from charlstm.dataset import Batch
    from charlstm.optimization import Steps, use_threads
    from charlstm.processor import processor_count

    chains = min(processor_count(), streams // 4)
    use_threads(processor_count(), chains)
    model = ModelConfig(vocab_size=VOCABULARY, embedding=128, units=units, layers=layers)
    train = TrainConfig(steps=1, streams=streams, sequence_length=LENGTH, chains=chains)
    steps = Steps(model, train)
    states = steps.model.zero_states(streams)
    batch = Batch(ids[:, :-1], ids[:, 1:], False)
    return lambda: steps.train(batch, states, 1, 1e-3)


def keras_step(layers, units, streams, ids):
    from charlstm.backend import keras

    tokens = keras.Input((LENGTH,), batch_size=streams, dtype="int32")
    x = keras.layers.Embedding(VOCABULARY, 128)(tokens)
    for _ in range(layers):
        x = keras.layers.LSTM(units, return_sequences=True)(x)
        x = keras.layers.Dropout(0.3)(x)
    model = keras.Model(tokens, keras.layers.Dense(VOCABULARY)(x))
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.05, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: model.train_on_batch(ids[:, :-1], ids[:, 1:])


def serve(make, shape, pipe):
    """Take a step each time the other end asks for one, and answer with its seconds."""
    streams = shape[-1]
    ids = np.random.default_rng(0).integers(VOCABULARY, size=(streams, LENGTH + 1))
    step = make(*shape, ids.astype(np.int32))
    while pipe.recv():
        begin = time.perf_counter()
        step()
        pipe.send(time.perf_counter() - begin)


def main():
    print(f"training, tokens a second, median of {ROUNDS} interleaved rounds ({processor()})")
    context = multiprocessing.get_context("spawn")
    for shape in SHAPES:
        sides = {"charlstm": charlstm_step, "stock Keras": keras_step}
        pipes = {}
        for name, make in sides.items():
            pipes[name], other = context.Pipe()
            context.Process(target=serve, args=(make, shape, other), daemon=True).start()
        seconds = {name: [] for name in sides}
        for _ in range(ROUNDS + 1):
            for name, pipe in pipes.items():
                pipe.send(True)
                seconds[name].append(pipe.recv())
        for pipe in pipes.values():
            pipe.send(False)
        layers, units, streams = shape
        # The first step compiles.
        rates = {n: streams * LENGTH / statistics.median(s[1:]) for n, s in seconds.items()}
        told = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
        ratio = rates["charlstm"] / rates["stock Keras"]
        print(f"  {layers} x {units}, {streams} streams: {told}; ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
