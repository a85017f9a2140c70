"""How much of a text occurs verbatim in another text, in windows of 10 to 50 characters.

A model that has memorized a text writes long stretches of it. Windows are compared as 64-bit
hashes, so that the other text is read once and not held in memory. This module generates text; it
does not know files.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Ids, Mask
from charlstm.config import SampleConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.engine.inference import Engine
from charlstm.evaluation.text_metrics import Texts
from charlstm.generation.decoder import generate
from charlstm.tokenizer.base import Tokenizer, code_points

Hashes: TypeAlias = NDArray[np.uint64]

CHARACTERS = 20_000  # written by default
LENGTHS = (10, 20, 30, 40, 50)  # of the windows, in characters
MOST = 2**20  # windows of one length to look for; further ones are left out
# The length of one generated text in tokens: many short ones are drawn as a batch.
_TOKENS = {"char": 1_000, "subword": 400, "word": 250}
_CHARACTERS = 1_000  # of one of them, as a first guess
_PATIENCE = 1_000  # texts to draw more than asked for, should the model write nothing
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Overlap:
    """The share of a text's windows that occur in another text.

    Attributes:
        shares: for each length of window; ``None`` if the text is shorter.
        windows: for each length, how many windows were looked for.
        documents: the share of documents that are documents of the other text; ``None`` without
            any, or if files are documents.
    """

    shares: dict[int, float | None]
    windows: dict[int, int]
    documents: float | None = None


@dataclass(frozen=True)
class Memorization:
    """How much of what a model writes occurs verbatim in the text it was trained on.

    Attributes:
        characters: how many characters it wrote.
        seed: determined what it wrote.
        generated: how much of that occurs in the training text.
        text: how much of another text does, for comparison; ``None`` if none was given.
    """

    characters: int
    seed: int
    generated: Overlap
    text: Overlap | None


def measure_memorization(
    engine: Engine,
    tokenizer: Tokenizer,
    training: Texts,
    text: Texts | None = None,
    *,
    characters: int = CHARACTERS,
    seed: int = 1,
    ends: bool = True,
) -> Memorization:
    """Generate text, and look it up in the model's training text.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        training: the text it was trained on.
        text: a text to look up for comparison.
        characters: how many characters to write, 1 or more.
        seed: determines what is written.
        ends: whether the model has learned to end documents.

    Raises:
        CorpusError: if a text can't be read or decoded.
    """
    written = write_sample(engine, tokenizer, characters, seed=seed, ends=ends)
    generated = WindowSet([text] for text in written)
    sides = [generated] if text is None else [generated, WindowSet(text.documents())]
    for side in sides:
        side.look_in(training.documents())
    overlaps = [side.overlap() for side in sides]
    if training.within_files:
        known = LineHashes.from_lines(map("".join, training.documents()))
        documents: list[Iterable[str]] = [written]
        if text is not None:
            documents.append(map("".join, text.documents()))
        overlaps = [
            replace(overlap, documents=share_of_known(side, known))
            for overlap, side in zip(overlaps, documents, strict=True)
        ]
    return Memorization(
        characters=sum(map(len, written)),
        seed=seed,
        generated=overlaps[0],
        text=overlaps[1] if text is not None else None,
    )


class WindowSet:
    """The windows of some documents, to be looked up in others.

    Args:
        documents: each in pieces; no window spans two documents.
        lengths: of the windows in characters, ascending.
    """

    def __init__(
        self, documents: Iterable[Iterable[str]], lengths: Sequence[int] = LENGTHS
    ) -> None:
        self._lengths = tuple(lengths)
        gathered: dict[int, list[Hashes]] = {length: [] for length in self._lengths}
        remaining = MOST
        for document in documents:
            text = "".join(_first_characters(document, remaining))
            for length, hashes in _window_hashes(text, self._lengths):
                gathered[length].append(hashes)
            remaining -= len(text)
            if remaining <= 0:
                break
        self._sought: dict[int, _Sought] = {}
        for length, parts in gathered.items():
            self._sought[length] = _Sought.of(np.concatenate([np.empty(0, np.uint64), *parts]))

    def look_in(self, documents: Iterable[Iterable[str]]) -> None:
        """Mark the windows that occur in any of the documents, each given in pieces."""
        longest = max(self._lengths)
        for document in documents:
            before = ""
            for piece in document:
                text = before + piece
                for length, hashes in _window_hashes(text, self._lengths):
                    self._sought[length].mark(hashes)
                before = text[-(longest - 1) :] if longest > 1 else ""

    def overlap(self) -> Overlap:
        """Return the shares found so far."""
        shares = {length: sought.share() for length, sought in self._sought.items()}
        windows = {length: int(sought.counts.sum()) for length, sought in self._sought.items()}
        return Overlap(shares, windows)


@dataclass
class _Sought:
    """The distinct windows of one length: how often each occurs, and whether it was found."""

    hashes: Hashes
    counts: Ids
    found: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.found = np.zeros(len(self.hashes), np.bool_)

    @classmethod
    def of(cls, hashes: Hashes) -> _Sought:
        return cls(*np.unique(hashes, return_counts=True))

    def mark(self, hashes: Hashes) -> None:
        if not len(self.hashes):
            return
        indices = np.searchsorted(self.hashes, hashes)
        indices[indices == len(self.hashes)] = 0
        self.found[indices[self.hashes[indices] == hashes]] = True

    def share(self) -> float | None:
        if not len(self.hashes):
            return None
        return float(self.counts[self.found].sum() / self.counts.sum())


def _window_hashes(text: str, lengths: Sequence[int]) -> Iterator[tuple[int, Hashes]]:
    """Yield each length with the hashes of all windows of that length, uint64 [windows]."""
    codes = _scattered(code_points(text))
    hashes = np.zeros(len(codes), np.uint64)
    reached = 0
    for length in lengths:
        if length > len(codes):
            return
        hashes = hashes[: len(codes) - length + 1]
        for offset in range(reached, length):
            hashes = hashes * _MULTIPLIER + codes[offset : offset + len(hashes)]
        reached = length
        yield length, hashes


def _scattered(codes: NDArray[np.uint32]) -> Hashes:
    """Spread code points over 64 bits (the finalizer of SplitMix64, Steele et al. 2014)."""
    values = codes.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def share_of_known(texts: Iterable[str], known: Container[str]) -> float | None:
    """Return the share of texts that are known; ``None`` without texts."""
    found = [text in known for text in texts]
    return sum(found) / len(found) if found else None


def write_sample(
    engine: Engine, tokenizer: Tokenizer, characters: int, *, seed: int, ends: bool = True
) -> list[str]:
    """Generate documents, as ``charlstm generate`` does by default, of enough characters.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        characters: in all documents together, 1 or more; fewer only if the model writes nothing.
        seed: determines the texts.
        ends: whether the model has learned to end documents.
    """
    config = SampleConfig(length=_TOKENS[tokenizer.level])
    texts: list[str] = []
    written, mean = 0, float(_CHARACTERS)
    while written < characters and len(texts) < characters + _PATIENCE:
        count = math.ceil((characters - written) / max(1.0, mean))
        drawn = generate(
            engine, tokenizer, [""] * count, config, seed=seed, first=len(texts), ends=ends
        )
        texts += [sample.text for sample in drawn]
        written = sum(map(len, texts))
        mean = written / len(texts)
    return list(_first_characters(texts, characters))


def _first_characters(texts: Iterable[str], count: int) -> Iterator[str]:
    for text in texts:
        yield text[:count]
        count -= len(text)
        if count <= 0:
            return
