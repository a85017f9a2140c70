"""What a run takes from its parent: initial weights, learning rate and validation split.

A text that the parent was trained on must be divided as it was then. Otherwise the validation split
would contain lines that the parent has learned, and the validation loss would be too low.
"""

from __future__ import annotations

import math
import shlex
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Weights
from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import CorpusConfig, Division
from charlstm.corpus.columns import as_option
from charlstm.corpus.division import NAMES, OPTIONS
from charlstm.corpus.sources import display_name
from charlstm.errors import UsageError, harmless
from charlstm.training.familiarity import FITTING, Familiarity
from charlstm.training.options import DIVIDING

# Share of the usual peak learning rate: the lowest if the model predicts the text well, the usual
# one if it doesn't, and the highest if its pieces don't fit the text either. In between, the share
# rises with a power of the strangeness (measured: see benchmarks/recipe.md).
LEAST_RATE, USUAL_RATE, MOST_RATE = 0.25, 1.0, 2.4
FAMILIAR, POWER = 1.15, 4.0
# The share is rounded to powers of this factor, so that machines that round differently agree.
_STEP = math.sqrt(2)


def rate_share(familiar: Familiarity) -> float:
    """Return the share of the usual peak learning rate to fine-tune with.

    With a strangeness s, the share is ``LEAST_RATE * (s / FAMILIAR)**POWER``, limited to the range
    of ``LEAST_RATE`` to ``USUAL_RATE`` (``MOST_RATE`` if the pieces don't fit), in steps of
    ``sqrt(2)``.

    Args:
        familiar: how well the model knows the kind of the text.
    """
    most = MOST_RATE if 0 < familiar.fit < FITTING else USUAL_RATE
    times = min(most / LEAST_RATE, (familiar.strangeness or 1.0) / FAMILIAR) ** POWER
    steps = round(math.log(max(1.0, times), _STEP))
    return min(most, LEAST_RATE * _STEP**steps)


