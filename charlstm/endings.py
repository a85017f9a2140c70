"""Where a text is to end before its length is reached: stop texts and the ends of units.

This module knows strings only.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, NamedTuple, TypeAlias

from charlstm.config import SampleConfig, Unit

Reason: TypeAlias = Literal["stop", "until"]

# What ends a unit, and what of a text may turn out to be the beginning of an end. A text is cut
# before group 1.
_ENDS: dict[Unit, tuple[str, str]] = {
    "line": (r"([\r\n])", r"$^"),
    "paragraph": (
        r"((?>\r\n|\n|\r)[^\S\r\n]*[\r\n])",
        r"(?:\r\n|\n|\r)[^\S\r\n]*$",
    ),
    "sentence": (
        r"[.!?…]+[\"'”’»)\]]*(\s)|[。！？]+[”’」』）]*([^。！？”’」』）])",
        r"[.!?…。！？]+[\"'”’»)\]」』）]*$",
    ),
}


class Ending(NamedTuple):
    """Where a text is cut, and why."""

    at: int
    reason: Reason


class Endings:
    """What ends a text, ready to be looked for while the text grows."""

    def __init__(self, config: SampleConfig) -> None:
        self._stops = config.stop
        ends, may_end = _ENDS.get(config.until, (None, None)) if config.until else (None, None)
        self._end = re.compile(ends) if ends else None
        self._may_end = re.compile(may_end) if may_end else None

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._stops) or self._end is not None

    def find(self, text: str, *, begun: bool = False) -> Ending | None:
        """Return the first ending in a text.

        Args:
            text: all that has not been found free of endings yet: what ``held_back`` said of the
                text before, and what has come since.
            begun: whether anything but white space stands before it; no unit is empty.
        """
        found = find_stop(text, self._stops)
        stop = None if found is None else Ending(found, "stop")
        content = 0 if begun else len(text) - len(text.lstrip())
        match = self._end.search(text, content) if self._end else None
        if match is None:
            return stop
        until = Ending(match.start(match.lastindex or 0), "until")
        return until if stop is None or until.at < stop.at else stop

    def held_back(self, text: str) -> int:
        """Return how many characters at the end of a text may be the beginning of an ending."""
        held = len(beginning_at_end(text, self._stops))
        match = self._may_end.search(text) if self._may_end else None
        return max(held, len(text) - match.start() if match else 0)


def find_stop(text: str, stops: tuple[str, ...]) -> int | None:
    """Return where the stop text begins that is complete first; of several, the longest."""
    places = [(start + len(stop), start) for stop in stops if (start := text.find(stop)) >= 0]
    return min(places)[1] if places else None


def beginning_at_end(text: str, others: Collection[str]) -> str:
    """Return the longest end of a text that is the beginning, not the whole, of another one."""
    return max((_overlap(text, other) for other in others), key=len, default="")


def _overlap(text: str, other: str) -> str:
    lengths = range(min(len(other) - 1, len(text)), 0, -1)
    return next((other[:length] for length in lengths if text.endswith(other[:length])), "")
