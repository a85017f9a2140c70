"""What a run takes over from a trained model: weights, and what validated.

A checkpoint goes in; initial weights, with rows for new tokens, and the division of the text come
out. A text that the model was trained on has to be divided as it was then: else lines that the
model has learned would validate, and the figures would be too good. Knows no files.
"""

from __future__ import annotations

import math
import shlex
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import CorpusConfig, Division
from charlstm.corpus.columns import as_option
from charlstm.corpus.division import NAMES, OPTIONS
from charlstm.corpus.sources import display_name
from charlstm.errors import UsageError, harmless
from charlstm.training.familiarity import FITTING, Familiarity
from charlstm.training.options import DIVIDING

# The share of the usual peak learning rate: the least where the weights are good already, the usual
# one where they are not, and the most where the model's pieces of words don't fit either. Between
# them it rises with a power of how strange the text is (measured: see benchmarks/recipe.md).
LEAST_RATE, USUAL_RATE, MOST_RATE = 0.25, 1.0, 2.4
FAMILIAR, POWER = 1.15, 4.0
# It rises in steps of this factor, so coarse that machines that round differently agree.
_STEP = math.sqrt(2)


def rate_share(familiar: Familiarity) -> float:
    """Return the share of the usual peak learning rate that fine-tuning takes.

    Args:
        familiar: how well the model knows the kind of the text.
    """
    most = MOST_RATE if 0 < familiar.fit < FITTING else USUAL_RATE
    times = min(most / LEAST_RATE, (familiar.strangeness or 1.0) / FAMILIAR) ** POWER
    steps = round(math.log(max(1.0, times), _STEP))
    return min(most, LEAST_RATE * _STEP**steps)


def grown_weights(
    parent: Checkpoint, log_shares: NDArray[np.float64], seed: int
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the weights of a parent, extended for new tokens, which start near the average.

    Args:
        parent: the trained model.
        log_shares: log-probability of each id of the extended tokenizer by its frequency in the
            new text, in nats, [vocab_size]; the parent's ids come first.
        seed: of the noise that tells new tokens apart.

    Returns:
        Weights by name, float32, in the shapes of a network with ``vocab_size`` ids.
    """
    generator = np.random.default_rng(seed)
    weights = dict(parent.weights)
    added = log_shares.size - parent.config.model.vocab_size
    table = weights["embedding/embeddings"]
    noise = generator.normal(0.0, table.std(), (added, table.shape[1]))
    weights["embedding/embeddings"] = np.concatenate(
        [table, (table.mean(0) + noise).astype(np.float32)]
    )
    if "output/kernel" in weights:
        kernel = weights["output/kernel"]
        columns = np.repeat(kernel.mean(1, keepdims=True), added, axis=1)
        weights["output/kernel"] = np.concatenate([kernel, columns], axis=1)
    bias = weights["output/bias"]
    # As likely, before anything is read, as the new tokens are frequent.
    new = log_shares[bias.size :] + np.logaddexp.reduce(bias.astype(np.float64))
    weights["output/bias"] = np.concatenate([bias, new.astype(np.float32)])
    return weights


def corpus_for(corpus: CorpusConfig, parent: Checkpoint) -> CorpusConfig:
    """Return how to read any text for a model.

    It is in the model's Unicode form, documents are drawn by the model's seed, no more of them than
    the model held out, and without hashes of them if the model keeps none. So a list to which lines
    were added keeps those held out that were.
    """
    then = parent.config.corpus
    corpus = corpus.replace(normalize=then.normalize, seed=then.seed)
    if not (corpus.division.within_files and _same_unit(corpus, then)):
        return corpus
    held_out = min(corpus.valid_fraction, then.valid_fraction or 1.0)
    return corpus.replace(valid_fraction=held_out, index=corpus.index and then.index)


def with_tables_of(corpus: CorpusConfig, parent: Checkpoint, given: frozenset[str]) -> CorpusConfig:
    """Return how to read tables for a model: by the columns it knows, or as plain text as it did.

    Args:
        corpus: as the user asked for.
        parent: the model.
        given: names of the options that were given, which go before.
    """
    then = parent.config.corpus
    if then.format == "text" and given.isdisjoint({"format", "columns"}):
        return corpus.replace(format="text")
    if then.division.unit != "record" or not given.isdisjoint({*DIVIDING, "format"}):
        return corpus
    keep_breaks = then.division.keep_breaks or corpus.division.keep_breaks
    return corpus.replace(division=then.division.replace(keep_breaks=keep_breaks))


def divided_as_then(corpus: CorpusConfig, parent: Checkpoint) -> CorpusConfig:
    """Return how to read a text so that its hash is the parent's if its text is."""
    then = parent.config.corpus
    return corpus.replace(division=then.division, format=then.format, dedupe=then.dedupe)


def corpus_as_trained(
    corpus: CorpusConfig, parent: Checkpoint, given: frozenset[str]
) -> CorpusConfig:
    """Return how to read the text that a model was trained on: what validated validates again.

    Args:
        corpus: as the user asked for; what was not given is taken from the model.
        parent: the model.
        given: names of the options that were given.

    Raises:
        UsageError: if the user asked for another division.
    """
    then, name = parent.config.corpus, harmless(display_name(str(parent.folder)))
    text = f"the text is what {name} was trained on, "
    decide = {*DIVIDING, "keep_breaks", "format"}
    if not given.isdisjoint(decide) and not _same_unit(corpus, then):
        unit, option = then.division.unit, _dividing(then.division)
        remedy = f"give {option}" if option else "leave that out"
        raise UsageError(
            f"{text}divided into {NAMES[unit]}s: {remedy}, so that nothing validates that {name} "
            f"has learned"
        )
    index = corpus.index and then.index
    corpus = divided_as_then(corpus, parent).replace(index=index)
    if corpus.valid or not corpus.validates:
        return corpus
    if then.valid:
        raise UsageError(
            f"{text}validated by {harmless(', '.join(then.valid))}: add --valid with that text, or "
            f"another that {name} has not seen"
        )
    if "valid_fraction" in given and corpus.valid_fraction != then.valid_fraction:
        remedy = "" if then.valid_fraction else ", or name a text with --valid"
        raise UsageError(
            f"{text}with --valid-fraction {then.valid_fraction:g}: leave --valid-fraction "
            f"{corpus.valid_fraction:g} out{remedy}, so that nothing validates that {name} has "
            f"learned"
        )
    return corpus.replace(valid_fraction=then.valid_fraction)


def knows_text(parent: Checkpoint, sha256: str) -> bool:
    """Whether a model was trained on a text.

    Args:
        parent: the model.
        sha256: of the text, divided as it was then (see ``prepare.hash_of_text``).
    """
    # After a "+" comes the hash of the text that validated.
    return parent.config.provenance.corpus_sha256.partition("+")[0] == sha256


def _same_unit(corpus: CorpusConfig, then: CorpusConfig) -> bool:
    """Whether documents are of the same kind, by whatever rules."""
    return corpus.division.replace(rules=2) == then.division.replace(rules=2)


def _dividing(division: Division) -> str:
    """Return the options that divide texts like this; none for files."""
    keep_breaks = " --keep-breaks" if division.keep_breaks else ""
    if division.columns:
        return f"--columns {shlex.quote(as_option(division.columns))}{keep_breaks}"
    option = OPTIONS.get(division.unit, "")
    return option if division.delimiter is None else f"{option} {division.delimiter!r}"
