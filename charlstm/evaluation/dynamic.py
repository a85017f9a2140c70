"""Dynamic evaluation: the figures of a text under a model that learns while it reads the text.

The network that learns is in ``dynamic_evaluator``. That module imports TensorFlow, so it is
imported only when it is used.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from charlstm.config import Probability
from charlstm.engine.inference import Engine
from charlstm.evaluation.text_metrics import TextFigures, Texts, beginning_of, evaluate_text
from charlstm.metrics import bits_per_character, perplexity
from charlstm.results import Result
from charlstm.system.hardware import processor_count
from charlstm.validation import checked

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Checkpoint

TOKENS = 50_000  # read by default
Rate = Annotated[float, Meta(ge=0, le=1000)]


@dataclass(frozen=True)
class DynamicFigures(Result):
    """How well a model predicts a text that it learns from while it reads.

    Attributes:
        static: the figures on the same text of the trained model, which does not learn.
        loss: nats per token. Each token is scored before the model learns from it.
        bits_per_character: comparable across tokenizers.
        perplexity: per token. Infinite if it is too large for a float.
        rate: the learning rate.
        decay: how far each step moved back to the trained weights, from 0 to 1.
        segment: the number of tokens scored before each step.
    """

    static: TextFigures
    loss: float
    bits_per_character: float
    perplexity: float
    rate: float
    decay: float
    segment: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by the names that ``--json`` prints."""
        static = self.static.to_dict()
        compared = ("loss", "bits_per_character", "perplexity")
        return {
            "tokens": static["tokens"],
            "characters": static["characters"],
            "static": {name: static[name] for name in compared},
            **{name: getattr(self, name) for name in (*compared, "rate", "decay", "segment")},
        }


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
    """Score a text with a copy of the model that learns from the text while it reads.

    Imports TensorFlow. A process sets its threads and devices when it first imports TensorFlow. If
    that happens here, TensorFlow sees no GPU, which would not make a single text faster.

    Args:
        engine: runs the model of the checkpoint.
        checkpoint: the trained model.
        texts: the text.
        rate: the learning rate. ``None`` is 1 for word-level models, otherwise 0.25.
        decay: how far each step moves back to the trained weights, from 0 (not at all) to 1 (all
            the way). ``None`` is 0.002.
        tokens: the maximum number of tokens to read from the beginning. 0 reads all.
        threads: the number of CPU threads for learning. ``None`` uses one per CPU core.
        on_progress: called with the number of tokens scored since the last call, and the total.

    Raises:
        ConfigError: if a number is out of range.
        CorpusError: if the text is empty, or can't be read or decoded.
    """
    rate, decay = checked("rate", rate, Rate | None), checked("decay", decay, Probability | None)
    tokens = checked("tokens", tokens, Annotated[int, Meta(ge=0)])
    tokenizer = checkpoint.tokenizer
    read = beginning_of(texts, tokenizer, tokens) if tokens else texts
    static = evaluate_text(engine, tokenizer, read)
    with _no_new_gpu():
        from charlstm.evaluation.dynamic_evaluator import DEFAULTS, DynamicEvaluator
        from charlstm.training.step import use_threads

    use_threads(threads or processor_count(), 1)
    settings = DEFAULTS[tokenizer.level].with_given(rate, decay)
    evaluator = DynamicEvaluator(checkpoint.config.model, checkpoint.weights, settings)
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
        rate=settings.rate,
        decay=settings.decay,
        segment=settings.segment,
    )


@contextlib.contextmanager
def _no_new_gpu() -> Iterator[None]:
    """Hide GPUs from TensorFlow if it is imported within. It looks for them only once."""
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
