"""Plain implementations in float64, to compare others with."""

from __future__ import annotations

import re
from itertools import pairwise, product

import numpy as np

from charlstm.dataset.batches import validation_batches
from charlstm.engine.state import State
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def network(config, weights, ids, state=None):
    """Run the textbook LSTM, and the attention: ids [B, T] and ``State`` to logits [B, T, V].

    Without a state, it is that before the first token.
    """
    state = state or initial_state(config, len(ids))
    weights = {name: array.astype(np.float64) for name, array in weights.items()}
    embeddings = weights["embedding/embeddings"]
    kernel = embeddings.T if config.tied else weights["output/kernel"]
    hidden, cells = np.split(state.parts[0].astype(np.float64), 2)
    windows = _windows(state)
    logits = []
    for column in ids.T:
        x = embeddings[column]
        for layer in range(config.layers):
            z = (
                x @ weights[f"lstm_{layer}/kernel"]
                + hidden[layer] @ weights[f"lstm_{layer}/recurrent_kernel"]
                + weights[f"lstm_{layer}/bias"]
            )
            i, f, c, o = np.split(z, 4, axis=1)
            cells[layer] = sigmoid(f) * cells[layer] + sigmoid(i) * np.tanh(c)
            hidden[layer] = x = sigmoid(o) * np.tanh(cells[layer])
        if config.attention:
            reach, shifted = config.attention, config.shifted_keys
            pairs = list(zip(windows, x, strict=True))
            x = np.stack([attended(weights, *pair, reach, shifted=shifted) for pair in pairs])
            windows = [[*window, output][-reach:] for window, output in pairs]
        logits.append(x @ kernel + weights["output/bias"])
    cells = np.concatenate([hidden, cells])
    if not config.attention:
        return np.stack(logits, axis=1), State(cells)
    outputs = np.zeros((len(ids), config.attention, config.units))
    for row, window in enumerate(windows):
        outputs[row, config.attention - len(window) :] = window
    filled = np.array([[len(window)] for window in windows])
    return np.stack(logits, axis=1), State(cells, outputs, filled)


def initial_state(config, rows):
    cells = np.zeros((2 * config.layers, rows, config.units))
    if not config.attention:
        return State(cells)
    return State(cells, np.zeros((rows, config.attention, config.units)), np.zeros((rows, 1)))


def _windows(state):
    """Return the outputs in the window of each row, as lists."""
    if len(state.parts) == 1:
        return None
    _, outputs, filled = state.parts
    return [
        list(row[len(row) - int(count) :].astype(np.float64))
        for row, (count,) in zip(outputs, filled, strict=True)
    ]


def attended(weights, before, output, reach, *, shifted=True):
    """Return an output [u] with what it attends to, given the outputs of the document before it."""
    values, keyed = keyed_values(before, output, reach, shifted=shifted)
    query, keys = output @ weights["attention/query"], keyed @ weights["attention/key"]
    scores = keys @ query / np.sqrt(len(query))
    shares = np.exp(scores - scores.max())
    return output + shares / shares.sum() @ values @ weights["attention/output"]


def keyed_values(before, output, reach, *, shifted=True):
    """Return the last outputs [n, u], and for each what its key is computed from [n, u]."""
    values = np.stack([*before, output])[-reach:]
    return values, np.stack([0 * output, *before])[-reach:] if shifted else values


def assert_states_equal(first, second):
    for one, other in zip(first.parts, second.parts, strict=True):
        np.testing.assert_array_equal(one, other)


def log_probabilities(logits):
    """Return the log-probability of each id, given logits [V]."""
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def read_log_probabilities(engine, ids):
    """Return the log-probability of each id after the first, one engine step after another."""
    state, values = engine.initial_state(1), []
    for token_id, target in pairwise(ids):
        logits, state = engine.step(np.array([token_id]), state)
        values.append(log_probabilities(logits[0])[target])
    return np.array(values)


def engine_loss(engine, ids):
    """Return the mean loss of an engine over a text in nats per token, read as in validation."""
    total, state = 0.0, None
    for batch in validation_batches(ids):
        if state is None:
            state = engine.initial_state(len(batch.inputs))
        state = state.kept(batch.keep)
        for column, inputs in enumerate(batch.inputs.T):
            # Each document starts from a zero state.
            state = state.kept((inputs != END_OF_DOCUMENT)[:, None].astype(np.float32))
            logits, state = engine.step(inputs, state)
            total += weighted_loss(logits, batch.targets[:, column], batch.weights[:, column])
    return total / (ids.size - 1)


def weighted_loss(logits, targets, weights):
    """Return the weighted sum of the cross-entropies of rows [B, V]."""
    logits = logits.astype(np.float64)
    highest = logits.max(-1, keepdims=True)
    normalizers = highest[:, 0] + np.log(np.exp(logits - highest).sum(-1))
    chosen = logits[np.arange(len(targets)), targets]
    return float(((normalizers - chosen) * weights).sum())


def end_of_match(tokenizer, expression, text, probabilities, *, at_once):
    """Return the weight of the end of a text that matches, given the next probabilities.

    It is the probability of the end of the document and of every character after which no text of
    up to four more characters matches. Such a character counts only 1/1000 if it and the one before
    it are letters, or if the whole text is the prompt.
    """
    weight = probabilities[END_OF_DOCUMENT]
    characters = [tokenizer.pieces[index] for index in tokenizer.character_ids.tolist()]
    for index, character in zip(tokenizer.character_ids.tolist(), characters, strict=True):
        longer = (
            text + character + "".join(more)
            for length in range(5)
            for more in product(characters, repeat=length)
        )
        if not any(re.fullmatch(expression, each) for each in longer):
            within = text[-1:].isalpha() and character.isalpha()
            weight += probabilities[index] * (1e-3 if within or at_once else 1)
    return weight


def is_well_spelled(tokenizer, ids):
    """Return whether every spelled word begins with a character, so that none is empty."""
    letters = set(tokenizer.character_ids.tolist())
    begun = (after for before, after in pairwise(ids) if before == BEGIN_SPELLING)
    return not tokenizer.spells or all(token_id in letters for token_id in begun)
