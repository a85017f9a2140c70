"""From a corpus to ids on disk: fingerprint, vocabulary, token store, through the cache.

Three streaming passes at most, none of which holds the text in memory: one finds the length and
the hash; if the cache has no store for that hash and these settings, one counts symbols in the
training part and one encodes. This module joins corpus, tokenizer and dataset; it does not know
models.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.corpus.documents import Chunk, Corpus, open_corpus
from charlstm.corpus.line_hashes import LineGatherer, LineHashes
from charlstm.corpus.split import divide
from charlstm.corpus.word_count import WordCounter
from charlstm.dataset.store import Encoded, TokenStore, read_store, write_store
from charlstm.errors import CorpusChanged, CorpusError
from charlstm.system import cache
from charlstm.tokenizer.base import REPLACEMENT, Tokenizer
from charlstm.tokenizer.storage import tokenizer_from_json
from charlstm.tokenizer.vocabulary import build_tokenizer
from charlstm.unicode_text import has_surrogates

# Part of the key of every cached store: raise it when the same settings give another store.
STORE_VERSION = 3

# Characters of the names of files that are recorded, so that a configuration can be read again.
_RECORDED = 2**20

STATISTICS_FILE = "statistics.json"
TOKENIZER_FILE = "tokenizer.json"
LINES_FILE = "lines.bin"


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The corpus in numbers.

    ``valid_words`` counts stretches without white space; ``valid_unknown`` the characters of the
    validation text that the training text does not have; ``train_lines`` the distinct lines of
    the training text where each line is a document.
    """

    sha256: str
    documents: int
    characters: int
    train_characters: int
    valid_characters: int
    valid_words: int
    valid_unknown: dict[str, int]
    train_lines: int = 0


@dataclass(frozen=True)
class Prepared:
    """A corpus ready to train on; ``lines`` of its training part, if each is a document."""

    name: str
    sources: tuple[str, ...]
    tokenizer: Tokenizer
    store: TokenStore
    statistics: Statistics
    lines: LineHashes | None = None


def prepare(
    config: CorpusConfig,
    tokenizing: TokenizerConfig,
    *,
    stdin: Path | None = None,
    base: Tokenizer | None = None,
    fixed: Tokenizer | None = None,
    sha256: str | None = None,
) -> Prepared:
    """Read the corpus once or more and return its tokenizer, token store and statistics.

    Args:
        config: which text, and which part of it validates.
        tokenizing: how to build the tokenizer.
        stdin: where the text of the address ``-`` has been spooled.
        base: a tokenizer to extend; its ids are kept.
        fixed: a tokenizer to use as it is, instead of building one.
        sha256: what the text must be, by ``Statistics.sha256``.

    Raises:
        CorpusError: if the text can't be read.
        CorpusChanged: if it is another than ``sha256`` says.
        StorageError: if the cache can't be written.
    """
    text = _Text(config, tokenizing.level == "word", stdin)
    if sha256 not in (None, text.sha256):
        named = ", ".join(config.addresses + config.valid)
        raise CorpusChanged(
            f"the corpus ({named}) has changed since the run was begun: restore the text it was "
            f"begun with, or train on the new one with --from"
        )
    built = fixed or _tokenizer(text, tokenizing)
    tokenizer = base.extend(built) if base is not None else built

    def build(folder: Path) -> None:
        tally = _Tally(config.lines)
        write_store(folder, _encode(text.divided(), tokenizer, tally), tokenizer.vocab_size)
        lines = tally.train_lines.finish()
        if config.lines:
            lines.hashes.tofile(folder / LINES_FILE)
        statistics = tally.statistics(text, len(lines))
        (folder / STATISTICS_FILE).write_bytes(msgspec.json.encode(statistics))

    def read(folder: Path) -> tuple[TokenStore, Statistics, LineHashes | None]:
        data = (folder / STATISTICS_FILE).read_bytes()
        statistics = msgspec.json.decode(data, type=Statistics)
        lines = None
        if config.lines:
            lines = LineHashes(np.fromfile(folder / LINES_FILE, np.uint64))
        return read_store(folder, tokenizer.vocab_size), statistics, lines

    key = "tokens-" + text.key(tokenizer.to_json())
    store, statistics, lines = cache.obtain(key, build, read)
    sources = tuple(_recorded([source.name for source in text.corpus.sources]))
    return Prepared(text.corpus.name, sources, tokenizer, store, statistics, lines)


def _recorded(names: list[str]) -> list[str]:
    """Return names as they are recorded: the first of them, where a corpus has very many files."""
    left = _RECORDED
    for place, name in enumerate(names):
        left -= len(name)
        if left < 0:
            return [*names[:place], f"and {len(names) - place:,} more"]
    return names


