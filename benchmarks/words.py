"""Words: charlstm's default recipe compared with a word-level language model in PyTorch.

Both train on the same tokens for the same minutes, one after the other, with networks of the same
size. The result is the perplexity per token on a text that neither has seen. The PyTorch model is
trained like the one in PyTorch's examples: plain gradient descent with learning rate 20 on 20
streams of 35 tokens, in float32, clipping at 0.25. The rate is divided by 4 after each epoch
without a better validation loss. Evaluations don't count as training time. This compares default
recipes, not frameworks.

python -m benchmarks.words TRAIN_TEXT TEST_TEXT MINUTES [DROPOUT ...]
"""

import math
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.quality import train
from benchmarks.timing import processor
from charlstm.system.hardware import processor_count

STREAMS, LENGTH, RATE, CLIP = 20, 35, 20.0, 0.25
DROPOUTS = ("0.2", "0.5")


def torch_losses(network, train_ids, valid_ids, test_ids, dropout, seconds, pipe):
    """Train for some seconds; send the losses of the best epoch on both texts."""
    end = time.monotonic() + seconds
    import torch
    from torch import nn

    torch.set_num_threads(processor_count())
    torch.manual_seed(1)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(dropout)
            self.encoder = nn.Embedding(network.vocab_size, network.units)
            self.lstm = nn.LSTM(network.units, network.units, network.layers, dropout=dropout)
            self.decoder = nn.Linear(network.units, network.vocab_size)
            nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
            nn.init.zeros_(self.decoder.bias)
            self.decoder.weight = self.encoder.weight

        def forward(self, tokens, states):
            outputs, states = self.lstm(self.drop(self.encoder(tokens)), states)
            return self.decoder(self.drop(outputs)), states

    def columns(ids, streams):
        ids = torch.tensor(ids.astype(np.int64))
        length = len(ids) // streams
        return ids[: length * streams].view(streams, length).t().contiguous()

    def pieces(data):
        for start in range(0, len(data) - 1, LENGTH):
            piece = data[start : start + LENGTH + 1]
            yield piece[:-1], piece[1:].reshape(-1)

    def loss_on(ids):
        """Return the loss on one stream with carried states, over all tokens but the first."""
        model.eval()
        total, states = 0.0, None
        with torch.no_grad():
            for inputs, targets in pieces(columns(ids, 1)):
                logits, states = model(inputs, states)
                total += criterion(logits.flatten(0, 1), targets).item() * len(targets)
        return total / (len(ids) - 1)

    def epoch():
        """Read the text once, or as much of it as time allows."""
        nonlocal read
        model.train()
        states = None
        for inputs, targets in pieces(data):
            if time.monotonic() > limit:
                return
            model.zero_grad()
            states = None if states is None else [state.detach() for state in states]
            logits, states = model(inputs, states)
            criterion(logits.flatten(0, 1), targets).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(weight.grad, alpha=-rate)
            read += inputs.numel()

    model, criterion = Network(), nn.CrossEntropyLoss()
    data, rate, best = columns(train_ids, STREAMS), RATE, math.inf
    limit, read = end, 0
    while time.monotonic() < limit:
        epoch()
        begin = time.monotonic()
        found = loss_on(valid_ids)
        if found < best:
            best = found
            weights = {name: value.clone() for name, value in model.state_dict().items()}
        else:
            rate /= 4.0
        limit += time.monotonic() - begin
    model.load_state_dict(weights)
    pipe.send((best, loss_on(test_ids), read / data.numel()))


def main(train_text, test_text, minutes, *dropouts):
    from charlstm.checkpoint.reader import read_checkpoint
    from charlstm.dataset.prepare import prepare
    from charlstm.dataset.store import ring_of
    from charlstm.network.model import set_weights
    from charlstm.training.step import StepRunner, use_threads

    print(f"{train_text}, {minutes} minutes, tested on {test_text} ({processor()})\n")
    print("| model | epochs | validation perplexity | test perplexity |\n" + "| --- " * 4 + "|")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model"
        told, _ = train(train_text, "--level", "word", "--minutes", minutes, output=output)
        found = read_checkpoint(output)
    config = found.config
    corpus = config.corpus.replace(addresses=(str(train_text),))
    store = prepare(corpus, config.tokenizer, fixed=found.tokenizer).store
    with open(test_text, encoding="utf-8", newline="") as file:
        test_ids = found.tokenizer.encode(file.read())
    use_threads(processor_count(), config.train.shards)
    steps = StepRunner(config.model, config.train)
    set_weights(steps.model, found.weights)
    tested = steps.validate(test_ids)
    print_row("charlstm, default options", told["epochs"], told["valid_loss"], tested)

    context = multiprocessing.get_context("spawn")
    for dropout in dropouts or DROPOUTS:
        ours, theirs = context.Pipe()
        arguments = (
            config.model,
            np.asarray(ring_of(store.train)),
            np.asarray(store.valid),
            test_ids,
            float(dropout),
            60 * float(minutes),
            theirs,
        )
        process = context.Process(target=torch_losses, args=arguments)
        process.start()
        theirs.close()  # so that the end of a process is noticed
        valid, tested, epochs = ours.recv()
        process.join()
        print_row(f"PyTorch, dropout {dropout}", epochs, valid, tested)


def print_row(side, epochs, valid, tested):
    print(f"| {side} | {epochs:.1f} | {math.exp(valid):.1f} | {math.exp(tested):.1f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
