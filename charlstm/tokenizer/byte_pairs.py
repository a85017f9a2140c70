"""Learns the merges of a subword tokenizer from a sample of the training text.

Only this module imports the library that learns them; trained models do not need it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from charlstm.config import Segmentation
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.unicode_text import has_surrogates

# The most characters that pieces are learned from; more rarely change which pieces are frequent.
SAMPLED = 2**24

_PART = 2**16  # characters; long enough that words cut at the ends do not matter

# The number of ids for a text of a million characters, and its bounds (see ``pieces_for``). Powers
# of two let rows of logits fill whole vectors. With at most 2,048 ids, the engine can use a lookup
# table for the input of the first layer at 512 units.
IDS_OF_A_MILLION, FEWEST_IDS, MOST_IDS = 512, 128, 2048
FEWEST_PIECES = 64  # for any number of characters


class TextSample:
    """Samples evenly spaced parts of a text that arrives in pieces, up to ``SAMPLED`` characters.

    Attributes:
        characters: the number of characters in the whole text so far.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._every, self._seen, self._size = 1, 0, 0
        self.characters = 0

    def add(self, text: str) -> None:
        """Take the next piece of the text, and sample parts of it."""
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
        """Yield the sampled parts in order, up to ``SAMPLED`` characters."""
        left = SAMPLED
        for part in self._parts:
            yield part[:left]
            left -= len(part)
            if left <= 0:
                return


def pieces_for(characters: int, others: int) -> int:
    """Return the default number of pieces to learn, which makes the number of ids a power of two.

    Args:
        characters: the length of the text; the number of ids grows with its square root.
        others: the number of ids of single characters and special tokens.
    """
    wanted = IDS_OF_A_MILLION * math.sqrt(max(1, characters) / 1e6)
    ids = int(2 ** round(math.log2(min(MOST_IDS, max(FEWEST_IDS, wanted)))))
    return max(FEWEST_PIECES, ids - others)


def learn_merges(
    texts: Iterable[str], alphabet: Sequence[str], count: int, segmentation: Segmentation
) -> list[tuple[str, str]]:
    """Return the pairs to merge, in order: each is the most frequent once those before are merged.

    Args:
        texts: the text to learn from.
        alphabet: the characters that pieces may contain.
        count: the number of pieces to learn; a short text may give fewer.
        segmentation: the rules by which texts are divided into words. No piece crosses a word.
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
    """Return the words of a text, without those that UTF-8 can't represent."""
    words = tokens_of(text, segmentation)
    if has_surrogates(text):
        return [word for word in words if not has_surrogates(word)]
    return list(words)
