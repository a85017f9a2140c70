"""Split a text for an experiment: most of it to learn from, sentences of its end for testing.

python3 sentences.py TEXT LEARN [N]

Writes the first four fifths of TEXT to LEARN, and prints N sentences of the last fifth that are
not in LEARN, one per line, evenly spaced. TEXT is a file, or python-docs, the text that comes with
Python.
"""

import re
import sys
from pathlib import Path

from common import read

FEWEST = 20


def whole_text(source):
    """Return the text with plain apostrophes, so that a contraction is written in one way."""
    if source != "python-docs":
        return read(source).replace("’", "'")
    from pydoc_data.topics import topics

    return "\n\n".join(topics.values()).replace("’", "'")


def sentences(text):
    """Return the sentences of 8 to 30 words that are plain prose, without digits or symbols."""
    paragraphs = (" ".join(lines.split()) for lines in re.split(r"\n\s*\n", text))
    found = (s for p in paragraphs for s in re.split(r"(?<=[.!?])\s+(?=[^\W\d_a-z])", p))
    return [s for s in found if re.fullmatch(r"(?:[^\W\d_]|[ ,;:'-])*[.!?]", s)
            and s[0].isupper() and 8 <= len(s.split()) <= 30]  # fmt: skip


def split(source, learn, number=None):
    """Write the text to learn, and print sentences that are not in it."""
    if number and (not number.isdecimal() or int(number) < FEWEST):
        sys.exit(f"The number of sentences ({number}) must be at least {FEWEST}.")
    text = whole_text(source)
    start = len(text) * 4 // 5
    end = text.find("\n", start, -1)
    if end < 0:  # One long line.
        end = text.find(" ", start)
    Path(learn).write_text(text[:end], encoding="utf-8")
    if not number:
        return
    known = set(sentences(text[:end]))
    held_out = [s for s in dict.fromkeys(sentences(text[end:])) if s not in known]
    if len(held_out) < FEWEST:
        sys.exit(
            f"{source}: too few sentences of 8 to 30 words in its last fifth ({len(held_out)})."
        )
    count = min(int(number), len(held_out))
    for index in range(count):
        print(held_out[index * len(held_out) // count])


if __name__ == "__main__":
    split(*sys.argv[1:])
