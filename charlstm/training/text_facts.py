"""The numbers of a text that a plan depends on, and whether there is enough of it.

Numbers go in; an error that says how much text to bring comes out. Knows no text and no files.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from charlstm.config import LEAST_VALID, Level
from charlstm.errors import CorpusError


class TextFacts(NamedTuple):
    """The numbers of a text that a plan depends on.

    Attributes:
        level: of what the tokens are.
        vocab_size: number of ids of the tokenizer.
        train_tokens: tokens of the training text.
        valid_tokens: tokens of the validation text.
        characters_per_token: mean length of a token.
        valid_fraction: the part of the text that validates; ``None`` if another text does.
        documents: how many distinct lines or other parts of files there are, for messages; ``None``
            if files are documents.
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
        """How much there is to learn from: training tokens, or characters if tokens are pieces.

        Of pieces, the number depends on how many different ones there are to be.
        """
        pieces = self.level == "subword"
        return self.train_tokens * (self.characters_per_token if pieces else 1.0)


def check_length(
    text: TextFacts, least: dict[str, int], streams: int, sequence_length: int
) -> None:
    """Raise ``CorpusError`` if there is too little to train on or to validate on.

    Args:
        text: the size of the text.
        least: streams and sequence length of the shortest text that can be trained on.
        streams: those of this text.
        sequence_length: likewise.
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
        # What validates may be enough to train on too.
        lower = fraction and text.train_tokens + text.valid_tokens >= needed + LEAST_VALID
        remedy = f"lower --valid-fraction from {fraction:g}, " if lower else ""
        raise CorpusError(
            f"the corpus is too short: {text.train_tokens:,} tokens to train on, but one batch of "
            f"{streams} streams of {sequence_length} tokens needs {needed:,}; {remedy}bring at "
            f"least about {characters:,} characters, or lower --streams or --sequence-length"
        )
    if text.valid_tokens < LEAST_VALID and text.valid_fraction is None:
        raise CorpusError(
            f"the text of --valid is too short: it has {text.valid_tokens} tokens to predict and "
            f"needs {LEAST_VALID}; name a longer one"
        )
    if text.valid_tokens < LEAST_VALID and text.valid_fraction:
        raise CorpusError(
            "the corpus leaves no text to validate on: bring more text, raise --valid-fraction, "
            "name a file with --valid, or train on all of it with --valid-fraction 0"
        )


def _too_few_documents(text: TextFacts, streams: int, sequence_length: int) -> CorpusError:
    """Return the error for parts of files that are too few or too short.

    How many tokens are to train on depends on which documents the seed draws; the message does not.
    """
    needed = streams * sequence_length
    batch = f"one batch of {streams} streams of {sequence_length} tokens"
    remedy = "lower --streams or --sequence-length"
    tokens = text.train_tokens + (text.valid_tokens if text.valid_fraction else 0)
    found = f"the corpus is too short: {text.documents} and {tokens:,} tokens in all"
    if tokens < needed:
        return CorpusError(
            f"{found}, but {batch} to train on needs {needed:,}; bring more, or {remedy}"
        )
    return CorpusError(
        f"{found} leave fewer than {needed:,} to train on ({batch}) or fewer than {LEAST_VALID} to "
        f"validate on; bring more that differ, {remedy}, name a file with --valid, or train on all "
        f"of it with --valid-fraction 0"
    )
