"""What int8 weights cost in quality: validation loss of the engine beside the training's.

python -m benchmarks.precision CHECKPOINT [TEXT...]    where its text is, if elsewhere
"""

import sys
from pathlib import Path

import numpy as np

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.dataset.batches import validation_batches
from charlstm.dataset.prepare import prepare
from charlstm.engine.session import build_engine
from charlstm.tokenizer.base import END_OF_DOCUMENT


def engine_loss(engine, ids):
    """Return the mean loss in nats per token of an engine over a text, read as validation is."""
    total, state = 0.0, None
    for batch in validation_batches(ids):
        if state is None:
            state = engine.initial_state(len(batch.inputs))
        state = state * batch.keep
        for column, symbols in enumerate(batch.inputs.T):
            # Each document is read from a zero state.
            state = state * (symbols != END_OF_DOCUMENT)[:, None].astype(np.float32)
            logits, state = engine.step(symbols, state)
            total += weighted_loss(logits, batch.targets[:, column], batch.weights[:, column])
    return total / (ids.size - 1)


def weighted_loss(logits, targets, weights):
    """Return the summed cross-entropy of rows [B, V], in float64."""
    logits = logits.astype(np.float64)
    highest = logits.max(-1, keepdims=True)
    normalizers = highest[:, 0] + np.log(np.exp(logits - highest).sum(-1))
    chosen = logits[np.arange(len(targets)), targets]
    return float(((normalizers - chosen) * weights).sum())


def main(model, *texts):
    found = read_checkpoint(Path(model))
    config = found.config
    # A checkpoint names the text it was trained on, but does not say where it is.
    corpus = config.corpus.replace(addresses=texts) if texts else config.corpus
    prepared = prepare(corpus, config.tokenizer, fixed=found.tokenizer)
    ids = prepared.store.valid
    losses = {
        precision: engine_loss(build_engine(config.model, found.weights, precision=precision), ids)
        for precision in ("float32", "int8")
    }
    print(f"validation loss, nats per token, over {ids.size - 1:,} tokens")
    print(f"  training run   {found.figures.valid_loss:.5f}")
    for precision, loss in losses.items():
        print(f"  {precision:<14} {loss:.5f}")
    print(f"  int8 - float32 {losses['int8'] - losses['float32']:+.5f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
