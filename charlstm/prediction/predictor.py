"""Prompts -> what comes next: words with their probabilities, phrases, symbols.

The predictions for a prompt share one distribution: over what the word being typed may become and,
if it is complete as it stands, over what follows it. A search follows the likeliest ways of
writing first, many of them as one batch of the engine, for many contexts at once; a context's
predictions do not depend on what is predicted beside it.

This module knows the contracts of the engine and the tokenizer. It does not know files or the
command line.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charlstm.arrays import Floats, Ids
from charlstm.engine.session import Engine
from charlstm.errors import ConfigError
from charlstm.metrics import softmax
from charlstm.prediction.characters import Characters
from charlstm.prediction.grammar import Context, Grammar
from charlstm.prediction.search import BestFirstSearch, Candidate, Node, Target
from charlstm.prediction.words import Words
from charlstm.tokenizer.base import BEGIN_SPELLING, Tokenizer
from charlstm.tokenizer.segmentation import partial_word
from charlstm.tokenizer.tokens import SpecialToken, special_token

WIDTH = 8  # paths that one context follows in one engine step
ROUNDS = 64  # engine steps at most
_FLOATS = 2**22  # logits of one engine step, or numbers of its states, at most
_REMEMBERED = 48  # places of recent prompts whose state is kept
_STRIDE = 32  # symbols between them


@dataclass(frozen=True, slots=True)
class Prediction:
    """Something that may come next.

    Attributes:
        text: the whole word (with what was typed of it), number, run of punctuation, phrase or
            symbol; without the space before it.
        probability: of it; of a word, summed over the ways to write it that were found.
        append: what to add to the prompt to have it, in the likeliest way.
        special: what it is if it is no text: ``"end"`` of the document or, of symbols, another
            special token.
    """

    text: str
    probability: float
    append: str
    special: SpecialToken | None = None


class Predictor:
    """Predicts with one model, and remembers the states after recent prompts.

    Not to be shared between threads; ``grammar`` is, so that others are made at no cost.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer it was trained with.
        grammar: ``grammar_of(tokenizer)``, if there is one already.
    """

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, grammar: Grammar | None = None
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._grammar = grammar or grammar_of(tokenizer)
        self._memory = _Memory(engine)
        self._steps: OrderedDict[bytes, tuple[Floats, Floats]] = OrderedDict()
        self.rows = 0  # that the engine has read for searches so far

    def predict(
        self, prompt: str, top: int = 5, *, words: int = 1, words_only: bool = False
    ) -> list[Prediction]:
        """Return the likeliest words, or phrases of several words, after a prompt.

        Args:
            prompt: any text; empty begins a document.
            top: how many, 1 or more; there may be fewer.
            words: in a phrase; a number or a run of punctuation counts as one.
            words_only: leave out punctuation and the end of the document.

        Returns:
            The likeliest first. A phrase counts in one way of writing it.

        Raises:
            ConfigError: if a number is out of its range.
        """
        _check(top=top, words=words)
        context = self.context(prompt)
        if words == 1:
            width = max(WIDTH, top)
            return self.likeliest([context], top, words_only=words_only, width=width)[0]
        return self._phrases(context, top, words, words_only)

    def symbols(self, prompt: str, top: int = 5) -> list[Prediction]:
        """Return the likeliest symbols after a prompt: characters, or tokens of word level.

        The probabilities are those of the model. At word level a space at the end of the prompt is
        the beginning of the token, and the probabilities are those of the tokens that begin so or
        are going to be spelled.
        """
        _check(top=top)
        word = partial_word(prompt)
        space = self._tokenizer.spells and not word.typed and word.space != ""
        logits, _ = self._memory.read(
            self._tokenizer.encode_beginning(word.before if space else prompt)
        )
        if space:
            begun = [piece.startswith(" ") for piece in self._tokenizer.pieces]
            begun[BEGIN_SPELLING] = True
            logits = np.where(begun, logits, -np.inf)
        masses = softmax(logits[np.newaxis])[0]
        order = np.argsort(-masses, kind="stable")[:top]
        return [self._symbol(int(i), float(masses[i]), space) for i in order if masses[i]]

    def context(self, prompt: str) -> Context:
        """Read a prompt, going on from a recent one where it begins alike."""
        ids, typed, unread = self._grammar.split(prompt)
        return Context(*self._memory.read(ids), typed, unread)

    def likeliest(
        self,
        contexts: Sequence[Context],
        count: int,
        *,
        words_only: bool = False,
        width: int = WIDTH,
        rounds: int = ROUNDS,
    ) -> list[list[Prediction]]:
        """Return the likeliest words for each of many contexts, as one batch.

        Args:
            contexts: where each prediction begins.
            count: how many words for each; there may be fewer.
            words_only: leave out punctuation and the end of the document.
            width: how many paths of a context are followed in one engine step.
            rounds: how many engine steps there are at most. At word level there are as many more
                as the longest of what is typed has characters.

        Returns:
            For each context, the likeliest first.
        """
        found = [BestFirstSearch(count, words_only=words_only) for _ in contexts]
        self.search(found, contexts, width, rounds)
        return [[_prediction(candidate) for candidate in search.best()] for search in found]

    def search(
        self,
        found: Sequence[BestFirstSearch],
        contexts: Sequence[Context],
        width: int = WIDTH,
        rounds: int = ROUNDS,
    ) -> None:
        """Run searches, one in each context (see ``likeliest``).

        The probabilities of their candidates are lower bounds.
        """
        if not found:
            return
        row = max(self._engine.vocab_size, contexts[0].state.size)
        together = max(1, _FLOATS // (width * row))
        for start in range(0, len(found), together):
            part = found[start : start + together]
            begun = zip(part, contexts[start : start + together], strict=True)
            self._grammar.begin(list(begun), self._begin_step)
            for _ in range(rounds):
                items = [(search, node) for search in part for node in search.take(width)]
                if not items:
                    break
                self._grammar.unfold(items, *self._read([node for _, node in items]))

    def _phrases(
        self, context: Context, count: int, words: int, words_only: bool
    ) -> list[Prediction]:
        """Search for phrases: the likeliest beginnings, each with its likeliest next words.

        The less likely a beginning is, the fewer of its next words can matter.
        """
        beam = 2 * count + 6
        first = BestFirstSearch(beam, Target.ALL, words_only)
        self.search([first], [context])
        phrases = _Phrase().then(first.best())
        for _ in range(words - 1):
            going = [(phrase, phrase.path) for phrase in phrases if phrase.path]
            if not going:
                break
            logits, states = self._read([path for _, path in going])
            contexts = [
                self._grammar.after(phrase.last, logits[row], states[:, row])
                for row, (phrase, _) in enumerate(going)
            ]
            counts = [max(1, beam // (rank + 1)) for rank in range(len(going))]
            found = [BestFirstSearch(some, Target.NEXT, words_only) for some in counts]
            self.search(found, contexts)
            phrases = [phrase for phrase in phrases if not phrase.path]
            for (phrase, _), search in zip(going, found, strict=True):
                phrases += phrase.then(search.best())
            phrases.sort(key=lambda phrase: (-phrase.probability, phrase.text))
            del phrases[beam:]
        return [
            Prediction(phrase.text, phrase.probability, phrase.append, phrase.special)
            for phrase in phrases[:count]
        ]

    def _read(self, nodes: Sequence[Node]) -> tuple[Floats, Floats]:
        ids = np.array([node.symbol for node in nodes])
        return self._step(ids, np.stack([node.state for node in nodes], axis=1))

    def _step(self, ids: Ids, states: Floats) -> tuple[Floats, Floats]:
        self.rows += len(ids)
        return self._engine.step(ids, states)

    def _begin_step(self, ids: Ids, states: Floats) -> tuple[Floats, Floats]:
        """Read what is half typed; most of that is read again with each character more."""
        if len(ids) > 1:
            return self._step(ids, states)
        key = ids.tobytes() + states.tobytes()
        if key not in self._steps:
            self._steps[key] = self._step(ids, states)
            if len(self._steps) > _REMEMBERED:
                self._steps.popitem(last=False)
        return self._steps[key]

    def _symbol(self, symbol: int, probability: float, space: bool) -> Prediction:
        piece = self._tokenizer.pieces[symbol]
        if special := special_token(self._tokenizer, symbol):
            return Prediction("", probability, "", special)
        return Prediction(piece, probability, piece.removeprefix(" ") if space else piece)


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Words in a row, in one way of writing them."""

    text: str = ""
    append: str = ""
    path_probability: float = 1.0  # of the path, which may go on with the last word
    probability: float = 1.0  # that it does not
    last: str = ""
    path: Node | None = None
    special: SpecialToken | None = None

    def then(self, candidates: Sequence[Candidate]) -> list[_Phrase]:
        """Return the phrases of one word more."""
        return [
            _Phrase(
                text=self.text + found.append if self.text else found.text,
                append=self.append + found.append,
                path_probability=(
                    self.path_probability * found.path.probability if found.path else 0.0
                ),
                probability=self.path_probability * found.likeliest,
                last=found.text,
                path=found.path,
                special=None if found.text else "end",
            )
            for found in candidates
            if found.path or not found.text
        ]


