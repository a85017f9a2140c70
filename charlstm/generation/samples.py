"""The results of generation: a sample, its tokens, and why it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from charlstm.generation.stopping import EndReason
from charlstm.results import Result
from charlstm.tokenizer.tokens import ScoredToken

FinishReason: TypeAlias = EndReason | Literal["length", "end"]
TextListener: TypeAlias = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class SampledToken(ScoredToken):
    """A sampled token, and the most likely tokens at its position."""

    alternatives: tuple[ScoredToken, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample(Result):
    """One generated text.

    Attributes:
        index: its index among the requested samples, from 0.
        prompt: the prompt as given.
        text: the text after the prompt, without the stop text.
        tokens: the number of tokens sampled, including those of a stop text or the end of the
            document. It can be up to 16 more than the length, to complete the last visible
            character, unless the text must match a pattern.
        seed: the seed it was sampled with; ``None`` for beam search.
        finish_reason: ``"length"``, ``"end"`` (of the document or of a match), ``"stop"`` (a stop
            text) or ``"until"`` (the end of a line, sentence or paragraph).
        mean_log_probability: nats per token under the model, before penalties, filters and
            temperature.
        per_token: the sampled tokens, if requested.
        columns: for a model trained on records, prompt and text divided at tabs into the columns of
            the table, by name. The last ones may be missing.
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
    """Return a sample with the prompt as given."""
    return sample if sample.prompt == prompt else replace(sample, prompt=prompt)


def with_columns(sample: Sample, columns: Sequence[str]) -> Sample:
    """Return a sample with its prompt and text as a record; unchanged if there are no columns."""
    if not columns:
        return sample
    cells = (sample.prompt + sample.text).split("\t", len(columns) - 1)
    return replace(sample, columns=dict(zip(columns, cells, strict=False)))


def in_order(samples: Iterable[Sample], indices: Iterable[int]) -> Iterator[Sample]:
    """Yield samples in the order of some indices, each as soon as all before it are yielded.

    Args:
        samples: the samples, in any order.
        indices: their indices, possibly infinitely many.
    """
    found: dict[int, Sample] = {}
    waiting = iter(indices)
    due = next(waiting, None)
    for sample in samples:
        found[sample.index] = sample
        while due in found:
            yield found.pop(due)
            due = next(waiting, None)
