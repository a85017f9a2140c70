"""Samples -> those worth keeping: not known already, not drawn twice.

This module knows samples and containers of lines; it does not know where either come from.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

import msgspec

from charlstm.errors import GenerationError
from charlstm.generation.decoder import Sample

# So many samples in a row without a new one end the search.
PATIENCE = 2_000


def reject_known(
    samples: Iterable[Sample],
    count: int,
    *,
    known: Container[str] = (),
    seen: set[str] | None = None,
    first: int = 0,
) -> Iterator[Sample]:
    """Yield the first ``count`` samples that are kept, numbered from ``first`` on.

    A sample counts as its whole text, the prompt included, without line ends after it.

    Args:
        samples: as many as it takes, perhaps without end.
        count: how many to keep.
        known: texts that are not kept.
        seen: texts that were kept, which are kept once only; grows.
        first: the number of the first one.

    Raises:
        GenerationError: if ``PATIENCE`` samples in a row, or all there are, were not kept.
    """
    kept = refused = 0
    for sample in samples:
        text = (sample.prompt + sample.text).rstrip("\r\n")
        if text in known or (seen is not None and text in seen):
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
