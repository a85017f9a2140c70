"""Plain implementations in float64, to compare others with."""

from __future__ import annotations

import re
from itertools import pairwise, product

import numpy as np

from charlstm.checkpoint.quantization import quantize_columns
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


def int8_step(config, weights, token_id, state):
    """Take one step in float64, rounded where the int8 graph rounds.

    Returns logits [V], the new state [2L, u] and the gates [L, 4u]: input, forget, output,
    candidate.
    """
    hidden, cells = np.split(state.astype(np.float64), 2)
    gates, below = [], None
    for layer in range(config.layers):
        kernel, recurrent, bias = (
            weights[f"lstm_{layer}/{name}"] for name in ("kernel", "recurrent_kernel", "bias")
        )
        if layer == 0:
            table = weights["embedding/embeddings"].astype(np.float64) @ kernel + bias
            z = table[token_id] + int8_product(rounded(hidden[0]), recurrent)
        else:
            both = np.concatenate([rounded(below), rounded(hidden[layer])])
            z = int8_product(both, np.concatenate([kernel, recurrent])) + bias
        i, f, c, o = np.split(z, 4)
        gates.append(np.concatenate([sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(c)]))
        cells[layer] = sigmoid(f) * cells[layer] + sigmoid(i) * np.tanh(c)
        hidden[layer] = below = sigmoid(o) * np.tanh(cells[layer])
    logits = int8_product(rounded(below), output_matrix(config, weights)) + weights["output/bias"]
    return logits, np.concatenate([hidden, cells]), np.stack(gates)


def int8_attention(config, weights, output, before, latest):
    """Attend from an output [u] as ``int8_step`` does.

    ``before`` are the integers [u] of the outputs before it, and ``latest`` its own. Returns logits
    [V] and the shares [n].
    """
    window, keyed = keyed_values(before, latest, config.attention, shifted=config.shifted_keys)
    query = int8_product(latest, weights["attention/query"])
    query = query @ weights["attention/key"].T / np.sqrt(config.key_width)
    column, scale = scaled(query, 127)
    scores = keyed @ column * scale / 127
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    row, scale = scaled(shares, 255)
    added = int8_product(rounded(row @ window * scale / 127), weights["attention/output"])
    attended, scale = scaled(output + added, 127)
    logits = 127 * scale * int8_product(attended, output_matrix(config, weights))
    return logits + weights["output/bias"], shares


def output_matrix(config, weights):
    return weights["embedding/embeddings"].T if config.tied else weights["output/kernel"]


def rounded(hidden):
    return np.rint(np.float32(hidden) / np.float32(1 / 127)).clip(-128, 127)


def scaled(values, levels):
    """Return values as integers, of which the largest is ``levels``, and their scale."""
    scale = np.abs(values).max() / levels
    return np.rint(values / scale), scale


def int8_product(left, matrix):
    columns, scales = quantize_columns(matrix)
    return left @ columns.astype(np.float64) * scales / 127


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
