"""Finds where a new text could begin in a training text of few documents.

A model trained on one long file reads the beginning of a document once per epoch, so it does not
learn how texts begin. Training therefore also begins at some of these positions (see ``batches``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.config import Beginnings, Division
from charlstm.dataset.store import StoredIds, TokenStore, read_train, ring_of, write_starts
from charlstm.tokenizer.base import (
    BEGIN_SPELLING,
    END_OF_DOCUMENT,
    END_SPELLING,
    UNKNOWN,
    Tokenizer,
)

# A text has few documents if fewer than MANY_DOCUMENTS end in it, or fewer than one per
# RARE_DOCUMENTS tokens. The model then reads too few to learn how they begin and end.
MANY_DOCUMENTS, RARE_DOCUMENTS = 10, 20_000

# A separator (blank line, line end and so on) is frequent if there is one per 4,000 tokens.
FREQUENT = 4_000

# Blank lines separate paragraphs, not only headings, if there is at least one for every four lines
# that end with a sentence.
LEAST_SHARE = 0.25

# Lines are wrapped if the median length is at least 70% of the length that a tenth exceeds.
WRAPPED = 0.7

# A word is a common first word if at least 3 paragraphs begin with it.
USUAL = 3
_LONGEST_FIRST_WORD = 24
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

# The most positions that are stored, evenly spaced.
MOST_STARTS = 2**18

# Tokens that are searched at a time, the longest separator that is always found, and the most
# blocks, evenly spaced, that are searched in a long text.
_BLOCK, _LONGEST_SEPARATOR, _MOST_BLOCKS = 2**20, 2**10, 16

# The most tokens of white space between two texts. A start after more is left out.
_LONGEST_GAP = 64

# The kinds of tokens that patterns distinguish: a line end (two kinds, since "\r" may be half of
# one), white space, the end of a sentence (in scripts with and without spaces), closing punctuation
# after that, the end of a document, the beginning of a spelled word, and any other token without
# and with a space before it.
_NEWLINE, _RETURN, _SPACE, _STOP, _UNSPACED_STOP, _CLOSING = b'nrs.o"'
_DOCUMENT, _SPELLED, _WORD, _SPACED = b"dbxy"
_STOPS, _UNSPACED_STOPS, _CLOSINGS = ".!?…؟۔।", "。！？", "\"'”’»)]』」）_*"

# Patterns of what comes before a position where a text could begin. Each begins at the start of a
# run of white space and never backtracks, so that long runs are fast.
_LINE_END, _GAP, _TEXT = rb"s*+(?>rn|n|r)", rb"[nrs]*+", rb"(?=[^nrsd])"
_PARAGRAPH = rb"(?<![nrs])" + _LINE_END + _LINE_END + _GAP + _TEXT
_LINE_AFTER_SENTENCE = rb'[.o]"*+' + _LINE_END + _GAP + _TEXT
_LINE = rb"(?<![nrs])" + _LINE_END + _GAP + _TEXT
_SENTENCE = rb'\."*+(?:s++' + _TEXT + rb'|(?=y))|o"*+' + _TEXT
_AFTER_SPACE = rb"(?<![nrsb])s++" + _TEXT + rb"|[^nrsdb](?=y)"


class Learned(NamedTuple):
    """What a model can learn from a training text about beginnings and ends.

    Attributes:
        beginnings: what the model begins a text as.
        ends: whether the model can learn where texts end.
    """

    beginnings: Beginnings
    ends: bool


def divide_further(folder: Path, tokenizer: Tokenizer, division: Division) -> Learned:
    """Write the positions where training may begin a text, besides the documents in the store.

    There are none if the text has many documents, or if the user has said what a document is and
    they are not too rare.

    Args:
        folder: the folder of the token store.
        tokenizer: the tokenizer of the store.
        division: how the text is divided into documents.

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
    """Return whether too few documents end in a text to learn how they begin and end.

    That is fewer than ``many``, or fewer than one per ``RARE_DOCUMENTS`` tokens.
    """
    ends = sum(
        int(np.count_nonzero(train[start : start + _BLOCK] == END_OF_DOCUMENT))
        for start in range(0, train.size, _BLOCK)
    )
    ends -= bool(train.size) and bool(train[0] == END_OF_DOCUMENT)
    return ends < many or ends * RARE_DOCUMENTS < train.size


