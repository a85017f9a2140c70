"""Splits a stream of text blocks into lines.

Blocks of decoded text go in, lists of lines come out. This module does not know documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from charlstm.errors import CorpusError

# The most characters of a line, since a line is in memory as a whole.
LONGEST_LINE = 2**26


def split_lines(blocks: Iterable[str], name: str, advice: str) -> Iterator[tuple[list[str], bool]]:
    r"""Yield (lines, ended) as blocks arrive: complete lines, or at the end the rest of the text.

    Args:
        blocks: the text in pieces. The lines that end in a piece are one list, without their "\n".
        name: the name of the text, for the message about a line that is too long.
        advice: the end of that message.

    Raises:
        CorpusError: if a line has more than ``LONGEST_LINE`` characters.
    """
    parts: list[str] = []
    held = 0
    for block in blocks:
        *ended, rest = block.split("\n")
        if ended:
            ended[0] = "".join((*parts, ended[0]))
            parts.clear()
            held = 0
            yield ended, True
        parts.append(rest)
        held += len(rest)
        if held > LONGEST_LINE:
            raise CorpusError(
                f"{name} has a line of more than {LONGEST_LINE:,} characters, {advice}"
            )
    if last := "".join(parts):
        yield [last], False
