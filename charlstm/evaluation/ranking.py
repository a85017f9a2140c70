"""The order of scored texts from the best to the worst."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.evaluation.scoring import Score


def ranked(scores: Iterable[Score], *, per_character: bool = False) -> list[Score]:
    """Return scores from the most probable text to the least probable one; ties keep their order.

    Args:
        scores: the scores of alternatives.
        per_character: whether to compare bits per character instead of the log-probability of the
            whole text, which favors short texts.

    Texts without tokens come last.
    """

    def cost(score: Score) -> tuple[bool, float]:
        if not score.tokens:
            return True, 0.0
        return False, score.bits_per_character if per_character else -score.log_probability

    return sorted(scores, key=cost)
