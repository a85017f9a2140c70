"""The methods of a model that generate text, as ``charlstm generate`` does."""

from __future__ import annotations

import secrets
from collections.abc import Container, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

from charlstm.api.arguments import (
    NumberOfAlternatives,
    NumberOfBeams,
    suggesting,
)
from charlstm.api.evaluation import MeasuredModel
from charlstm.api.user_warnings import warn_of_notes
from charlstm.config import Count, Seed
from charlstm.errors import ConfigError
from charlstm.generation.drawing import draw_samples
from charlstm.generation.options import SampleOptions, TextLimits, sample_config
from charlstm.generation.samples import Sample, TextListener, with_columns, with_prompt
from charlstm.validation import checked, quoted

if TYPE_CHECKING:
    from charlstm.corpus.documents import Address


class GeneratingModel(MeasuredModel):
    """A loaded model that can generate text."""

    @suggesting(SampleOptions)
    def generate(
        self,
        prompt: str | Iterable[str] = "",
        *,
        count: int = 1,
        seed: int | None = None,
        unique: bool = False,
        novel: bool = False,
        against: Address | Iterable[Address] = (),
        known: Container[str] | None = None,
        alternatives: int | None = None,
        **options: Unpack[SampleOptions],
    ) -> list[Sample]:
        """Return ``count`` continuations of each prompt, sampled as one batch.

            >>> model.generate("ROMEO:", length=200, temperature=0.7)[0].text
            >>> model.generate(count=20, novel=True, unique=True, match="[A-Z][a-z]{3,8}")

        Args:
            prompt: the text to continue, or several. An empty prompt starts a new document. Only
                the last 8,192 tokens of a longer prompt are read.
            count: the number of samples for each prompt.
            seed: determines the samples. ``None`` takes a random seed, which is in each ``Sample``.
            unique: whether to reject samples that repeat an earlier one, prompts included.
            novel: whether to reject samples that occur in the training text as a line or document.
                The model must have been trained with ``lines``, ``paragraphs`` or
                ``delimiter``, or on a table.
            against: files whose lines or documents are rejected too.
            known: other texts to reject, such as a set of strings.
            alternatives: record every token, and this many of the most likely ones at its position,
                in ``Sample.per_token``. ``None`` records no tokens.
            **options: the length, the end and the sampling settings; see ``SampleOptions``.

        Raises:
            ConfigError: if an argument is out of range.
            UsageError: if no text can satisfy the options, or there is no index for ``novel``.
            CorpusError: if a file of ``against`` can't be read.
            GenerationError: if too few samples are unique, new or finished.
        """
        samples = self.stream(
            prompt,
            count=count,
            seed=seed,
            unique=unique,
            novel=novel,
            against=against,
            known=known,
            alternatives=alternatives,
            **options,
        )
        return list(samples)

    @suggesting(SampleOptions)
    def stream(
        self,
        prompt: str | Iterable[str] = "",
        *,
        count: int = 1,
        seed: int | None = None,
        on_text: TextListener | None = None,
        unique: bool = False,
        novel: bool = False,
        against: Address | Iterable[Address] = (),
        known: Container[str] | None = None,
        alternatives: int | None = None,
        **options: Unpack[SampleOptions],
    ) -> Iterator[Sample]:
        """Yield the samples that ``generate`` returns, in order, each as soon as it is complete.

            >>> for _ in model.stream("ROMEO:", on_text=lambda _, text: print(text, end="")):
            ...     pass

        Args:
            prompt: as for ``generate``.
            count: as for ``generate``.
            seed: as for ``generate``.
            on_text: called with the index of a sample and its next piece of text. Can't be combined
                with options that reject samples.
            unique: as for ``generate``.
            novel: as for ``generate``.
            against: as for ``generate``.
            known: as for ``generate``.
            alternatives: as for ``generate``.
            **options: as for ``generate``.

        Raises:
            CharlstmError: as ``generate``, for arguments at once and for samples while they come.
        """
        prompts = self._prompts(prompt)
        rejects = unique or novel or known is not None or against != () or options.get("finished")
        if on_text is not None and rejects:
            raise ConfigError("`on_text` can't be combined with options that reject samples.")
        count = checked("count", count, Count)
        samples = draw_samples(
            self.engine,
            self.tokenizer,
            [self.normalized(each) for each in prompts],
            sample_config(options).with_texts(self.normalized),
            count=count,
            seed=fresh_seed() if seed is None else checked("seed", seed, Seed),
            on_text=on_text,
            alternatives=checked("alternatives", alternatives, NumberOfAlternatives | None),
            known=self._known(novel, against, known),
            unique=checked("unique", unique, bool),
            ends=self.checkpoint.config.provenance.ends,
        )
        return (self._given(sample, prompts[sample.index // count]) for sample in samples)

    @suggesting(TextLimits)
    def most_likely(
        self,
        prompt: str | Iterable[str] = "",
        *,
        beams: int = 8,
        count: int = 1,
        **options: Unpack[TextLimits],
    ) -> list[Sample]:
        """Return the most likely continuations of each prompt, found by beam search.

        Args:
            prompt: the text to continue, or several.
            beams: the number of beams.
            count: the maximum number of texts to return for each prompt, at most ``beams``.
            **options: the length, stop conditions and constraints; see ``TextLimits``.

        Raises:
            ConfigError: if an argument is out of range.
            UsageError: if no text can satisfy the options.
            GenerationError: if ``length`` is too short for the word at the end of a prompt, or
                if ``finished`` is set and no text finishes.
        """
        from charlstm.generation.beam import beam_search
        from charlstm.generation.rejection import check_finished

        count, beams = checked("count", count, Count), checked("beams", beams, NumberOfBeams)
        if count > beams:
            raise ConfigError(f"`count` ({count:,}) is greater than `beams` ({beams:,}).")
        config = sample_config(options).with_texts(self.normalized)
        ends = self.checkpoint.config.provenance.ends
        check_finished(config, self.tokenizer, ends=ends)
        found = [
            self._given(sample, prompt)
            for prompt in self._prompts(prompt)
            for sample in beam_search(
                self.engine,
                self.tokenizer,
                self.normalized(prompt),
                config,
                beams=beams,
                count=count,
                ends=ends,
            )
        ]
        return [replace(sample, index=index) for index, sample in enumerate(found)]

    def _given(self, sample: Sample, prompt: str) -> Sample:
        """Return a sample with its prompt as given, and with columns if it is a record."""
        division = self.checkpoint.config.corpus.division
        columns = division.columns if division.unit == "record" else ()
        return with_columns(with_prompt(sample, prompt), columns)

    def _known(
        self, novel: bool, against: Address | Iterable[Address], known: Container[str] | None
    ) -> Container[str] | None:
        given: Any = known
        if isinstance(given, str) or not (given is None or isinstance(given, Container | Iterable)):
            raise ConfigError(f"`known` is {quoted(given)}: expected a collection of texts.")
        if isinstance(given, Iterable) and not isinstance(given, Set | Mapping):
            known = frozenset(given)
        if not checked("novel", novel, bool) and against == ():
            return known
        from charlstm.corpus.documents import addresses_of
        from charlstm.corpus.notes import Notes
        from charlstm.generation.known_texts import known_texts

        notes = Notes()
        found = known_texts(
            self.checkpoint, novel=novel, against=addresses_of(against), notes=notes
        )
        warn_of_notes(notes.untold())
        if found is None or known is None:
            return known if found is None else found
        return _Either(found, known)


@dataclass(frozen=True)
class _Either:
    """The texts that are in one of two collections."""

    one: Container[str]
    other: Container[str]

    def __contains__(self, text: object) -> bool:
        return text in self.one or text in self.other


def fresh_seed() -> int:
    """Return a random seed from the operating system."""
    return secrets.randbelow(2**32)
