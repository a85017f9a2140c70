"""Finds where in a training text a new text could begin, for models that see few documents begin.

Token ids and the text of each id go in, positions come out. A model of one long file reads its
beginning once an epoch, so it does not learn how texts begin. Training lets it begin at some of
these positions too (see ``batches``). This module does not know where the text came from.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.config import Beginnings, Division
from charlstm.dataset.store import StoredIds, read_train, write_starts
from charlstm.tokenizer.base import (
    BEGIN_SPELLING,
    END_OF_DOCUMENT,
    END_SPELLING,
    UNKNOWN,
    Tokenizer,
)

# A text has few documents if fewer than MANY_DOCUMENTS end in it, or fewer than one in
# RARE_DOCUMENTS tokens: then the model reads too few to learn how they begin and end.
MANY_DOCUMENTS, RARE_DOCUMENTS = 10, 20_000

# A text is divided by blank lines (or line ends, and so on) if there is one in so many tokens.
FREQUENT = 4_000

# Blank lines divide a text into paragraphs, and are not only around headings, if there is one for
# so many of the lines that end with a sentence.
LEAST_SHARE = 0.25

# Lines are wrapped if half of them have this share of the length that a tenth exceeds.
WRAPPED = 0.7

# A word that begins so many paragraphs is usual.
USUAL = 3
_LONGEST_FIRST_WORD = 24
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

# The most positions that are kept, evenly spread.
MOST_STARTS = 2**18

# How many tokens are searched at once, and the longest separator that is found for certain. Of a
# long text so many blocks are searched, evenly spread.
_BLOCK, _LONGEST_SEPARATOR, _MOST_BLOCKS = 2**20, 2**10, 16

# The kinds of tokens that patterns tell apart: a line end (two, for "\r" may be half of one), white
# space, the end of a sentence (in scripts with and without spaces), what may follow that, the end
# of a document, the beginning of a spelled word, anything else without and with a space before it.
_NEWLINE, _RETURN, _SPACE, _STOP, _UNSPACED_STOP, _CLOSING = b'nrs.o"'
_DOCUMENT, _SPELLED, _WORD, _SPACED = b"dbxy"
_STOPS, _UNSPACED_STOPS, _CLOSINGS = ".!?…؟۔।", "。！？", "\"'”’»)]』」）_*"

# What comes before a position at which a text could begin. Each pattern begins where a run of white
# space does and never goes back, so that long runs take no time.
_LINE_END, _GAP, _TEXT = rb"s*+(?>rn|n|r)", rb"[nrs]*+", rb"(?=[^nrsd])"
_PARAGRAPH = rb"(?<![nrs])" + _LINE_END + _LINE_END + _GAP + _TEXT
_LINE_AFTER_SENTENCE = rb'[.o]"*+' + _LINE_END + _GAP + _TEXT
_LINE = rb"(?<![nrs])" + _LINE_END + _GAP + _TEXT
_SENTENCE = rb'\."*+(?:s++' + _TEXT + rb'|(?=y))|o"*+' + _TEXT
_AFTER_SPACE = rb"(?<![nrsb])s++" + _TEXT + rb"|[^nrsdb](?=y)"


class Learned(NamedTuple):
    """What a model can learn of beginnings and ends from a training text.

    Attributes:
        beginnings: what it begins texts as.
        ends: whether it can learn where texts end.
    """

    beginnings: Beginnings
    ends: bool


def divide_further(folder: Path, tokenizer: Tokenizer, division: Division) -> Learned:
    """Write where training may begin a text of the store in ``folder``, besides its documents.

    That is nowhere if there are many documents, or if the user has said what they are.

    Raises:
        OSError: if a file can't be read or written.
    """
    train = read_train(folder, tokenizer.vocab_size)
    most = 0 if division.within_files else MANY_DOCUMENTS
    if division.rules == 1 or not has_few_documents(train, most):
        return Learned("document", ends=True)
    beginnings, starts = find_starts(train, tokenizer)
    write_starts(folder, starts)
    return Learned(beginnings, ends=False)


def has_few_documents(train: StoredIds, many: int = MANY_DOCUMENTS) -> bool:
    """Whether fewer than ``many`` documents end in a text, or fewer than in RARE_DOCUMENTS tokens.

    Then a model reads too few to learn how they begin and end.
    """
    ends = sum(
        int(np.count_nonzero(train[start : start + _BLOCK] == END_OF_DOCUMENT))
        for start in range(0, train.size, _BLOCK)
    )
    ends -= bool(train.size) and bool(train[0] == END_OF_DOCUMENT)
    return ends < many or ends * RARE_DOCUMENTS < train.size


def find_starts(train: StoredIds, tokenizer: Tokenizer) -> tuple[Beginnings, NDArray[np.int64]]:
    """Return where texts could begin in a training text of few documents.

    The first of these that is frequent: after blank lines, if these divide paragraphs; after lines
    that end with a sentence, if lines are wrapped or mostly end so; after any line; after a
    sentence; after a space. If none is, anywhere.

    Args:
        train: the training text, [N].
        tokenizer: of its ids.

    Returns:
        What begins there, and the positions of the first tokens, ascending, int64 [starts].
    """
    kinds = _kinds(tokenizer)

    def search(pattern: bytes) -> _Found:
        return _search(pattern, train, kinds)

    kind, starts = _chosen(search, train, tokenizer)
    return kind, _with_usual_words(starts, train, tokenizer)


class _Found(NamedTuple):
    """The matches of a pattern.

    Attributes:
        total: how many there are, about as many if not all of the text was searched.
        starts: the positions after them, or after some, evenly spread, int64 [starts].
        lengths: the tokens between neighboring ones, of the first block, int64.
    """

    total: int
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


def _chosen(
    search: Callable[[bytes], _Found], train: StoredIds, tokenizer: Tokenizer
) -> tuple[Beginnings, NDArray[np.int64]]:
    """Return the kind of beginnings that fits a text, and where they are."""
    fewest = train.size / FREQUENT
    paragraphs, after_sentences = search(_PARAGRAPH), search(_LINE_AFTER_SENTENCE)
    if paragraphs.total >= max(fewest, LEAST_SHARE * after_sentences.total):
        return "paragraph", paragraphs.starts
    lines = search(_LINE)
    if after_sentences.total >= fewest and (
        2 * after_sentences.total >= lines.total or _are_wrapped(lines.lengths)
    ):
        return "line after a sentence", after_sentences.starts
    if lines.total >= fewest:
        return "line", lines.starts
    if (sentences := search(_SENTENCE)).total >= fewest:
        return "sentence", sentences.starts
    if (words := search(_AFTER_SPACE)).total >= fewest:
        return "word", words.starts
    anywhere = np.arange(1, train.size, max(1, -(-train.size // MOST_STARTS)))
    return "token", _between_words(anywhere, train) if tokenizer.spells else anywhere


def _are_wrapped(lengths: NDArray[np.int64]) -> bool:
    """Whether most lines are nearly as long as the longest."""
    return bool(lengths.size) and bool(np.median(lengths) >= WRAPPED * np.percentile(lengths, 90))


def _between_words(positions: NDArray[np.int64], train: StoredIds) -> NDArray[np.int64]:
    """Return the positions that are not within a spelled word."""
    kept, depth = [np.empty(0, np.int64)], 0
    for start in range(0, train.size, _BLOCK):
        ids = train[start : start + _BLOCK]
        changes = (ids == BEGIN_SPELLING).astype(np.int64) - (ids == END_SPELLING)
        depths = depth + np.concatenate([[0], np.cumsum(changes)])
        inside = positions[(positions >= start) & (positions < start + ids.size)]
        kept.append(inside[depths[inside - start] == 0])
        depth = int(depths[-1])
    return np.concatenate(kept)


def _with_usual_words(
    starts: NDArray[np.int64],
    train: StoredIds,
    tokenizer: Tokenizer,
) -> NDArray[np.int64]:
    """Return the starts whose first word several others share, if most do; otherwise all.

    What begins a single paragraph is often a name or a broken line. From these a model that has
    not trained long learns to begin with words that do not exist.
    """
    if not starts.size:
        return starts
    letters = np.array([piece[-1:].isalnum() for piece in tokenizer.pieces])
    spaced = np.array([piece.startswith(" ") for piece in tokenizer.pieces])
    hashes = np.zeros(starts.size, np.uint64)
    inside = np.ones(starts.size, np.bool_)  # the word, or before it
    begun = np.zeros(starts.size, np.bool_)
    for offset in range(_LONGEST_FIRST_WORD):
        ids = train[np.minimum(starts + offset, train.size - 1)]
        is_letter = letters[ids]
        inside &= ~begun | (is_letter & ~spaced[ids])
        begun |= is_letter
        taken = inside & is_letter
        hashes[taken] = hashes[taken] * _MULTIPLIER + ids[taken].astype(np.uint64) + np.uint64(1)
    _, words, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    usual = counts[words] >= USUAL
    return starts[usual] if 2 * np.count_nonzero(usual) >= starts.size else starts


def _search(pattern: bytes, train: StoredIds, kinds: NDArray[np.uint8]) -> _Found:
    """Find the matches of a pattern block by block; at most 2 * MOST_STARTS are in memory.

    Of a long text some blocks stand for all.
    """
    compiled = re.compile(pattern)
    kept, lengths = np.empty(0, np.int64), np.empty(0, np.int64)
    count, last, stride, searched = 0, 0, 1, 0
    blocks = range(0, train.size, _BLOCK)
    few = min(len(blocks), _MOST_BLOCKS)
    for start in (blocks[number * len(blocks) // few] for number in range(few)):
        searched += min(_BLOCK, train.size - start)
        before = max(0, start - 1)  # what a pattern may look back at
        text = kinds[train[before : start + _BLOCK + _LONGEST_SEPARATOR]].tobytes()
        matches = compiled.finditer(text, start - before)
        ends = np.fromiter((before + match.end() for match in matches), np.int64)
        ends = ends[ends > last]  # blocks overlap
        if ends.size:
            last = int(ends[-1])
        if not start:
            lengths = np.diff(ends)
        kept = np.concatenate([kept, ends[-count % stride :: stride]])
        count += ends.size
        while kept.size > MOST_STARTS:
            kept, stride = kept[::2], 2 * stride
    return _Found(count * train.size // max(1, searched), kept, lengths)


def _kinds(tokenizer: Tokenizer) -> NDArray[np.uint8]:
    """Return the kind of each id."""
    kinds = np.array([_kind_of(piece) for piece in tokenizer.pieces], np.uint8)
    kinds[END_OF_DOCUMENT], kinds[UNKNOWN] = _DOCUMENT, _WORD
    if tokenizer.spells:
        kinds[BEGIN_SPELLING : len(tokenizer.reserved)] = _SPELLED, _WORD
    return kinds


def _kind_of(piece: str) -> int:
    """Return the kind of a token by its text."""
    text = piece.removeprefix(" ")
    if not text or text.isspace():
        if "\n" in text or text in ("\x85", "\u2028", "\u2029"):
            return _NEWLINE
        return _RETURN if text == "\r" else _SPACE
    if all(character in _STOPS for character in text):
        return _STOP
    if all(character in _UNSPACED_STOPS for character in text):
        return _UNSPACED_STOP
    if all(character in _CLOSINGS for character in text):
        return _CLOSING
    return _SPACED if text != piece else _WORD