def _tokenizer(text: _Text, tokenizing: TokenizerConfig) -> Tokenizer:
    """Build the tokenizer of the training part, or find it in the cache."""

    def build(folder: Path) -> None:
        texts = (chunk.text for validates, chunk in text.divided() if not validates)
        (folder / TOKENIZER_FILE).write_bytes(build_tokenizer(texts, tokenizing).to_json())

    def read(folder: Path) -> Tokenizer:
        return tokenizer_from_json((folder / TOKENIZER_FILE).read_bytes())

    return cache.obtain("symbols-" + text.key(msgspec.json.encode(tokenizing)), build, read)


class _Text:
    """The corpus with its hash and its division into training and validation."""

    def __init__(self, config: CorpusConfig, whole_words: bool, stdin: Path | None) -> None:
        self.config = config
        self.whole_words = whole_words
        self.corpus = _open(config, config.addresses, stdin)
        self.valid = _open(config, config.valid, stdin) if config.valid else None
        if self.valid is not None:
            self.corpus = _without(self.corpus, self.valid)
        parts = (self.corpus,) if self.valid is None else (self.corpus, self.valid)
        self.fingerprints = [part.fingerprint() for part in parts]

    @property
    def sha256(self) -> str:
        """The hash of all the text."""
        return "+".join(fingerprint.sha256 for fingerprint in self.fingerprints)

    def divided(self) -> Iterator[tuple[bool, Chunk]]:
        """Yield (validates, chunk) over the whole text, from its beginning.

        Raises:
            CorpusError: at the end, if there was more or less text than when it was hashed.
        """
        characters = 0
        for validates, chunk in self._parts():
            characters += len(chunk.text)
            yield validates, chunk
        if characters != sum(fingerprint.characters for fingerprint in self.fingerprints):
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
        )

    def key(self, tokenizing: bytes) -> str:
        """Return what identifies data made of this text: its hash, never its address."""
        division = {
            "lines": self.config.lines,
            # Only what decides the division counts, so that another seed finds the same files.
            "fraction": None if self.valid else self.config.valid_fraction,
            "seed": self.config.seed if self.config.lines and not self.valid else None,
            "whole words": self.whole_words,
        }
        # What is a letter, and so where words end, depends on Python's version of Unicode.
        parts = (STORE_VERSION, unicodedata.unidata_version, self.sha256, division)
        return hashlib.sha256(msgspec.json.encode(parts) + tokenizing).hexdigest()[:32]


def _without(corpus: Corpus, valid: Corpus) -> Corpus:
    """Return the corpus without the sources that validate, which must never be trained on."""
    taken = {source.path.resolve() for source in valid.sources}
    left = tuple(source for source in corpus.sources if source.path.resolve() not in taken)
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
        lines=config.lines,
        stdin=stdin,
    )


class _Tally:
    """Counts what statistics need while chunks pass by."""

    def __init__(self, lines: bool) -> None:
        self.lines = lines
        self.characters = [0, 0]
        self.valid_words = WordCounter()
        self.valid_unknown: Counter[str] = Counter()
        self.train_lines = LineGatherer()

    def add(self, validates: bool, chunk: Chunk, tokenizer: Tokenizer) -> None:
        # Where each line is a document, its line end is a character that the model predicts.
        self.characters[validates] += len(chunk.text) + (self.lines and chunk.ends_document)
        if self.lines and not validates:
            self.train_lines.add(chunk.text)
        if not validates:
            return
        self.valid_words.add(chunk.text)
        if chunk.ends_document:
            self.valid_words.end_document()
        self.valid_unknown.update(tokenizer.unknown_characters(chunk.text))

    def statistics(self, text: _Text, train_lines: int) -> Statistics:
        return Statistics(
            sha256=text.sha256,
            documents=sum(fingerprint.documents for fingerprint in text.fingerprints),
            characters=sum(self.characters),
            train_characters=self.characters[False],
            valid_characters=self.characters[True],
            valid_words=self.valid_words.count,
            valid_unknown=_encodable(self.valid_unknown),
            train_lines=train_lines,
        )


def _encodable(counts: Counter[str]) -> dict[str, int]:
    """Return counts of characters; lone surrogates, which JSON has not, count as U+FFFD."""
    found: Counter[str] = Counter()
    for character, count in counts.items():
        found[REPLACEMENT if has_surrogates(character) else character] += count
    return dict(found)


def _encode(
    divided: Iterator[tuple[bool, Chunk]], tokenizer: Tokenizer, tally: _Tally
) -> Iterator[Encoded]:
    for validates, chunk in divided:
        tally.add(validates, chunk, tokenizer)
        yield Encoded(validates, tokenizer.encode(chunk.text), chunk.ends_document)
