"""Builds a tokenizer from a training text, in one pass over the text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from charlstm.config import SEGMENTATION, Segmentation, TokenizerConfig
from charlstm.tokenizer.base import Tokenizer, code_points
from charlstm.tokenizer.byte_pairs import TextSample, learn_merges, pieces_for
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.subword import SubwordTokenizer
from charlstm.tokenizer.word import WordTokenizer
from charlstm.tokenizer.wordwise import runs_of
from charlstm.unicode_text import has_surrogates

CODE_POINTS = 0x110000
SURROGATES = slice(0xD800, 0xE000)
# The most distinct tokens that are counted. Runs are collected first and divided into tokens once
# there are this many distinct runs, or this many characters in all runs.
COUNTED_TOKENS, COUNTED_RUNS, COUNTED_CHARACTERS = 2**22, 2**19, 2**24
WORDS = 20_000  # default number of words in a vocabulary

# Words are counted in this many characters; in a longer text, in evenly spaced parts. More would
# rarely change which words are frequent.
COUNTED, _PART = 2**26, 2**16


def build_tokenizer(
    texts: Iterable[str],
    config: TokenizerConfig,
    base: Tokenizer | None = None,
    *,
    characters: int = 0,
) -> Tokenizer:
    """Build a tokenizer from texts, or extend one, in one pass with one text at a time in memory.

    Character level: every code point that occurs, in order.

    Word level: the same characters, then the ``config.vocab_size`` most frequent tokens of two
    characters or more that occur at least ``config.min_count`` times. The most frequent come first,
    and ties are sorted by text. In a text of more than ``COUNTED`` characters, only parts are
    counted. Beyond ``COUNTED_TOKENS`` distinct tokens, the rarest so far are dropped, which bounds
    the memory.

    Subword level: the same characters, then ``config.vocab_size`` pieces in the order in which they
    are learned from a sample.

    Lone surrogates are never in the vocabulary.

    Args:
        texts: the texts.
        config: the level and its settings.
        base: a tokenizer to extend; its ids, merges and rules for words stay the same. At subword
            level, only characters are added and no merges are learned.
        characters: the number of characters in all texts; may be 0 if it is at most ``COUNTED``.

    Raises:
        ConfigError: if the levels differ.
    """
    segmentation = base.segmentation if base else SEGMENTATION
    if config.level == "char":
        built: Tokenizer = CharTokenizer(_characters(texts))
    elif config.level == "word":
        built = _with_words(texts, config, segmentation, max(1, characters // COUNTED))
    elif base is None:
        built = _with_pieces(texts, config, segmentation)
    else:
        built = SubwordTokenizer(_characters(texts), segmentation)
    return base.extend(built) if base else built


def _with_words(
    texts: Iterable[str], config: TokenizerConfig, segmentation: Segmentation, every: int
) -> WordTokenizer:
    counter = _TokenCounter(segmentation, every)

    def counted() -> Iterator[str]:
        for text in texts:
            counter.add(text)
            yield text

    characters = _characters(counted())
    return WordTokenizer(characters + _frequent_words(counter.counts(), config), segmentation)


def _with_pieces(
    texts: Iterable[str], config: TokenizerConfig, segmentation: Segmentation
) -> SubwordTokenizer:
    sample = TextSample()

    def sampled() -> Iterator[str]:
        for text in texts:
            sample.add(text)
            yield text

    characters = _characters(sampled())
    others = len(SubwordTokenizer.reserved) + len(characters)
    count = config.vocab_size or pieces_for(sample.characters, others)
    learned = learn_merges(sample.parts(), characters, count, segmentation)
    pieces = dict.fromkeys((*characters, *(first + second for first, second in learned)))
    numbers = {piece: number for number, piece in enumerate(pieces, len(SubwordTokenizer.reserved))}
    merges = tuple((numbers[first], numbers[second]) for first, second in learned)
    return SubwordTokenizer(tuple(pieces), segmentation, merges)


class _TokenCounter:
    """Counts tokens. Runs are counted first, so that frequent ones are rarely divided into tokens.

    Args:
        segmentation: the rules by which a text is divided.
        every: count one of every ``every`` parts of the text, with this weight.
    """

    def __init__(self, segmentation: Segmentation, every: int = 1) -> None:
        self._segmentation = segmentation
        self._every, self._parts = every, 0
        self._runs: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._characters = 0

    def add(self, text: str) -> None:
        if self._every == 1:
            self._count(text)
            return
        for start in range(0, len(text), _PART):
            if self._parts % self._every == 0:
                self._count(text[start : start + _PART])
            self._parts += 1

    def _count(self, text: str) -> None:
        self._runs.update(runs_of(text))
        self._characters += len(text)
        # A run may be as long as the text, so the number of runs does not bound the memory.
        if len(self._runs) > COUNTED_RUNS or self._characters > COUNTED_CHARACTERS:
            self._divide()

    def counts(self) -> Counter[str]:
        self._divide()
        return self._tokens

    def _divide(self) -> None:
        for run, count in self._runs.items():
            for token in tokens_of(run, self._segmentation):
                self._tokens[token] += count * self._every
            if len(self._tokens) > COUNTED_TOKENS:
                _drop_rare(self._tokens)
        self._runs.clear()
        self._characters = 0


def _drop_rare(counts: Counter[str]) -> None:
    """Drop the rarest tokens until at most half of ``COUNTED_TOKENS`` are left."""
    least = 0
    while len(counts) > COUNTED_TOKENS // 2:
        least += 1
        for token in [token for token, count in counts.items() if count <= least]:
            del counts[token]


def _characters(texts: Iterable[str]) -> tuple[str, ...]:
    seen = np.zeros(CODE_POINTS, np.bool_)
    known = b""  # ASCII characters seen so far; removing them first halves the time
    for text in texts:
        data = text.encode("utf-8", "surrogatepass").translate(None, known)
        if data:
            seen[code_points(data.decode("utf-8", "surrogatepass"))] = True
            known = bytes(np.flatnonzero(seen[:128]).tolist())
    seen[SURROGATES] = False
    return tuple(map(chr, np.flatnonzero(seen).tolist()))


def _frequent_words(counts: Counter[str], config: TokenizerConfig) -> tuple[str, ...]:
    words = [
        (-count, token)
        for token, count in counts.items()
        if count >= config.min_count and len(token) > 1 and not has_surrogates(token)
    ]
    return tuple(token for _, token in sorted(words)[: config.vocab_size or WORDS])
