"""Next-word accuracy and keystrokes saved for a random sample of the words of a text.

This module chooses the words and finds the text to read before each. ``keystrokes`` predicts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache

import numpy as np

from charlstm.config import Segmentation
from charlstm.dataset.store import smallest_dtype
from charlstm.engine.inference import Engine
from charlstm.errors import CorpusError
from charlstm.evaluation.keystrokes import (
    ContextWindow,
    Keyboard,
    WordFigures,
    WordQuery,
    windows_of,
    word_figures,
)
from charlstm.evaluation.text_metrics import Texts
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer
from charlstm.tokenizer.segmentation import Kind, kind_of, tokens_of


def evaluate_words(
    engine: Engine,
    tokenizer: Tokenizer,
    texts: Texts,
    *,
    sample: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> WordFigures:
    """Predict a random sample of the words of a text, each from the text before it.

    A word is a word or number as in word-level models, whatever the level of the model. A word that
    follows a letter, a digit or an apostrophe without a space is not predicted.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        texts: the text.
        sample: the number of words to predict. All words are, if there are fewer.
        seed: the seed of the random choice.
        on_progress: called with the number of words predicted since the last call.

    Raises:
        CorpusError: if there are no words, or the text can't be read or decoded.
    """
    total = 0
    for document in texts.documents():
        finder = WordFinder(tokenizer.segmentation)
        total += sum(1 for text in document for _ in finder.words(text))
    if not total:
        raise CorpusError(f"{texts.name}: there is no word to predict.")
    drawn = np.random.default_rng(seed).choice(total, min(sample, total), replace=False)
    keyboard = Keyboard(engine, tokenizer)
    results = []
    for group in keyboard.ask(context_windows(tokenizer, texts, np.sort(drawn).tolist())):
        results += group
        if on_progress:
            on_progress(len(group))
    return word_figures(results)


class WordFinder:
    """Finds the words of a document that can be predicted, piece by piece."""

    def __init__(self, segmentation: Segmentation = 1) -> None:
        self._segmentation = segmentation
        self._after_break = True  # whether a word can begin here without a space before it

    def words(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the words of the next piece: the position of the token in it, and the token."""
        position = 0
        for token in tokens_of(text, self._segmentation):
            word = token.removeprefix(" ")
            if word[:1].isalnum() and (self._after_break or len(word) < len(token)):
                yield position, token
            self._after_break = _ends_word(word[:1] or " ")
            position += len(token)


@cache
def _ends_word(character: str) -> bool:
    """Return whether letters after a token are a separate word, given its first character."""
    return kind_of(character) in (Kind.SPACE, Kind.ALONE, Kind.OTHER)


def context_windows(
    tokenizer: Tokenizer, texts: Texts, chosen: Iterable[int]
) -> Iterator[ContextWindow]:
    """Yield the windows of a text to read in order to predict some words.

    Args:
        tokenizer: the tokenizer that the model was trained with.
        texts: the text.
        chosen: the numbers of the words, ascending. ``WordFinder`` finds the words in order from 0.
    """
    numbers = iter(chosen)
    due = next(numbers, None)
    count = 0
    dtype = smallest_dtype(tokenizer.vocab_size)
    for document in texts.documents():
        if due is None:
            return
        held = bytearray(np.array([END_OF_DOCUMENT], dtype).tobytes())
        queries: list[WordQuery] = []
        finder = WordFinder(tokenizer.segmentation)
        for text in document:
            encoded = 0  # characters of this piece that are encoded
            for position, token in finder.words(text):
                if count == due:
                    word = token.removeprefix(" ")
                    space = token[: len(token) - len(word)]
                    joins = tokenizer.joins_spaces
                    end = position if joins else position + len(space)
                    held += tokenizer.encode(text[encoded:end]).astype(dtype).tobytes()
                    after = len(held) // dtype.itemsize
                    queries.append(WordQuery(word, after, space if joins else ""))
                    encoded, due = end, next(numbers, None)
                count += 1
            held += tokenizer.encode(text[encoded:]).astype(dtype).tobytes()
        yield from windows_of(np.frombuffer(held, dtype), queries)
