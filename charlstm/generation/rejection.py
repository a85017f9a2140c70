"""Rejection of samples that are known already or were drawn before.

Samples are drawn until enough of them are new. This module knows samples and containers of lines;
it does not know where either comes from.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import repeat
from typing import Protocol

import msgspec

from charlstm.errors import GenerationError
from charlstm.generation.samples import Sample

# The search ends after this many rejected samples in a row.
PATIENCE = 2_000
# How far the indices of two prompts are apart: no prompt takes this many samples.
_INDICES_PER_PROMPT = 2**40


class Draw(Protocol):
    """Draws a sample of each prompt, as ``charlstm.generation.decoder.generate`` does."""

    def __call__(self, prompts: Iterable[str], *, first: int, at_once: int) -> Iterator[Sample]:
        """Yield samples with indices from ``first`` on, drawing ``at_once`` of them together."""


def draw_new(
    draw: Draw,
    prompts: Iterable[str],
    count: int,
    *,
    known: Container[str],
    unique: bool,
    random: bool,
) -> Iterator[Sample]:
    """Yield ``count`` samples of each prompt that are not rejected, numbered from 0.

    Args:
        draw: draws samples.
        prompts: the texts to continue.
        count: how many samples of each prompt to yield.
        known: texts to reject.
        unique: whether to reject a text that was yielded before, of any prompt.
        random: whether samples of a prompt differ; if not, no more than ``count`` are drawn.

    Raises:
        GenerationError: as for ``reject_known``.
    """
    seen: set[str] | None = set() if unique else None
    for number, prompt in enumerate(prompts):
        attempts = repeat(prompt) if random else repeat(prompt, count)
        samples = draw(attempts, first=number * _INDICES_PER_PROMPT, at_once=count)
        yield from reject_known(samples, count, known=known, seen=seen, first=number * count)


def reject_known(
    samples: Iterable[Sample],
    count: int,
    *,
    known: Container[str] = (),
    seen: set[str] | None = None,
    first: int = 0,
) -> Iterator[Sample]:
    """Yield the first ``count`` samples that are neither known nor seen.

    A sample is compared as a whole text, with its prompt, both as it is and without the line ends
    after it: a line has none, but a document may end with some.

    Args:
        samples: the samples, perhaps infinitely many.
        count: how many to yield.
        known: texts to reject.
        seen: texts yielded before, to be rejected too; those yielded now are added. ``None`` allows
            repeated texts.
        first: the index to give to the first one; the others count on from it.

    Raises:
        GenerationError: if ``PATIENCE`` samples in a row are rejected, or there are no more.
    """
    kept = refused = 0
    for sample in samples:
        whole = sample.prompt + sample.text
        text = whole.rstrip("\r\n")
        if whole in known or text in known or (seen is not None and text in seen):
            refused += 1
            if refused == PATIENCE:
                raise _exhausted(kept, count, refused)
            continue
        if seen is not None:
            seen.add(text)
        yield msgspec.structs.replace(sample, index=first + kept)
        kept, refused = kept + 1, 0
        if kept == count:
            return
    raise _exhausted(kept, count, refused)


def _exhausted(kept: int, count: int, refused: int) -> GenerationError:
    return GenerationError(
        f"{kept:,} of {count:,} samples were found: the last {refused:,} drawn were all known or "
        "drawn before; ask for fewer, or let more be drawn (--temperature, --match)"
    )
