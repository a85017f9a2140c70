"""Logits -> logits: every way to hold against a symbol that it has occurred.

All functions take logits [B,V] in float32 and the ids of the last symbols, [B,W], oldest first, -1
for an empty place, and treat rows independently. This module knows no text, no model and no random
generator.
"""

from __future__ import annotations

import numpy as np

from charlstm.arrays import AnyIds, Floats, Ids
from charlstm.config import SampleConfig
from charlstm.errors import ConfigError

EMPTY = -1
# No penalty is larger, so that no logit overflows.
_LARGEST_PENALTY = 1e30


def penalize(logits: Floats, recent: AnyIds, config: SampleConfig) -> Floats:
    """Apply the penalties that are switched on: repetition, presence, frequency, loops.

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        config: the settings.

    Raises:
        ConfigError: if loops cost something and the length they begin at is not set.
    """
    window = recent[:, -config.repetition_window :]
    if config.repetition_penalty != 1.0:
        logits = penalize_repetition(logits, window, config.repetition_penalty)
    if config.presence_penalty:
        logits = penalize_presence(logits, window, config.presence_penalty)
    if config.frequency_penalty:
        logits = penalize_frequency(logits, window, config.frequency_penalty)
    if config.loop_penalty:
        recent = recent[:, -config.loop_window :]
        if config.loop_length is None:
            raise ConfigError(
                "loop_length is not set, on which loop_penalty depends: set it, or take the "
                "default of a level with SampleConfig.for_level"
            )
        penalty, base, allowed = config.loop_penalty, config.loop_base, config.loop_length
        logits = penalize_loops(logits, recent, penalty, base, allowed)
    return logits


def places_needed(config: SampleConfig) -> int:
    """Return how many of the last ids the penalties that are switched on need; 0 for none."""
    counting = config.repetition_penalty != 1.0 or config.presence_penalty
    window = config.repetition_window if counting or config.frequency_penalty else 0
    return max(window, config.loop_window if config.loop_penalty else 0)


def penalize_repetition(logits: Floats, recent: AnyIds, penalty: float) -> Floats:
    """Make recent ids less likely: positive logits are divided by the penalty, negative multiplied.

    An id counts once, however often it occurs (Keskar et al. 2019, CTRL, section 4.1).

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        penalty: 1 or more; 1 changes nothing.
    """
    rows = np.arange(len(logits))[:, np.newaxis]
    # One more column takes what is written for -1.
    penalized = np.concatenate([logits, np.zeros((len(logits), 1), np.float32)], axis=1)
    values = penalized[rows, recent]
    penalized[rows, recent] = np.where(values > 0, values / penalty, values * penalty)
    return np.ascontiguousarray(penalized[:, :-1])


def penalize_presence(logits: Floats, recent: AnyIds, penalty: float) -> Floats:
    """Subtract a penalty from every id that occurs, once.

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        penalty: 0 changes nothing; below 0 makes what occurred likelier.
    """
    return _less(logits, penalty, np.minimum(_counts(logits, recent), 1))


def penalize_frequency(logits: Floats, recent: AnyIds, penalty: float) -> Floats:
    """Subtract a penalty from every id for each time it occurs.

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        penalty: 0 changes nothing; below 0 makes what occurred likelier.
    """
    return _less(logits, penalty, _counts(logits, recent))


def penalize_loops(
    logits: Floats, recent: AnyIds, multiplier: float, base: float, allowed: int
) -> Floats:
    """Make it unlikely that a sequence goes on as it went on before (DRY, p-e-w 2024).

    An id that would continue a repetition of ``n`` symbols, ``n`` at least ``allowed``, loses
    ``multiplier * base ** (n - allowed)``; of several repetitions the longest counts.

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        multiplier: 0 or more; 0 changes nothing.
        base: 1 or more.
        allowed: how long a repetition may be before it costs, 1 or more.
    """
    lengths = repetition_lengths(recent)
    rows, places = np.nonzero((lengths >= allowed) & (recent[:, 1:] != EMPTY))
    longest = np.zeros(logits.shape, np.int64)
    np.maximum.at(longest, (rows, recent[rows, places + 1]), lengths[rows, places])
    repeats = longest >= allowed
    with np.errstate(over="ignore"):
        penalties = multiplier * np.power(float(base), longest[repeats] - allowed)
    penalized = logits.copy()
    penalized[repeats] -= np.minimum(penalties, _LARGEST_PENALTY).astype(np.float32)
    return penalized


def repetition_lengths(recent: AnyIds) -> Ids:
    """Return for each place but the last how many symbols up to it are those at the end.

    Args:
        recent: ids [B, W].

    Returns:
        int64 [B, W - 1].
    """
    width = recent.shape[1]
    lengths = np.zeros((len(recent), max(0, width - 1)), np.int64)
    going = np.ones(lengths.shape, np.bool_)
    for back in range(width - 1):
        last = recent[:, width - 1 - back, np.newaxis]
        same = np.zeros(lengths.shape, np.bool_)
        same[:, back:] = (recent[:, : width - 1 - back] == last) & (last != EMPTY)
        going &= same
        if not going.any():
            break
        lengths += going
    return lengths


def _less(logits: Floats, penalty: float, times: Floats) -> Floats:
    less: Floats = logits - np.float32(penalty) * times
    return less


def _counts(logits: Floats, recent: AnyIds) -> Floats:
    """Return how often each id occurs, float32 [B, V]."""
    counts = np.zeros((len(logits), logits.shape[1] + 1), np.float32)
    np.add.at(counts, (np.arange(len(logits))[:, np.newaxis], recent), 1)
    return counts[:, :-1]
