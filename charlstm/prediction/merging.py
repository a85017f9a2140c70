"""Which tokens of a vocabulary can't follow a text, because they would merge with it.

The tokenizer decides: such a token would begin within a token of the whole text, like ``s`` after
``word``. Only its first character matters in real vocabularies, whose tokens contain no ``'s``.
Characters that do the same after each example do the
same after any text, except that a run of one character is a token. So one of them is tried for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import numpy as np

from charlstm.arrays import Ids
from charlstm.config import Segmentation
from charlstm.tokenizer.segmentation import tokens_of

# A word, an apostrophe after one, a number, punctuation, a character of a script without spaces,
# half a flag, an emoji and a joiner, a letter and a sign that puts the next one below it, and a tag
# without its end.
_EXAMPLES = ("a", "a'", "1", ".", "中", "\U0001f1e6", "\u2764\u200d", "\u1000\u1039", "<a")
_NO_IDS: Ids = np.array([], np.int64)


class Merging:
    """The tokens of a vocabulary that merge with the text before them.

    Args:
        pieces: the text of each token.
        tokens: the ids of the tokens that may follow a text. Their pieces are not empty.
        rules: the rules by which text is divided.
    """

    def __init__(self, pieces: Sequence[str], tokens: Ids, rules: Segmentation) -> None:
        self._rules = rules
        heads = np.array([ord(pieces[token_id][0]) for token_id in tokens.tolist()], np.int64)
        order = np.argsort(heads, kind="stable")
        codes, starts = np.unique(heads[order], return_index=True)
        parts = np.split(tokens[order], starts[1:])
        characters = list(map(chr, codes.tolist()))
        self._beginning: dict[str, Ids] = dict(zip(characters, parts, strict=False))
        groups: dict[tuple[bool, ...], list[str]] = {}
        found = [self._merge(example, characters) for example in _EXAMPLES]
        for character, *merges in zip(characters, *found, strict=True):
            groups.setdefault(tuple(merges), []).append(character)
        # Two characters of each group, in case that one is the last of a text, and all tokens.
        self._groups: list[tuple[str, str, Ids]] = [
            (group[0], group[-1], np.concatenate([self._beginning[each] for each in group]))
            for group in groups.values()
        ]

    def with_text(self, text: str) -> Ids:
        """Return the ids of the tokens that merge with a text. None merges with white space."""
        if not text or text[-1].isspace():
            return _NO_IDS
        last = text[-1]
        tried = [second if first == last else first for first, second, _ in self._groups]
        *merges, repeats = self._merge(text, [*tried, last])
        found = [ids for (_, _, ids), merge in zip(self._groups, merges, strict=True) if merge]
        if repeats and last in self._beginning:
            found.append(self._beginning[last])
        return np.concatenate(found) if found else _NO_IDS

    def _merge(self, text: str, heads: Iterable[str]) -> list[bool]:
        """Return whether each character would continue a token that begins in the text."""
        # No token contains a line end and anything else, so all are tried as lines of one text.
        lines = [f"{text}{head}\n" for head in heads]
        starts = list(accumulate(map(len, lines), initial=0))[:-1]
        ends = {*accumulate(map(len, tokens_of("".join(lines), self._rules)))}
        return [start + len(text) not in ends for start in starts]