class _Memory:
    """Reads prompts, going on from the longest beginning that was read lately."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._places: OrderedDict[bytes, tuple[Floats, Floats]] = OrderedDict()

    def read(self, ids: Ids) -> tuple[Floats, Floats]:
        """Return the logits [V] and the state [2 * layers, units] after ids [T >= 1]."""
        data = ids.tobytes()
        known = max((key for key in self._places if data.startswith(key)), key=len, default=b"")
        state = self._engine.initial_state(1)
        if known:
            self._places.move_to_end(known)
            logits, last = self._places[known]
            state = last[:, np.newaxis]
        for start in range(len(known) // ids.itemsize, len(ids), _STRIDE):
            part = ids[np.newaxis, start : start + _STRIDE]
            read, state = self._engine.run(part, state)
            logits, last = read[0, -1].copy(), state[:, 0]
            stop = start + part.shape[1]
            if len(ids) - stop < _REMEMBERED // 4 * _STRIDE:
                self._remember(ids[:stop].tobytes(), (logits, last))
        return logits, last

    def _remember(self, key: bytes, place: tuple[Floats, Floats]) -> None:
        self._places[key] = place
        if len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)


def grammar_of(tokenizer: Tokenizer) -> Grammar:
    """Return how the tokenizer's symbols make up words."""
    return Words(tokenizer) if tokenizer.spells else Characters(tokenizer)


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"{name} is {number}: expected a whole number of 1 or more")


def _prediction(found: Candidate) -> Prediction:
    special: SpecialToken | None = None if found.text else "end"
    return Prediction(found.text, found.probability, found.append, special)
