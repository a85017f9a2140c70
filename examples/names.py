"""List English words, and compare invented names with names that are not known (for names.sh)."""

import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from common import error_of_share

TEMPERATURE = 0.8  # that of `charlstm generate`
ORDER = 3  # letters that the Markov chain looks back
TRIES = 200_000


def words():
    """Print the words of Python's documentation."""
    import pydoc_data.topics

    text = " ".join(pydoc_data.topics.topics.values())
    print(*re.findall(r"\b[a-z]{4,12}\b", text), sep="\n")


def check(regex):
    """Exit with a sentence if Python can't read a regular expression."""
    try:
        re.compile(regex)
    except (re.error, OverflowError) as error:
        sys.exit(f"{regex}: not a Python regular expression: {error}.")


def chain_names(known, count):
    """Return up to ``count`` new names from a Markov chain.

    It chooses each letter by how often it follows the last letters in the known names.
    """
    following = defaultdict(Counter)
    for name in sorted(known):
        for end in range(len(name) + 1):
            following[name[max(0, end - ORDER) : end]][name[end : end + 1]] += 1
    draw, names = random.Random(1), set()
    for _ in range(TRIES):
        name, letter = "", None
        while letter != "":
            letters = following[name[-ORDER:]]
            weights = [number ** (1 / TEMPERATURE) for number in letters.values()]
            [letter] = draw.choices([*letters], weights)
            name += letter
        if name not in known:
            names.add(name)
        if len(names) == count:
            break
    return names


def share_of(names, held):
    """Return the share of names that are in ``held``, and its standard error."""
    hits, count = len(names & held), max(1, len(names))
    return hits / count, error_of_share(hits, count)


def compare(train, held, new):
    """Print how many inventions of the model and of a Markov chain are real names."""
    train, held, new = ({*Path(path).read_text().split("\n")[:-1]} for path in (train, held, new))
    chain_new = chain_names(train, len(new))
    (model, error), (chain, chain_error) = share_of(new, held), share_of(chain_new, held)
    print(f"\nInventions that are real, among the {len(held):,} names that were held out:")
    print(f"model         {model:.2%} ± {error:.2%} of {len(new):,} inventions")
    print(f"Markov chain  {chain:.2%} ± {chain_error:.2%} of {len(chain_new):,} inventions\n")
    margin = 2 * (error**2 + chain_error**2) ** 0.5
    often = "more often than" if model > chain else "less often than"
    if abs(model - chain) <= margin:
        often = "about as often as"
    print(f"The model invents real names {often} the chain ({model:.2%} against {chain:.2%}).")


if __name__ == "__main__":
    {"words": words, "check": check, "compare": compare}[sys.argv[1]](*sys.argv[2:])
