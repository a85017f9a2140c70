"""Rejection of samples that are known, repeat an earlier sample or did not finish.

Samples are generated until enough of them are accepted.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from itertools import repeat
from typing import Protocol

from charlstm.config import SampleConfig
from charlstm.errors import GenerationError, UsageError
from charlstm.generation.samples import Sample
from charlstm.tokenizer.base import Tokenizer

# Generation fails after this many rejected samples in a row, or when the rejected samples that were
# cut at the length, which are the longest, have ``CUT_TOKENS`` tokens.
PATIENCE = 2_000
MATCH_PATIENCE = 200  # with a pattern, because a match may need a search
CUT_TOKENS = 2**18
# The distance between the first indices of two prompts. No prompt takes this many samples.
_INDICES_PER_PROMPT = 2**40


class Draw(Protocol):
    """A function that samples each prompt once, like ``charlstm.generation.decoder.generate``."""

    def __call__(self, prompts: Iterable[str], *, first: int, at_once: int) -> Iterator[Sample]:
        """Yield samples with indices from ``first`` on, in batches of ``at_once``."""


def check_finished(config: SampleConfig, tokenizer: Tokenizer, *, ends: bool) -> None:
    """Check that samples can finish before the length, if ``config.finished`` is set.

    Args:
        config: the sampling settings.
        tokenizer: the tokenizer of the model.
        ends: whether the model has learned to end documents.

    Raises:
        UsageError: if no sample can finish.
    """
    ends = ends or config.match is not None or config.until not in (None, "document")
    if config.finished and not ends and all(map(tokenizer.unknown_characters, config.stop)):
        if config.until == "document":
            raise UsageError(
                "`finished` can't be combined with `until` document: the model has not learned "
                "where documents end. Use `until` paragraph, or `stop`."
            )
        raise UsageError(
            "`finished` needs `until` or `stop`: the model has not learned where documents end."
        )


def draw_new(
    draw: Draw,
    prompts: Iterable[str],
    count: int,
    *,
    known: Container[str],
    unique: bool,
    config: SampleConfig,
) -> Iterator[Sample]:
    """Yield ``count`` samples of each prompt that are not rejected, numbered from 0.

    Args:
        draw: generates samples.
        prompts: the texts to continue.
        count: the number of samples to yield for each prompt.
        known: texts to reject.
        unique: whether to reject a text that was yielded before, for any prompt.
        config: the sampling settings, and whether to reject samples that are not finished. At
            temperature 0, the samples of a prompt are equal, and only ``count`` are generated.

    Raises:
        GenerationError: as for ``reject_known``.
    """
    seen: set[str] | None = set() if unique else None
    for number, prompt in enumerate(prompts):
        attempts = repeat(prompt) if config.temperature > 0 else repeat(prompt, count)
        samples = draw(attempts, first=number * _INDICES_PER_PROMPT, at_once=count)
        yield from reject_known(
            samples,
            count,
            known=known,
            seen=seen,
            finished=config.finished,
            patience=PATIENCE if config.match is None else MATCH_PATIENCE,
            first=number * count,
        )


def reject_known(
    samples: Iterable[Sample],
    count: int,
    *,
    known: Container[str] = (),
    seen: set[str] | None = None,
    finished: bool = False,
    patience: int = PATIENCE,
    first: int = 0,
) -> Iterator[Sample]:
    """Yield the first ``count`` samples that are not known, not seen and, if asked, not cut.

    A sample is compared as a whole text, including its prompt, both with and without the line ends
    at its end: a line has none, but a document can end with some.

    Args:
        samples: the samples, possibly infinitely many.
        count: the number of samples to yield.
        known: texts to reject.
        seen: texts that were yielded before, to reject too. New texts are added to it. ``None``
            allows repeated texts.
        finished: whether to reject samples that were cut at the length.
        patience: the maximum number of samples to reject in a row.
        first: the index of the first yielded sample.

    Raises:
        GenerationError: if too many samples in a row are rejected, or cut samples with too many
            tokens (see ``CUT_TOKENS``), or there are no more samples.
    """
    kept = refused = cut = cut_tokens = length = 0
    for sample in samples:
        whole = sample.prompt + sample.text
        text = whole.rstrip("\r\n")
        is_cut = finished and sample.finish_reason == "length"
        if is_cut or whole in known or text in known or (seen is not None and text in seen):
            refused, cut = refused + 1, cut + is_cut
            cut_tokens += sample.tokens * is_cut
            length = sample.tokens if is_cut else length
            if refused == patience or cut_tokens >= CUT_TOKENS:
                raise _exhausted(kept, count, refused, cut, length)
            continue
        if seen is not None:
            seen.add(text)
        yield replace(sample, index=first + kept)
        kept, refused, cut, cut_tokens = kept + 1, 0, 0, 0
        if kept == count:
            return
    raise _exhausted(kept, count, refused, cut, length)


def _exhausted(kept: int, count: int, refused: int, cut: int, length: int) -> GenerationError:
    """Return the error after ``refused`` samples in a row, ``cut`` of them cut at ``length``."""
    found = f"found only {kept:,} of {count:,} samples"
    if not refused:
        return GenerationError(f"{found}.")
    attempts = "attempt was" if refused == 1 else f"{refused:,} attempts were"
    if not cut:
        was = "a repeat or a known line" if refused == 1 else "repeats or known lines"
        return GenerationError(
            f"{found}: the last {attempts} {was}. Ask for fewer, or raise `temperature`."
        )
    if cut == refused and not kept:
        tried = f"{refused:,} attempt{'s' * (refused != 1)}"
        return GenerationError(
            f"found no finished sample in {tried}. Raise `length` (now {length:,})."
        )
    if cut == refused:
        return GenerationError(
            f"{found}: the last {attempts} cut off. Raise `length` (now {length:,})."
        )
    return GenerationError(
        f"{found}: the last {attempts} repeats, known lines or cut off ({cut:,} of them). Raise "
        f"`length` (now {length:,}), or raise `temperature`."
    )
