"""Splits a stream of text blocks into lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from charlstm.errors import CorpusError

# Characters of a line that is a document, which is held in memory.
LONGEST_LINE = 2**26


def split_lines(blocks: Iterable[str], name: str, advice: str) -> Iterator[tuple[list[str], bool]]:
    r"""Divide a text into lines as its blocks arrive, and say whether a "\n" ended them.

    Args:
        blocks: the text in pieces; the lines that a piece ends come together, without the "\n".
        name: of the text, for the message about a line that is too long to be held.
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
