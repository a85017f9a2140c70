"""Whether the validation figures of several models compare."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from charlstm.checkpoint.schema import Checkpoint, RunConfig

# Share by which the lengths of one validation text may differ. At word level it starts at a word.
_SAME_LENGTH = 0.01


@dataclass(frozen=True)
class Comparability:
    """Whether the validation figures of several models compare.

    Attributes:
        validated: whether all models have a validation loss.
        same_text: whether the validated models were validated on the same text.
        same_tokens: whether all models have the same vocabulary.
    """

    validated: bool
    same_text: bool
    same_tokens: bool

    @property
    def bits(self) -> bool:
        """Whether bits per character and perplexities per word compare."""
        return self.validated and self.same_text

    @property
    def loss(self) -> bool:
        """Whether losses and perplexities per token compare."""
        return self.bits and self.same_tokens


def comparability(checkpoints: Sequence[Checkpoint]) -> Comparability:
    """Return whether the validation figures of one or more models compare."""
    validated = [
        checkpoint
        for checkpoint in checkpoints
        if None not in (checkpoint.figures.valid_loss, checkpoint.figures.valid_bits_per_character)
    ]
    tokenizers = {checkpoint.tokenizer.to_json() for checkpoint in checkpoints}
    return Comparability(
        validated=len(validated) == len(checkpoints),
        same_text=_validated_alike([checkpoint.config for checkpoint in validated], tokenizers),
        same_tokens=len(tokenizers) == 1,
    )


def _validated_alike(configs: Sequence[RunConfig], tokenizers: set[bytes]) -> bool:
    """Return whether runs were validated on the same text, or on the same sample of one."""
    lengths = [config.provenance.valid_characters for config in configs]
    if len({_validation_text(config) for config in configs}) > 1:
        return False
    if lengths and max(lengths) - min(lengths) > _SAME_LENGTH * max(lengths):
        return False
    read = [(config.train, config.provenance.valid_tokens) for config in configs]
    counted = {train.tokens_validated(tokens) for train, tokens in read}
    if all(train.tokens_validated(tokens) == tokens for train, tokens in read):
        return True
    # A sample consists of a number of tokens, so it is the same text only with the same tokens.
    return len(counted) == len(tokenizers) == 1


def _validation_text(config: RunConfig) -> Hashable:
    """Return what determines the validation text of a run, apart from where words begin."""
    corpus, sha256 = config.corpus, config.provenance.corpus_sha256
    if corpus.valid:
        return sha256.rpartition("+")[2], corpus.normalize, corpus.division
    seed = corpus.seed if corpus.division.within_files else None
    return sha256, corpus.valid_fraction, seed, corpus.normalize, corpus.division
