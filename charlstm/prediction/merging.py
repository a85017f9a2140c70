"""Which tokens of a vocabulary can't follow a text, because they would merge with it.

The tokenizer decides: such a token would begin within a token of the whole text, like ``s`` after
``word``. Only its first character matters. Characters that do the same after each example do the
same after any text, except that a run of one character is a token. So one of them is tried for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np

from charlstm.arrays import Mask
from charlstm.config import Segmentation
from charlstm.tokenizer.segmentation import tokens_of

# A word, an apostrophe after one, a number, punctuation, a character of a script without spaces,
# half a flag, an emoji and a joiner, and a letter and a sign that puts the next one below it.
_EXAMPLES = ("a", "a'", "1", ".", "中", "\U0001f1e6", "\u2764\u200d", "\u1000\u1039")


class Merging:
    """The tokens of a vocabulary that merge with the text before them.

    Args:
        pieces: the text of each token.
        tokens: the ids of the tokens that may follow a text. Their pieces are not empty.
        rules: the rules by which text is divided.
    """

    def __init__(self, pieces: Sequence[str], tokens: Iterable[int], rules: Segmentation) -> None:
        self._rules = rules
        self._none = np.zeros(len(pieces), np.bool_)
        self._beginning: dict[str, list[int]] = {}
        for token_id in tokens:
            self._beginning.setdefault(pieces[token_id][0], []).append(token_id)
        columns = [self._merge(example, self._beginning) for example in _EXAMPLES]
        groups: dict[tuple[bool, ...], list[str]] = {}
        for character, merges in zip(self._beginning, zip(*columns, strict=True), strict=True):
            groups.setdefault(merges, []).append(character)
        # Two characters of each group, in case that one is the last of a text, and all its tokens.
        self._groups = [
            (group[0], "".join(group[1:2]), np.concatenate([self._beginning[c] for c in group]))
            for group in groups.values()
        ]

    def with_text(self, text: str) -> Mask:
        """Return which tokens merge with a text, bool [V]. None merges with white space."""
        if not text or text[-1].isspace():
            return self._none
        last = text[-1]
        heads = [second if first == last else first for first, second, _ in self._groups]
        *merges, repeats = self._merge(text, [*heads, last])
        mask = self._none.copy()
        for merging, (_, _, token_ids) in zip(merges, self._groups, strict=True):
            mask[token_ids] = merging
        mask[self._beginning.get(last, [])] = repeats
        return mask

    def _merge(self, text: str, heads: Iterable[str]) -> list[bool]:
        """Return whether each character would continue a token that begins in the text."""
        # No token contains a line end and anything else, so all are tried as lines of one text.
        lines = [f"{text}{head}\n" for head in heads]
        starts = list(accumulate(map(len, lines), initial=0))[:-1]
        ends = {*accumulate(map(len, tokens_of("".join(lines), self._rules)))}
        return [start + len(text) not in ends for start in starts]
