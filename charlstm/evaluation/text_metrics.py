"""A text in documents -> how well a trained model foresees it: its loss, and the words of a sample.

The loss is that of training's validation: every token of the text once, states carried along and
restarted at every document. This module knows the contracts of the corpus, the scoring and the
keyboard. It does not know how figures are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from charlstm.corpus.documents import Chunk, Corpus
from charlstm.corpus.word_count import WordCounter
from charlstm.dataset.store import smallest_dtype
from charlstm.engine.session import Engine
from charlstm.errors import CorpusError
from charlstm.evaluation.keystrokes import (
    ContextWindow,
    Keyboard,
    WordFigures,
    WordQuery,
    windows_of,
    word_figures,
)
from charlstm.evaluation.scoring import Score, add_scores, score_lines, score_stream
from charlstm.metrics import perplexity
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of, tokens_of


@dataclass(frozen=True)
class Texts:
    """Documents that can be read several times, each as pieces that are cut where no symbol is.

    Attributes:
        name: for messages.
        documents: begins a pass; a document must be read before the next one is asked for.
        lines: whether each document is a line, whose end counts as a character.
        ends: whether the end of each document is scored.
    """

    name: str
    documents: Callable[[], Iterator[Iterable[str]]]
    lines: bool
    ends: bool


@dataclass(frozen=True)
class TextFigures:
    """How well a whole text is foreseen.

    Attributes:
        loss: nats per token.
        bits_per_character: which compares across tokenizers.
        perplexity: per token, which compares only with the same tokenizer; infinite where it is no
            finite number.
        perplexity_known: the same over the tokens that the model knows; NaN without any.
        word_perplexity: per stretch without white space; NaN without any.
        tokens: symbols scored, ends of documents included where they are learned.
        characters: code points; in a model of lines each line end is one.
        unknown: tokens that the model never saw.
        words: stretches without white space.
    """

    loss: float
    bits_per_character: float
    perplexity: float
    perplexity_known: float
    word_perplexity: float
    tokens: int
    characters: int
    unknown: int
    words: int


def texts_of(corpus: Corpus, *, ends: bool) -> Texts:
    """Return a corpus as documents; ``ends`` is for documents that are files."""

    def documents() -> Iterator[Iterable[str]]:
        chunks = corpus.chunks()
        return (_document(chunk, chunks) for chunk in chunks)

    return Texts(", ".join(corpus.addresses), documents, corpus.lines, ends or corpus.lines)


def _document(chunk: Chunk, chunks: Iterator[Chunk]) -> Iterator[str]:
    yield chunk.text
    while not chunk.ends_document:
        chunk = next(chunks)
        yield chunk.text


def beginning_of(texts: Texts, tokenizer: Tokenizer, tokens: int) -> Texts:
    """Return the beginning of a text, at most so many tokens; of lines, to the end of the last."""

    def documents() -> Iterator[Iterable[str]]:
        left = tokens

        def pieces(document: Iterable[str]) -> Iterator[str]:
            nonlocal left
            for text in document:
                if left > 0:
                    kept, read = _first_tokens(text, tokenizer, left, whole=texts.lines)
                    left -= read
                    yield kept

        for document in texts.documents():
            if left <= 0:
                return
            yield pieces(document)
            left -= texts.ends

    return Texts(texts.name, documents, texts.lines, texts.ends)


def _first_tokens(text: str, tokenizer: Tokenizer, count: int, *, whole: bool) -> tuple[str, int]:
    """Return the beginning of a text that has so many tokens, and how many they are."""
    tokens = len(tokenizer.encode(text))
    if whole or tokens <= count:
        return text, tokens
    if not tokenizer.spells:
        return text[:count], count
    end = read = 0
    for token in tokens_of(text):
        ids = len(tokenizer.encode(token))
        if read + ids > count:
            break
        end, read = end + len(token), read + ids
    return text[:end], count  # nothing comes after


def score_documents(
    engine: Engine,
    tokenizer: Tokenizer,
    texts: Texts,
    *,
    per_token: bool = False,
    words: WordCounter | None = None,
    on_progress: Callable[[float], None] | None = None,
    measure: Callable[[str], float] = len,
) -> Score:
    """Score every token of a text once, as training does with its validation text.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        texts: the text, read once and not held.
        per_token: keep the log-probability of every token too.
        words: counts the words of the text.
        on_progress: called with how much more has been scored, by ``measure``.
        measure: returns how much a piece of text counts for; by default its characters.

    Raises:
        CorpusError: if the text can't be read or doesn't decode.
    """
    meter = _Meter(words, measure if on_progress else None)
    advance = on_progress or (lambda _: None)
    if texts.lines:
        lines = _lines(texts, meter, advance)
        return score_lines(engine, tokenizer, lines, per_token=per_token)
    return add_scores(
        score_stream(
            engine,
            tokenizer,
            meter.over(document),
            ends=texts.ends,
            per_token=per_token,
            on_progress=lambda share: advance(share * meter.size),
        )
        for document in texts.documents()
    )


def evaluate_text(
    engine: Engine,
    tokenizer: Tokenizer,
    texts: Texts,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> TextFigures:
    """Return the figures of a text, every token of which is scored once.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        texts: the text.
        on_progress: called with the number of characters that have been scored more.

    Raises:
        CorpusError: if the text is empty, can't be read or doesn't decode.
    """
    words = WordCounter()
    score = score_documents(engine, tokenizer, texts, words=words, on_progress=on_progress)
    if not score.tokens:
        raise CorpusError(f"{texts.name}: the text is empty, there is nothing to evaluate")
    return figures_of(score, words.count)


def figures_of(score: Score, words: int) -> TextFigures:
    """Return the figures of one token or more."""
    known = score.tokens - score.unknown
    known_nats = score.unknown_log_probability - score.log_probability
    return TextFigures(
        loss=score.nats_per_token,
        bits_per_character=score.bits_per_character,
        perplexity=score.perplexity,
        perplexity_known=perplexity(known_nats, known),
        word_perplexity=perplexity(-score.log_probability, words),
        tokens=score.tokens,
        characters=score.characters,
        unknown=score.unknown,
        words=words,
    )


class _Meter:
    """Measures documents, and counts their words, while they pass by."""

    def __init__(self, words: WordCounter | None, measure: Callable[[str], float] | None) -> None:
        self._words = words
        self._measure = measure
        self.size = 0.0  # of the last document

    def over(self, document: Iterable[str]) -> Iterator[str]:
        self.size = 0.0
        for text in document:
            self._count(text)
            yield text
        if self._words is not None:
            self._words.end_document()

    def end_line(self) -> None:
        """Measure the end of the line that is the last document."""
        if self._measure is not None:
            self.size += self._measure("\n")

    def _count(self, text: str) -> None:
        if self._words is not None:
            self._words.add(text)
        if self._measure is not None:
            self.size += self._measure(text)


def _lines(texts: Texts, meter: _Meter, advance: Callable[[float], None]) -> Iterator[str]:
    for document in texts.documents():
        yield "".join(meter.over(document))
        meter.end_line()
        advance(meter.size)


# Words


def evaluate_words(
    engine: Engine,
    tokenizer: Tokenizer,
    texts: Texts,
    *,
    sample: int,
    seed: int,
    on_progress: Callable[[float], None] | None = None,
) -> WordFigures:
    """Ask for a random sample of the words of a text, each after all that stands before it.

    A word is a word or number of the tokenizer's word level, at both levels. One that follows a
    letter, a digit or an apostrophe without a space is not asked for.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer the model was trained with.
        texts: the text.
        sample: how many words; all, if there are no more.
        seed: determines which.
        on_progress: called with the number of words that have been asked for more.

    Raises:
        CorpusError: if there is no word.
    """
    there = 0
    for document in texts.documents():
        words = _Words()
        there += sum(1 for text in document for _ in words.of(text))
    if not there:
        raise CorpusError(
            f"{texts.name}: there is no word in the text to ask for: leave these figures out "
            "with --sample 0"
        )
    drawn = np.random.default_rng(seed).choice(there, min(sample, there), replace=False)
    keyboard = Keyboard(engine, tokenizer)
    results = []
    for some in keyboard.ask(_windows(tokenizer, texts, np.sort(drawn).tolist())):
        results += some
        if on_progress:
            on_progress(len(some))
    return word_figures(results)


class _Words:
    """Finds the words of a document that are asked for, piece by piece."""

    def __init__(self) -> None:
        self._parted = True  # whether a word may begin here without a space before it

    def of(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the place of each word's token in the next piece, and the token."""
        place = 0
        for token in tokens_of(text):
            word = token.removeprefix(" ")
            if word[:1].isalnum() and (self._parted or len(word) < len(token)):
                yield place, token
            self._parted = _parts(token[-1])
            place += len(token)


