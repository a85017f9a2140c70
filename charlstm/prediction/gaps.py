"""Where the gaps of a text are."""

from __future__ import annotations

import re

from charlstm.errors import ConfigError

GAP = "___"
MOST_FILLINGS = 100  # words for a gap, which are examined as one batch


def split_at_gaps(text: str, gap: str = GAP) -> list[str]:
    """Return the parts of a text between its gaps; the whole text if there are none.

    Args:
        text: the text.
        gap: what marks a gap. The default stands for three underscores or more, because people draw
            blanks of any length.

    Raises:
        ConfigError: if ``gap`` is empty.
    """
    if not gap:
        raise ConfigError("`gap` can't be an empty text.")
    return re.split("_{3,}", text) if gap == GAP else text.split(gap)
