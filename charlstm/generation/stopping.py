"""Where a text is to end before its length is reached: stop texts and the ends of units.

A text is looked at as it grows, piece by piece; of several endings the one counts that is complete
first, so it makes no difference how the text is cut into pieces. This module knows strings only.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, NamedTuple, TypeAlias

from charlstm.config import SampleConfig, Unit

Reason: TypeAlias = Literal["stop", "until"]

# What ends a unit, and what of a text may turn out to be the beginning of an end. A text is cut
# before the group that matches. (``$`` would match before a newline, too.)
_ENDS: dict[Unit, tuple[str, str | None]] = {
    "line": (r"([\r\n])", None),
    "paragraph": (
        r"((?>\r\n|\n|\r)[^\S\r\n]*[\r\n])",
        r"(?:\r\n|\n|\r)[^\S\r\n]*\Z",
    ),
    "sentence": (
        r"[.!?…]+[\"'”’»)\]]*(\s)|[。！？]+[”’」』）]*([^。！？”’」』）])",
        r"(?:[.!?…]+[\"'”’»)\]]*|[。！？]+[”’」』）]*)\Z",
    ),
}


class StopMatch(NamedTuple):
    """What ends a text: where it is complete, where the text is cut, and why."""

    complete: int
    at: int
    reason: Reason


class PendingText(NamedTuple):
    """The end of a growing text that can not be shown yet.

    Attributes:
        text: its end as far as that may be the beginning of an ending.
        begun: whether anything but white space stands before that.
    """

    text: str = ""
    begun: bool = False


class Endings:
    """What ends a text, ready to be looked for while the text grows."""

    def __init__(self, config: SampleConfig) -> None:
        self._stops = config.stop
        end, may_end = _ENDS.get(config.until, (None, None)) if config.until else (None, None)
        self._end = re.compile(end) if end else None
        self._may_end = re.compile(may_end) if may_end else None

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._stops) or self._end is not None

    def add(
        self, pending: PendingText, piece: str, *, may_end: bool
    ) -> tuple[str, PendingText, Reason | None]:
        """Let a text grow.

        Args:
            pending: what of it was not shown so far.
            piece: what comes next.
            may_end: whether the text may end with what is complete now; if not, that is no ending
                later either.

        Returns:
            What can no longer become part of an ending, what is pending after it, and
            the reason if the text ends: it ends with what is returned.
        """
        text = pending.text + piece
        looked_at = len(pending.text)
        ending = self.find(text, begun=pending.begun, looked_at=looked_at) if may_end else None
        cut = len(text) - self.held_back(text) if ending is None else ending.at
        shown = text[:cut]
        begun = pending.begun or bool(shown.strip())
        return shown, PendingText(text[cut:], begun), None if ending is None else ending.reason

    def find(self, text: str, *, begun: bool = False, looked_at: int = 0) -> StopMatch | None:
        """Return the ending in a text that is complete first; of several, the longest.

        Args:
            text: the text, as far as it has not been found free of endings.
            begun: whether anything but white space stands before it; no unit is empty.
            looked_at: how much of it was there before; what is complete in that does not count.
        """
        found = [
            StopMatch(start + len(stop), start, "stop")
            for stop in self._stops
            if (start := text.find(stop, max(0, looked_at - len(stop) + 1))) >= 0
        ]
        if self._end:
            content = 0 if begun else len(text) - len(text.lstrip())
            match = self._end.search(text, content)
            while match and match.end() <= looked_at:
                match = self._end.search(text, match.start() + 1)
            if match:
                found.append(StopMatch(match.end(), match.start(match.lastindex or 0), "until"))
        return min(found, default=None)

    def held_back(self, text: str) -> int:
        """Return how many characters at the end of a text may be the beginning of an ending."""
        held = len(beginning_at_end(text, self._stops))
        match = self._may_end.search(text) if self._may_end else None
        return max(held, len(text) - match.start() if match else 0)


def beginning_at_end(text: str, others: Collection[str]) -> str:
    """Return the longest end of a text that is the beginning, not the whole, of another one."""
    return max((_overlap(text, other) for other in others), key=len, default="")


def _overlap(text: str, other: str) -> str:
    lengths = range(min(len(other) - 1, len(text)), 0, -1)
    return next((other[:length] for length in lengths if text.endswith(other[:length])), "")