def grown_weights(
    trained: Weights, log_shares: NDArray[np.float64], seed: int
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the weights of a network of the parent, extended by rows for new tokens.

    The embedding of a new token is the mean embedding plus Gaussian noise with the standard
    deviation of the table. Its output column is the mean column, and its output bias is the
    log-probability of the token in the new text, relative to the parent's biases.

    Args:
        trained: the weights by name, float32.
        log_shares: log-probability of each id of the extended tokenizer by its frequency in the
            new text, in nats, float64 [vocab_size]; the parent's ids come first.
        seed: seed of the noise.

    Returns:
        Weights by name, float32, with the shapes of a network of ``vocab_size`` ids.
    """
    generator = np.random.default_rng(seed)
    weights = dict(trained)
    table = weights["embedding/embeddings"]
    added = log_shares.size - len(table)
    noise = generator.normal(0.0, table.std(), (added, table.shape[1]))
    weights["embedding/embeddings"] = np.concatenate(
        [table, (table.mean(0) + noise).astype(np.float32)]
    )
    if "output/kernel" in weights:
        kernel = weights["output/kernel"]
        columns = np.repeat(kernel.mean(1, keepdims=True), added, axis=1)
        weights["output/kernel"] = np.concatenate([kernel, columns], axis=1)
    bias = weights["output/bias"]
    # Before any training, new tokens are as likely as they are frequent.
    new = log_shares[bias.size :] + np.logaddexp.reduce(bias.astype(np.float64))
    weights["output/bias"] = np.concatenate([bias, new.astype(np.float32)])
    return weights


def corpus_for(corpus: CorpusConfig, parent: Checkpoint) -> CorpusConfig:
    """Return how to read any text for fine-tuning a model.

    The text gets the parent's Unicode form, and the parent's seed selects the validation split. If
    both texts are divided the same way, the validation fraction is at most the parent's, and hashes
    of the lines are stored only if the parent has them. If lines are added to a list, the lines
    that were held out before are therefore still held out.
    """
    then = parent.config.corpus
    corpus = corpus.replace(normalize=then.normalize, seed=then.seed)
    if not (corpus.division.within_files and _same_unit(corpus, then)):
        return corpus
    held_out = min(corpus.valid_fraction, then.valid_fraction or 1.0)
    return corpus.replace(valid_fraction=held_out, index=corpus.index and then.index)


def with_tables_of(corpus: CorpusConfig, parent: Checkpoint, given: frozenset[str]) -> CorpusConfig:
    """Return how to read tables for a model: by the columns it was trained on, or as plain text.

    Args:
        corpus: the settings that the user chose.
        parent: the model.
        given: names of the options that were given; they take precedence.
    """
    then = parent.config.corpus
    if then.format == "text" and given.isdisjoint({"format", "columns"}):
        return corpus.replace(format="text")
    if then.division.unit != "record" or not given.isdisjoint({*DIVIDING, "format"}):
        return corpus
    keep_breaks = then.division.keep_breaks or corpus.division.keep_breaks
    return corpus.replace(division=then.division.replace(keep_breaks=keep_breaks))


def divided_as_then(corpus: CorpusConfig, parent: Checkpoint) -> CorpusConfig:
    """Return how to read a text so that its hash equals the parent's if the text is the same."""
    then = parent.config.corpus
    return corpus.replace(division=then.division, format=then.format, dedupe=then.dedupe)


def corpus_as_trained(
    corpus: CorpusConfig, parent: Checkpoint, given: frozenset[str]
) -> CorpusConfig:
    """Return how to read the text that a model was trained on, with the same validation split.

    Args:
        corpus: the settings that the user chose; the others come from the model.
        parent: the model.
        given: names of the options that were given.

    Raises:
        UsageError: if the options ask for another division or validation split.
    """
    then, name = parent.config.corpus, harmless(display_name(str(parent.folder)))
    trained = f"{name} was trained on this text"
    decide = {*DIVIDING, "keep_breaks", "format"}
    if not given.isdisjoint(decide) and not _same_unit(corpus, then):
        unit, option = then.division.unit, _dividing(then.division)
        others = " and ".join(f"`{other}`" for other in sorted(given & decide))
        remedy = f"Give {option}" if option else f"Leave {others} out"
        raise UsageError(
            f"{trained} divided into {NAMES[unit]}s. {remedy}, so that the validation split "
            f"contains no text that {name} has learned."
        )
    index = corpus.index and then.index
    corpus = divided_as_then(corpus, parent).replace(index=index)
    if corpus.valid or not corpus.validates:
        return corpus
    if then.valid:
        raise UsageError(
            f"{trained} and validated on {harmless(', '.join(then.valid))}. Give that text, or "
            f"another one that {name} has not seen, as `valid`."
        )
    if "valid_fraction" in given and corpus.valid_fraction != then.valid_fraction:
        remedy = "" if then.valid_fraction else ", or give another text as `valid`"
        raise UsageError(
            f"{trained} with `valid_fraction` {then.valid_fraction:g}, not "
            f"{corpus.valid_fraction:g}. Leave `valid_fraction` out{remedy}."
        )
    return corpus.replace(valid_fraction=then.valid_fraction)


def knows_text(parent: Checkpoint, sha256: str) -> bool:
    """Return whether a model was trained on a text.

    Args:
        parent: the model.
        sha256: hash of the text, divided as it was then (see ``prepare.hash_of_text``).
    """
    # The hash of a separate validation text follows a "+".
    # After a "+" comes the hash of the text that validated.
    return parent.config.provenance.corpus_sha256.partition("+")[0] == sha256


def _same_unit(corpus: CorpusConfig, then: CorpusConfig) -> bool:
    """Return whether documents are of the same kind, whichever rules divide them."""
    return corpus.division.replace(rules=2) == then.division.replace(rules=2)


def _dividing(division: Division) -> str:
    """Return the options that divide texts this way; ``""`` for files."""
    keep_breaks = " `keep_breaks`" if division.keep_breaks else ""
    if division.columns:
        return f"`columns` {shlex.quote(as_option(division.columns))}{keep_breaks}"
    option = OPTIONS.get(division.unit, "")
    return option if division.delimiter is None else f"{option} {division.delimiter!r}"
