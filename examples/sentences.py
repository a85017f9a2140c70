"""Split a text for an experiment: most of it to learn from, sentences of its end for testing.

python3 sentences.py TEXT LEARN N

Writes the first four fifths of TEXT to LEARN, and prints N sentences of the last fifth, one per
line, evenly spaced. TEXT is a file, or python-docs, the text that comes with Python.
"""

import re
import sys
from pathlib import Path


def read(text):
    """Read the text with plain apostrophes, so that a contraction is written in one way."""
    if text == "python-docs":
        from pydoc_data.topics import topics

        return "\n\n".join(topics.values()).replace("’", "'")
    try:
        return Path(text).read_text("utf-8-sig", errors="replace").replace("’", "'")
    except OSError as error:
        sys.exit(f"{text}: {error.strerror}")


def sentences(text):
    """Return the sentences of 8 to 30 words that are plain prose, without digits or symbols."""
    paragraphs = (" ".join(lines.split()) for lines in re.split(r"\n\s*\n", text))
    found = (s for p in paragraphs for s in re.split(r"(?<=[.!?])\s+(?=[A-Z])", p))
    return [s for s in found if re.fullmatch(r"[A-Z][A-Za-z ,;:'-]*[.!?]", s)
            and 8 <= len(s.split()) <= 30]  # fmt: skip


source, learn, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
whole = read(source)
end = whole.find("\n", len(whole) * 4 // 5)
learn.write_text(whole[:end], encoding="utf-8")
held_out = list(dict.fromkeys(sentences(whole[end:])))
if len(held_out) < min(number, 20):
    sys.exit(f"{source}: too few sentences of 8 to 30 words in its last fifth ({len(held_out)}).")
number = min(number, len(held_out))
for index in range(number):
    print(held_out[index * len(held_out) // number])
