"""Formats scores as columns, as JSON Lines or as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from charlstm.cli.line_ends import one_line
from charlstm.cli.output import json_of

if TYPE_CHECKING:
    from charlstm.evaluation.scoring import Score

SAME_TOKENIZER = (
    "Note: compare perplexity only between models with the same tokenizer, bits per character "
    "between any models."
)
COLUMNS = (
    "Columns: bits per character, log-probability in nats, perplexity per token, unknown tokens, "
    "line number, line."
)


class ScoredLine(NamedTuple):
    """A scored line or document: its file if there are several, and its number from 1."""

    file: str | None
    number: int
    score: Score
    is_line: bool = True


def show_columns(line: ScoredLine) -> str:
    """Return a line of columns."""
    score = line.score
    number = f"{line.number}" if line.file is None else f"{line.file}:{line.number}"
    columns = (
        f"{score.bits_per_character:.4f}",
        f"{score.log_probability:.4f}",
        f"{score.perplexity:.2f}",
        f"{score.unknown}",
        number,
        score.text if line.is_line else one_line(score.text),
    )
    return "\t".join(columns) + "\n" + _show_tokens(score)


def _show_tokens(score: Score) -> str:
    """Return the tokens, each on a line after a tab, with its text quoted as in JSON."""
    return "".join(
        f"\t{token.log_probability:.4f}\t{json_of(token.text)}\n" for token in score.per_token or ()
    )


def show_json(line: ScoredLine) -> str:
    """Return a line of JSON."""
    named = {} if line.file is None else {"file": line.file}
    score = line.score
    return json_of(named | {"line": line.number} | score.to_dict()) + "\n"


def _show(figure: float, form: str) -> str:
    """Return a figure, or ``none`` for the text without tokens, which has none."""
    return "none" if math.isnan(figure) else format(figure, form)


def show_table(score: Score, file: str | None) -> str:
    """Return the figures of a whole text as rows."""
    rows = {} if file is None else {"file": file}
    rows |= {
        "nats per token": _show(score.nats_per_token, ".4f"),
        "bits per character": _show(score.bits_per_character, ".4f"),
        "perplexity": _show(score.perplexity, ",.2f"),
        "log-probability": f"{score.log_probability:,.2f} nats",
        "tokens": f"{score.tokens:,}",
        "characters": f"{score.characters:,}",
        "unknown": f"{score.unknown:,}",
    }
    return "".join(f"{name:<20}{value}\n" for name, value in rows.items()) + _show_tokens(score)
