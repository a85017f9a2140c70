"""Logits to the next token id: samplers, one per function, in pure numpy.

All functions take logits float32 [B, V] and treat rows independently: a row's result has the same
bits in any batch. An excluded id has the logit -inf; at least one id of each row must have another.
Functions that rely on a row's highest logit being 0 take ``Shifted`` logits, which ``shift`` makes.

The order is: penalties (see ``penalties``), top-k, locally typical, top-p, min-p, Mirostat,
temperature, draw. So all filters judge the distribution before the temperature, as in llama.cpp: a
high temperature makes the choice among good tokens more even and lets no bad ones in.

This module does not know text, a model or a random generator: random numbers are passed in.
"""

from __future__ import annotations

import math
from typing import Any, NewType

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import AnyIds, Doubles, Floats, Ids, Mask
from charlstm.config import SampleConfig
from charlstm.generation.penalties import penalize
from charlstm.metrics import log_softmax

# Logits float32 [B, V] whose rows have 0 as their highest.
Shifted = NewType("Shifted", Floats)

_EXCLUDED = np.float32(-np.inf)
_LARGE_VOCABULARY = 1000
_BINS, _BINS_PER_NAT = 512, 16  # of the histogram that saves sorting a large vocabulary
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
        uniforms: random numbers float64 [B], each in [0, 1).
        config: how to draw; temperature 0 takes the likeliest id, the lowest of equal ones.
        recent: the last ids [B, W] as ``penalize`` takes them; ``None`` without penalties.
        limits: the surprise that Mirostat allows, in bits, float64 [B]; ``None`` without Mirostat.

    Returns:
        int64 [B].
    """
    if recent is not None:
        logits = penalize(logits, recent, config)
    if config.temperature == 0:
        return _first_largest(logits)
    kept = shift(logits)
    if config.top_k:
        kept = keep_top_k(kept, config.top_k)
    if config.typical < 1.0:
        kept = shift(keep_typical(kept, config.typical))  # the likeliest id may be excluded
    if config.top_p < 1.0:
        kept = keep_top_p(kept, config.top_p)
    if config.min_p > 0.0:
        kept = keep_min_p(kept, config.min_p)
    if limits is not None:
        kept = keep_unsurprising(kept, limits)
    if kept.shape[1] < _LARGE_VOCABULARY:
        return draw(apply_temperature(kept, config.temperature), uniforms)
    # Ids excluded in every row add exactly 0, so leaving them out changes no bit.
    columns = np.flatnonzero((kept > _EXCLUDED).any(axis=0))
    kept = Shifted(kept[:, columns])
    return columns[draw(apply_temperature(kept, config.temperature), uniforms)]


def shift(logits: Floats) -> Shifted:
    """Shift each row so that its highest logit is 0, which changes no probability.

    Args:
        logits: float32 [B, V].
    """
    return Shifted(logits - np.maximum.reduce(logits, axis=1, keepdims=True))


def keep_top_k(logits: Shifted, k: int) -> Shifted:
    """Keep the k likeliest ids of a row, and ids as likely as the k-th (Fan et al. 2018).

    Args:
        logits: float32 [B, V].
        k: 1 or more; V or more changes nothing.
    """
    size = logits.shape[1]
    if k >= size:
        return logits
    threshold = np.partition(logits, size - k, axis=1)[:, size - k, np.newaxis]
    return Shifted(_without(logits, logits < threshold))


def keep_typical(logits: Floats, p: float) -> Floats:
    """Keep the locally typical ids: those whose surprise is closest to the expected surprise.

    The fewest that together reach probability p, and ids as close as the last of these (Meister et
    al. 2023). The likeliest id may not be among them.

    Args:
        logits: float32 [B, V].
        p: in (0, 1]; 1 changes nothing but ids that are impossible in float32.
    """
    log_probabilities = log_softmax(logits)
    probabilities = np.exp(log_probabilities)
    products = probabilities * np.where(probabilities > 0, log_probabilities, 0.0)
    expected = products.sum(axis=1, keepdims=True)
    distances = np.abs(log_probabilities - expected)
    return _without(
        logits, distances > _reaching(distances, probabilities, np.full(len(logits), p))
    )


def keep_top_p(logits: Shifted, p: float) -> Shifted:
    """Keep the nucleus: the fewest likeliest ids that reach probability p (Holtzman et al. 2020).

    Ids as likely as the last of these are kept too.

    Args:
        logits: float32 [B, V].
        p: in (0, 1]; 1 changes nothing but ids that are impossible in float32.
    """
    weights = np.exp(logits)
    goals = p * np.add.reduce(weights, axis=1, dtype=np.float64)
    return Shifted(_without(logits, -logits > _reaching(-logits, weights, goals)))


def keep_min_p(logits: Shifted, p: float) -> Shifted:
    """Keep ids at least p times as likely as the likeliest id (Nguyen et al. 2024).

    Args:
        logits: float32 [B, V].
        p: in (0, 1).
    """
    return Shifted(_without(logits, logits < np.float32(math.log(p))))


def keep_unsurprising(logits: Shifted, limits: Doubles) -> Shifted:
    """Keep ids whose surprise is at most the limit of the row, and the likeliest ids in any case.

    With ``next_limits`` this is Mirostat 2 (Basu et al. 2021).

    Args:
        logits: float32 [B, V].
        limits: surprise in bits, float64 [B].
    """
    surprises = log_softmax(logits) / -np.log(2)
    allowed = np.maximum(limits[:, np.newaxis], surprises.min(axis=1, keepdims=True))
    return Shifted(_without(logits, surprises > allowed))


def next_limits(limits: Doubles, surprises: Doubles, target: float, rate: float) -> Doubles:
    """Move the limits of ``keep_unsurprising`` so that the mean surprise approaches a target.

    Args:
        limits: in bits, float64 [B].
        surprises: of the ids that were drawn, in bits, float64 [B].
        target: in bits per token.
        rate: the share of the error by which a limit moves.
    """
    moved: Doubles = limits - rate * (surprises - target)
    return moved


def apply_temperature(logits: Shifted, temperature: float) -> Shifted:
    """Divide logits by a temperature.

    Args:
        logits: float32 [B, V].
        temperature: above 0; below 1e-30 it counts as 1e-30.
    """
    return Shifted(logits * np.float32(min(1.0 / temperature, _LARGEST_FACTOR)))


def draw(logits: Shifted, uniforms: Doubles) -> Ids:
    """Draw one id per row from softmax(logits) by inverting the cumulative distribution.

    Rounding never yields an id of probability 0: a uniform number below 1 times the total is below
    the total, and an id of probability 0 is never the first whose cumulative sum exceeds a value.

    Args:
        logits: float32 [B, V].
        uniforms: random numbers float64 [B], each in [0, 1).

    Returns:
        int64 [B].
    """
    cumulative = np.add.accumulate(np.exp(logits), axis=1, dtype=np.float64)
    goal = uniforms[:, np.newaxis] * cumulative[:, -1:]
    return _first_largest(cumulative > goal)


def likeliest(logits: NDArray[np.floating[Any]], count: int) -> Ids:
    """Return at most ``count`` ids of one row that are not excluded, the likeliest first.

    Equally likely ids are in ascending order.

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