@cache
def _parts(character: str) -> bool:
    """Whether letters that follow at once are a word of their own."""
    return kind_of(character) in (Kind.SPACE, Kind.ALONE, Kind.OTHER)


def _windows(tokenizer: Tokenizer, texts: Texts, chosen: Iterable[int]) -> Iterator[ContextWindow]:
    """Yield what is to be read to ask for the words of these numbers, which ascend."""
    numbers = iter(chosen)
    due = next(numbers, None)
    count = 0
    dtype = smallest_dtype(tokenizer.vocab_size)
    for document in texts.documents():
        if due is None:
            return
        held = bytearray(np.array([END_OF_DOCUMENT], dtype).tobytes())
        queries: list[WordQuery] = []
        words = _Words()
        for text in document:
            last = 0
            for place, token in words.of(text):
                if count == due:
                    word = token.removeprefix(" ")
                    space = token[: len(token) - len(word)]
                    # At word level the space is a part of the token that is still to come.
                    at = place if tokenizer.spells else place + len(space)
                    held += tokenizer.encode(text[last:at]).astype(dtype).tobytes()
                    after = len(held) // dtype.itemsize
                    queries.append(WordQuery(word, after, space if tokenizer.spells else ""))
                    last, due = at, next(numbers, None)
                count += 1
            held += tokenizer.encode(text[last:]).astype(dtype).tobytes()
        yield from windows_of(np.frombuffer(held, dtype), queries)
