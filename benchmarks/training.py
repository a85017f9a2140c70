"""Training steps of charlstm beside the same network of stock Keras layers.

Same shapes, AdamW, global-norm clipping, dropout; rounds interleaved; medians.

python -m benchmarks.training
"""

import statistics
import time

import numpy as np

from benchmarks.timing import processor

LENGTH, ROUNDS, VOCABULARY = 100, 5, 65
SHAPES = ((2, 256, 32), (2, 512, 32))


def charlstm_step(layers, units, streams, ids):
    from charlstm.config import ModelConfig, TrainConfig
    from charlstm.dataset import Batch
    from charlstm.optimization import Steps

    model = ModelConfig(vocab_size=VOCABULARY, embedding=128, units=units, layers=layers)
    steps = Steps(model, TrainConfig(steps=1, streams=streams, sequence_length=LENGTH))
    states = steps.model.zero_states(streams)
    batch = Batch(ids[:, :-1], ids[:, 1:], False)
    return lambda: steps.train(batch, states, 1, 1e-3)


def keras_step(layers, units, streams, ids):
    from charlstm.backend import keras

    tokens = keras.Input((LENGTH,), batch_size=streams, dtype="int32")
    x = keras.layers.Dropout(0.3)(keras.layers.Embedding(VOCABULARY, 128)(tokens))
    for _ in range(layers):
        x = keras.layers.LSTM(units, return_sequences=True)(x)
        x = keras.layers.Dropout(0.3)(x)
    model = keras.Model(tokens, keras.layers.Dense(VOCABULARY)(x))
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.05, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lambda: model.train_on_batch(ids[:, :-1], ids[:, 1:])


def main():
    print(f"training, tokens a second, median of {ROUNDS} interleaved rounds ({processor()})")
    for layers, units, streams in SHAPES:
        shape = (streams, LENGTH + 1)
        ids = np.random.default_rng(0).integers(VOCABULARY, size=shape).astype(np.int32)
        sides = {
            "charlstm": charlstm_step(layers, units, streams, ids),
            "stock Keras": keras_step(layers, units, streams, ids),
        }
        seconds = {name: [] for name in sides}
        for round_number in range(ROUNDS + 1):
            for name, step in sides.items():
                begin = time.perf_counter()
                step()
                if round_number:  # the first compiles
                    seconds[name].append(time.perf_counter() - begin)
        rates = {n: streams * LENGTH / statistics.median(s) for n, s in seconds.items()}
        told = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items())
        ratio = rates["charlstm"] / rates["stock Keras"]
        print(f"  {layers} x {units}, {streams} streams: {told}; ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
