"""Rejection of samples that are known already, were drawn before or did not come to an end.

Samples are drawn until enough of them are new. This module knows samples and containers of lines;
it does not know where either comes from.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import repeat
from typing import Protocol

import msgspec

from charlstm.config import SampleConfig
from charlstm.errors import GenerationError, UsageError
from charlstm.generation.samples import Sample
from charlstm.tokenizer.base import Tokenizer

# The search ends after this many rejected samples in a row, or when those of them that were cut by
# the length have this many tokens: they are the longest.
PATIENCE = 2_000
MATCH_PATIENCE = 200  # with a pattern: a match may have to be searched for
CUT_TOKENS = 2**18
# How far the indices of two prompts are apart: no prompt takes this many samples.
_INDICES_PER_PROMPT = 2**40


class Draw(Protocol):
    """Draws a sample of each prompt, as ``charlstm.generation.decoder.generate`` does."""

    def __call__(self, prompts: Iterable[str], *, first: int, at_once: int) -> Iterator[Sample]:
        """Yield samples with indices from ``first`` on, drawing ``at_once`` of them together."""


def check_finished(config: SampleConfig, tokenizer: Tokenizer, *, ends: bool) -> None:
    """Check that samples can come to an end before the length, if they should.

    Args:
        config: how they are drawn.
        tokenizer: the tokenizer of the model.
        ends: whether the model has learned to end documents.

    Raises:
        UsageError: if none can, so that no search would find one.
    """
    ends = ends or config.match is not None or config.until not in (None, "document")
    if config.finished and not ends and all(map(tokenizer.unknown_characters, config.stop)):
        raise UsageError(
            "the model has not learned where documents end, so that no sample is ever finished: "
            "add --until or --stop, or leave --finished out"
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
        draw: draws samples.
        prompts: the texts to continue.
        count: how many samples of each prompt to yield.
        known: texts to reject.
        unique: whether to reject a text that was yielded before, of any prompt.
        config: how they are drawn, and whether to reject those that are not finished. At a
            temperature of 0 the samples of a prompt are equal, and only ``count`` are drawn.

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
    """Yield the first ``count`` samples that are neither known nor seen nor, if asked, cut.

    A sample is compared as a whole text, with its prompt, both as it is and without the line ends
    after it: a line has none, but a document may end with some.

    Args:
        samples: the samples, perhaps infinitely many.
        count: how many to yield.
        known: texts to reject.
        seen: texts yielded before, to be rejected too; those yielded now are added. ``None`` allows
            repeated texts.
        finished: whether to reject samples that were cut by the length.
        patience: how many samples in a row to reject at most.
        first: the index to give to the first one; the others count on from it.

    Raises:
        GenerationError: if too many samples in a row are rejected, or tokens of those that were cut
            (see ``CUT_TOKENS``), or there are no more.
    """
    kept = refused = cut = cut_tokens = 0
    for sample in samples:
        whole = sample.prompt + sample.text
        text = whole.rstrip("\r\n")
        is_cut = finished and sample.finish_reason == "length"
        if is_cut or whole in known or text in known or (seen is not None and text in seen):
            refused, cut = refused + 1, cut + is_cut
            cut_tokens += sample.tokens * is_cut
            if refused == patience or cut_tokens >= CUT_TOKENS:
                raise _exhausted(kept, count, refused, cut)
            continue
        if seen is not None:
            seen.add(text)
        yield msgspec.structs.replace(sample, index=first + kept)
        kept, refused, cut, cut_tokens = kept + 1, 0, 0, 0
        if kept == count:
            return
    raise _exhausted(kept, count, refused, cut)


def _exhausted(kept: int, count: int, refused: int, cut: int) -> GenerationError:
    """Return the error after ``refused`` samples in a row, ``cut`` of them cut by the length."""
    found = f"{kept:,} of {count:,} samples were found: the last {refused:,} drawn were all"
    wider = "let more be drawn (--temperature, --match)"
    if not cut:
        return GenerationError(f"{found} known or drawn before; ask for fewer, or {wider}")
    if cut == refused:
        return GenerationError(f"{found} cut by the length before they ended; raise --length")
    return GenerationError(
        f"{found} known, drawn before or, {cut:,} of them, cut by the length before they ended; "
        f"raise --length, or {wider}"
    )
