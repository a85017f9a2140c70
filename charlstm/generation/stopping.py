"""Stop conditions on a growing text: stop texts, and the end of a line, sentence or paragraph.

A text is searched as it grows, piece by piece. The ending that is complete first counts, so the
result does not depend on how the text is divided into pieces.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, NamedTuple, TypeAlias

from charlstm.config import SampleConfig, Unit
from charlstm.generation.sentences import NOTHING, Before, after_prompt, find_end, pending_length

EndReason: TypeAlias = Literal["stop", "until"]

# For units other than the sentence: a pattern of the end, and a pattern of the end of a growing
# text that may be the beginning of such an end. The text is cut before the group that matches.
# (The patterns use ``\Z``, because ``$`` would match before a newline too.)
_ENDS: dict[Unit, tuple[str, str | None]] = {
    "line": (r"([\r\n])", None),
    "paragraph": (
        r"((?>\r\n|\n|\r)[^\S\r\n]*[\r\n])",
        r"(?:\r\n|\n|\r)[^\S\r\n]*\Z",
    ),
}


class StopMatch(NamedTuple):
    """An ending of a text.

    Attributes:
        complete: the position after it.
        cut: the position where the text is cut.
        reason: what ends the text.
    """

    complete: int
    cut: int
    reason: EndReason


class PendingText(NamedTuple):
    """The end of a growing text that can't be shown yet.

    Attributes:
        text: text that may be the beginning of an ending.
        has_content: whether the text before it has anything but white space.
        before: the text before it, if ends of sentences are searched for.
    """

    text: str = ""
    has_content: bool = False
    before: Before = NOTHING


class Endings:
    """The stop texts and the unit of a configuration, searched for while a text grows."""

    def __init__(self, config: SampleConfig) -> None:
        self._stops = config.stop
        end, may_end = _ENDS.get(config.until, (None, None)) if config.until else (None, None)
        self._finds_sentences = config.until == "sentence"
        self._end = re.compile(end) if end else None
        self._may_end = re.compile(may_end) if may_end else None
        self._started: tuple[str, PendingText] | None = None  # cached, as prompts can be long

    def __bool__(self) -> bool:
        """Return whether there is anything to search for."""
        return bool(self._stops) or self._end is not None or self._finds_sentences

    def start(self, prompt: str) -> PendingText:
        """Return the pending text before a text that continues a prompt."""
        if not self._finds_sentences:
            return PendingText()
        if self._started is None or self._started[0] != prompt:
            self._started = prompt, PendingText(before=after_prompt(prompt))
        return self._started[1]

    def add(
        self, pending: PendingText, piece: str, *, may_end: bool
    ) -> tuple[str, PendingText, EndReason | None]:
        """Append a piece to a text.

        Args:
            pending: the part of the text that has not been shown.
            piece: the next part.
            may_end: whether an ending counts that is complete now. If not, it never counts.

        Returns:
            The text to show now, the text that is pending after it, and the reason if the text ends
            there, otherwise ``None``.
        """
        text, (_, has_content, before) = pending.text + piece, pending
        searched, ending = len(pending.text), None
        if may_end:
            ending = self.find(text, has_content=has_content, before=before, searched=searched)
        held = self.held_back(text, has_content=has_content, before=before)
        cut = len(text) - held if ending is None else ending.cut
        shown = text[:cut]
        if self._finds_sentences:
            before = before.add(shown, has_content=has_content)
        has_content = has_content or bool(shown.strip())
        reason = None if ending is None else ending.reason
        return shown, PendingText(text[cut:], has_content, before), reason

    def find(
        self,
        text: str,
        *,
        has_content: bool = False,
        before: Before = NOTHING,
        searched: int = 0,
    ) -> StopMatch | None:
        """Return the ending in a text that is complete first, and the longest of several.

        Args:
            text: the text, or its end.
            has_content: whether the text before it has anything but white space. If not, leading
                white space does not end a unit, because units are not empty.
            before: the text before it.
            searched: the number of its characters that were searched before. An ending that was
                complete then does not count.
        """
        found = [
            StopMatch(start + len(stop), start, "stop")
            for stop in self._stops
            if (start := text.find(stop, max(0, searched - len(stop) + 1))) >= 0
        ]
        if self._finds_sentences:
            end = find_end(text, before, has_content=has_content, searched=searched)
            if end:
                found.append(StopMatch(*end, "until"))
        if self._end:
            first = 0 if has_content else len(text) - len(text.lstrip())
            match = self._end.search(text, first)
            while match and match.end() <= searched:
                match = self._end.search(text, match.start() + 1)
            if match:
                found.append(StopMatch(match.end(), match.start(match.lastindex or 0), "until"))
        return min(found, default=None)

    def held_back(self, text: str, *, has_content: bool = False, before: Before = NOTHING) -> int:
        """Return how many characters at the end of a text may become part of an ending."""
        held = len(beginning_at_end(text, self._stops))
        if self._finds_sentences:
            return max(held, pending_length(text, before, has_content=has_content))
        match = self._may_end.search(text) if self._may_end else None
        return max(held, len(text) - match.start() if match else 0)


def beginning_at_end(text: str, others: Collection[str]) -> str:
    """Return the longest end of a text that is the beginning, but not the whole, of another."""
    return max((_overlap(text, other) for other in others), key=len, default="")


def _overlap(text: str, other: str) -> str:
    lengths = range(min(len(other) - 1, len(text)), 0, -1)
    return next((other[:length] for length in lengths if text.endswith(other[:length])), "")
