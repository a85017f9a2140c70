"""The number of steps that can follow a state, if banned texts can leave none."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

State = TypeVar("State", bound=Hashable)


def longest_paths(
    start: State, following: Callable[[State], Iterable[State]]
) -> dict[State, float]:
    """Return the maximum number of steps that can follow each reachable state; inf if unlimited.

    Args:
        start: the first state.
        following: returns the states that can follow a state. There must be finitely many in all.
    """
    followers: dict[State, set[State]] = {}
    before: dict[State, set[State]] = {start: set()}
    waiting = [start]
    while waiting:
        state = waiting.pop()
        followers[state] = set(following(state))
        for other in followers[state]:
            if other not in before:
                before[other] = set()
                waiting.append(other)
            before[other].add(state)
    steps: dict[State, float] = dict.fromkeys(followers, math.inf)
    left = {state: len(others) for state, others in followers.items()}
    ended = [state for state, count in left.items() if not count]
    while ended:
        state = ended.pop()
        steps[state] = max((1 + steps[other] for other in followers[state]), default=0)
        for earlier in before[state]:
            left[earlier] -= 1
            if not left[earlier]:
                ended.append(earlier)
    return steps
