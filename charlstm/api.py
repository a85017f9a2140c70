"""The Python interface: load a checkpoint, then write text, predict words and score text with it.

    >>> import charlstm
    >>> model = charlstm.load("checkpoints/shakespeare")
    >>> model.generate("ROMEO:", length=200, seed=1)[0].text
    >>> model.score("To be, or not to be", "Or to be, not to be")[0].bits_per_character
    >>> model.predict("to be or not to")[0].text
    >>> model.evaluate("test.txt").bits_per_character

The folders beside this module are the stages of the tool and can be imported by themselves. This
module joins those that come after training; what not every use needs is imported late.
"""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import SampleConfig
from charlstm.engine.graph import EnginePrecision
from charlstm.engine.graph_cache import load_or_build_graph
from charlstm.engine.session import Engine
from charlstm.errors import ConfigError
from charlstm.generation.decoder import Sample, TextListener, generate
from charlstm.generation.rejection import reject_known
from charlstm.tokenizer.base import Tokenizer

if TYPE_CHECKING:
    import keras

    from charlstm.corpus.documents import Corpus, TextInput
    from charlstm.evaluation.dynamic import DynamicFigures
    from charlstm.evaluation.keystrokes import WordFigures
    from charlstm.evaluation.memorization import Memorization
    from charlstm.evaluation.scoring import Score
    from charlstm.evaluation.text_metrics import TextFigures, Texts
    from charlstm.prediction.grammar import Grammar
    from charlstm.prediction.predictor import Prediction, Predictor

_APART = 2**40  # indices between prompts of which nobody knows how many samples they take


