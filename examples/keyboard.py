"""Compare the keystrokes saved by a model and by word frequencies: keyboard.py OLD NEW FIGURES.

Before each character, the keyboard shows three words that begin with the typed characters. A tap
on one of them writes the rest of the word and the space after it. FIGURES is the JSON of
`charlstm evaluate`, which types in the same way.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

WORD = re.compile(r"(?<![\w'’])(?:[^\W\d_]+(?:['’][^\W\d_]+)*|\d+)")


def keystrokes(word, common):
    """Return the keystrokes for a word and its space; ``common`` has words by frequency."""
    for typed in range(len(word)):
        common = [other for other in common if other.startswith(word[:typed])]
        if word in [other for other in common if len(other) > typed][:3]:
            return typed + 1
    return len(word) + 1


def compare(old, new, figures):
    """Print the share of keystrokes that each of them saves."""
    old, new, figures = (Path(path).read_text() for path in (old, new, figures))
    common = [word for word, _ in Counter(WORD.findall(old)).most_common()]
    words = Counter(WORD.findall(new))
    aided = sum(count * keystrokes(word, common) for word, count in words.items())
    saved = 1 - aided / sum(count * (len(word) + 1) for word, count in words.items())
    model = json.loads(figures)
    share, error = model["keystrokes_saved"], model["keystrokes_saved_standard_error"]
    print("\nKeystrokes saved by three suggestions:")
    print(f"model             {share:.1%} ± {error:.1%} of {model['sample']:,} words")
    print(f"word frequencies  {saved:.1%} of {words.total():,} words\n")
    if abs(share - saved) <= 2 * error:
        print("The model saves about as many keystrokes as frequent words do.")
    else:
        more = "more" if share > saved else "fewer"
        print(f"The model saves {share:.1%} of the keystrokes,", end=" ")
        print(f"{100 * abs(share - saved):.1f} percentage points {more} than frequent words do.")


if __name__ == "__main__":
    compare(*sys.argv[1:])
