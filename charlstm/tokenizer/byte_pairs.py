"""Learns the pairs of characters and pieces that a subword tokenizer joins.

A sample of a text goes in, merges come out. The library that learns them is imported
here only: no trained model needs it. This module does not know where texts come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from charlstm.config import Segmentation
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.unicode_text import has_surrogates

# Characters that pieces are learned from; more hardly change which are frequent.
SAMPLED = 2**24

_PART = 2**16  # characters; a word that is cut in two counts little

# Ids for a million characters, of which there are more for longer texts (see ``pieces_for``). With
# a power of two, rows of logits fill whole vectors; with 2,048, the engine can look up what the
# first of layers of 512 units makes of each.
IDS_OF_A_MILLION, FEWEST_IDS, MOST_IDS = 512, 128, 2048
FEWEST_PIECES = 64  # however many characters there are


class TextSample:
    """Evenly spaced parts of a text that comes in parts, at most ``SAMPLED`` characters.

    Attributes:
        characters: of the whole text so far.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._every, self._seen, self._size = 1, 0, 0
        self.characters = 0

    def add(self, text: str) -> None:
        """Take the next part of the text, or not; of a long one, parts of it."""
        self.characters += len(text)
        for start in range(0, len(text), _PART):
            self._add(text[start : start + _PART])

    def _add(self, part: str) -> None:
        if self._seen % self._every == 0:
            self._parts.append(part)
            self._size += len(part)
        self._seen += 1
        while self._size > SAMPLED and len(self._parts) > 1:
            self._parts = self._parts[::2]
            self._every *= 2
            self._size = sum(map(len, self._parts))

    def parts(self) -> Iterator[str]:
        """Yield the parts that were taken, in order, the first ``SAMPLED`` characters of them."""
        left = SAMPLED
        for part in self._parts:
            yield part[:left]
            left -= len(part)
            if left <= 0:
                return


def pieces_for(characters: int, others: int) -> int:
    """Return how many pieces to learn by default: as many as make a power of two with all else.

    Args:
        characters: of the text; the longer it is, the more ids there are.
        others: ids of single characters and special tokens.
    """
    wanted = IDS_OF_A_MILLION * math.sqrt(max(1, characters) / 1e6)
    ids = int(2 ** round(math.log2(min(MOST_IDS, max(FEWEST_IDS, wanted)))))
    return max(FEWEST_PIECES, ids - others)


def learn_merges(
    texts: Iterable[str], alphabet: Sequence[str], count: int, segmentation: Segmentation
) -> list[tuple[str, str]]:
    """Return the pairs to join, the most frequent first, each counted when those before are joined.

    Args:
        texts: what to learn from.
        alphabet: the characters that pieces may have.
        count: how many pieces to learn, of which the text may have fewer.
        segmentation: the rules by which texts are divided into words, which no piece crosses.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    learner = Tokenizer(BPE())
    trainer = BpeTrainer(
        vocab_size=len(alphabet) + count,
        min_frequency=2,
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    words = (_words(text, segmentation) for text in texts)
    learner.train_from_iterator(words, trainer)
    learned = msgspec.json.decode(learner.to_str(), type=_Learned)
    return learned.model.merges


class _Model(msgspec.Struct):
    merges: list[tuple[str, str]]


class _Learned(msgspec.Struct):
    model: _Model


def _words(text: str, segmentation: Segmentation) -> list[str]:
    """Return the words of a text, without those that have no UTF-8."""
    words = tokens_of(text, segmentation)
    if has_surrogates(text):
        return [word for word in words if not has_surrogates(word)]
    return list(words)
