"""Loss, bits per character and perplexities of a text under a trained model.

The loss is computed as in validation: every token of the text is scored once, and the state is
carried through a document and restarts at the next one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from charlstm.config import DocumentUnit
from charlstm.corpus.division import Divider
from charlstm.corpus.documents import Chunk, Corpus
from charlstm.corpus.word_count import WordCounter
from charlstm.engine.inference import Engine
from charlstm.errors import CorpusError
from charlstm.evaluation.scoring import Score, add_scores, score_stream, score_whole_documents
from charlstm.metrics import has_words, perplexity
from charlstm.results import Result
from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.segmentation import tokens_of


@dataclass(frozen=True)
class Texts:
    """Documents that can be read several times, each in pieces that are divided between tokens.

    Attributes:
        name: the name of the text, for messages.
        documents: starts a pass. Read each document to its end before taking the next one.
        unit: what a document is. If it is a part of a file and its end is scored, the end counts as
            a character.
        ends: whether to score the end of each document.
    """

    name: str
    documents: Callable[[], Iterator[Iterable[str]]]
    unit: DocumentUnit
    ends: bool

    @property
    def within_files(self) -> bool:
        """Whether a file contains several documents, each of which is one piece of text."""
        return self.unit != "file"


@dataclass(frozen=True)
class TextFigures(Result):
    """How well a model predicts a whole text.

    Attributes:
        loss: nats per token.
        bits_per_character: comparable across tokenizers.
        perplexity: per token. Infinite if it is too large for a float. Comparable only with the
            same tokenizer.
        perplexity_known: the same over the tokens in the vocabulary; NaN if there are none.
        word_perplexity: per word; NaN if the text has almost no white space.
        tokens: the number of tokens scored, including the ends of documents if the model has
            learned them.
        characters: the number of code points. If the model was trained on parts of files, such as
            lines, the end of each counts as one.
        unknown: the number of tokens that are not in the vocabulary.
        words: the number of words, which are separated by white space.
    """

    FACTS = (
        *("loss", "bits_per_character", "perplexity", "perplexity_known", "word_perplexity"),
        *("tokens", "characters", "words", "unknown"),
    )

    loss: float
    bits_per_character: float
    perplexity: float
    perplexity_known: float
    word_perplexity: float
    tokens: int
    characters: int
    unknown: int
    words: int


def texts_of(corpus: Corpus, *, ends: bool, is_given: bool = False) -> Texts:
    """Return a corpus as documents. A complete pass adds notes to the corpus.

    Args:
        corpus: the text.
        ends: whether to score the ends of documents.
        is_given: whether the user has given the division for this text. A missing delimiter is then
            noted.
    """
    name = ", ".join(corpus.addresses or [source.name for source in corpus.sources])

    def note(divider: Divider) -> None:
        corpus.notes.blank(name, divider.blank, corpus.division.unit)
        delimiter = corpus.division.delimiter
        if is_given and delimiter is not None and not divider.delimiters:
            corpus.notes.undivided(name, delimiter)

    def documents() -> Iterator[Iterable[str]]:
        chunks = corpus.chunks(note)
        return (_document(chunk, chunks) for chunk in chunks)

    return Texts(", ".join(corpus.addresses), documents, corpus.division.unit, ends)


def _document(chunk: Chunk, chunks: Iterator[Chunk]) -> Iterator[str]:
    yield chunk.text
    while not chunk.ends_document:
        chunk = next(chunks)
        yield chunk.text


def beginning_of(texts: Texts, tokenizer: Tokenizer, tokens: int) -> Texts:
    """Return at most the first ``tokens`` tokens of a text. Parts of files are not divided."""

    def documents() -> Iterator[Iterable[str]]:
        remaining = tokens

        def pieces(document: Iterable[str]) -> Iterator[str]:
            nonlocal remaining
            for text in document:
                if remaining > 0:
                    kept, count = _first_tokens(
                        text, tokenizer, remaining, whole=texts.within_files
                    )
                    remaining -= count
                    yield kept

        for document in texts.documents():
            if remaining <= 0:
                return
            yield pieces(document)
            remaining -= texts.ends

    return Texts(texts.name, documents, texts.unit, texts.ends)


def _first_tokens(text: str, tokenizer: Tokenizer, count: int, *, whole: bool) -> tuple[str, int]:
    """Return the beginning of a text with at most ``count`` tokens, and its number of tokens."""
    tokens = len(tokenizer.encode(text))
    if whole or tokens <= count:
        return text, tokens
    if not tokenizer.joins_spaces:
        return text[:count], count
    end = read = 0
    for token in tokens_of(text, tokenizer.segmentation):
        ids = len(tokenizer.encode(token))
        if read + ids > count:
            break
        end, read = end + len(token), read + ids
    return text[:end], count  # the rest of the budget is not used


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
    """Score every token of a text once, as in validation.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        texts: the text. It is read once, in pieces.
        per_token: whether to return the log-probability of every token too.
        words: counts the words of the text.
        on_progress: called with the size of the text scored since the last call.
        measure: returns the size of a piece of text. The default is its number of characters.

    Raises:
        CorpusError: if the text can't be read or decoded.
    """
    meter = _Meter(words, measure if on_progress else None)
    advance = on_progress or (lambda _: None)
    if texts.within_files:
        whole = _whole_documents(texts, meter, advance)
        return score_whole_documents(engine, tokenizer, whole, ends=texts.ends, per_token=per_token)
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
    """Return the figures of a text. Every token is scored once.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        texts: the text.
        on_progress: called with the number of characters scored since the last call.

    Raises:
        CorpusError: if the text is empty, or can't be read or decoded.
    """
    words = WordCounter()
    score = score_documents(engine, tokenizer, texts, words=words, on_progress=on_progress)
    if not score.tokens:
        raise CorpusError(f"{texts.name}: the text is empty.")
    return figures_of(score, words.count)


def figures_of(score: Score, words: int) -> TextFigures:
    """Return the figures of a score of one or more tokens, given the number of words."""
    known = score.tokens - score.unknown
    known_nats = score.unknown_log_probability - score.log_probability
    return TextFigures(
        loss=score.nats_per_token,
        bits_per_character=score.bits_per_character,
        perplexity=score.perplexity,
        perplexity_known=perplexity(known_nats, known),
        word_perplexity=(
            perplexity(-score.log_probability, words)
            if has_words(score.characters, words)
            else math.nan
        ),
        tokens=score.tokens,
        characters=score.characters,
        unknown=score.unknown,
        words=words,
    )


class _Meter:
    """Measures documents and counts their words while they are read."""

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
        """Add the end of a line to the size of the last document."""
        if self._measure is not None:
            self.size += self._measure("\n")

    def _count(self, text: str) -> None:
        if self._words is not None:
            self._words.add(text)
        if self._measure is not None:
            self.size += self._measure(text)


def _whole_documents(
    texts: Texts, meter: _Meter, advance: Callable[[float], None]
) -> Iterator[str]:
    for document in texts.documents():
        yield "".join(meter.over(document))
        meter.end_line()
        advance(meter.size)
