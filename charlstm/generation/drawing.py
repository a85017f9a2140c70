"""Any number of samples of each prompt, with or without a pattern and rejection.

This module chooses among ``decoder``, ``matching`` and ``rejection``.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from functools import partial

from charlstm.config import SampleConfig
from charlstm.engine.inference import Engine
from charlstm.generation.decoder import generate
from charlstm.generation.rejection import check_finished, draw_new
from charlstm.generation.samples import Sample, TextListener
from charlstm.tokenizer.base import Tokenizer


def draw_samples(
    engine: Engine,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    config: SampleConfig,
    *,
    count: int,
    seed: int,
    on_text: TextListener | None = None,
    alternatives: int | None = None,
    known: Container[str] | None = None,
    unique: bool = False,
    ends: bool = True,
) -> Iterator[Sample]:
    """Yield ``count`` samples of each prompt, in order, each as soon as it is complete.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        prompts: the texts to continue.
        config: the sampling settings.
        count: the number of samples for each prompt.
        seed: determines the samples.
        on_text: as for ``decoder.generate``.
        alternatives: as for ``decoder.generate``.
        known: texts to reject.
        unique: whether to reject samples that repeat an earlier one, prompts included.
        ends: whether the model has learned to end documents.

    Raises:
        UsageError: if no text can satisfy the configuration.
        GenerationError: if too few samples are new or finished.
    """
    check_finished(config, tokenizer, ends=ends)
    drawn = generate
    if config.match is not None:
        from charlstm.generation.matching import generate_matching
        from charlstm.generation.regex_automaton import check_expression

        check_expression(config.match)  # ``generate_matching`` does so only when it starts

        drawn = generate_matching
    draw = partial(
        drawn,
        engine,
        tokenizer,
        config=config,
        seed=seed,
        on_text=on_text,
        alternatives=alternatives,
        ends=ends,
    )
    if known is None and not unique and not config.finished:
        return draw(prompt for prompt in prompts for _ in range(count))
    rejected = () if known is None else known
    return draw_new(draw, prompts, count, known=rejected, unique=unique, config=config)
