"""The Python interface: load a checkpoint, write text and predict words with it.

    >>> import charlstm
    >>> model = charlstm.load("checkpoints/shakespeare")
    >>> model.generate("ROMEO:", length=200, seed=1)[0].text
    >>> model.predict("to be or not to")[0].text

The stages (``charlstm.corpus``, ``charlstm.tokenizer``, ...) are importable modules of their own;
this one joins those that come after training.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlstm.checkpoint import Checkpoint, read_checkpoint
from charlstm.config import SampleConfig
from charlstm.engine import Engine, Precision, build_engine
from charlstm.errors import ConfigError
from charlstm.generation import Sample, generate
from charlstm.prediction import Prediction, Predictor, grammar_of
from charlstm.tokenizer import Tokenizer
from charlstm.wording import Grammar

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LanguageModel:
    """A trained model that is ready to run; safe to share between threads."""

    checkpoint: Checkpoint
    engine: Engine

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
        """
        return list(self.stream(prompt, SampleConfig(**options), count=count, seed=seed))

    def stream(
        self,
        prompt: str,
        config: SampleConfig,
        *,
        count: int = 1,
        seed: int | None = None,
        on_text: Callable[[int, str], None] | None = None,
    ) -> Iterator[Sample]:
        """Yield samples in order as they are finished; ``on_text`` sees the text as it is drawn."""
        if seed is not None and not 0 <= seed < 2**32:
            raise ConfigError(f"seed is {seed}: expected a whole number from 0 to {2**32 - 1}")
        if count < 1:
            raise ConfigError(f"count is {count}: expected a whole number of 1 or more")
        chosen = fresh_seed() if seed is None else seed
        return generate(
            self.engine, self.tokenizer, prompt, config, count=count, seed=chosen, on_text=on_text
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
        return Predictor(self.engine, self.tokenizer, self._grammar)

    @cached_property
    def _grammar(self) -> Grammar:
        return grammar_of(self.tokenizer)


def load(
    path: str | Path, *, precision: Precision = "int8", threads: int | None = None
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
    engine = build_engine(
        checkpoint.config.model, checkpoint.weights, precision=precision, threads=threads
    )
    return LanguageModel(checkpoint, engine)


def load_keras_model(path: str | Path) -> keras.Model:
    """Return a plain Keras model, stock layers only, with the weights of a checkpoint.

    Its inputs are tokens int32 [batch, time] and, for each layer, h and c float32 [batch, units];
    its outputs are logits float32 [batch, time, vocab_size] and the states after the last token,
    in the same order. Every document starts from zero states. TensorFlow is imported.

    Raises:
        CheckpointError: if it can't be read.
    """
    from charlstm.model import plain_keras_model

    checkpoint = read_checkpoint(Path(path))
    return plain_keras_model(checkpoint.config.model, checkpoint.weights)


def fresh_seed() -> int:
    """Draw a seed from the operating system."""
    return secrets.randbelow(2**32)
