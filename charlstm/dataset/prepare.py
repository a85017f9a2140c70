"""Prepares a corpus for training: builds its tokenizer, encodes it, and caches both.

Settings go in; a tokenizer, token ids on disk and statistics come out. There are at most three
passes over the text, none of which holds it in memory: the first hashes it; if the cache has no
entry for that hash and these settings, the second collects the vocabulary of the training part and
the third encodes. This module does not know models.
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

# Part of the key of every cache entry: raise it when the same settings give a different result.
STORE_VERSION = 9

# The most characters of recorded file names, so that a configuration stays within its size limit.
_RECORDED = 2**20

STATISTICS_FILE = "statistics.json"
TOKENIZER_FILE = "tokenizer.json"
LINES_FILE = "lines.bin"


# Told of a pass over the text: its task, and how much of how much is done, in bytes or characters.
OnReading: TypeAlias = Callable[[str, int, int | None], None]


def unwatched(task: str, done: int, total: int | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Prepared:
    """A corpus that is ready to train on.

    Attributes:
        name: a name for the folder of the checkpoint.
        sources: the names of the files.
        tokenizer: the tokenizer of ``store``.
        store: the token ids.
        statistics: counts.
        lines: hashes of all documents, those that validate too, so that none of the user's own text
            counts as new; ``None`` if files are documents.
        notes: what the user should know about the text.
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
        config: the text, and the part of it that validates.
        tokenizing: the settings of the tokenizer.
        stdin: the file with the spooled text of the address ``-`` or ``python-strings``.
        base: a tokenizer to extend; its ids stay the same.
        fixed: a tokenizer to use as it is, instead of building one.
        sha256: the hash that the text must have, from ``Statistics.sha256``.
        on_reading: told how far each pass has come; its task is ``reading``, ``vocabulary`` or
            ``encoding``.

    Raises:
        CorpusError: if the text can't be read, or if its documents can't be divided in two parts.
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
    """Return the hash that ``Statistics`` has of the text that trains, for its division.

    For the arguments see ``prepare``; the task is ``comparing``.

    Raises:
        CorpusError: if the text can't be read.
    """
    corpus = _open(config, config.addresses, stdin)
    if config.valid:
        corpus = _without(corpus, _open(config, config.valid, stdin))
    return corpus.fingerprint(on_bytes=_told(on_reading, "comparing", corpus)).sha256


def training_corpus(config: CorpusConfig, stdin: Path | None = None) -> Corpus:
    """Return the text that trains; if all of it is tables, it is divided into their records.

    Raises:
        CorpusError: if the text can't be read, or it is not clear which column to learn from.
        UsageError: if it is divided in a way that tables can't be.
    """
    return _open(config, config.addresses, stdin).as_tables()


def _encoded(text: _Text, tokenizer: Tokenizer) -> tuple[TokenStore, Statistics, LineHashes | None]:
    """Encode and count a text, or read the result from the cache."""
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
        f"the corpus ({named}) has changed since the run was begun: restore the text it was "
        f"begun with, or train on the new one with --from"
    )


def _recorded(names: list[str]) -> list[str]:
    """Return names to record, shortened to ``_RECORDED`` characters if there are very many."""
    left = _RECORDED
    for index, name in enumerate(names):
        left -= len(name)
        if left < 0:
            return [*names[:index], f"and {len(names) - index:,} more"]
    return names


def _tokenizer(text: _Text, tokenizing: TokenizerConfig, base: Tokenizer | None) -> Tokenizer:
    """Build the tokenizer of the training part, or read it from the cache."""

    def build(folder: Path) -> None:
        texts = (chunk.text for validates, chunk in text.divided("vocabulary") if not validates)
        characters = sum(fingerprint.characters for fingerprint in text.fingerprints)
        built = build_tokenizer(texts, tokenizing, base, characters=characters)
        (folder / TOKENIZER_FILE).write_bytes(built.to_json())

    def read(folder: Path) -> Tokenizer:
        return tokenizer_from_json((folder / TOKENIZER_FILE).read_bytes())

    settings = msgspec.json.encode((tokenizing, SEGMENTATION)) + (base.to_json() if base else b"")
    return cache.obtain("symbols-" + text.key(settings), build, read)


