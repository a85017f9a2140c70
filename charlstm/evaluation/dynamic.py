"""Dynamic evaluation: the figures of a text with a model that learns from it as it reads.

What learns is the network of ``adaptation``, which is imported when it is needed: it loads
TensorFlow. This module does not know how figures are shown.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from charlstm.engine.session import Engine
from charlstm.errors import ConfigError
from charlstm.evaluation.text_metrics import TextFigures, Texts, beginning_of, evaluate_text
from charlstm.metrics import bits_per_character, perplexity
from charlstm.system.hardware import processor_count

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Checkpoint

TOKENS = 50_000  # that are read by default


@dataclass(frozen=True)
class DynamicFigures:
    """How well a text is foreseen by a model that learns from it as it reads.

    Attributes:
        static: the figures of the trained model on the same text.
        loss: nats per token, each scored before it is learned from.
        bits_per_character: which compares across tokenizers.
        perplexity: per token; infinite where it is no finite number.
        rate: the learning rate.
        decay: how far each step went back to the trained weights.
        segment: tokens that were scored before each step.
    """

    static: TextFigures
    loss: float
    bits_per_character: float
    perplexity: float
    rate: float
    decay: float
    segment: int


def evaluate_dynamic(
    engine: Engine,
    checkpoint: Checkpoint,
    texts: Texts,
    *,
    rate: float | None = None,
    decay: float | None = None,
    tokens: int = TOKENS,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> DynamicFigures:
    """Score a text with a model that learns from it as it reads. TensorFlow is imported.

    Threads and devices are chosen when a process first uses TensorFlow: if that is here, it sees
    no GPU, which a single text gains nothing from.

    Args:
        engine: runs the model of the checkpoint.
        checkpoint: the trained model.
        texts: the text.
        rate: the learning rate; ``None`` takes 0.25 for characters and 1 for words.
        decay: how far each step goes back to the trained weights, 0 to 1; ``None`` takes 0.002.
        tokens: read only so many from the beginning; 0 for all.
        threads: processor threads for learning; ``None`` takes all processors.
        on_progress: called with how many tokens have been scored more, and how many there are.

    Raises:
        ConfigError: if a number is out of its range.
        CorpusError: if the text is empty, can't be read or doesn't decode.
    """
    _check(rate, decay, tokens)
    tokenizer = checkpoint.tokenizer
    read = beginning_of(texts, tokenizer, tokens) if tokens else texts
    static = evaluate_text(engine, tokenizer, read)
    with _no_new_gpu():
        from charlstm.evaluation.dynamic_evaluator import DEFAULTS, DynamicEvaluator
        from charlstm.training.step import use_threads

    use_threads(threads or processor_count(), 1)
    chosen = DEFAULTS[tokenizer.level]
    chosen = replace(chosen, rate=chosen.rate if rate is None else rate)
    chosen = replace(chosen, decay=chosen.decay if decay is None else decay)
    evaluator = DynamicEvaluator(checkpoint.config.model, checkpoint.weights, chosen)
    documents = (map(tokenizer.encode, document) for document in read.documents())
    sums: list[float] = []
    for count, log_probability in evaluator.score(documents, ends=read.ends):
        sums.append(log_probability)
        if on_progress:
            on_progress(count, static.tokens)
    nats = -math.fsum(sums)
    return DynamicFigures(
        static=static,
        loss=nats / static.tokens,
        bits_per_character=bits_per_character(nats, static.characters),
        perplexity=perplexity(nats, static.tokens),
        rate=chosen.rate,
        decay=chosen.decay,
        segment=chosen.segment,
    )


def _check(rate: float | None, decay: float | None, tokens: int) -> None:
    for name, value, most in (("rate", rate, 1000), ("decay", decay, 1)):
        if value is not None and not 0 <= value <= most:
            raise ConfigError(f"{name} is {value}: expected a number from 0 to {most}")
    if tokens < 0:
        raise ConfigError(f"tokens is {tokens}: expected a whole number of 0 or more")


@contextlib.contextmanager
def _no_new_gpu() -> Iterator[None]:
    """Hide GPUs from TensorFlow if it is loaded now; it looks for them once."""
    if "tensorflow" in sys.modules:
        yield
        return
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
