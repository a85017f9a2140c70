"""Logits -> the next id: every way to draw a symbol, one concept to a function, in pure numpy.

All functions take logits [B,V] in float32 and treat rows independently: a row's result has the same
bits in any batch. An id that is ruled out has the logit -inf; at least one id of a row must not be.
Only ``sample`` and ``shift`` take logits as they come: the others expect a row's highest to be 0.
The order is: penalties (see ``penalties``), top-k, locally typical, top-p, min-p, Mirostat,
temperature, draw. So all that leaves symbols out judges the distribution as the model gave it,
before the temperature, as llama.cpp does: a high temperature makes a choice among good symbols more
even and lets no bad ones in.

This module knows no text, no model and no random generator: uniforms are passed in.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import AnyIds, Doubles, Floats, Ids, Mask
from charlstm.config import SampleConfig
from charlstm.generation.penalties import penalize
from charlstm.metrics import log_softmax

_EXCLUDED = np.float32(-np.inf)
_LARGE_VOCABULARY = 1000
_BINS, _BINS_PER_NAT = 512, 16  # of the histogram that spares sorting a large vocabulary
_LARGEST_FACTOR = 1e30  # keeps a tiny temperature from overflowing float32


def sample(
    logits: Floats,
    uniforms: Doubles,
    config: SampleConfig,
    recent: AnyIds | None = None,
    limits: Doubles | None = None,
) -> Ids:
    """Draw the next id of every row.

    Args:
        logits: float32 [B, V].
        uniforms: float64 [B], each in [0, 1).
        config: how to draw; temperature 0 takes the likeliest id, of equals the lowest.
        recent: the last ids [B, W], oldest first, -1 for an empty place; the penalties need them.
        limits: float64 [B], the surprise that Mirostat allows, in bits.

    Returns:
        int64 [B].
    """
    if recent is not None:
        logits = penalize(logits, recent, config)
    if config.temperature == 0:
        return _first_largest(logits)
    logits = shift(logits)
    if config.top_k:
        logits = keep_top_k(logits, config.top_k)
    if config.typical < 1.0:
        logits = shift(keep_typical(logits, config.typical))  # perhaps without the likeliest
    if config.top_p < 1.0:
        logits = keep_top_p(logits, config.top_p)
    if config.min_p > 0.0:
        logits = keep_min_p(logits, config.min_p)
    if limits is not None:
        logits = keep_unsurprising(logits, limits)
    if logits.shape[1] < _LARGE_VOCABULARY:
        return draw(apply_temperature(logits, config.temperature), uniforms)
    # What is impossible in every row adds exactly 0, so leaving it out changes no bit.
    columns = np.flatnonzero((logits > _EXCLUDED).any(axis=0))
    return columns[draw(apply_temperature(logits[:, columns], config.temperature), uniforms)]


def shift(logits: Floats) -> Floats:
    """Shift each row so that its highest logit is 0.

    Args:
        logits: float32 [B, V].
    """
    shifted: Floats = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    return shifted


def keep_top_k(logits: Floats, k: int) -> Floats:
    """Keep the k likeliest ids of a row, and ids as likely as the k-th (Fan et al. 2018).

    Args:
        logits: float32 [B, V].
        k: 1 or more; V or more changes nothing.
    """
    size = logits.shape[1]
    if k >= size:
        return logits
    return _keep_from(logits, np.partition(logits, size - k, axis=1)[:, size - k, np.newaxis])


def keep_typical(logits: Floats, p: float) -> Floats:
    """Keep the locally typical ids: those whose surprise is nearest the expected one.

    As few as together reach probability p, and ids as near as the last (Meister et al. 2023).

    Args:
        logits: float32 [B, V].
        p: in (0, 1]; 1 keeps whatever is possible.
    """
    log_probabilities = log_softmax(logits)
    probabilities = np.exp(log_probabilities)
    products = probabilities * np.where(probabilities > 0, log_probabilities, 0.0)
    expected = products.sum(axis=1, keepdims=True)
    distances = np.abs(log_probabilities - expected)
    return _without(
        logits, distances > _reaching(distances, probabilities, np.full(len(logits), p))
    )


def keep_top_p(logits: Floats, p: float) -> Floats:
    """Keep the nucleus: the fewest likeliest ids that reach probability p (Holtzman et al. 2020).

    Ids as likely as the nucleus's last are kept too.

    Args:
        logits: float32 [B, V].
        p: in (0, 1]; 1 changes nothing but ids that are impossible in float32.
    """
    masses = np.exp(logits)
    goals = p * np.add.reduce(masses, axis=1, dtype=np.float64)
    return _without(logits, -logits > _reaching(-logits, masses, goals))


def keep_min_p(logits: Floats, p: float) -> Floats:
    """Keep ids at least p times as likely as the likeliest one (Nguyen et al. 2024).

    Args:
        logits: float32 [B, V].
        p: in (0, 1).
    """
    return _keep_from(logits, np.float32(math.log(p)))


def keep_unsurprising(logits: Floats, limits: Doubles) -> Floats:
    """Keep ids whose surprise is no larger than a row's limit, and the likeliest ids anyway.

    With ``next_limits`` this is Mirostat 2 (Basu et al. 2021).

    Args:
        logits: float32 [B, V].
        limits: float64 [B], in bits.
    """
    surprises = log_softmax(logits) / -np.log(2)
    allowed = np.maximum(limits[:, np.newaxis], surprises.min(axis=1, keepdims=True))
    return _without(logits, surprises > allowed)


def next_limits(limits: Doubles, surprises: Doubles, target: float, rate: float) -> Doubles:
    """Move the limits of ``keep_unsurprising`` so that mean surprise approaches the target.

    Args:
        limits: float64 [B], in bits.
        surprises: float64 [B], of the ids that were drawn, in bits.
        target: the surprise to hold, in bits a symbol.
        rate: the share of the error that is made good at once.
    """
    moved: Doubles = limits - rate * (surprises - target)
    return moved


def apply_temperature(logits: Floats, temperature: float) -> Floats:
    """Divide logits by a temperature above 0.

    Args:
        logits: float32 [B, V].
        temperature: above 0; below 1e-30 it counts as 1e-30.
    """
    scaled: Floats = logits * np.float32(min(1.0 / temperature, _LARGEST_FACTOR))
    return scaled


def draw(logits: Floats, uniforms: Doubles) -> Ids:
    """Draw one id per row from softmax(logits) by the inverse of the cumulative distribution.

    Rounding can't draw an id of probability 0: a uniform below 1 times the total is below the
    total, and an id of probability 0 is nowhere the first to lie above a value.

    Args:
        logits: float32 [B, V].
        uniforms: float64 [B], each in [0, 1).

    Returns:
        int64 [B].
    """
    cumulative = np.add.accumulate(np.exp(logits), axis=1, dtype=np.float64)
    goal = uniforms[:, np.newaxis] * cumulative[:, -1:]
    return _first_largest(cumulative > goal)


def likeliest(logits: NDArray[np.floating[Any]], count: int) -> Ids:
    """Return the likeliest ids of one row that are possible, at most ``count``, likeliest first.

    Of equals the lowest come first.

    Args:
        logits: floats [V].
        count: 0 or more.
    """
    possible = logits > _EXCLUDED
    if 0 < count < len(logits):
        possible &= logits >= np.partition(logits, len(logits) - count)[len(logits) - count]
    found = np.flatnonzero(possible)
    ordered: Ids = found[np.argsort(-logits[found], kind="stable")][:count]
    return ordered


def _first_largest(values: NDArray[Any]) -> Ids:
    indices: Ids = values.argmax(axis=1)
    return indices


def _keep_from(logits: Floats, threshold: Floats | np.float32) -> Floats:
    return _without(logits, logits < threshold)


def _without(logits: Floats, excluded: Mask) -> Floats:
    kept: Floats = np.where(excluded, _EXCLUDED, logits)
    return kept


def _reaching(
    distances: NDArray[np.floating[Any]], masses: NDArray[np.floating[Any]], goals: Doubles
) -> NDArray[np.floating[Any]]:
    """Return how far the nearest ids go that together reach a mass, [B, 1].

    Args:
        distances: floats [B, V], 0 or more.
        masses: floats [B, V].
        goals: float64 [B]; where the row's masses fall short of it, all ids are needed.
    """
    if distances.shape[1] > _LARGE_VOCABULARY:
        each = zip(distances, masses, goals.tolist(), strict=True)
        return np.array([_reaching_in_row(*row) for row in each])[:, np.newaxis]
    rows = np.arange(len(distances))[:, np.newaxis]
    order = distances.argsort(axis=1)
    reached = np.add.accumulate(masses[rows, order], axis=1, dtype=np.float64)
    missing = np.add.reduce(reached < goals[:, np.newaxis], axis=1, keepdims=True)
    reaching: NDArray[np.floating[Any]] = distances[
        rows, order[rows, np.minimum(missing, order.shape[1] - 1)]
    ]
    return reaching


def _reaching_in_row(
    distances: NDArray[np.floating[Any]], masses: NDArray[np.floating[Any]], goal: float
) -> Any:
    """Do the same for one row of many ids: sort only those of the bin in which it is reached."""
    bins = np.minimum(distances * _BINS_PER_NAT, _BINS - 1).astype(np.int64)
    reached = np.bincount(bins, weights=masses).cumsum()
    last = min(int(np.searchsorted(reached, goal)), len(reached) - 1)
    inside = np.flatnonzero(bins == last)
    inside = inside[np.argsort(distances[inside])]
    before = reached[last - 1] if last else 0.0
    missing = int((before + masses[inside].cumsum(dtype=np.float64) < goal).sum())
    return distances[inside[min(missing, len(inside) - 1)]]
