"""Counts of a corpus: its documents, characters, words and unknown characters."""

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
    """Counts of a corpus. If files are divided, the end of each document counts as a character.

    Attributes:
        sha256: the hash of the text.
        documents: the number of documents in the training and validation text.
        characters: the number of characters in the training and validation text.
        train_characters: the number of characters in the training text.
        valid_characters: the number of characters in the validation text.
        valid_words: the number of runs without white space in the validation text.
        valid_unknown: the counts of the characters in the validation text that have no id.
        distinct: the number of distinct documents; 0 if files are documents.
        blank: the number of lines or records that were left out because they are blank; 0 unless
            lines or records are documents.
        is_list: whether files are documents and the text looks like a list of short lines.
        may_be_list: like ``is_list``, but also for texts of two lines or more.
        beginnings: what the model learns to begin a text as.
        ends: whether enough documents end in the training text to learn how they end.
        frequency_loss: the loss in nats per token of predicting each token of the validation text
            (of the training text if there is none) by its frequency; ``None`` without tokens.
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
    """Collects the counts for ``Statistics``, chunk by chunk."""

    def __init__(self, within_files: bool) -> None:
        self.within_files = within_files
        self.characters = [0, 0]
        self.valid_words = WordCounter()
        self.valid_unknown: Counter[str] = Counter()
        self.distinct = LineGatherer()

    def add(self, validates: bool, chunk: Chunk, tokenizer: Tokenizer) -> None:
        """Count a chunk of the training or the validation text."""
        # If files are divided, the model predicts the end of each document like a character.
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
        """Return the counts of the text, with its hash and its number of distinct documents."""
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
    """Return the counts as JSON can represent them: lone surrogates count as U+FFFD."""
    encodable: Counter[str] = Counter()
    for character, count in counts.items():
        encodable[REPLACEMENT if has_surrogates(character) else character] += count
    return dict(encodable)
