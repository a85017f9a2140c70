"""What generation returns: a sample, its tokens, and why it ends.

This module knows no more than the text of a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from charlstm.generation.stopping import EndReason
from charlstm.tokenizer.tokens import ScoredToken

FinishReason: TypeAlias = EndReason | Literal["length", "end"]
TextListener: TypeAlias = Callable[[int, str], None]


class SampledToken(ScoredToken, frozen=True, omit_defaults=True):
    """A token that was drawn, and the likeliest tokens at its position."""

    alternatives: tuple[ScoredToken, ...] = ()


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One generated text.

    Attributes:
        index: its number among the samples asked for, from 0.
        prompt: the prompt as given.
        text: what follows the prompt, without the stop text.
        tokens: how many tokens were drawn, with those of a stop text or the end of the document;
            up to 16 more than the length, if it is reached within a visible character and no
            pattern is to match.
        seed: the seed it was drawn with; ``None`` for beam search.
        finish_reason: ``"length"``, ``"end"`` (of the document or of a match), ``"stop"`` (a stop
            text) or ``"until"`` (the end of a line, sentence or paragraph).
        mean_log_probability: nats per token, under the model's own distribution, before penalties,
            filters and temperature.
        per_token: the tokens that were drawn, if asked for.
        columns: of a model of records, prompt and text divided at tabs into the columns of a table,
            by their names; the last ones may be missing.
    """

    index: int
    prompt: str
    text: str
    tokens: int
    seed: int | None
    finish_reason: FinishReason
    mean_log_probability: float
    per_token: tuple[SampledToken, ...] | None = None
    columns: dict[str, str] | None = None


def with_prompt(sample: Sample, prompt: str) -> Sample:
    """Return a sample with its prompt as it was given."""
    return sample if sample.prompt == prompt else msgspec.structs.replace(sample, prompt=prompt)


def with_columns(sample: Sample, columns: Sequence[str]) -> Sample:
    """Return a sample with its prompt and text as a record; as it is if there are no columns."""
    if not columns:
        return sample
    cells = (sample.prompt + sample.text).split("\t", len(columns) - 1)
    return msgspec.structs.replace(sample, columns=dict(zip(columns, cells, strict=False)))


def in_order(samples: Iterable[Sample], indices: Iterable[int]) -> Iterator[Sample]:
    """Yield samples in the order of these indices, each as soon as it and those before are there.

    Args:
        samples: the samples, in any order.
        indices: their indices, perhaps infinitely many.
    """
    found: dict[int, Sample] = {}
    waiting = iter(indices)
    due = next(waiting, None)
    for sample in samples:
        found[sample.index] = sample
        while due in found:
            yield found.pop(due)
            due = next(waiting, None)
