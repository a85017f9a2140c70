"""The methods of a model that measure it on a text, as ``charlstm evaluate`` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from charlstm.api.arguments import NumberOfThreads, suggesting
from charlstm.api.loaded import LoadedModel, TextOptions
from charlstm.api.user_warnings import warn
from charlstm.config import Count, Seed
from charlstm.errors import UnknownCharacterWarning
from charlstm.validation import checked

if TYPE_CHECKING:
    from charlstm.corpus.documents import TextInput
    from charlstm.evaluation.dynamic import DynamicFigures
    from charlstm.evaluation.gap_metrics import GapFigures
    from charlstm.evaluation.keystrokes import WordFigures
    from charlstm.evaluation.memorization import Memorization
    from charlstm.evaluation.text_metrics import TextFigures


class MeasuredModel(LoadedModel):
    """A loaded model that can be measured on a text.

    Each method takes ``text``, a file, folder or glob pattern as for ``charlstm train``, a list of
    these, or a ``Corpus``; or ``texts``, a list of strings, each treated as the content of a file.
    """

    @suggesting(TextOptions)
    def evaluate(
        self,
        text: TextInput | None = None,
        *,
        texts: Sequence[str] | None = None,
        **options: Unpack[TextOptions],
    ) -> TextFigures:
        """Return the loss, bits per character and perplexity of a text, computed as in training.

            >>> model.evaluate("test.txt").bits_per_character

        Args:
            text: a file, folder or glob pattern, a list of these, or a ``Corpus``.
            texts: the text itself, as strings. Each string is treated as the content of a file.
            **options: how the text is read; see ``TextOptions``.

        Raises:
            ConfigError: if an option is out of range.
            CorpusError: if the text is empty or can't be read.
            UsageError: unless exactly one of ``text`` and ``texts`` is given.
        """
        from charlstm.evaluation.text_metrics import evaluate_text

        with self._read(text, texts, options) as documents:
            figures = evaluate_text(self.engine, self.tokenizer, documents)
        if figures.unknown:
            count = f"{figures.unknown:,} of {figures.tokens:,} tokens"
            warn(
                f"{count} are unknown characters, so figures don't compare", UnknownCharacterWarning
            )
        return figures

    @suggesting(TextOptions)
    def evaluate_words(
        self,
        text: TextInput | None = None,
        *,
        texts: Sequence[str] | None = None,
        sample: int = 2000,
        seed: int = 1,
        **options: Unpack[TextOptions],
    ) -> WordFigures:
        """Return the next-word accuracy and the keystrokes saved on a text.

        Args:
            text: as for ``evaluate``.
            texts: as for ``evaluate``.
            sample: the number of words to predict, chosen at random from the text.
            seed: the seed of that choice.
            **options: as for ``evaluate``.

        Raises:
            ConfigError: if a number is out of range.
            CorpusError: if the text has no words, and otherwise as ``evaluate``.
        """
        from charlstm.evaluation.word_metrics import evaluate_words

        sample, seed = checked("sample", sample, Count), checked("seed", seed, Seed)
        with self._read(text, texts, options) as documents:
            return evaluate_words(self.engine, self.tokenizer, documents, sample=sample, seed=seed)

    @suggesting(TextOptions)
    def evaluate_gaps(
        self,
        text: TextInput | None = None,
        *,
        texts: Sequence[str] | None = None,
        sample: int = 300,
        seed: int = 1,
        **options: Unpack[TextOptions],
    ) -> GapFigures:
        """Return how often a hidden word is found from the rest of its line.

        Args:
            text: as for ``evaluate``.
            texts: as for ``evaluate``.
            sample: the number of words to hide one at a time, chosen at random from the text.
            seed: the seed of that choice.
            **options: as for ``evaluate``.

        Raises:
            ConfigError: if a number is out of range.
            CorpusError: if the text has no words, and otherwise as ``evaluate``.
        """
        from charlstm.evaluation.gap_metrics import evaluate_gaps

        sample, seed = checked("sample", sample, Count), checked("seed", seed, Seed)
        with self._read(text, texts, options) as documents:
            return evaluate_gaps(
                self.tokenizer,
                self.predictor(),
                self.filler(),
                documents,
                sample=sample,
                seed=seed,
            )

    @suggesting(TextOptions)
    def evaluate_dynamic(
        self,
        text: TextInput | None = None,
        *,
        texts: Sequence[str] | None = None,
        rate: float | None = None,
        decay: float | None = None,
        tokens: int = 50_000,
        threads: int | None = None,
        **options: Unpack[TextOptions],
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
            **options: as for ``evaluate``.

        Raises:
            ConfigError: if a number is out of range, and otherwise as ``evaluate``.
        """
        from charlstm.evaluation.dynamic import evaluate_dynamic

        with self._read(text, texts, options) as documents:
            return evaluate_dynamic(
                self.engine,
                self.checkpoint,
                documents,
                rate=rate,
                decay=decay,
                tokens=tokens,
                threads=checked("threads", threads, NumberOfThreads | None),
            )

    @suggesting(TextOptions)
    def memorization(
        self,
        training_text: TextInput,
        *,
        compare: TextInput | None = None,
        characters: int = 20_000,
        seed: int = 1,
        **options: Unpack[TextOptions],
    ) -> Memorization:
        """Return how much generated text occurs verbatim in the training text.

        Args:
            training_text: the text that the model was trained on, as ``text`` of ``evaluate``.
            compare: a text written by people, measured in the same way for comparison.
            characters: the number of characters to generate.
            seed: the seed of the generated text.
            **options: how both texts are read; see ``TextOptions``.

        Raises:
            ConfigError: if a number is out of range.
            CorpusError: if a text can't be read.
        """
        from contextlib import nullcontext

        from charlstm.evaluation.memorization import measure_memorization

        characters, seed = checked("characters", characters, Count), checked("seed", seed, Seed)
        other = nullcontext() if compare is None else self._read(compare, None, options)
        with self._read(training_text, None, options) as training, other as compared:
            return measure_memorization(
                self.engine,
                self.tokenizer,
                training,
                compared,
                characters=characters,
                seed=seed,
                ends=self.checkpoint.config.provenance.ends,
            )
