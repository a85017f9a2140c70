"""The Python interface: load a checkpoint, then generate text, predict words and score text.

    >>> import charlstm
    >>> model = charlstm.load("checkpoints/shakespeare")
    >>> model.generate("ROMEO:", length=200, seed=1)[0].text
    >>> model.score("To be, or not to be", "Or to be, not to be")[0].bits_per_character
    >>> model.predict("to be or not to")[0].text
    >>> model.evaluate("test.txt").bits_per_character

The packages beside this module are the stages of the tool and can be used on their own. This module
joins those that come after training, and imports what not every use needs only when it is used. It
does not know how a model is trained (``charlstm.train_api`` does) or how results are printed.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.checkpoint.names import find_checkpoint
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import SampleConfig
from charlstm.corpus.normalization import normalized
from charlstm.engine.graph import EnginePrecision
from charlstm.engine.graph_cache import load_or_build_graph
from charlstm.engine.inference import Engine
from charlstm.errors import ConfigError
from charlstm.generation.drawing import draw_samples
from charlstm.generation.samples import Sample, TextListener, with_prompt
from charlstm.tokenizer.base import Tokenizer

if TYPE_CHECKING:
    from charlstm.config import Division
    from charlstm.corpus.documents import Corpus, TextInput
    from charlstm.evaluation.dynamic import DynamicFigures
    from charlstm.evaluation.keystrokes import WordFigures
    from charlstm.evaluation.memorization import Memorization
    from charlstm.evaluation.scoring import Score
    from charlstm.evaluation.text_metrics import TextFigures, Texts
    from charlstm.prediction.grammar import Grammar
    from charlstm.prediction.predictor import Prediction, Predictor


@dataclass(frozen=True)
class LanguageModel:
    """A trained model, ready to use. It is safe to share between threads.

    Attributes:
        checkpoint: what was loaded: configuration, tokenizer, weights and figures.
        engine: runs the model on token ids.
    """

    checkpoint: Checkpoint
    engine: Engine

    def __repr__(self) -> str:
        return f"<LanguageModel {self.checkpoint.summary}>"

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the model was trained with."""
        return self.checkpoint.tokenizer

    def normalized(self, text: str) -> str:
        """Return a text in the Unicode form that the model reads."""
        return normalized(text, self.checkpoint.config.corpus.normalize)

    def generate(
        self, prompt: str = "", *, count: int = 1, seed: int | None = None, **options: Any
    ) -> list[Sample]:
        """Return ``count`` continuations of ``prompt``, drawn as one batch.

        Args:
            prompt: the text to continue; an empty one starts a document. Of a long one, the last
                8,192 tokens are read.
            count: how many samples to draw.
            seed: determines the samples; ``None`` draws a seed, which is in each ``Sample``.
            **options: fields of ``SampleConfig``, such as ``length`` and ``temperature``.

        Raises:
            ConfigError: if an option is out of its range.
            UsageError: if no text satisfies the options.
            GenerationError: if too few samples are finished.
        """
        return list(self.stream([prompt], SampleConfig(**options), count=count, seed=seed))

    def stream(
        self,
        prompts: Iterable[str],
        config: SampleConfig,
        *,
        count: int = 1,
        seed: int | None = None,
        on_text: TextListener | None = None,
        alternatives: int | None = None,
        known: Container[str] | None = None,
        unique: bool = False,
    ) -> Iterator[Sample]:
        """Yield ``count`` samples of each prompt, in order, each as soon as it is finished.

        Args:
            prompts: the texts to continue, as one batch.
            config: how to draw.
            count: how many samples of each prompt.
            seed: as for ``generate``.
            on_text: called with the index of a sample and its next piece of text (see
                ``charlstm.generation.decoder.generate``).
            alternatives: keep every token, with this many of the likeliest tokens at its position;
                ``None`` keeps no tokens.
            known: texts to reject, for example ``LineHashes``; others are drawn in their place.
            unique: whether to reject repeated texts, prompts included.

        Raises:
            ConfigError: if an argument is out of its range.
            UsageError: if no text satisfies the configuration.
            GenerationError: if too few samples are new or finished.
        """
        if isinstance(prompts, str):  # a sequence of texts, too
            raise ConfigError("prompts is one text: expected a list of them, such as [prompt]")
        _check(seed, count=count)
        prompts = list(prompts)
        samples = draw_samples(
            self.engine,
            self.tokenizer,
            [self.normalized(prompt) for prompt in prompts],
            config.with_texts(self.normalized),
            count=count,
            seed=fresh_seed() if seed is None else seed,
            on_text=on_text,
            alternatives=alternatives,
            known=known,
            unique=unique,
            ends=self.checkpoint.config.provenance.ends,
        )
        return (with_prompt(sample, prompts[sample.index // count]) for sample in samples)

    def most_likely(
        self,
        prompt: str = "",
        config: SampleConfig | None = None,
        *,
        beams: int = 8,
        count: int = 1,
    ) -> list[Sample]:
        """Return the likeliest continuations of ``prompt``, found by beam search.

        Args:
            prompt: the text to continue.
            config: length, stop conditions and constraints; sampling settings are ignored.
            beams: the width of the search.
            count: how many texts to return, at most.

        Raises:
            ConfigError: if ``beams`` or ``count`` is below 1.
            UsageError: if no text satisfies the configuration.
            GenerationError: if the length is too short for the word that ``prompt`` ends with, or
                for any text that is finished.
        """
        from charlstm.generation.beam import beam_search
        from charlstm.generation.rejection import check_finished

        _check(count=count, beams=beams)
        chosen = (config or SampleConfig()).with_texts(self.normalized)
        read = self.normalized(prompt)
        ends = self.checkpoint.config.provenance.ends
        check_finished(chosen, self.tokenizer, ends=ends)
        found = beam_search(
            self.engine, self.tokenizer, read, chosen, beams=beams, count=count, ends=ends
        )
        return [with_prompt(sample, prompt) for sample in found]

    def score(self, *texts: str, context: str = "", per_token: bool = False) -> list[Score]:
        """Return the score of each text as the beginning of a document.

        A model trained on parts of files, such as lines, scores the end of each text too. Texts run
        as one batch; the result of one does not depend on the others.

        Args:
            *texts: the texts to score.
            context: read before each text and not scored, except its last word where words are
                tokens or made of pieces: it may continue in the text.
            per_token: return the log-probability of each token too.
        """
        from charlstm.evaluation.scoring import score_texts

        scores = score_texts(
            self.engine,
            self.tokenizer,
            [self.normalized(text) for text in texts],
            ends=self.checkpoint.config.corpus.division.within_files,
            context=self.normalized(context),
            per_token=per_token,
        )
        return [replace(score, text=text) for score, text in zip(scores, texts, strict=True)]

    def predict(
        self,
        prompt: str = "",
        *,
        top: int = 5,
        words: int = 1,
        words_only: bool = False,
        tokens: bool = False,
    ) -> list[Prediction]:
        """Return what is likely to come next, the likeliest first.

        The last word of the prompt may be half typed, complete or both. ``kind`` says of each
        prediction whether it completes that word or follows it. Where each kind has 2 % of the
        probability or more, there are two groups, the one with the likeliest word first; otherwise
        all are one list. The list is empty where hardly any word ends, as in DNA.

        Args:
            prompt: any text, of which the last 8,192 tokens or a few more are read; an empty one
                starts a document.
            top: how many predictions to return, of each group; there may be fewer.
            words: how many words a prediction has; punctuation counts as a word.
            words_only: leave out punctuation and the end of the document.
            tokens: predict single tokens instead of words: characters, pieces, or tokens of word
                level.

        Raises:
            ConfigError: if ``top`` or ``words`` is less than 1, or ``tokens`` is combined with
                ``words`` or ``words_only``.
        """
        predictor = self.predictor()
        if tokens:
            if words != 1 or words_only:
                raise ConfigError("`tokens` can't be combined with `words` or `words_only`")
            return predictor.predict_tokens(prompt, top)
        return predictor.predict(prompt, top, words=words, words_only=words_only)

    def predictor(self) -> Predictor:
        """Return a predictor, which remembers recent prompts. Use each in one thread only."""
        from charlstm.prediction.predictor import Predictor

        return Predictor(self.engine, self.tokenizer, self._grammar, self.normalized)

    def evaluate(
        self, text: TextInput | None = None, *, texts: Sequence[str] | None = None
    ) -> TextFigures:
        """Return the loss, bits per character and perplexity of a text, computed as in training.

        Args:
            text: a file, a folder or a glob pattern as ``charlstm train`` takes them, a list of
                these, or a ``Corpus``. It is divided into documents as the training text was.
            texts: the text itself: strings, each with the content of a file.

        Raises:
            CorpusError: if the text is empty or can't be read.
            UsageError: if neither or both of ``text`` and ``texts`` are given.
        """
        from charlstm.evaluation.text_metrics import evaluate_text

        return evaluate_text(self.engine, self.tokenizer, self._corpus(text, texts))

    def evaluate_words(
        self,
        text: TextInput | None = None,
        *,
        texts: Sequence[str] | None = None,
        sample: int = 2000,
        seed: int = 1,
    ) -> WordFigures:
        """Return how well the words of a text are predicted: accuracy and keystrokes saved.

        Args:
            text: as for ``evaluate``.
            texts: as for ``evaluate``.
            sample: how many random words of the text to predict.
            seed: determines which.

        Raises:
            ConfigError: if a number is out of its range.
            CorpusError: if the text has no word or can't be read.
            UsageError: if neither or both of ``text`` and ``texts`` are given.
        """
        from charlstm.evaluation.word_metrics import evaluate_words

        _check(seed, sample=sample)
        documents = self._corpus(text, texts)
        return evaluate_words(self.engine, self.tokenizer, documents, sample=sample, seed=seed)

    def evaluate_dynamic(
        self,
        text: TextInput | None = None,
        *,
        texts: Sequence[str] | None = None,
        rate: float | None = None,
        decay: float | None = None,
        tokens: int = 50_000,
        threads: int | None = None,
    ) -> DynamicFigures:
        """Return the figures of a text for a copy of the model that learns from it as it reads.

        Imports TensorFlow. If the process has not used it before, it will see no GPU.

        Args:
            text: as for ``evaluate``.
            texts: as for ``evaluate``.
            rate: the learning rate; ``None`` takes 1 at word level and 0.25 at the others.
            decay: the share of the way back to the trained weights that each step takes, from 0 to
                1; ``None`` takes 0.002.
            tokens: read only this many from the beginning; 0 reads all.
            threads: processor threads for learning; ``None`` takes one per processor.

        Raises:
            ConfigError: if a number is out of its range.
            CorpusError: if the text is empty or can't be read.
            UsageError: if neither or both of ``text`` and ``texts`` are given.
        """
        from charlstm.evaluation.dynamic import evaluate_dynamic

        return evaluate_dynamic(
            self.engine,
            self.checkpoint,
            self._corpus(text, texts),
            rate=rate,
            decay=decay,
            tokens=tokens,
            threads=threads,
        )

    def memorization(
        self,
        training_text: TextInput,
        *,
        compare: TextInput | None = None,
        characters: int = 20_000,
        seed: int = 1,
    ) -> Memorization:
        """Return how much of what the model writes occurs verbatim in its training text.

        Args:
            training_text: the text the model was trained on, like ``text`` of ``evaluate``.
            compare: a text written by people, of which the same is measured for comparison.
            characters: how many characters the model writes.
            seed: determines what it writes.

        Raises:
            ConfigError: if a number is out of its range.
            CorpusError: if a text can't be read.
        """
        from charlstm.evaluation.memorization import measure_memorization

        _check(seed, characters=characters)
        return measure_memorization(
            self.engine,
            self.tokenizer,
            self._corpus(training_text),
            None if compare is None else self._corpus(compare),
            characters=characters,
            seed=seed,
            ends=self.checkpoint.config.provenance.ends,
        )

    def texts_of(self, corpus: Corpus, division: Division | None = None) -> Texts:
        """Return a corpus as documents, whose ends are scored if the model has learned them.

        Args:
            corpus: the text.
            division: what a document is; by default what it was in training.
        """
        from charlstm.evaluation.text_metrics import texts_of

        own = self.checkpoint.config
        learned = own.corpus.division
        corpus = replace(corpus, division=division or learned, normalize=own.corpus.normalize)
        ends = own.provenance.documents > 1
        if corpus.division.within_files:  # a model of files has not learned how their parts end
            ends = learned.within_files
        return texts_of(corpus, ends=ends, is_given=division is not None)

    def _corpus(self, text: TextInput | None, texts: Sequence[str] | None = None) -> Texts:
        from charlstm.corpus.documents import corpus_of

        # A model that has learned tables as plain text reads others so, too.
        is_text = self.checkpoint.config.corpus.format == "text"
        return self.texts_of(corpus_of(text, texts, "text" if is_text else "auto"))

    @cached_property
    def _grammar(self) -> Grammar:
        from charlstm.prediction.predictor import grammar_of

        return grammar_of(self.tokenizer, ends=self.checkpoint.config.provenance.ends)


def load(
    path: str | Path, *, precision: EnginePrecision = "int8", threads: int | None = None
) -> LanguageModel:
    """Load a model to use it. TensorFlow is not imported.

    Args:
        path: the folder of the checkpoint, or the name of one under ``checkpoints/`` or shipped.
        precision: ``int8`` (small and fast) or ``float32`` (exact).
        threads: processor threads; ``None`` takes one per processor.

    Raises:
        CheckpointError: if the checkpoint can't be read.
    """
    checkpoint = read_checkpoint(find_checkpoint(path))
    graph = load_or_build_graph(checkpoint, precision)
    return LanguageModel(checkpoint, Engine(graph, checkpoint.config.model, precision, threads))


def _check(seed: int | None = None, **numbers: int) -> None:
    if seed is not None and not 0 <= seed < 2**32:
        raise ConfigError(f"seed is {seed}: expected a whole number from 0 to {2**32 - 1}")
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"{name} is {number}: expected a whole number of 1 or more")


def fresh_seed() -> int:
    """Draw a seed from the operating system."""
    return secrets.randbelow(2**32)
