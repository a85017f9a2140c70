"""Predictions after a prompt: words with their probabilities, phrases or single tokens.

The predictions for a prompt form one distribution, over the words that complete the half-typed word
and, in case it is complete, over the words that follow it. Searches extend the most likely paths
first. The searches of many contexts run as one batch, and each result is the same in any batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from charlstm.arrays import Floats, Ids
from charlstm.engine.inference import Engine
from charlstm.engine.state import State, joined
from charlstm.errors import ConfigError
from charlstm.generation.word_edges import WordEdges
from charlstm.metrics import softmax
from charlstm.prediction.best_first_search import (
    LEAST_SHARE,
    BestFirstSearch,
    Candidate,
    Node,
    Target,
)
from charlstm.prediction.grammar import Context, Grammar
from charlstm.prediction.piece_grammar import Pieces
from charlstm.prediction.prompt_cache import REMEMBERED, PromptCache
from charlstm.prediction.word_grammar import Words
from charlstm.results import Result
from charlstm.tokenizer.base import BEGIN_SPELLING, UNKNOWN, Tokenizer
from charlstm.tokenizer.segmentation import partial_word
from charlstm.tokenizer.tokens import SpecialToken, special_token

WIDTH = 8  # paths that a search extends in one engine step
ROUNDS = 64  # the maximum number of engine steps
_FLOATS = 2**22  # the maximum number of logits, and of numbers in the states, of one engine step
# Sampled texts, characters of each, and the share of first words that must end, to find that words
# end in this model.
_WRITTEN, _LONGEST_WORD, _LEAST_ENDS = 8, 32, 0.2
# A search that finds too few candidates starts again with its minimum multiplied by these in turn.
_LOWER = (1e-3, 1e-3, 0.0)

# Whether a prediction completes the last word of the prompt or follows the prompt.
Relation: TypeAlias = Literal["completes", "follows"]


@dataclass(frozen=True, slots=True)
class Prediction(Result):
    """A text that may come next.

    Attributes:
        text: the whole word (including its typed part), number, run of punctuation, phrase or
            token, without the space before it.
        probability: its probability. That of a word is a sum over the paths of tokens found.
        append: the text to append to the prompt, as written on the most likely path.
        special: ``"end"`` for the end of the document or, for single tokens, another special token;
            ``None`` for text.
        kind: ``"completes"`` if the (first) word begins with the last word of the prompt,
            ``"follows"`` if it comes after it; ``None`` for a single token.
    """

    text: str
    probability: float
    append: str
    special: SpecialToken | None = None
    kind: Relation | None = None


class Predictor:
    """Predicts with one model, and caches the states after recent prompts.

    Threads can't share a predictor, but they can share the grammar.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        grammar: the result of ``grammar_of(tokenizer)``, which takes time to build.
        normalized: brings a prompt into the Unicode form of the model. The default changes nothing.

    Attributes:
        prompts: the states after recent prompts.
        rows: the number of rows that the engine has computed for searches so far.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        grammar: Grammar | None = None,
        normalized: Callable[[str], str] = str,
    ) -> None:
        self._normalized = normalized
        self._engine = engine
        self._tokenizer = tokenizer
        self._grammar = grammar or grammar_of(tokenizer)
        self.prompts = PromptCache(engine, spells=tokenizer.spells)
        self._steps: OrderedDict[bytes, tuple[Floats, State]] = OrderedDict()
        self.rows = 0

    def predict(
        self, prompt: str, top: int = 5, *, words: int = 1, words_only: bool = False
    ) -> list[Prediction]:
        """Return the predictions of ``groups`` as one list."""
        groups = self.groups(prompt, top, words=words, words_only=words_only)
        return [prediction for group in groups for prediction in group]

    def groups(
        self, prompt: str, top: int = 5, *, words: int = 1, words_only: bool = False
    ) -> list[list[Prediction]]:
        """Return the most likely words, or phrases of several words, after a prompt.

        Args:
            prompt: any text. An empty prompt starts a new document.
            top: the maximum number of predictions in each group, 1 or more.
            words: the number of words in each prediction. Numbers and runs of punctuation count.
            words_only: whether to leave out punctuation and the end of the document.

        Returns:
            Groups with the most likely prediction first. There are two groups if words that
            complete the last word of the prompt and words that follow it both have at least
            ``LEAST_SHARE`` of the probability. The group with the most likely word is first.
            Otherwise there is one group with both kinds, or none if words almost never end (see
            ``_words_end``). The probability of a phrase is that of one path of tokens.

        Raises:
            ConfigError: if a number is out of range.
        """
        _check(top=top, words=words)
        context, phrases = self.context(prompt), words > 1
        count, width = (_beam_of(top), WIDTH) if phrases else (top, max(WIDTH, top))
        groups, ended = [], 0.0
        for target, share in self._targets(context):
            search = BestFirstSearch(count, target, words_only, share=share)
            (search,) = self._thorough([search], [context], top, width)
            ended += search.ended
            if phrases:
                found = self._phrases(search, top, words, words_only)
            else:
                found = [_prediction(candidate) for candidate in search.best()]
            if found:
                groups.append(found)
        if ended < LEAST_SHARE and not self._words_end(context):
            return []
        return sorted(groups, key=lambda group: -group[0].probability)

    def _targets(self, context: Context) -> list[tuple[Target, float]]:
        """Return the targets of the searches, each with its share of the probability."""
        if context.typed:
            completes, follows = self._grammar.shares(context, self._begin_step)
            if min(completes, follows) >= LEAST_SHARE:
                return [(Target.COMPLETIONS, completes), (Target.NEXT, follows)]
        return [(Target.ALL, 1.0)]

    def _thorough(
        self,
        searches: list[BestFirstSearch],
        contexts: Sequence[Context],
        needed: int,
        width: int = WIDTH,
    ) -> list[BestFirstSearch]:
        """Run searches, and again with less likely paths if they find less than ``needed``."""
        self.search(searches, contexts, width)
        for factor in _LOWER:
            short = {
                number: search.lower(factor)
                for number, search in enumerate(searches)
                if len(search.best()) < needed
                and (
                    search.ended >= LEAST_SHARE * search.share or self._words_end(contexts[number])
                )
            }
            if not short:
                break
            self.search(list(short.values()), [contexts[number] for number in short], width)
            searches = [short.get(number, search) for number, search in enumerate(searches)]
        return searches

    def _words_end(self, context: Context) -> bool:
        """Return whether words end at all, which a search that found few of them can't show.

        This samples some texts and estimates the probability that the first word ends within
        ``_LONGEST_WORD`` characters. A token of a word-level model always ends.
        """
        if self._tokenizer.spells:
            return True
        rng = np.random.default_rng(0)
        ends = ~WordEdges(self._tokenizer).begins
        logits = np.tile(context.logits, (_WRITTEN, 1))
        states = context.state.repeated(_WRITTEN)
        going = np.ones(_WRITTEN)
        for _ in range(_LONGEST_WORD):
            logits[:, UNKNOWN] = -np.inf
            probabilities = softmax(logits)
            going *= 1 - probabilities[:, ends].sum(axis=1)
            probabilities[:, ends] = 0
            cumulative = probabilities.cumsum(axis=1)
            goals = rng.random((_WRITTEN, 1)) * cumulative[:, -1:]
            logits, states = self._step((cumulative > goals).argmax(axis=1), states)
        return bool(1 - going.mean() >= _LEAST_ENDS)

    def predict_tokens(self, prompt: str, top: int = 5) -> list[Prediction]:
        """Return the most likely tokens after a prompt: characters, pieces or words.

        The probabilities are those of the model. Except at character level, a space at the end of
        the prompt belongs to the next token, so only tokens that begin with a space are possible.

        Raises:
            ConfigError: if ``top`` is less than 1.
        """
        _check(top=top)
        prompt = self._normalized(prompt)
        word = partial_word(prompt, self._tokenizer.segmentation)
        joins = self._tokenizer.joins_spaces and not self._tokenizer.unknown_characters(" ")
        space = joins and not word.typed and word.space != ""
        ids = self._tokenizer.encode_beginning(word.before if space else prompt)
        logits, _ = self.prompts.read(ids)
        if space:
            possible = [piece.startswith(" ") for piece in self._tokenizer.pieces]
            possible[BEGIN_SPELLING] |= self._tokenizer.spells
            logits = np.where(possible, logits, -np.inf)
        probs = softmax(logits[np.newaxis])[0]
        order = np.argsort(-probs, kind="stable")[:top]
        return [self._token(int(i), float(probs[i]), space) for i in order if probs[i]]

    def context(self, prompt: str) -> Context:
        """Read a prompt, starting from the end of its longest cached beginning."""
        ids, typed, unread, cluster = self._grammar.split(self._normalized(prompt))
        return Context(*self.prompts.read(ids), typed, unread, cluster)

    def likeliest(
        self,
        contexts: Sequence[Context],
        count: int,
        *,
        words_only: bool = False,
        width: int = WIDTH,
        rounds: int = ROUNDS,
    ) -> list[list[Prediction]]:
        """Return the most likely words for each of many contexts, as one batch.

        Args:
            contexts: prompts that have been read.
            count: the maximum number of words for each context.
            words_only: whether to leave out punctuation and the end of the document.
            width: the number of paths of a context to extend in one engine step.
            rounds: the maximum number of engine steps. A word-level model takes one more for each
                character of the longest typed word.

        Returns:
            For each context, the most likely words first.
        """
        searches = [BestFirstSearch(count, words_only=words_only) for _ in contexts]
        self.search(searches, contexts, width, rounds)
        return [[_prediction(candidate) for candidate in search.best()] for search in searches]

    def search(
        self,
        searches: Sequence[BestFirstSearch],
        contexts: Sequence[Context],
        width: int = WIDTH,
        rounds: int = ROUNDS,
    ) -> None:
        """Run a search in each context (see ``likeliest``).

        The probabilities of the candidates found are lower bounds.
        """
        if not searches:
            return
        floats_per_row = max(self._engine.vocab_size, contexts[0].state.floats)
        together = max(1, _FLOATS // (width * floats_per_row))
        for start in range(0, len(searches), together):
            group = searches[start : start + together]
            starts = zip(group, contexts[start : start + together], strict=True)
            self._grammar.begin(list(starts), self._begin_step)
            for _ in range(rounds):
                items = [(search, node) for search in group for node in search.take(width)]
                if not items:
                    break
                self._grammar.expand(items, *self._read([node for _, node in items]))

    def _phrases(
        self, first: BestFirstSearch, count: int, words: int, words_only: bool
    ) -> list[Prediction]:
        """Search for phrases word by word, with the most likely ones as beams.

        A less likely phrase gets fewer next words, because fewer of them can matter.

        Args:
            first: the search for the first words.
            count: the number of phrases to return.
            words: the number of words in each.
            words_only: whether to leave out punctuation and the end of the document.
        """
        beam = _beam_of(count)
        phrases = _Phrase().then(first.best())
        for _ in range(words - 1):
            open_phrases = [(phrase, phrase.path) for phrase in phrases if phrase.path]
            if not open_phrases:
                break
            logits, states = self._read([path for _, path in open_phrases])
            contexts = [
                self._grammar.after(phrase.last, logits[row], states.row(row))
                for row, (phrase, _) in enumerate(open_phrases)
            ]
            counts = [max(1, beam // (rank + 1)) for rank in range(len(open_phrases))]
            searches = [BestFirstSearch(most, Target.NEXT, words_only) for most in counts]
            searches = self._thorough(searches, contexts, 1)
            phrases = [phrase for phrase in phrases if not phrase.path]
            for (phrase, _), search in zip(open_phrases, searches, strict=True):
                phrases += phrase.then(search.best())
            phrases.sort(key=lambda phrase: (-phrase.probability, phrase.text))
            del phrases[beam:]
        return [
            Prediction(
                phrase.text, phrase.probability, phrase.append, phrase.special, phrase.relation
            )
            for phrase in phrases[:count]
        ]

    def _read(self, nodes: Sequence[Node]) -> tuple[Floats, State]:
        ids = np.array([node.token_id for node in nodes])
        return self._step(ids, joined([node.state for node in nodes]))

    def _step(self, ids: Ids, states: State) -> tuple[Floats, State]:
        self.rows += len(ids)
        return self._engine.step(ids, states)

    def _begin_step(self, ids: Ids, states: State) -> tuple[Floats, State]:
        """Read a token of a half-typed word. Most are read again after the next keystroke."""
        if len(ids) > 1:
            return self._step(ids, states)
        key = ids.tobytes() + states.tobytes()
        if key not in self._steps:
            self._steps[key] = self._step(ids, states)
            if len(self._steps) > REMEMBERED:
                self._steps.popitem(last=False)
        return self._steps[key]

    def _token(self, token_id: int, probability: float, space: bool) -> Prediction:
        piece = self._tokenizer.pieces[token_id]
        if special := special_token(self._tokenizer, token_id):
            return Prediction("", probability, "", special)
        return Prediction(piece, probability, piece.removeprefix(" ") if space else piece)


@dataclass(frozen=True, slots=True)
class _Phrase:
    """Consecutive words, written as one path of tokens.

    Attributes:
        text: the words.
        append: the text to append to the prompt.
        path_probability: the probability of the path, whether its last word is complete or not.
        probability: the probability of the path with its last word complete.
        last: the last word.
        path: the end of the path; ``None`` if it can't be extended.
        special: ``"end"`` if the last word is the end of the document.
        relation: the relation of the first word to the prompt; ``None`` before there is one.
    """

    text: str = ""
    append: str = ""
    path_probability: float = 1.0
    probability: float = 1.0
    last: str = ""
    path: Node | None = None
    special: SpecialToken | None = None
    relation: Relation | None = None

    def then(self, candidates: Sequence[Candidate]) -> list[_Phrase]:
        """Return the phrases with one more word."""
        return [
            _Phrase(
                text=self.text + word.append if self.text else word.text,
                append=self.append + word.append,
                path_probability=(
                    self.path_probability * word.path.probability if word.path else 0.0
                ),
                probability=self.path_probability * word.likeliest,
                last=word.text,
                path=word.path,
                special=None if word.text else "end",
                relation=self.relation or _relation(word),
            )
            for word in candidates
            if word.path or not word.text
        ]


def grammar_of(tokenizer: Tokenizer, *, ends: bool = True, clusters: bool = True) -> Grammar:
    """Return the grammar for the level of a tokenizer. The arguments are those of ``Grammar``."""
    kind = Words if tokenizer.spells else Pieces
    return kind(tokenizer, ends=ends, clusters=clusters)


def _beam_of(count: int) -> int:
    """Return the number of phrases to extend by the next word."""
    return 2 * count + 6


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"`{name}` is {number}: expected a whole number of 1 or more.")


def _prediction(candidate: Candidate) -> Prediction:
    special: SpecialToken | None = None if candidate.text else "end"
    return Prediction(
        candidate.text, candidate.probability, candidate.append, special, _relation(candidate)
    )


def _relation(candidate: Candidate) -> Relation:
    return "completes" if candidate.completes else "follows"
