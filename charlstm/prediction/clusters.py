"""Which tokens belong to the same visible character as the text before them.

A visible character is an extended grapheme cluster of Unicode, including all marks after it: a
letter with its accents, a consonant with its vowel signs, a flag, a family of emoji.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from charlstm.arrays import Mask
from charlstm.unicode_text import VISIBLE

# Characters that share a cluster only with marks: most letters and punctuation of Latin, Greek and
# Cyrillic, Chinese characters, kana and composed Korean syllables.
PLAIN = re.compile(
    "[\0-\u02ff\u0370-\u0482\u048a-\u0590\u1e00-\u200b\u2010-\u2027\u2030-\u205e\u20a0-\u20cf"
    "\u3001-\u3029\u3031-\u303c\u3040-\u3098\u309b-\u9fff\uac00-\ud7a3]*"
)
_JOINERS = r"[\p{M}\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}\p{GCB=V}\p{GCB=T}]"
# Text that needs another character: half a flag, a joiner, a sign before a number or one that
# stacks letters.
_UNFINISHED = r"\p{RI}|.*[\p{GCB=ZWJ}\p{GCB=Prepend}\p{InSC=Invisible_Stacker}]"
_REMEMBERED = 4096


class Clusters:
    """The pieces of a vocabulary as parts of visible characters."""

    def __init__(self, pieces: Sequence[str]) -> None:
        import regex

        self._clusters = regex.compile(VISIBLE)
        self._begins_within = regex.compile(rf" ?{_JOINERS}")
        self._unfinished = regex.compile(_UNFINISHED, regex.DOTALL)
        # Only these can join, unless there is a sign that joins any character after it.
        takes_any = regex.compile(r"\p{GCB=Prepend}").search("".join(pieces)) is not None
        self._heads: dict[str, list[int]] = {}
        for token_id, piece in enumerate(pieces):
            if piece and (takes_any or not PLAIN.fullmatch(piece[0])):
                self._heads.setdefault(piece[0], []).append(token_id)
        self._masks: dict[str, Mask] = {}
        self._none = np.zeros(len(pieces), np.bool_)

    def last(self, text: str) -> str:
        """Return the last cluster of a text; empty if the text ends with white space."""
        end = text[text.rfind("\n") + 1 :][-2048:]
        return self._clusters.findall(end)[-1] if end and not end[-1].isspace() else ""

    def joining(self, cluster: str) -> Mask:
        """Return which pieces continue a cluster at the end of a text, bool [V]."""
        if not cluster:
            return self._none
        mask = self._masks.get(cluster)
        if mask is None:
            if len(self._masks) >= _REMEMBERED:
                self._masks.clear()
            mask = self._none.copy()
            for head, token_ids in self._heads.items():
                mask[token_ids] = self.continues(cluster, head)
            self._masks[cluster] = mask
        return mask

    def continues(self, cluster: str, head: str) -> bool:
        """Return whether a character continues a cluster; false if either is empty."""
        return bool(cluster and head and self._clusters.fullmatch(cluster + head))

    def begins_within(self, text: str) -> bool:
        """Return whether a text begins with a mark or another character that must join one."""
        return self._begins_within.match(text) is not None

    def is_whole(self, text: str) -> bool:
        """Return whether a text neither begins nor ends within a visible character."""
        if not text:
            return True
        return not (self.begins_within(text) or self._unfinished.fullmatch(self.last(text)))


def clusters_of(pieces: Sequence[str]) -> Clusters | None:
    """Return the clusters of a vocabulary; ``None`` if each character is a cluster."""
    return None if PLAIN.fullmatch("".join(pieces).replace("\ufffd", "")) else Clusters(pieces)
