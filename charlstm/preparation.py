"""From a corpus to ids on disk: fingerprint, vocabulary, token store, through the cache.

Three streaming passes at most, none of which holds the text in memory: one finds the length and
the hash; if the cache has no store for that hash and these settings, one counts symbols in the
training part and one encodes. This module joins corpus, tokenizer and dataset; it does not know
models.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from charlstm import cache
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.corpus import Chunk, Corpus, Fingerprint, divide, open_corpus
from charlstm.dataset import Encoded, TokenStore, read_store, write_store
from charlstm.tokenizer import Tokenizer, build_tokenizer, tokenizer_from_json

# Part of the key of every cached store: raise it when the same settings give another store.
STORE_VERSION = 1

STATISTICS_FILE = "statistics.json"
TOKENIZER_FILE = "tokenizer.json"


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The corpus in numbers.

    ``valid_words`` counts stretches without white space; ``valid_unknown`` the characters of the
    validation text that the training text does not have.
    """

    sha256: str
    documents: int
    characters: int
    train_characters: int
    valid_characters: int
    valid_words: int
    valid_unknown: dict[str, int]


@dataclass(frozen=True)
class Prepared:
    """A corpus that is ready to train on."""

    name: str
    sources: tuple[str, ...]
    tokenizer: Tokenizer
    store: TokenStore
    statistics: Statistics


def prepare(
    config: CorpusConfig,
    tokenizing: TokenizerConfig,
    *,
    stdin: Path | None = None,
    base: Tokenizer | None = None,
    fixed: Tokenizer | None = None,
) -> Prepared:
    """Read the corpus once or more and return its tokenizer, token store and statistics.

    Args:
        config: which text, and which part of it validates.
        tokenizing: how to build the tokenizer.
        stdin: where the text of the address ``-`` has been spooled.
        base: a tokenizer to extend; its ids are kept.
        fixed: a tokenizer to use as it is, instead of building one.

    Raises:
        CorpusError: if the text can't be read.
        StorageError: if the cache can't be written.
    """
    text = _Text(config, tokenizing.level == "word", stdin)
    built = fixed or _tokenizer(text, tokenizing)
    tokenizer = base.extend(built) if base is not None else built

    def build(folder: Path) -> None:
        tally = _Tally(config.lines)
        write_store(folder, _encode(text.divided(), tokenizer, tally), tokenizer.vocab_size)
        statistics = tally.statistics(text.fingerprints)
        (folder / STATISTICS_FILE).write_bytes(msgspec.json.encode(statistics))

    folder = cache.obtain("tokens-" + text.key(tokenizer.to_json()), build)
    statistics = msgspec.json.decode((folder / STATISTICS_FILE).read_bytes(), type=Statistics)
    store = read_store(folder, tokenizer.vocab_size)
    sources = tuple(source.name for source in text.corpus.sources)
    return Prepared(text.corpus.name, sources, tokenizer, store, statistics)


def _tokenizer(text: _Text, tokenizing: TokenizerConfig) -> Tokenizer:
    """Build the tokenizer of the training part, or find it in the cache."""

    def build(folder: Path) -> None:
        texts = (chunk.text for validates, chunk in text.divided() if not validates)
        (folder / TOKENIZER_FILE).write_bytes(build_tokenizer(texts, tokenizing).to_json())

    folder = cache.obtain("symbols-" + text.key(msgspec.json.encode(tokenizing)), build)
    return tokenizer_from_json((folder / TOKENIZER_FILE).read_bytes())


class _Text:
    """The corpus with its hash and its division into training and validation."""

    def __init__(self, config: CorpusConfig, whole_words: bool, stdin: Path | None) -> None:
        self.config = config
        self.whole_words = whole_words
        self.corpus = _open(config, config.addresses, stdin)
        self.valid = _open(config, config.valid, stdin) if config.valid else None
        parts = (self.corpus,) if self.valid is None else (self.corpus, self.valid)
        self.fingerprints = [part.fingerprint() for part in parts]

    def divided(self) -> Iterator[tuple[bool, Chunk]]:
        """Yield (validates, chunk) over the whole text, from its beginning."""
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
        hashes = [fingerprint.sha256 for fingerprint in self.fingerprints]
        settings = self.config.replace(addresses=(), valid=())
        parts = (STORE_VERSION, hashes, settings, self.whole_words)
        return hashlib.sha256(msgspec.json.encode(parts) + tokenizing).hexdigest()[:32]


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
        self.valid_words = 0
        self.valid_unknown: Counter[str] = Counter()
        self.inside_word = False

    def add(self, validates: bool, chunk: Chunk, tokenizer: Tokenizer) -> None:
        # Where each line is a document, its line end is a character that the model predicts.
        self.characters[validates] += len(chunk.text) + (self.lines and chunk.ends_document)
        if not validates or not chunk.text:
            return
        # A word that goes on from the chunk before has been counted there.
        continues = self.inside_word and not chunk.text[0].isspace()
        self.valid_words += len(chunk.text.split()) - continues
        self.inside_word = not chunk.text[-1].isspace() and not chunk.ends_document
        self.valid_unknown += tokenizer.unknown_characters(chunk.text)

    def statistics(self, fingerprints: list[Fingerprint]) -> Statistics:
        return Statistics(
            sha256="+".join(fingerprint.sha256 for fingerprint in fingerprints),
            documents=sum(fingerprint.documents for fingerprint in fingerprints),
            characters=sum(self.characters),
            train_characters=self.characters[False],
            valid_characters=self.characters[True],
            valid_words=self.valid_words,
            valid_unknown=dict(self.valid_unknown),
        )


def _encode(
    divided: Iterator[tuple[bool, Chunk]], tokenizer: Tokenizer, tally: _Tally
) -> Iterator[Encoded]:
    for validates, chunk in divided:
        tally.add(validates, chunk, tokenizer)
        yield Encoded(validates, tokenizer.encode(chunk.text), chunk.ends_document)