class _Text:
    """A corpus with its hash and its division into training and validation."""

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
                part.fingerprint(watch, _told(on_reading, "reading", part)) for part in parts
            ]
            _check_delimiter(self.corpus, self.fingerprints[0])
            if watch and config.valid_fraction and not self.valid and self.draw.all_alike:
                raise _alike_error(self.corpus, self.fingerprints[0].documents)

    @property
    def sha256(self) -> str:
        """The hash of all the text."""
        return "+".join(fingerprint.sha256 for fingerprint in self.fingerprints)

    def completed(self, statistics: Statistics) -> Statistics:
        """Add counts that texts with the same hash, and so the same cache entry, don't share."""
        return msgspec.structs.replace(
            statistics,
            blank=sum(fingerprint.blank for fingerprint in self.fingerprints),
            is_list=any(fingerprint.is_list for fingerprint in self.fingerprints),
            may_be_list=any(fingerprint.may_be_list for fingerprint in self.fingerprints),
        )

    def divided(self, task: str) -> Iterator[tuple[bool, Chunk]]:
        """Yield (validates, chunk) for all chunks of the text.

        Args:
            task: what for.

        Raises:
            CorpusError: at the end, if the text is longer or shorter than when it was hashed.
        """
        characters = told = 0
        total = sum(fingerprint.characters for fingerprint in self.fingerprints)
        for validates, chunk in self._parts():
            characters += len(chunk.text)
            if characters - told >= REPORT_EVERY:
                told = characters
                self.on_reading(task, characters, total)
            yield validates, chunk
        if characters != total:
            raise CorpusError(
                "the corpus has changed while it was read: train when nothing writes to it, or on "
                "a copy"
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
        """Whether the seed decides what validates."""
        return self.config.division.within_files and not self.valid

    def key(self, tokenizing: bytes) -> str:
        """Return a key for results that depend on this text: its hash counts, not its address."""
        division = {
            "division": self.config.division,
            # Only settings that change the division, so that another seed has the same key.
            "fraction": None if self.valid else self.config.valid_fraction,
            "seed": self.config.seed if self._is_drawn() else None,
            "whole words": self.whole_words,
        }
        # Python's version of Unicode decides what a letter is, and so where words end.
        parts = (STORE_VERSION, unicodedata.unidata_version, self.sha256, division)
        return hashlib.sha256(msgspec.json.encode(parts) + tokenizing).hexdigest()[:32]


def _told(on_reading: OnReading, task: str, corpus: Corpus) -> Callable[[int], None]:
    """Return what tells how many bytes of a corpus are read, of how many if its files are UTF-8."""
    is_utf8 = corpus.encoding.lower().replace("_", "-") in ("auto", "utf-8", "utf8", "ascii")
    total = total_size(corpus.sources) if is_utf8 else None
    return lambda done: on_reading(task, done, total)


def _check_delimiter(corpus: Corpus, fingerprint: Fingerprint) -> None:
    """Raise ``CorpusError`` if a training text does not have the delimiter that divides it."""
    delimiter = corpus.division.delimiter
    if delimiter is None or fingerprint.delimiters:
        return
    nearest = fingerprint.nearest
    raise CorpusError(
        f"{', '.join(corpus.addresses)}: no line equals the delimiter {delimiter!r}: "
        + ("give the line that is between documents" if nearest is None else f"give {nearest!r}")
        + ", or divide the text with --paragraphs or --lines"
    )


def _alike_error(corpus: Corpus, documents: int) -> CorpusError:
    """Return the error for a text that has one document, perhaps several times."""
    unit = corpus.division.unit
    name, option = NAMES[unit], OPTIONS[unit]
    found = f"is one {name}" if documents == 1 else f"has {documents:,} {name}s, all the same"
    others = [other for other in ("--lines", "--paragraphs", "--delimiter") if other != option]
    otherwise = f"leave {option} out, divide the text with {' or '.join(others)}"
    if unit == "record":
        otherwise = "read the file as plain text with --format text"
    return CorpusError(
        f"{', '.join(corpus.addresses)} {found}, which can't both train and validate: {otherwise}, "
        f"name another text with --valid, or train on all of it with --valid-fraction 0"
    )


def _without(corpus: Corpus, valid: Corpus) -> Corpus:
    """Return the corpus without the sources that validate, which must never be trained on."""
    validating = {source.path.resolve() for source in valid.sources}
    left = tuple(source for source in corpus.sources if source.path.resolve() not in validating)
    if not left:
        raise CorpusError(
            f"{', '.join(corpus.addresses)} is all named by --valid too, which leaves nothing to "
            f"train on: name different texts"
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
