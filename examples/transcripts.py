"""Make lists of transcripts such as a recognizer prints, and count the errors of those chosen.

python3 transcripts.py confuse FOLDER       FOLDER/sentences to FOLDER/lists
python3 transcripts.py check FOLDER LISTS   LISTS to FOLDER/lists
python3 transcripts.py report FOLDER        FOLDER/ranked, from `charlstm rank --json`

A line of a list has the right sentence and the candidates, the recognizer's best first, with tabs
between them. The simulated recognizer confuses words of FOLDER/learn.txt that sound alike.
"""

import json
import random
import re
import sys
from collections import Counter, defaultdict
from heapq import nlargest
from pathlib import Path

from common import error_of_sum, read

CANDIDATES = 50
FEWEST = 20  # lists
ALIKE = str.maketrans("ptkcqfszjwy", "bdgggvzzzuu", "aeiou'h")  # Consonants that sound similar.


def lines_of(path):
    """Return the lines of a file, without their ends."""
    with open(path, encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines]


def sound(word):
    """Return a rough key of the sound of a word: its consonants, similar ones made equal."""
    return re.sub(r"(.)\1+", r"\1", word.lower().translate(ALIKE)) or word[0].lower()


def words_by_sound(text):
    """Return the words that occur at least three times, grouped by their sound."""
    counts = Counter(re.findall(r"\b[a-z]+(?:'[a-z]+)?\b", text))
    groups = defaultdict(list)
    for word, count in counts.most_common():
        if count > 2 and (len(word) > 1 or word == "a"):
            groups[sound(word)].append(word)
    return groups


def candidates(sentence, groups, rng):
    """Return the sentences with the best sum of scores: noise, less 2 for each wrong word."""
    best = [(0.0, "")]
    for token in re.findall(r"\b[a-z]+(?:'[a-z]+)?\b|[^a-z]+|.", sentence):
        others = groups.get(sound(token), []) if token[0].islower() else []
        others = [word for word in others if abs(len(word) - len(token)) < 3][:8]
        scores = [(rng.gauss(0 if word == token else -2, 1), word)
                  for word in dict.fromkeys([token, *others])]  # fmt: skip
        best = nlargest(
            CANDIDATES, ((a + b, text + word) for a, text in best for b, word in scores)
        )
    return [text for _, text in best]


def errors(right, text):
    """Return the word errors (edit distance) of a text."""
    right, text = right.lower().split(), text.lower().split()
    row = list(range(len(text) + 1))
    for i, word in enumerate(right, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(text, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def confuse(folder):
    """Write the lists of the simulated recognizer."""
    rng, groups = random.Random(1), words_by_sound((folder / "learn.txt").read_text())
    with open(folder / "lists", "w") as lists:
        for sentence in lines_of(folder / "sentences"):
            print(sentence, *candidates(sentence, groups, rng), sep="\t", file=lists)


def check(folder, path):
    """Write the lists whose right sentence is not in the text that the model learns."""
    learned = " ".join((folder / "learn.txt").read_text().split())
    lists = [line for line in read(path).split("\n") if line.strip()]
    for line in lists:
        if not all(text.strip() for text in (line + "\t").split("\t")[:2]):
            sys.exit(f"{path}: a line needs a sentence, a tab and a candidate: {line[:60]!r}.")
    rights = [" ".join(line.split("\t")[0].replace("’", "'").split()) for line in lists]
    new = [line for line, right in zip(lists, rights, strict=True) if right not in learned]
    if len(new) < FEWEST:
        sys.exit(f"{path}: {len(new)} right sentences are not in the training text. Give {FEWEST}.")
    (folder / "lists").write_text("".join(line + "\n" for line in new))


def report(folder):
    """Print the word error rates of the first, the chosen and the best candidates."""
    lists = [line.split("\t") for line in lines_of(folder / "lists")]
    ranked = [json.loads(line) for line in lines_of(folder / "ranked")]
    chosen = [group["alternatives"][0]["text"] for group in ranked]
    choices = {"first": [], "chosen by charlstm": [], "best": []}
    for (right, *texts), text in zip(lists, chosen, strict=True):
        choices["first"].append(errors(right, texts[0]))
        choices["chosen by charlstm"].append(errors(right, text))
        choices["best"].append(min(errors(right, text) for text in texts))
    words = sum(len(right.split()) for right, *_ in lists)
    rates = {}
    for name, counts in choices.items():
        rates[name] = sum(counts) / words
        spread = error_of_sum(counts) / words
        print(f"{name:18}  {rates[name]:5.1%} ± {100 * spread:.1f}  of {words:,} words are wrong")
    first, chosen, best = choices.values()
    removed = [a - b for a, b in zip(first, chosen, strict=True)]
    saved, error = sum(removed) / words, error_of_sum(removed) / words
    print(f"{'difference':18}  {saved:5.1%} ± {100 * error:.1f}")
    if sum(first) == sum(best):
        print("The lists allow no improvement: no candidate is better than the first one.")
    elif abs(saved) <= 2 * error:
        print("The candidates that the model chooses have about as many errors as the first ones.")
    elif saved > 0:
        share = sum(removed) / (sum(first) - sum(best))
        print(f"The model's choice has fewer errors: it removes {share:.0%} of those", end=" ")
        print("that a perfect choice removes.")
    else:
        print(
            f"The model's choice has more errors than the first candidates, by {-saved:.1%}",
            end=" ",
        )
        print("of the words.")


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    {"confuse": confuse, "check": check, "report": report}[command](*map(Path, paths))
