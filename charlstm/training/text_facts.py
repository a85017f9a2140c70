"""The numbers of a text that a plan depends on, and whether the text is long enough."""

from __future__ import annotations

import math
from typing import NamedTuple

from charlstm.config import LEAST_VALID, Level
from charlstm.errors import CorpusError


class TextFacts(NamedTuple):
    """The numbers of a text that a plan depends on.

    Attributes:
        level: what the tokens are.
        vocab_size: number of ids of the tokenizer.
        train_tokens: tokens of the training text.
        valid_tokens: tokens of the validation text.
        characters_per_token: mean length of a token in characters.
        valid_fraction: fraction of the text used for validation; ``None`` if there is a separate
            validation text.
        documents: number of distinct lines or other parts of files as a phrase, for messages;
            ``None`` if documents are files.
    """

    level: Level
    vocab_size: int
    train_tokens: int
    valid_tokens: int
    characters_per_token: float
    valid_fraction: float | None = 0.1
    documents: str | None = None

    @property
    def train_length(self) -> float:
        """Length of the training text: in characters for pieces, in tokens otherwise.

        The number of pieces in a text depends on the vocabulary size.
        """
        pieces = self.level == "subword"
        return self.train_tokens * (self.characters_per_token if pieces else 1.0)


def check_length(
    text: TextFacts, least: dict[str, int], streams: int, sequence_length: int
) -> None:
    """Raise ``CorpusError`` if there is too little training or validation text.

    Args:
        text: the size of the text.
        least: streams and sequence length for the shortest text that can be trained on.
        streams: streams for this text.
        sequence_length: sequence length for this text.
    """
    needed = streams * sequence_length
    if text.documents is not None and (text.valid_fraction or text.train_tokens < needed):
        is_trained = text.train_tokens >= needed
        if not (is_trained and text.valid_tokens >= LEAST_VALID):
            batch = (
                least if is_trained else {"streams": streams, "sequence_length": sequence_length}
            )
            raise _too_few_documents(text, **batch)
        return
    if text.train_tokens < needed:
        fraction = text.valid_fraction or 0.0
        characters = math.ceil(needed * max(1.0, text.characters_per_token) / (1 - fraction))
        # With a lower fraction, part of the validation text may be enough to train on.
        lower = fraction and text.train_tokens + text.valid_tokens >= needed + LEAST_VALID
        remedy = f"lower `valid_fraction` (now {fraction:g})"
        if not lower:
            remedy = "lower `streams` or `sequence_length`"
        raise CorpusError(
            f"the corpus is too short: {text.train_tokens:,} tokens of training text, but a batch "
            f"of {streams:,} streams of {sequence_length:,} tokens needs {needed:,}. Give at least "
            f"about {characters:,} characters, or {remedy}."
        )
    if text.valid_tokens < LEAST_VALID and text.valid_fraction is None:
        raise CorpusError(
            f"the text of `valid` is too short: it has {text.valid_tokens:,} "
            f"token{'s' * (text.valid_tokens != 1)} to predict and needs {LEAST_VALID}."
        )
    if text.valid_tokens < LEAST_VALID and text.valid_fraction:
        raise CorpusError(
            "the corpus is too short to hold out a validation text. Give more text, or train on "
            "all of it with `valid_fraction` 0."
        )


def _too_few_documents(text: TextFacts, streams: int, sequence_length: int) -> CorpusError:
    """Return the error for documents that are too few or too short.

    The number of training tokens depends on which documents the seed selects, so the message
    doesn't mention it.
    """
    needed = streams * sequence_length
    batch = f"a batch of {streams:,} streams of {sequence_length:,} tokens"
    tokens = text.train_tokens + (text.valid_tokens if text.valid_fraction else 0)
    found = f"the corpus is too short: {text.documents} with {tokens:,} tokens in all"
    if tokens < needed:
        return CorpusError(
            f"{found}, but {batch} needs {needed:,} for training. Give more text, or lower "
            f"`streams` or `sequence_length`."
        )
    return CorpusError(
        f"{found} leave fewer than {needed:,} for training ({batch}) or fewer than {LEAST_VALID} "
        f"for validation. Give more distinct text, or train on all of it with `valid_fraction` 0."
    )