def _without(logits: Floats, excluded: Mask) -> Floats:
    kept: Floats = np.where(excluded, _EXCLUDED, logits)
    return kept


def _reaching(
    distances: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]], goals: Doubles
) -> NDArray[np.floating[Any]]:
    """Return the distance within which the nearest ids together reach a weight, floats [B, 1].

    Args:
        distances: floats [B, V], 0 or more.
        weights: floats [B, V].
        goals: float64 [B]; if the weights of a row fall short of it, all its ids are needed.
    """
    if distances.shape[1] > _LARGE_VOCABULARY:
        items = zip(distances, weights, goals.tolist(), strict=True)
        return np.array([_reaching_in_row(*row) for row in items])[:, np.newaxis]
    rows = np.arange(len(distances))[:, np.newaxis]
    order = distances.argsort(axis=1)
    reached = np.add.accumulate(weights[rows, order], axis=1, dtype=np.float64)
    missing = np.add.reduce(reached < goals[:, np.newaxis], axis=1, keepdims=True)
    reaching: NDArray[np.floating[Any]] = distances[
        rows, order[rows, np.minimum(missing, order.shape[1] - 1)]
    ]
    return reaching


def _reaching_in_row(
    distances: NDArray[np.floating[Any]], weights: NDArray[np.floating[Any]], goal: float
) -> Any:
    """Do the same for one row of many ids; sort only those in the bin where the goal is reached."""
    bins = np.minimum(distances * _BINS_PER_NAT, _BINS - 1).astype(np.int64)
    reached = np.bincount(bins, weights=weights).cumsum()
    last = min(int(np.searchsorted(reached, goal)), len(reached) - 1)
    inside = np.flatnonzero(bins == last)
    inside = inside[np.argsort(distances[inside])]
    before = reached[last - 1] if last else 0.0
    missing = int((before + weights[inside].cumsum(dtype=np.float64) < goal).sum())
    return distances[inside[min(missing, len(inside) - 1)]]