def find_starts(train: StoredIds, tokenizer: Tokenizer) -> tuple[Beginnings, NDArray[np.int64]]:
    """Return where texts could begin in a training text of few documents.

    This is the first of these places that is frequent: after blank lines, if these separate
    paragraphs; after lines that end with a sentence, if lines are wrapped or mostly end that way;
    after any line; after a sentence; after a space. If none is frequent, a text can begin anywhere.

    Args:
        train: the training text, [N].
        tokenizer: the tokenizer of the ids.

    Returns:
        The kind of beginning, and the positions of the first tokens, ascending, int64 [starts].
    """
    kinds = _kinds(tokenizer)

    def search(pattern: bytes) -> _Found:
        return _search(pattern, train, kinds)

    kind, starts = _chosen(search, train, tokenizer)
    return kind, _with_usual_words(starts, train, tokenizer)


def starts_from_the_end(store: TokenStore, tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return where a text that is read from its end may begin.

    That is the last token before each of the ``starts`` that is not white space, since a line that
    a person types has no line break at its end.

    Args:
        store: the training text, a ring of N tokens.
        tokenizer: the tokenizer of the ids.

    Returns:
        Positions in the reversed ring, ascending, int64 [starts].
    """
    blank = np.array([not piece.strip() for piece in tokenizer.pieces])
    if tokenizer.spells:
        blank[BEGIN_SPELLING : len(tokenizer.reserved)] = False
    ring = ring_of(store.train)
    positions = (store.starts - 1) % ring.size
    for _ in range(_LONGEST_GAP):
        is_blank = blank[ring[positions]]
        if not is_blank.any():
            break
        positions = np.where(is_blank, (positions - 1) % ring.size, positions)
    found: NDArray[np.int64] = np.unique(ring.size - 1 - positions[~blank[ring[positions]]])
    return found


class _Found(NamedTuple):
    """The matches of a pattern.

    Attributes:
        total: the number of matches; an estimate if only a part of the text was searched.
        starts: the positions after the matches, or after evenly spaced ones, int64 [starts].
        lengths: the numbers of tokens between neighboring matches in the first block, int64.
    """

    total: int
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


def _chosen(
    search: Callable[[bytes], _Found], train: StoredIds, tokenizer: Tokenizer
) -> tuple[Beginnings, NDArray[np.int64]]:
    """Return the kind of beginnings that fits a text, and their positions."""
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
    """Return whether most lines are nearly as long as the longest ones."""
    return bool(lengths.size) and bool(np.median(lengths) >= WRAPPED * np.percentile(lengths, 90))


def _between_words(positions: NDArray[np.int64], train: StoredIds) -> NDArray[np.int64]:
    """Return the positions that are not inside a spelled word."""
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
    """Return the starts whose first word is common, if at least half are; otherwise all.

    A word that begins only one paragraph is often a name or part of a broken line. From these, a
    model that has not trained long learns to begin with words that do not exist.
    """
    if not starts.size:
        return starts
    letters = np.array([piece[-1:].isalnum() for piece in tokenizer.pieces])
    spaced = np.array([piece.startswith(" ") for piece in tokenizer.pieces])
    hashes = np.zeros(starts.size, np.uint64)
    inside = np.ones(starts.size, np.bool_)  # in the first word, or still before it
    started = np.zeros(starts.size, np.bool_)
    for offset in range(_LONGEST_FIRST_WORD):
        ids = train[np.minimum(starts + offset, train.size - 1)]
        is_letter = letters[ids]
        inside &= ~started | (is_letter & ~spaced[ids])
        started |= is_letter
        taken = inside & is_letter
        hashes[taken] = hashes[taken] * _MULTIPLIER + ids[taken].astype(np.uint64) + np.uint64(1)
    _, words, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    usual = counts[words] >= USUAL
    return starts[usual] if 2 * np.count_nonzero(usual) >= starts.size else starts


def _search(pattern: bytes, train: StoredIds, kinds: NDArray[np.uint8]) -> _Found:
    """Find the matches of a pattern block by block; at most 2 * MOST_STARTS are in memory.

    In a long text, only ``_MOST_BLOCKS`` evenly spaced blocks are searched.
    """
    compiled = re.compile(pattern)
    kept, lengths = np.empty(0, np.int64), np.empty(0, np.int64)
    count, last, stride, searched = 0, 0, 1, 0
    blocks = range(0, train.size, _BLOCK)
    few = min(len(blocks), _MOST_BLOCKS)
    for start in (blocks[number * len(blocks) // few] for number in range(few)):
        searched += min(_BLOCK, train.size - start)
        before = max(0, start - 1)  # patterns look back at one token
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
    """Return the kind of each id, uint8 [vocab_size]."""
    kinds = np.array([_kind_of(piece) for piece in tokenizer.pieces], np.uint8)
    kinds[END_OF_DOCUMENT], kinds[UNKNOWN] = _DOCUMENT, _WORD
    if tokenizer.spells:
        kinds[BEGIN_SPELLING : len(tokenizer.reserved)] = _SPELLED, _WORD
    return kinds


def _kind_of(piece: str) -> int:
    """Return the kind of a token with this text."""
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