@dataclass(frozen=True)
class LanguageModel:
    """A trained model that is ready to run; safe to share between threads."""

    checkpoint: Checkpoint
    engine: Engine

    def __repr__(self) -> str:
        return f"<LanguageModel {self.checkpoint.summary}>"

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the model was trained with."""
        return self.checkpoint.tokenizer

    def generate(
        self, prompt: str = "", *, count: int = 1, seed: int | None = None, **options: Any
    ) -> list[Sample]:
        """Write ``count`` continuations of ``prompt``.

        Args:
            prompt: the text to continue; empty begins a document.
            count: how many, drawn as one batch.
            seed: determines the text; ``None`` draws one, which each sample tells.
            **options: fields of ``SampleConfig``, such as ``length`` and ``temperature``.

        Raises:
            ConfigError: if an option is out of its range.
            UsageError: if no text can be what the options ask for.
        """
        return list(self.stream([prompt], SampleConfig(**options), count=count, seed=seed))

    def stream(
        self,
        prompts: Sequence[str],
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
            on_text: sees the text as it is drawn (see ``charlstm.generation.decoder.generate``).
            alternatives: keep every symbol, with so many of the likeliest beside it.
            known: texts that don't count; more samples are drawn in their place.
            unique: whether a text, its prompt included, counts once only.

        Raises:
            ConfigError: if an argument is out of its range.
            UsageError: if no text can be what the configuration asks for.
            GenerationError: if there are not as many known and unique texts.
        """
        if isinstance(prompts, str):  # which is a sequence of texts, too
            raise ConfigError("prompts is one text: expected a list of them, such as [prompt]")
        _check(seed, count=count)
        chosen = fresh_seed() if seed is None else seed

        def write(
            texts: Iterable[str], first: int = 0, at_once: int | None = None
        ) -> Iterator[Sample]:
            return generate(
                self.engine,
                self.tokenizer,
                texts,
                config,
                seed=chosen,
                first=first,
                on_text=on_text,
                alternatives=alternatives,
                at_once=at_once,
            )

        if known is None and not unique:
            return write(chain.from_iterable(repeat(prompt, count) for prompt in prompts))

        def attempts(prompt: str, first: int) -> Iterator[Sample]:
            # Without chance more than are wanted would be the same again.
            texts = repeat(prompt) if config.temperature else repeat(prompt, count)
            return write(texts, first, at_once=count)

        seen: set[str] | None = set() if unique else None
        return chain.from_iterable(
            reject_known(
                attempts(prompt, number * _APART),
                count,
                known=() if known is None else known,
                seen=seen,
                first=number * count,
            )
            for number, prompt in enumerate(prompts)
        )

    def most_likely(
        self,
        prompt: str = "",
        config: SampleConfig | None = None,
        *,
        beams: int = 8,
        count: int = 1,
    ) -> list[Sample]:
        """Find the likeliest continuations of ``prompt`` by beam search.

        Args:
            prompt: the text to continue.
            config: length, endings and constraints; what concerns drawing is not looked at.
            beams: how many beginnings go on at a time.
            count: how many texts to return, at most.

        Raises:
            ConfigError: if ``beams`` or ``count`` is below 1.
            UsageError: if no text can be what the configuration asks for.
            GenerationError: if the length is too short for the word that ``prompt`` ends with.
        """
        from charlstm.generation.beam import beam_search

        _check(count=count, beams=beams)
        chosen = config or SampleConfig()
        return beam_search(self.engine, self.tokenizer, prompt, chosen, beams=beams, count=count)

    def score(self, *texts: str, context: str = "", per_token: bool = False) -> list[Score]:
        """Score texts, each as the beginning of a document; a model of lines scores its end too.

        Args:
            *texts: run as one batch, which changes nothing in the figures of each.
            context: read before each text and not scored (but for its last word at word level,
                which may go on in the text).
            per_token: give the log-probability of each symbol too.
        """
        from charlstm.evaluation.scoring import score_texts

        return score_texts(
            self.engine,
            self.tokenizer,
            texts,
            ends=self.checkpoint.config.corpus.lines,
            context=context,
            per_token=per_token,
        )

    def predict(
        self,
        prompt: str = "",
        *,
        top: int = 5,
        words: int = 1,
        words_only: bool = False,
        symbols: bool = False,
    ) -> list[Prediction]:
        """Return what is likely to come next, the likeliest first.

        The last word of a prompt may be half typed: its completions stand beside the words that
        follow it if it is complete. A prompt that ends in white space is followed by a new word.

        Args:
            prompt: any text; empty begins a document.
            top: how many predictions; there may be fewer.
            words: how many words a prediction has; punctuation counts as a word.
            words_only: leave out punctuation and the end of the document.
            symbols: predict characters (or tokens of word level) instead of words.

        Raises:
            ConfigError: if ``top`` or ``words`` is less than 1, or symbols are to be words.
        """
        predictor = self.predictor()
        if symbols:
            if words != 1 or words_only:
                raise ConfigError("symbols are no words: leave words and words_only out")
            return predictor.symbols(prompt, top)
        return predictor.predict(prompt, top, words=words, words_only=words_only)

    def predictor(self) -> Predictor:
        """Return a predictor, which remembers recent prompts and belongs to one thread."""
        from charlstm.prediction.predictor import Predictor

        return Predictor(self.engine, self.tokenizer, self._grammar)

    def evaluate(
        self, text: TextInput | None = None, *, texts: Sequence[str] | None = None
    ) -> TextFigures:
        """Return the loss, bits per character and perplexity of a text, as training finds them.

        Args:
            text: a file, a folder or a glob pattern as ``charlstm train`` takes them, a list of
                these, or a ``Corpus``. Each file is a document; of a model of lines each line.
            texts: the text itself: strings, each of them what a file would contain.

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
        """Return how well the words of a text are predicted: accuracy, and keystrokes saved.

        Args:
            text: as for ``evaluate``.
            texts: as for ``evaluate``.
            sample: how many words are drawn from the text.
            seed: determines which.

        Raises:
            ConfigError: if a number is out of its range.
            CorpusError: if the text has no word or can't be read.
            UsageError: if neither or both of ``text`` and ``texts`` are given.
        """
        from charlstm.evaluation.text_metrics import evaluate_words

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
        """Return the figures of a text while a copy of the model learns from it as it reads.

        TensorFlow is imported; if this is its first use in a process, it sees no GPU there.

        Args:
            text: as for ``evaluate``.
            texts: as for ``evaluate``.
            rate: the learning rate; ``None`` takes 0.25 for characters and 1 for words.
            decay: how far each step goes back to the trained weights, from 0 to 1; ``None`` takes
                0.002.
            tokens: read only so many from the beginning; 0 for all.
            threads: processor threads for learning; ``None`` takes all processors.

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
        """Return how much of what the model writes stands word for word in its training text.

        Args:
            training_text: the text the model was trained on, as ``text`` of ``evaluate``.
            compare: a text of people, of which the same is measured.
            characters: how many the model writes.
            seed: determines them.

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
        )

    def texts_of(self, corpus: Corpus) -> Texts:
        """Return a corpus as documents, whose ends count if the model has learned such ends."""
        from charlstm.evaluation.text_metrics import texts_of

        config = self.checkpoint.config
        corpus = replace(corpus, lines=config.corpus.lines)
        return texts_of(corpus, ends=config.provenance.documents > 1)

    def _corpus(self, text: TextInput | None, texts: Sequence[str] | None = None) -> Texts:
        from charlstm.corpus.documents import corpus_of

        return self.texts_of(corpus_of(text, texts))

    @cached_property
    def _grammar(self) -> Grammar:
        from charlstm.prediction.predictor import grammar_of

        return grammar_of(self.tokenizer)


def load(
    path: str | Path, *, precision: EnginePrecision = "int8", threads: int | None = None
) -> LanguageModel:
    """Load a checkpoint to use it; TensorFlow is not imported.

    Args:
        path: the checkpoint's folder.
        precision: ``int8``, small and fast, or ``float32``, exact.
        threads: processor threads; ``None`` takes what is fastest.

    Raises:
        CheckpointError: if it can't be read.
    """
    checkpoint = read_checkpoint(Path(path))
    graph = load_or_build_graph(checkpoint, precision)
    return LanguageModel(checkpoint, Engine(graph, checkpoint.config.model, precision, threads))


def load_keras_model(path: str | Path) -> keras.Model:
    """Return a plain Keras model, stock layers only, with the weights of a checkpoint.

    Its inputs are tokens int32 [batch, time] and, for each layer, h and c float32 [batch, units];
    its outputs are logits float32 [batch, time, vocab_size] and the states after the last token,
    in the same order. Every document starts from zero states. TensorFlow is imported.

    Raises:
        CheckpointError: if it can't be read.
    """
    from charlstm.network.model import plain_keras_model

    checkpoint = read_checkpoint(Path(path))
    return plain_keras_model(checkpoint.config.model, checkpoint.weights)


def _check(seed: int | None = None, **numbers: int) -> None:
    if seed is not None and not 0 <= seed < 2**32:
        raise ConfigError(f"seed is {seed}: expected a whole number from 0 to {2**32 - 1}")
    for name, number in numbers.items():
        if number < 1:
            raise ConfigError(f"{name} is {number}: expected a whole number of 1 or more")


def fresh_seed() -> int:
    """Draw a seed from the operating system."""
    return secrets.randbelow(2**32)
