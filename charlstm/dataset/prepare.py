"""Prepares a corpus for training: builds its tokenizer, encodes it, and caches both.

There are at most three passes over the text, which is never in memory as a whole. The first pass
hashes the text. If the cache has no entry for that hash and these settings, the second pass
collects the vocabulary of the training text and the third encodes.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np

from charlstm.config import (
    SEGMENTATION,
    CorpusConfig,
    TokenizerConfig,
)
from charlstm.corpus.division import NAMES, OPTIONS
from charlstm.corpus.documents import REPORT_EVERY, Chunk, Corpus, Fingerprint, open_corpus
from charlstm.corpus.line_hashes import LineHashes
from charlstm.corpus.reading import total_size
from charlstm.corpus.sources import FileChoice
from charlstm.corpus.split import DocumentDraw, divide
from charlstm.dataset.beginnings import divide_further
from charlstm.dataset.frequencies import frequency_loss
from charlstm.dataset.statistics import Statistics, Tally
from charlstm.dataset.store import Encoded, TokenStore, read_store, write_store
from charlstm.errors import CorpusChanged, CorpusError
from charlstm.system import cache
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.storage import tokenizer_from_json
from charlstm.tokenizer.vocabulary import build_tokenizer

# Part of the key of every cache entry: increase it when the same settings give another result.
STORE_VERSION = 9

# The most characters of file names to record, so that a configuration stays within its size limit.
_RECORDED = 2**20

STATISTICS_FILE = "statistics.json"
TOKENIZER_FILE = "tokenizer.json"
LINES_FILE = "lines.bin"


# Called during a pass over the text with its task, the bytes or characters done, and the total.
OnReading: TypeAlias = Callable[[str, int, int | None], None]


def unwatched(task: str, done: int, total: int | None) -> None:
    """Ignore the progress of a pass."""


@dataclass(frozen=True)
class Prepared:
    """A corpus that is ready to train on.

    Attributes:
        name: a name for the folder of the checkpoint.
        sources: the names of the files.
        tokenizer: the tokenizer of ``store``.
        store: the token ids.
        statistics: counts of the text.
        lines: hashes of all training and validation documents, so that none of the user's own text
            counts as new; ``None`` if files are documents.
        notes: notes for the user.
    """

    name: str
    sources: tuple[str, ...]
    tokenizer: Tokenizer
    store: TokenStore
    statistics: Statistics
    lines: LineHashes | None = None
    notes: tuple[str, ...] = ()


def prepare(
    config: CorpusConfig,
    tokenizing: TokenizerConfig,
    *,
    stdin: Path | None = None,
    base: Tokenizer | None = None,
    fixed: Tokenizer | None = None,
    sha256: str | None = None,
    on_reading: OnReading = unwatched,
) -> Prepared:
    """Read a corpus and return its tokenizer, token store and statistics.

    Args:
        config: the text, and its validation split.
        tokenizing: the settings of the tokenizer.
        stdin: the file with the spooled text of the address ``-`` or ``python-strings``.
        base: a tokenizer to extend; its ids stay the same.
        fixed: a tokenizer to use as it is, instead of building one.
        sha256: the hash that the text must have, from ``Statistics.sha256``.
        on_reading: called with the progress of each pass; its task is ``reading``, ``vocabulary``
            or ``encoding``.

    Raises:
        CorpusError: if the text can't be read, or can't be divided into training and validation
            text.
        CorpusChanged: if the text does not have the hash ``sha256``.
        StorageError: if the cache can't be written.
    """
    text = _Text(config, tokenizing.level != "char", stdin, on_reading)
    if sha256 not in (None, text.sha256):
        raise _changed_error(config)
    tokenizer = fixed or _tokenizer(text, tokenizing, base)
    store, statistics, lines = _encoded(text, tokenizer)
    sources = tuple(_recorded([source.name for source in text.corpus.sources]))
    notes = text.corpus.notes
    if text.valid is not None:
        notes.take(text.valid.notes)
    name, statistics = text.corpus.name, text.completed(statistics)
    return Prepared(name, sources, tokenizer, store, statistics, lines, notes.sentences)


def hash_of_text(
    config: CorpusConfig, stdin: Path | None = None, on_reading: OnReading = unwatched
) -> str:
    """Return the hash of the text without ``config.valid``, as in ``Statistics.sha256``.

    For the arguments see ``prepare``; the task is ``comparing``.

    Raises:
        CorpusError: if the text can't be read.
    """
    corpus = _open(config, config.addresses, stdin)
    if config.valid:
        corpus = _without(corpus, _open(config, config.valid, stdin))
    return corpus.fingerprint(on_bytes=_reporter(on_reading, "comparing", corpus)).sha256


def training_corpus(config: CorpusConfig, stdin: Path | None = None) -> Corpus:
    """Return the text to train on, divided into records if all of its files are tables.

    Raises:
        CorpusError: if the text can't be read, or it is not clear which column contains text.
        UsageError: if a table is to be divided like plain text.
    """
    return _open(config, config.addresses, stdin).as_tables()


def _encoded(text: _Text, tokenizer: Tokenizer) -> tuple[TokenStore, Statistics, LineHashes | None]:
    """Encode and count a text, or take the result from the cache."""
    division = text.config.division

    def build(folder: Path) -> None:
        tally = Tally(division.within_files)
        write_store(
            folder, _encode(text.divided("encoding"), tokenizer, tally), tokenizer.vocab_size
        )
        learned = divide_further(folder, tokenizer, division)
        lines = tally.distinct.finish()
        if division.within_files:
            lines.hashes.tofile(folder / LINES_FILE)
        statistics = msgspec.structs.replace(
            tally.statistics(text.sha256, text.fingerprints, len(lines)),
            beginnings=learned.beginnings,
            ends=learned.ends,
            frequency_loss=_frequency_loss(read_store(folder, tokenizer.vocab_size), tokenizer),
        )
        (folder / STATISTICS_FILE).write_bytes(msgspec.json.encode(statistics))

    def read(folder: Path) -> tuple[TokenStore, Statistics, LineHashes | None]:
        data = (folder / STATISTICS_FILE).read_bytes()
        statistics = msgspec.json.decode(data, type=Statistics)
        lines = None
        if division.within_files:
            lines = LineHashes(np.fromfile(folder / LINES_FILE, np.uint64))
        return read_store(folder, tokenizer.vocab_size), statistics, lines

    return cache.obtain("tokens-" + text.key(tokenizer.to_json()), build, read)


def _frequency_loss(store: TokenStore, tokenizer: Tokenizer) -> float | None:
    text = store.valid if store.valid_tokens else store.train
    return frequency_loss(store.train, text, tokenizer.vocab_size)


def _changed_error(config: CorpusConfig) -> CorpusChanged:
    named = ", ".join(config.addresses + config.valid)
    return CorpusChanged(
        f"{named}: the text has changed since the run started. Restore the old text, or fine-tune "
        f"on the new one with `from_checkpoint`."
    )


def _recorded(names: list[str]) -> list[str]:
    """Return file names to record, at most ``_RECORDED`` characters and a count of the others."""
    left = _RECORDED
    for index, name in enumerate(names):
        left -= len(name)
        if left < 0:
            return [*names[:index], f"and {len(names) - index:,} more"]
    return names


def _tokenizer(text: _Text, tokenizing: TokenizerConfig, base: Tokenizer | None) -> Tokenizer:
    """Build a tokenizer from the training text, or take it from the cache."""

    def build(folder: Path) -> None:
        texts = (chunk.text for validates, chunk in text.divided("vocabulary") if not validates)
        characters = sum(fingerprint.characters for fingerprint in text.fingerprints)
        built = build_tokenizer(texts, tokenizing, base, characters=characters)
        (folder / TOKENIZER_FILE).write_bytes(built.to_json())

    def read(folder: Path) -> Tokenizer:
        return tokenizer_from_json((folder / TOKENIZER_FILE).read_bytes())

    settings = msgspec.json.encode((tokenizing, SEGMENTATION)) + (base.to_json() if base else b"")
    return cache.obtain("vocabulary-" + text.key(settings), build, read)


class _Text:
    """A corpus with its hash, divided into training and validation text."""

    def __init__(
        self,
        config: CorpusConfig,
        whole_words: bool,
        stdin: Path | None,
        on_reading: OnReading,
    ) -> None:
        self.config = config
        self.on_reading = on_reading
        self.whole_words = whole_words
        self.corpus = _open(config, config.addresses, stdin)
        self.valid = _open(config, config.valid, stdin) if config.valid else None
        if self.valid is not None:
            self.corpus = _without(self.corpus, self.valid)
        parts = (self.corpus,) if self.valid is None else (self.corpus, self.valid)
        self.draw = DocumentDraw(0 if self.valid else config.valid_fraction, config.seed)
        watch = self.draw.see if config.division.within_files else None
        with self.corpus.notes.kept_by_errors():
            self.fingerprints = [
                part.fingerprint(watch, _reporter(on_reading, "reading", part)) for part in parts
            ]
            _check_delimiter(self.corpus, self.fingerprints[0])
            if watch and config.valid_fraction and not self.valid and self.draw.all_alike:
                raise _alike_error(self.corpus, self.fingerprints[0].documents)

    @property
    def sha256(self) -> str:
        """The hash of the whole text."""
        return "+".join(fingerprint.sha256 for fingerprint in self.fingerprints)

    def completed(self, statistics: Statistics) -> Statistics:
        """Add the counts that may differ between texts with the same hash and cache entry."""
        return msgspec.structs.replace(
            statistics,
            blank=sum(fingerprint.blank for fingerprint in self.fingerprints),
            is_list=any(fingerprint.is_list for fingerprint in self.fingerprints),
            may_be_list=any(fingerprint.may_be_list for fingerprint in self.fingerprints),
        )

    def divided(self, task: str) -> Iterator[tuple[bool, Chunk]]:
        """Yield (is validation text, chunk) for all chunks of the text.

        Args:
            task: the task of this pass, for ``on_reading``.

        Raises:
            CorpusError: at the end, if the text is longer or shorter than when it was hashed.
        """
        characters = reported = 0
        total = sum(fingerprint.characters for fingerprint in self.fingerprints)
        for validates, chunk in self._parts():
            characters += len(chunk.text)
            if characters - reported >= REPORT_EVERY:
                reported = characters
                self.on_reading(task, characters, total)
            yield validates, chunk
        if characters != total:
            raise CorpusError(
                "the corpus changed while it was read. Stop the program that writes to it, or "
                "train on a copy."
            )

    def _parts(self) -> Iterator[tuple[bool, Chunk]]:
        if self.valid is not None:
            yield from ((False, chunk) for chunk in self.corpus.chunks())
            yield from ((True, chunk) for chunk in self.valid.chunks())
            return
        yield from divide(
            self.corpus,
            self.fingerprints[0].characters,
            self.config.valid_fraction,
            seed=self.config.seed,
            whole_words=self.whole_words,
            draw=self.draw,
        )

    def _is_drawn(self) -> bool:
        """Return whether the seed decides what is validation text."""
        return self.config.division.within_files and not self.valid

    def key(self, tokenizing: bytes) -> str:
        """Return a cache key for results that depend on this text (by hash, not by address)."""
        division = {
            "division": self.config.division,
            # Only settings that change the division, so that a seed without effect is left out.
            "fraction": None if self.valid else self.config.valid_fraction,
            "seed": self.config.seed if self._is_drawn() else None,
            "whole words": self.whole_words,
        }
        # The Unicode version of Python decides what is a letter, and so where words end.
        parts = (STORE_VERSION, unicodedata.unidata_version, self.sha256, division)
        return hashlib.sha256(msgspec.json.encode(parts) + tokenizing).hexdigest()[:32]


def _reporter(on_reading: OnReading, task: str, corpus: Corpus) -> Callable[[int], None]:
    """Return a function that reports the bytes read so far, and the total for UTF-8 files."""
    is_utf8 = corpus.encoding.lower().replace("_", "-") in ("auto", "utf-8", "utf8", "ascii")
    total = total_size(corpus.sources) if is_utf8 else None
    return lambda done: on_reading(task, done, total)


def _check_delimiter(corpus: Corpus, fingerprint: Fingerprint) -> None:
    """Raise ``CorpusError`` if no line of the training text equals the delimiter."""
    delimiter = corpus.division.delimiter
    if delimiter is None or fingerprint.delimiters:
        return
    nearest = fingerprint.nearest
    raise CorpusError(
        f"{', '.join(corpus.addresses)}: no line equals the delimiter {delimiter!r}."
        + ("" if nearest is None else f" Did you mean {nearest!r}?")
    )


def _alike_error(corpus: Corpus, documents: int) -> CorpusError:
    """Return the error for a text with one document, or with several equal ones."""
    unit = corpus.division.unit
    name, option = NAMES[unit], OPTIONS[unit]
    found = f"is one {name}" if documents == 1 else f"has {documents:,} {name}s, all the same"
    remedy = f"Leave {option} out"
    if unit == "record":
        remedy = "Read it as plain text with `format` text"
    return CorpusError(
        f"{', '.join(corpus.addresses)} {found}, so there is nothing to validate on. {remedy}, "
        f"or train on all of it with `valid_fraction` 0."
    )


def _without(corpus: Corpus, valid: Corpus) -> Corpus:
    """Return the corpus without the sources in ``valid``, which must never be trained on."""
    validating = {source.path.resolve() for source in valid.sources}
    left = tuple(source for source in corpus.sources if source.path.resolve() not in validating)
    if not left:
        raise CorpusError(
            f"{', '.join(corpus.addresses)}: all of it is in `valid` too, so there is nothing to "
            f"train on."
        )
    return replace(corpus, sources=left)


def _open(config: CorpusConfig, addresses: tuple[str, ...], stdin: Path | None) -> Corpus:
    return open_corpus(
        addresses,
        encoding=config.encoding,
        decode_errors=config.decode_errors,
        division=config.division,
        normalize=config.normalize,
        choice=FileChoice(config.format, config.include, config.exclude),
        dedupe=config.dedupe,
        stdin=stdin,
        legacy=config.division.rules == 1,
    )


def _encode(
    divided: Iterator[tuple[bool, Chunk]], tokenizer: Tokenizer, tally: Tally
) -> Iterator[Encoded]:
    for validates, chunk in divided:
        tally.add(validates, chunk, tokenizer)
        yield Encoded(validates, tokenizer.encode(chunk.text), chunk.ends_document)
