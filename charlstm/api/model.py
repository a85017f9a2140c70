"""Loads a checkpoint, and generates, predicts, scores and ranks text with it.

    >>> import charlstm
    >>> model = charlstm.load("checkpoints/shakespeare")
    >>> model.generate("ROMEO:", length=200, seed=1)[0].text
    >>> model.score("To be, or not to be", "Or to be, not to be")[0].bits_per_character
    >>> model.predict("to be or not to")[0].text
    >>> model.evaluate("test.txt").bits_per_character

Modules that only some calls need are imported when they are first used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from charlstm.api.arguments import (
    NumberOfFillings,
    NumberOfPredictions,
    NumberOfThreads,
    NumberOfWords,
    check_text,
    list_of_texts,
    suggesting,
)
from charlstm.api.generation import GeneratingModel
from charlstm.api.user_warnings import warn_of_unknown
from charlstm.checkpoint.names import default_checkpoint, find_checkpoint
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.engine.graph import EnginePrecision
from charlstm.engine.graph_cache import load_or_build_graph
from charlstm.engine.inference import Engine
from charlstm.errors import ConfigError
from charlstm.prediction.gaps import GAP, split_at_gaps
from charlstm.validation import checked, quoted

if TYPE_CHECKING:
    from charlstm.evaluation.scoring import Score
    from charlstm.prediction.filler import FilledText
    from charlstm.prediction.predictor import Prediction


class LanguageModel(GeneratingModel):
    """A trained model, ready to use. Threads can share it.

    ``charlstm.load`` and ``charlstm.train`` return one. Methods return frozen dataclasses with
    ``to_dict()`` and ``to_json()``, and issue an ``UnknownCharacterWarning`` for characters that
    were not in the training text.

    Attributes:
        checkpoint: the configuration, tokenizer, weights and figures that were loaded.
        engine: runs the network on token ids.
    """

    @suggesting()
    def score(
        self, *texts: str, context: str = "", per_token: bool = False, carry: bool = False
    ) -> list[Score]:
        """Return the score of each text as the beginning of a document.

            >>> model.score("To be, or not to be", "Or to be, not to be")[0].log_probability

        If the model was trained on parts of files, such as lines, the end of each text is scored
        too. The texts run as one batch, which does not change their scores.

        Args:
            *texts: the texts to score.
            context: text that is read before each text but not scored. Its last word is scored by
                word-level and subword-level models, because it may continue in the text.
            per_token: whether to return the log-probability of each token too.
            carry: whether the texts are consecutive parts of one text, such as the lines of a file
                with their line ends. The state of the model is carried from one to the next.

        Raises:
            ConfigError: if an argument is not a string, or ``carry`` is combined with a context or
                a model of separate documents.
        """
        return self._score(texts, context, per_token=per_token, carry=carry)

    @suggesting()
    def rank(self, *texts: str, context: str = "", per_character: bool = False) -> list[Score]:
        """Return the scores of alternatives, the most probable first. Ties keep their order.

            >>> model.rank("their", "there", context="it is over ")[0].text

        Args:
            *texts: the alternatives.
            context: as for ``score``.
            per_character: whether to compare bits per character instead of the log-probability of
                the whole text, which favors short alternatives.

        Raises:
            ConfigError: if an argument is not a string.
        """
        from charlstm.evaluation.ranking import ranked

        by_character = checked("per_character", per_character, bool)
        return ranked(self._score(texts, context), per_character=by_character)

    @overload
    def predict(
        self,
        prompt: str = "",
        *,
        top: int = 5,
        words: int = 1,
        words_only: bool = False,
        tokens: bool = False,
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self,
        prompt: list[str] | tuple[str, ...],
        *,
        top: int = 5,
        words: int = 1,
        words_only: bool = False,
        tokens: bool = False,
    ) -> list[list[Prediction]]: ...

    @suggesting()
    def predict(
        self,
        prompt: str | list[str] | tuple[str, ...] = "",
        *,
        top: int = 5,
        words: int = 1,
        words_only: bool = False,
        tokens: bool = False,
    ) -> list[Prediction] | list[list[Prediction]]:
        """Return the most likely next words, most likely first.

            >>> [prediction.text for prediction in model.predict("to be or not to", top=3)]

        The last word of the prompt can be half-typed. ``kind`` says whether a prediction completes
        that word or follows it. If both kinds have at least 2% of the probability, there are two
        groups, the one with the most likely word first. The list is empty where almost no word
        ends, as in DNA.

        Args:
            prompt: any text, of which about the last 8,192 tokens are read. An empty prompt starts
                a new document. For a list of prompts, a list of lists is returned.
            top: the maximum number of predictions in each group.
            words: the number of words in each prediction. Punctuation counts as a word.
            words_only: whether to leave out punctuation and the end of the document.
            tokens: whether to predict single tokens instead of words.

        Raises:
            ConfigError: if an argument is out of range, or if ``tokens`` is combined with ``words``
                or ``words_only``.
        """
        prompts, predictor = self._prompts(prompt), self.predictor()
        top = checked("top", top, NumberOfPredictions)
        words = checked("words", words, NumberOfWords)
        words_only = checked("words_only", words_only, bool)
        if checked("tokens", tokens, bool) and (words != 1 or words_only):
            raise ConfigError("`tokens` can't be combined with `words` or `words_only`.")
        found = [
            predictor.predict_tokens(each, top)
            if tokens
            else predictor.predict(each, top, words=words, words_only=words_only)
            for each in prompts
        ]
        return found[0] if isinstance(prompt, str) else found

    @overload
    def fill(self, text: str, *, gap: str = GAP, top: int = 5) -> FilledText: ...

    @overload
    def fill(
        self, text: list[str] | tuple[str, ...], *, gap: str = GAP, top: int = 5
    ) -> list[FilledText]: ...

    @suggesting()
    def fill(
        self, text: str | list[str] | tuple[str, ...], *, gap: str = GAP, top: int = 5
    ) -> FilledText | list[FilledText]:
        """Fill the gaps of a text with the words that make the whole text most probable.

            >>> model.fill("to be or ___ to be").filled
            >>> [word.text for word in model.fill("Now is the ___ of our discontent").gaps[0]]

        Several gaps are filled in order. The probabilities of the words for a gap are shares among
        the words examined.

        Args:
            text: the text, in which ``gap`` stands for a missing word, or for the rest of one. For
                a list of texts, a list is returned.
            gap: what marks a gap.
            top: the maximum number of words for each gap.

        Raises:
            ConfigError: if an argument is out of range, or a text has no gap.
        """
        texts = list_of_texts("text", text)
        check_text("gap", gap)
        top = checked("top", top, NumberOfFillings)
        parts = [split_at_gaps(each, gap) for each in texts]
        for each, split in zip(texts, parts, strict=True):
            if len(split) == 1:
                raise ConfigError(f"`text` is {quoted(each)}, without a gap: expected {gap} in it.")
        read = [self.normalized("".join(split)) for split in parts]
        warn_of_unknown(self.tokenizer, read, "text")
        filler = self.filler()
        found = [filler.fill_text(each, gap=gap, top=top) for each in texts]
        return found[0] if isinstance(text, str) else found

    def _score(
        self, texts: Sequence[str], context: str, *, per_token: bool = False, carry: bool = False
    ) -> list[Score]:
        from charlstm.evaluation.scoring import StatefulScorer, score_texts

        for text in texts:
            if not isinstance(text, str):
                raise ConfigError(f"`texts` contains {quoted(text)}: expected strings.")
        check_text("context", context)
        per_token, carry = checked("per_token", per_token, bool), checked("carry", carry, bool)
        learned = self.checkpoint.config.corpus.division
        read = [self.normalized(text) for text in texts]
        if carry:
            if context:
                raise ConfigError("`carry` can't be combined with `context`.")
            if learned.within_files:
                raise ConfigError(
                    "`carry` is True, but the model was trained on separate documents."
                )
            scorer = StatefulScorer(self.engine, self.tokenizer)
            scores = [scorer.score(text, per_token=per_token) for text in read]
        else:
            scores = score_texts(
                self.engine,
                self.tokenizer,
                read,
                ends=learned.within_files,
                context=self.normalized(context),
                per_token=per_token,
            )
        if any(score.unknown for score in scores):
            warn_of_unknown(self.tokenizer, read, "text")
        warn_of_unknown(self.tokenizer, [self.normalized(context)], "context")
        return [replace(score, text=str(text)) for score, text in zip(scores, texts, strict=True)]


@suggesting()
def load(
    path: str | os.PathLike[str] | None = None,
    *,
    precision: EnginePrecision = "int8",
    threads: int | None = None,
) -> LanguageModel:
    """Load a model from a checkpoint, without importing TensorFlow.

        >>> model = charlstm.load("checkpoints/shakespeare", precision="float32")

    Args:
        path: a checkpoint folder, or the name of one in ``checkpoints/`` or of a shipped model.
            ``None`` is the default checkpoint: that of ``$CHARLSTM_CHECKPOINT``, or the newest one
            in ``checkpoints/``.
        precision: ``"int8"`` (small and fast) or ``"float32"`` (exact).
        threads: the number of CPU threads. ``None`` uses one per CPU core.

    Raises:
        ConfigError: if an argument is out of range.
        CheckpointError: if the checkpoint can't be read.
    """
    if path is not None and not isinstance(path, str | os.PathLike):
        raise ConfigError(f"`path` is {quoted(path)}: expected the name or path of a checkpoint.")
    precision = checked("precision", precision, EnginePrecision)
    threads = checked("threads", threads, NumberOfThreads | None)
    checkpoint = read_checkpoint(default_checkpoint() if path is None else find_checkpoint(path))
    graph = load_or_build_graph(checkpoint, precision)
    return LanguageModel(checkpoint, Engine(graph, checkpoint.config.model, precision, threads))
