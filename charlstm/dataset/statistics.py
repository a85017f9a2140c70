"""Counts of a corpus: what is known of a text beside its tokens.

Chunks of documents go in, counts come out. This module does not know how tokens are stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from charlstm.config import Beginnings
from charlstm.corpus.documents import Chunk, Fingerprint
from charlstm.corpus.line_hashes import LineGatherer
from charlstm.corpus.word_count import WordCounter
from charlstm.tokenizer.base import REPLACEMENT, Tokenizer
from charlstm.unicode_text import has_surrogates


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a corpus.

    Attributes:
        sha256: the hash of the text.
        documents: all documents, training and validation.
        characters: all characters.
        train_characters: characters of the training part.
        valid_characters: characters of the validation part.
        valid_words: runs without white space in the validation part.
        valid_unknown: counts of the characters of the validation part that have no id.
        distinct: distinct documents; 0 if files are documents.
        blank: lines that were left out because they are blank; 0 unless lines are documents.
        is_list: whether the text looks like a list of short lines, though files are documents.
        may_be_list: the same of a text that may be too short to tell.
        beginnings: what the model learns to begin a text as.
        ends: whether enough documents end in the training part to learn how they do.
        frequency_loss: nats per token of the validation part (of the training part if there is
            none) if each token is predicted by its frequency; ``None`` without tokens.
    """

    sha256: str
    documents: int
    characters: int
    train_characters: int
    valid_characters: int
    valid_words: int
    valid_unknown: dict[str, int]
    distinct: int = 0
    blank: int = 0
    is_list: bool = False
    may_be_list: bool = False
    beginnings: Beginnings = "document"
    ends: bool = True
    frequency_loss: float | None = None


class Tally:
    """Counts for ``Statistics``, chunk by chunk."""

    def __init__(self, within_files: bool) -> None:
        self.within_files = within_files
        self.characters = [0, 0]
        self.valid_words = WordCounter()
        self.valid_unknown: Counter[str] = Counter()
        self.distinct = LineGatherer()

    def add(self, validates: bool, chunk: Chunk, tokenizer: Tokenizer) -> None:
        """Count a chunk of the training or of the validation part."""
        # If files are divided, the model predicts the end of each document as a character.
        self.characters[validates] += len(chunk.text) + (self.within_files and chunk.ends_document)
        if self.within_files:
            self.distinct.add(chunk.text)
        if not validates:
            return
        self.valid_words.add(chunk.text)
        if chunk.ends_document:
            self.valid_words.end_document()
        self.valid_unknown.update(tokenizer.unknown_characters(chunk.text))

    def statistics(
        self, sha256: str, fingerprints: Iterable[Fingerprint], distinct: int
    ) -> Statistics:
        """Return the counts of a text with a hash, of which so many documents are distinct."""
        return Statistics(
            sha256=sha256,
            documents=sum(fingerprint.documents for fingerprint in fingerprints),
            characters=sum(self.characters),
            train_characters=self.characters[False],
            valid_characters=self.characters[True],
            valid_words=self.valid_words.count,
            valid_unknown=_encodable(self.valid_unknown),
            distinct=distinct,
        )


def _encodable(counts: Counter[str]) -> dict[str, int]:
    """Return counts that JSON can represent: lone surrogates count as U+FFFD."""
    encodable: Counter[str] = Counter()
    for character, count in counts.items():
        encodable[REPLACEMENT if has_surrogates(character) else character] += count
    return dict(encodable)
