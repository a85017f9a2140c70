"""Compares the validation loss of the engine in int8 and float32 with that of the training run.

    python -m benchmarks.precision CHECKPOINT [TEXT...]

TEXT is the path of the training text, if it has moved.
"""

import sys
from pathlib import Path

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.dataset.prepare import prepare
from charlstm.engine.inference import build_engine
from tests.oracles import engine_loss


def main(model, *texts):
    checkpoint = read_checkpoint(Path(model))
    config = checkpoint.config
    # A checkpoint has the name of the text that it was trained on, but not its path.
    corpus = config.corpus.replace(addresses=texts) if texts else config.corpus
    prepared = prepare(corpus, config.tokenizer, fixed=checkpoint.tokenizer)
    ids = prepared.store.valid
    losses = {
        precision: engine_loss(
            build_engine(config.model, checkpoint.weights, precision=precision), ids
        )
        for precision in ("float32", "int8")
    }
    print(f"validation loss, nats per token, over {ids.size - 1:,} tokens")
    print(f"  training run   {checkpoint.figures.valid_loss:.5f}")
    for precision, loss in losses.items():
        print(f"  {precision:<14} {loss:.5f}")
    print(f"  int8 - float32 {losses['int8'] - losses['float32']:+.5f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
