"""Penalties against repetition, which change logits according to recent token ids.

All functions take logits float32 [B, V] and the last ids of each row [B, W], oldest first, with
``EMPTY`` if there is no token or it is ignored. They treat rows independently.
"""

from __future__ import annotations

import numpy as np

from charlstm.arrays import AnyIds, Floats, Ids
from charlstm.config import SampleConfig
from charlstm.errors import ConfigError

EMPTY = -1
_LARGEST_PENALTY = 1e30  # prevents the overflow of logits


def penalize(logits: Floats, recent: AnyIds, config: SampleConfig) -> Floats:
    """Apply the penalties that are set: repetition, presence, frequency, loops.

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        config: the settings.

    Raises:
        ConfigError: if ``loop_penalty`` is set but ``loop_length`` is not.
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
                "`loop_penalty` needs `loop_length`. SampleConfig.for_level sets its default."
            )
        penalty, base, allowed = config.loop_penalty, config.loop_base, config.loop_length
        logits = penalize_loops(logits, recent, penalty, base, allowed)
    return logits


def window_needed(config: SampleConfig) -> int:
    """Return the number of last ids that the penalties need, W; 0 if none is set."""
    counting = config.repetition_penalty != 1.0 or config.presence_penalty
    window = config.repetition_window if counting or config.frequency_penalty else 0
    return max(window, config.loop_window if config.loop_penalty else 0)


def penalize_repetition(logits: Floats, recent: AnyIds, penalty: float) -> Floats:
    """Divide positive logits of recent ids by a penalty, and multiply negative ones by it.

    An id counts once, no matter how often it occurs (CTRL, Keskar et al. 2019, section 4.1).

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        penalty: 1 or more; 1 changes nothing.
    """
    rows = np.arange(len(logits))[:, np.newaxis]
    # An additional last column receives the values for EMPTY, which is -1.
    penalized = np.concatenate([logits, np.zeros((len(logits), 1), np.float32)], axis=1)
    values = penalized[rows, recent]
    penalized[rows, recent] = np.where(values > 0, values / penalty, values * penalty)
    return np.ascontiguousarray(penalized[:, :-1])


def penalize_presence(logits: Floats, recent: AnyIds, penalty: float) -> Floats:
    """Subtract a penalty from the logit of every recent id.

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        penalty: 0 changes nothing. A negative one makes these ids more likely.
    """
    return _lowered(logits, penalty, np.minimum(_counts(logits, recent), 1))


def penalize_frequency(logits: Floats, recent: AnyIds, penalty: float) -> Floats:
    """Subtract a penalty from the logit of every recent id for each of its occurrences.

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        penalty: 0 changes nothing. A negative one makes these ids more likely.
    """
    return _lowered(logits, penalty, _counts(logits, recent))


def penalize_loops(
    logits: Floats, recent: AnyIds, multiplier: float, base: float, allowed: int
) -> Floats:
    """Make it less likely that a sequence continues as it did before (DRY, p-e-w 2024).

    If an id would continue a repetition of ``n`` tokens, and ``n`` is at least ``allowed``, its
    logit is lowered by ``multiplier * base ** (n - allowed)``. If there are several repetitions,
    the longest counts.

    Args:
        logits: float32 [B, V].
        recent: ids [B, W].
        multiplier: 0 or more. 0 changes nothing.
        base: 1 or more.
        allowed: the length of the shortest repetition that is penalized, 1 or more.
    """
    lengths = repetition_lengths(recent)
    rows, positions = np.nonzero((lengths >= allowed) & (recent[:, 1:] != EMPTY))
    longest = np.zeros(logits.shape, np.int64)
    np.maximum.at(longest, (rows, recent[rows, positions + 1]), lengths[rows, positions])
    repeats = longest >= allowed
    with np.errstate(over="ignore"):
        penalties = multiplier * np.power(float(base), longest[repeats] - allowed)
    penalized = logits.copy()
    penalized[repeats] -= np.minimum(penalties, _LARGEST_PENALTY).astype(np.float32)
    return penalized


def repetition_lengths(recent: AnyIds) -> Ids:
    """Return, for each position but the last, how many tokens up to it equal those at the end.

    Args:
        recent: ids [B, W].

    Returns:
        Lengths int64 [B, W - 1].
    """
    width = recent.shape[1]
    lengths = np.zeros((len(recent), max(0, width - 1)), np.int64)
    repeats = np.ones(lengths.shape, np.bool_)
    for back in range(width - 1):
        last = recent[:, width - 1 - back, np.newaxis]
        same = np.zeros(lengths.shape, np.bool_)
        same[:, back:] = (recent[:, : width - 1 - back] == last) & (last != EMPTY)
        repeats &= same
        if not repeats.any():
            break
        lengths += repeats
    return lengths


def _lowered(logits: Floats, penalty: float, times: Floats) -> Floats:
    lowered: Floats = logits - np.float32(penalty) * times
    return lowered


def _counts(logits: Floats, recent: AnyIds) -> Floats:
    """Return how often each id occurs, float32 [B, V]."""
    counts = np.zeros((len(logits), logits.shape[1] + 1), np.float32)
    np.add.at(counts, (np.arange(len(logits))[:, np.newaxis], recent), 1)
    return counts[:, :-1]
