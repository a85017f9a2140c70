"""Tokens per second of ``charlstm generate``, compared with other LSTMs of the same shape.

python -m benchmarks.generation MODEL [NAMES]

MODEL is a checkpoint trained on one long text, NAMES one trained with --lines. The other LSTMs have
random weights and sample with their own libraries. The cost of a step doesn't depend on the text.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import median_of, seconds_of
from charlstm.checkpoint.reader import read_checkpoint, read_lines_index
from charlstm.checkpoint.schema import expected_shapes
from charlstm.config import ModelConfig, SampleConfig
from charlstm.engine.inference import build_engine
from charlstm.generation.decoder import generate
from charlstm.tokenizer.word import WordTokenizer

LENGTH, RUNS = 50_000, 5
WORDS, WORD_TOKENS = 20_000, 4_000
TORCH_STEPS, KERAS_STEPS, KERAS_WINDOW = 1_000, 20, 40
COUNT, PATTERN = 10_000, "[a-m][a-z]{2,9}[aeiou]"


def one_stream(model):
    """Return the characters per second of one sample, whole process, in int8 and float32."""
    rates = {}
    for precision in ("int8", "float32"):
        options = ["generate", model, "--precision", precision, "--seed", 1, "-n", LENGTH]
        options += ["--min-length", LENGTH]
        rates[precision] = LENGTH / median_of(RUNS, lambda options=options: seconds_of(*options))
    return rates


def torch_rate(config):
    """Return the tokens per second of PyTorch's LSTM, one step at a time."""
    import torch

    torch.manual_seed(1)
    embedding = torch.nn.Embedding(config.vocab_size, config.embedding)
    network = torch.nn.LSTM(config.embedding, config.units, config.layers)
    output = torch.nn.Linear(config.units, config.vocab_size)
    token, state, begin = torch.zeros(1, 1, dtype=torch.long), None, 0.0
    with torch.inference_mode():
        for step in range(TORCH_STEPS + 50):
            if step == 50:
                begin = time.perf_counter()
            hidden, state = network(embedding(token), state)
            chances = torch.softmax(output(hidden[0, 0]) / 0.8, -1)
            token = torch.multinomial(chances, 1)[None]
    return TORCH_STEPS / (time.perf_counter() - begin)


def keras_rate(config):
    """Return the tokens per second of ``model.predict`` on the last tokens, one call per token."""
    from charlstm.network.backend import keras

    layers = [keras.layers.Embedding(config.vocab_size, config.embedding)]
    for layer in range(config.layers):
        above = layer < config.layers - 1
        layers.append(keras.layers.LSTM(config.units, return_sequences=above))
    network = keras.Sequential([*layers, keras.layers.Dense(config.vocab_size)])
    rng, text, begin = np.random.default_rng(1), [0] * KERAS_WINDOW, 0.0
    for step in range(KERAS_STEPS + 3):
        if step == 3:
            begin = time.perf_counter()
        logits = network.predict(np.array([text[-KERAS_WINDOW:]]), verbose=0)[0] / 0.8
        chances = np.exp(logits - logits.max())
        text.append(int(rng.choice(len(chances), p=chances / chances.sum())))
    return KERAS_STEPS / (time.perf_counter() - begin)


def word_rate():
    """Return the tokens per second of one sample, 2 x 512 with 20,000 words, in this process."""
    config = ModelConfig(vocab_size=WORDS, embedding=512, units=512, layers=2, tied=True)
    rng = np.random.default_rng(1)
    weights = {
        name: (rng.normal(size=shape) * 0.1).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    tokenizer = WordTokenizer(tuple(f" word{number}" for number in range(WORDS - 4)))
    engine = build_engine(config, weights)

    def seconds():
        settings = SampleConfig(length=WORD_TOKENS, min_length=WORD_TOKENS)
        begin = time.perf_counter()
        list(generate(engine, tokenizer, [""], settings, seed=1))
        return time.perf_counter() - begin

    return WORD_TOKENS / median_of(3, seconds)


def many_samples(model):
    """Print the characters per second of 10,000 samples, and check what the options promise."""
    known = read_lines_index(Path(model))
    for options in ([], ["--match", PATTERN], ["--novel"], ["--unique"]):
        command = ["generate", model, "-c", COUNT, "--seed", 1, "-q", *options]
        texts = subprocess.run(
            [sys.executable, "-m", "charlstm", *map(str, command)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        held = {
            "--match": all(re.fullmatch(PATTERN, text) for text in texts),
            "--novel": not any(text in known for text in texts),
            "--unique": len(set(texts)) == len(texts),
        }.get(options[0] if options else "", True)
        if len(texts) != COUNT or not held:
            raise SystemExit(f"{options}: not all samples comply")
        characters = sum(len(text) + 1 for text in texts)
        seconds = median_of(RUNS, lambda command=command: seconds_of(*command))
        print(
            f"  {' '.join(options) or 'plain':<32} {seconds:5.2f} s  "
            f"{characters / seconds:9,.0f} characters/s, all {COUNT:,} samples comply"
        )


def main(model, names=None):
    config = read_checkpoint(Path(model)).config.model
    print(f"one sample, {config.layers} x {config.units}, tokens per second")
    rates = one_stream(model)
    for precision, rate in rates.items():
        print(f"  charlstm generate, {precision}, whole process  {rate:9,.0f}")
    for name, rate in (("PyTorch", torch_rate(config)), ("model.predict", keras_rate(config))):
        print(f"  {name:<40} {rate:9,.0f}  charlstm is {rates['int8'] / rate:,.0f} times as fast")
    print(f"  2 x 512, {WORDS:,} words, without startup {word_rate():13,.0f}")
    if names:
        print(f"{COUNT:,} samples, model trained with --lines, whole process, median of {RUNS}")
        many_samples(names)


if __name__ == "__main__":
    main(*sys.argv[1:])
