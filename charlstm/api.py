"""The Python interface: load a checkpoint, then generate, predict, score and evaluate text.

    >>> import charlstm
    >>> model = charlstm.load("checkpoints/shakespeare")
    >>> model.generate("ROMEO:", length=200, seed=1)[0].text
    >>> model.score("To be, or not to be", "Or to be, not to be")[0].bits_per_character
    >>> model.predict("to be or not to")[0].text
    >>> model.evaluate("test.txt").bits_per_character

Modules that only some calls need are imported when they are first used.
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
    """A trained model, ready to use. Threads can share it.

    Attributes:
        checkpoint: the configuration, tokenizer, weights and figures that were loaded.
        engine: runs the network on token ids.
    """

    checkpoint: Checkpoint
    engine: Engine

    def __repr__(self) -> str:
        return f"<LanguageModel {self.checkpoint.summary}>"

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the model was trained with."""
        return self.checkpoint.tokenizer

    def normalized(self, text: str) -> str:
        """Return a text in the Unicode form that the model was trained on."""
        return normalized(text, self.checkpoint.config.corpus.normalize)

    def generate(
        self, prompt: str = "", *, count: int = 1, seed: int | None = None, **options: Any
    ) -> list[Sample]:
        """Return ``count`` continuations of ``prompt``, sampled as one batch.

            >>> model.generate("ROMEO:", length=200, temperature=0.7)[0].text

        Args:
            prompt: the text to continue. An empty prompt starts a new document. Only the last
                8,192 tokens of a longer prompt are read.
            count: the number of samples.
            seed: determines the samples. ``None`` takes a random seed, which is in each ``Sample``.
            **options: fields of ``SampleConfig``, such as ``length`` and ``temperature``.

        Raises:
            ConfigError: if an option is out of range.
            UsageError: if no text can satisfy the options.
            GenerationError: if ``finished`` is set and too few samples finish.
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
        """Yield ``count`` samples of each prompt, in order, each as soon as it is complete.

        Args:
            prompts: the texts to continue, as one batch.
            config: the sampling settings.
            count: the number of samples for each prompt.
            seed: as for ``generate``.
            on_text: called with the index of a sample and its next piece of text (see
                ``charlstm.generation.decoder.generate``).
            alternatives: record every token and this many of the most likely ones at its position.
                ``None`` records no tokens.
            known: texts to reject, such as a set or ``LineHashes``. Other samples replace them.
            unique: whether to reject samples that repeat an earlier one, prompts included.

        Raises:
            ConfigError: if an argument is out of range.
            UsageError: if no text can satisfy the configuration.
            GenerationError: if too few samples are new or finished.
        """
        if isinstance(prompts, str):  # a string is an iterable of strings too
            raise ConfigError("`prompts` is a string: expected a list, such as [prompt].")
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
        """Return the most likely continuations of ``prompt``, found by beam search.

        Args:
            prompt: the text to continue.
            config: the length, stop conditions and constraints. Sampling settings are ignored.
            beams: the number of beams.
            count: the maximum number of texts to return.

        Raises:
            ConfigError: if ``beams`` or ``count`` is less than 1.
            UsageError: if no text can satisfy the configuration.
            GenerationError: if ``length`` is too short for the word at the end of ``prompt``, or
                if ``finished`` is set and no text finishes.
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

        If the model was trained on parts of files, such as lines, the end of each text is scored
        too. The texts run as one batch, which does not change their scores.

        Args:
            *texts: the texts to score.
            context: text that is read before each text but not scored. Its last word is scored by
                word-level and subword-level models, because it may continue in the text.
            per_token: whether to return the log-probability of each token too.
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
        """Return the most likely next words, most likely first.

            >>> [prediction.text for prediction in model.predict("to be or not to", top=3)]

        The last word of the prompt can be half-typed. ``kind`` says whether a prediction completes
        that word or follows it. If both kinds have at least 2% of the probability, there are two
        groups, the one with the most likely word first. The list is empty where almost no word
        ends, as in DNA.

        Args:
            prompt: any text, of which about the last 8,192 tokens are read. An empty prompt starts
                a new document.
            top: the maximum number of predictions in each group.
            words: the number of words in each prediction. Punctuation counts as a word.
            words_only: whether to leave out punctuation and the end of the document.
            tokens: whether to predict single tokens instead of words.

        Raises:
            ConfigError: if ``top`` or ``words`` is less than 1, or if ``tokens`` is combined with
                ``words`` or ``words_only``.
        """
        predictor = self.predictor()
        if tokens:
            if words != 1 or words_only:
                raise ConfigError("`tokens` can't be combined with `words` or `words_only`.")
            return predictor.predict_tokens(prompt, top)
        return predictor.predict(prompt, top, words=words, words_only=words_only)

    def predictor(self) -> Predictor:
        """Return a predictor, which caches recent prompts. Use it in one thread only."""
        from charlstm.prediction.predictor import Predictor

        return Predictor(self.engine, self.tokenizer, self._grammar, self.normalized)

    def evaluate(
        self, text: TextInput | None = None, *, texts: Sequence[str] | None = None
    ) -> TextFigures:
        """Return the loss, bits per character and perplexity of a text, computed as in training.

        Args:
            text: a file, folder or glob pattern as for ``charlstm train``, a list of these, or a
                ``Corpus``. It is divided into documents as the training text was.
            texts: the text itself, as strings. Each string is treated as the content of a file.

        Raises:
            CorpusError: if the text is empty or can't be read.
            UsageError: unless exactly one of ``text`` and ``texts`` is given.
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
        """Return the next-word accuracy and the keystrokes saved on a text.

        Args:
            text: as for ``evaluate``.
            texts: as for ``evaluate``.
            sample: the number of words to predict, chosen at random from the text.
            seed: the seed of that choice.

        Raises:
            ConfigError: if a number is out of range.
            CorpusError: if the text has no words, and otherwise as ``evaluate``.
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
        """Return the figures of dynamic evaluation: a copy of the model learns from the text.

        Imports TensorFlow, which then sees no GPU unless the process imported it earlier.

        Args:
            text: as for ``evaluate``.
            texts: as for ``evaluate``.
            rate: the learning rate. ``None`` is 1 for word-level models, otherwise 0.25.
            decay: how far each step moves back to the trained weights, from 0 (not at all) to 1
                (all the way). ``None`` is 0.002.
            tokens: the maximum number of tokens to read from the beginning. 0 reads all.
            threads: the number of CPU threads for learning. ``None`` uses one per CPU core.

        Raises:
            ConfigError: if a number is out of range, and otherwise as ``evaluate``.
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
        """Return how much generated text occurs verbatim in the training text.

        Args:
            training_text: the text that the model was trained on, as ``text`` of ``evaluate``.
            compare: a text written by people, measured in the same way for comparison.
            characters: the number of characters to generate.
            seed: the seed of the generated text.

        Raises:
            ConfigError: if a number is out of range.
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
        """Return a corpus as documents. Their ends are scored if the model has learned them.

        Args:
            corpus: the text.
            division: what a document is. ``None`` is the division of the training text.
        """
        from charlstm.evaluation.text_metrics import texts_of

        own = self.checkpoint.config
        learned = own.corpus.division
        corpus = replace(corpus, division=division or learned, normalize=own.corpus.normalize)
        ends = own.provenance.documents > 1
        if corpus.division.within_files:  # a model trained on files can't end parts of them
            ends = learned.within_files
        return texts_of(corpus, ends=ends, is_given=division is not None)

    def _corpus(self, text: TextInput | None, texts: Sequence[str] | None = None) -> Texts:
        from charlstm.corpus.documents import corpus_of

        # A model trained on tables as plain text reads other tables as plain text too.
        is_text = self.checkpoint.config.corpus.format == "text"
        return self.texts_of(corpus_of(text, texts, "text" if is_text else "auto"))

    @cached_property
    def _grammar(self) -> Grammar:
        from charlstm.prediction.predictor import grammar_of

        return grammar_of(self.tokenizer, ends=self.checkpoint.config.provenance.ends)


def load(
    path: str | Path, *, precision: EnginePrecision = "int8", threads: int | None = None
) -> LanguageModel:
    """Load a model from a checkpoint, without importing TensorFlow.

        >>> model = charlstm.load("checkpoints/shakespeare", precision="float32")

    Args:
        path: a checkpoint folder, or the name of one in ``checkpoints/`` or of a shipped model.
        precision: ``"int8"`` (small and fast) or ``"float32"`` (exact).
        threads: the number of CPU threads. ``None`` uses one per CPU core.

    Raises:
        CheckpointError: if the checkpoint can't be read.
    """
    checkpoint = read_checkpoint(find_checkpoint(path))
    graph = load_or_build_graph(checkpoint, precision)
    return LanguageModel(checkpoint, Engine(graph, checkpoint.config.model, precision, threads))


def _check(seed: int | None = None, **numbers: int) -> None:
    if seed is not None and not 0 <= seed < 2**32:
        raise ConfigError(f"`seed` is {seed}: expected a whole number from 0 to {2**32 - 1:,}.")
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"`{name}` is {number}: expected a whole number of 1 or more.")


def fresh_seed() -> int:
    """Return a random seed from the operating system."""
    return secrets.randbelow(2**32)
