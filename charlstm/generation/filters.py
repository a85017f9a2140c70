"""Samplers, which choose the next token id from logits. One per function, in pure NumPy.

All functions take logits float32 [B, V] and treat rows independently: the result of a row is the
same, bit for bit, in any batch. An excluded id has the logit -inf. At least one id of each row must
not be excluded. Functions that need rows whose highest logit is 0 take ``Shifted`` logits, which
``shift`` returns.

The order is: penalties (see ``penalties``), top-k, locally typical, top-p, min-p, Mirostat,
temperature, random choice. So all filters see the distribution before the temperature, as in
llama.cpp. A high temperature makes the choice among good tokens more even, but adds no bad ones.
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

# Logits float32 [B, V] with 0 as the highest value in each row.
Shifted = NewType("Shifted", Floats)

_EXCLUDED = np.float32(-np.inf)
_LARGE_VOCABULARY = 1000
_BINS, _BINS_PER_NAT = 512, 16  # of a histogram, which avoids sorting a large vocabulary
_LARGEST_FACTOR = 1e30  # prevents the overflow of float32 at a tiny temperature


def sample(
    logits: Floats,
    uniforms: Doubles,
    config: SampleConfig,
    recent: AnyIds | None = None,
    limits: Doubles | None = None,
) -> Ids:
    """Sample the next id of every row.

    Args:
        logits: float32 [B, V].
        uniforms: random numbers float64 [B], each in [0, 1).
        config: the sampling settings. Temperature 0 takes the most likely id, and the lowest of
            equally likely ones.
        recent: the last ids [B, W] as for ``penalize``; ``None`` without penalties.
        limits: the surprisal that Mirostat allows, in bits, float64 [B]; ``None`` without Mirostat.

    Returns:
        The ids, int64 [B].
    """
    if recent is not None:
        logits = penalize(logits, recent, config)
    if config.temperature == 0:
        return _first_largest(logits)
    kept = shift(logits)
    if config.top_k:
        kept = keep_top_k(kept, config.top_k)
    if config.typical < 1.0:
        kept = shift(keep_typical(kept, config.typical))  # the most likely id may be excluded
    if config.top_p < 1.0:
        kept = keep_top_p(kept, config.top_p)
    if config.min_p > 0.0:
        kept = keep_min_p(kept, config.min_p)
    if limits is not None:
        kept = keep_unsurprising(kept, limits)
    if kept.shape[1] < _LARGE_VOCABULARY:
        return draw(apply_temperature(kept, config.temperature), uniforms)
    # Ids that are excluded in every row add exactly 0, so the result is the same without them.
    columns = np.flatnonzero((kept > _EXCLUDED).any(axis=0))
    kept = Shifted(kept[:, columns])
    return columns[draw(apply_temperature(kept, config.temperature), uniforms)]


def shift(logits: Floats) -> Shifted:
    """Shift each row so that its highest logit is 0. This does not change probabilities.

    Args:
        logits: float32 [B, V].
    """
    return Shifted(logits - np.maximum.reduce(logits, axis=1, keepdims=True))


def keep_top_k(logits: Shifted, k: int) -> Shifted:
    """Keep the k most likely ids of a row, and ids as likely as the k-th (Fan et al. 2018).

    Args:
        logits: float32 [B, V].
        k: 1 or more. V or more changes nothing.
    """
    size = logits.shape[1]
    if k >= size:
        return logits
    threshold = np.partition(logits, size - k, axis=1)[:, size - k, np.newaxis]
    return Shifted(_without(logits, logits < threshold))


def keep_typical(logits: Floats, p: float) -> Floats:
    """Keep the locally typical ids, whose surprisal is closest to the entropy.

    These are as few ids as are needed to reach probability p, and ids as close as the last of them
    (Meister et al. 2023). The most likely id may not be among them.

    Args:
        logits: float32 [B, V].
        p: in (0, 1]. 1 only excludes ids that are impossible in float32.
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
    """Keep the nucleus: the most likely ids, until they reach probability p (Holtzman et al. 2020).

    Ids as likely as the last of these are kept too.

    Args:
        logits: float32 [B, V].
        p: in (0, 1]. 1 only excludes ids that are impossible in float32.
    """
    weights = np.exp(logits)
    goals = p * np.add.reduce(weights, axis=1, dtype=np.float64)
    return Shifted(_without(logits, -logits > _reaching(-logits, weights, goals)))


def keep_min_p(logits: Shifted, p: float) -> Shifted:
    """Keep ids at least p times as likely as the most likely id (Nguyen et al. 2024).

    Args:
        logits: float32 [B, V].
        p: in (0, 1).
    """
    return Shifted(_without(logits, logits < np.float32(math.log(p))))


def keep_unsurprising(logits: Shifted, limits: Doubles) -> Shifted:
    """Keep ids whose surprisal is at most the limit of the row. The most likely ids are kept too.

    With ``next_limits``, this is Mirostat 2 (Basu et al. 2021).

    Args:
        logits: float32 [B, V].
        limits: surprisal in bits, float64 [B].
    """
    surprises = log_softmax(logits) / -np.log(2)
    allowed = np.maximum(limits[:, np.newaxis], surprises.min(axis=1, keepdims=True))
    return Shifted(_without(logits, surprises > allowed))


def next_limits(limits: Doubles, surprises: Doubles, target: float, rate: float) -> Doubles:
    """Move the limits of ``keep_unsurprising`` so that the mean surprisal approaches a target.

    Args:
        limits: the limits in bits, float64 [B].
        surprises: the surprisal of the sampled ids in bits, float64 [B].
        target: the target in bits per token.
        rate: the share of the error by which a limit moves.
    """
    moved: Doubles = limits - rate * (surprises - target)
    return moved


def apply_temperature(logits: Shifted, temperature: float) -> Shifted:
    """Divide logits by a temperature.

    Args:
        logits: float32 [B, V].
        temperature: above 0. Values below 1e-30 count as 1e-30.
    """
    return Shifted(logits * np.float32(min(1.0 / temperature, _LARGEST_FACTOR)))


def draw(logits: Shifted, uniforms: Doubles) -> Ids:
    """Sample one id per row from softmax(logits) by inverting the cumulative distribution.

    Rounding never yields an id of probability 0: a uniform number below 1 times the total is below
    the total, and an id of probability 0 is never the first whose cumulative sum exceeds a value.

    Args:
        logits: float32 [B, V].
        uniforms: random numbers float64 [B], each in [0, 1).

    Returns:
        The ids, int64 [B].
    """
    cumulative = np.add.accumulate(np.exp(logits), axis=1, dtype=np.float64)
    goal = uniforms[:, np.newaxis] * cumulative[:, -1:]
    return _first_largest(cumulative > goal)


def likeliest(logits: NDArray[np.floating[Any]], count: int) -> Ids:
    """Return at most ``count`` ids of one row that are not excluded, most likely first.

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
        goals: float64 [B]. If the weights of a row don't reach it, all its ids are needed.
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
    """Do the same for one row with many ids. Only the bin that reaches the goal is sorted."""
    bins = np.minimum(distances * _BINS_PER_NAT, _BINS - 1).astype(np.int64)
    reached = np.bincount(bins, weights=weights).cumsum()
    last = min(int(np.searchsorted(reached, goal)), len(reached) - 1)
    inside = np.flatnonzero(bins == last)
    inside = inside[np.argsort(distances[inside])]
    before = reached[last - 1] if last else 0.0
    missing = int((before + weights[inside].cumsum(dtype=np.float64) < goal).sum())
    return distances[inside[min(missing, len(inside) - 1)]]
