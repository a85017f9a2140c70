"""Divide a labeled table into a text per label, and measure the labels that models give.

python3 sentiment.py make                      prints a table of made-up remarks
python3 sentiment.py divide WORK TABLE         WORK/LABEL.txt, WORK/labels, WORK/test, WORK/right
python3 sentiment.py report WORK               WORK/LABEL.json, from `charlstm score --json`
"""

import json
import math
import random
import sys
from collections import Counter
from pathlib import Path

from common import error_of_share

FEWEST = 30  # different texts of a label
MOST = 20  # labels

THINGS = "the film|the plot|the acting|the ending|this comedy|the script|the music|the first half"
GOOD = "wonderful|moving|funny|clever|gripping|charming|fresh|a pleasure|worth seeing"
BAD = "dull|clumsy|boring|tedious|predictable|a mess|forgettable|a waste of time|too long"
STARTS = "|to be fair, |i must say, |once again, |after all the praise, |as my friends said, "
OPINIONS = "{} is {}|i found {} {}|{} turns out to be {}|for me {} was {}"
DENIALS = "{} is not {}|i never found {} {}|nobody will call {} {}|{} is far from {}"
ENDS = (
    "|, at least for an hour|, as the posters promise| and that is all i ask| from start to finish"
)


def make():
    """Print made-up remarks. A fourth of them deny a quality, so that single words mislead."""
    rng = random.Random(1)
    print("label\ttext")
    for _ in range(4000):
        good, denied = rng.random() < 0.5, rng.random() < 0.25
        pattern = rng.choice((DENIALS if denied else OPINIONS).split("|"))
        thing = rng.choice(THINGS.split("|"))
        quality = rng.choice((GOOD if good != denied else BAD).split("|"))
        start, end = rng.choice(STARTS.split("|")), rng.choice(ENDS.split("|"))
        remark = start + pattern.format(thing, quality) + end
        print("positive" if good else "negative", remark, sep="\t")


def lines_of(path):
    """Return the lines of a file, without their ends."""
    with open(path, encoding="utf-8") as lines:
        return [line.rstrip("\n") for line in lines]


def rows_of(table):
    """Return the labels and texts of a table after its header, or exit with a sentence."""
    rows = [line.partition("\t")[::2] for line in lines_of(table)[1:]]
    rows = [(label.strip().replace("/", "-"), text.strip()) for label, text in rows if text.strip()]
    texts = Counter(label for label, _ in set(rows))
    if not rows:
        sys.exit("No line after the header has a tab. Give a label, a tab and a text per line.")
    if len(texts) == 1:
        sys.exit(f"The table has 1 label, {rows[0][0]!r}. Give at least 2.")
    if len(texts) > MOST:
        sys.exit(
            f"The table has {len(texts)} labels, more than {MOST}. Are the columns swapped? Each "
            "line is a label, a tab and a text."
        )
    label, count = texts.most_common()[-1]
    if count < FEWEST:
        number = f"{count} different text{'s' * (count != 1)}"
        sys.exit(f"{label!r} has {number}. Each label needs at least {FEWEST}.")
    return rows


def divide(work, table):
    """Write the texts of each label, and apart a fifth of the different texts with their labels."""
    rows = rows_of(table)
    random.Random(1).shuffle(rows)
    texts = list(dict.fromkeys(text for _, text in rows))
    tested = set(texts[: min(1000, len(texts) // 5)])
    learned = [row for row in rows if row[1] not in tested]
    test = [row for row in dict.fromkeys(rows) if row[1] in tested]
    # The label with the most texts comes first: its training sets the time.
    labels = [label for label, _ in Counter(label for label, _ in learned).most_common()]
    (work / "labels").write_text("".join(f"{label}\n" for label in labels))
    for label in labels:
        (work / f"{label}.txt").write_text("".join(f"{t}\n" for k, t in learned if k == label))
    (work / "test").write_text("".join(f"{text}\n" for _, text in test))
    (work / "right").write_text("".join(f"{label}\n" for label, _ in test))


def naive_bayes(texts):
    """Return a function that gives the log-probability of each label and the words of a text."""
    counts = {label: Counter(" ".join(lines).split()) for label, lines in texts.items()}
    known = set().union(*counts.values())
    sizes = {label: words.total() + len(known) for label, words in counts.items()}

    def scores(text):
        words = [word for word in text.split() if word in known]
        return {
            label: math.log(len(texts[label]))
            + sum(math.log((counts[label][word] + 1) / sizes[label]) for word in words)
            for label in texts
        }

    return scores


def report(work):
    """Print the accuracy of the models and of two baselines, with standard errors."""
    labels = lines_of(work / "labels")
    test = lines_of(work / "test")
    right = lines_of(work / "right")
    texts = {label: lines_of(work / f"{label}.txt") for label in labels}
    scores = [dict.fromkeys(labels, 0.0) for _ in test]
    for label in labels:
        lines = lines_of(work / f"{label}.json")
        for score, line in zip(scores, lines, strict=True):
            score[label] = json.loads(line)["log_probability"] + math.log(len(texts[label]))
    words = naive_bayes(texts)
    chosen = {
        "charlstm": [max(score, key=score.get) for score in scores],
        "naive Bayes": [max(s, key=s.get) for s in map(words, test)],
        "majority class": [max(labels, key=lambda label: len(texts[label]))] * len(test),
    }
    shares = {}
    for name, found in chosen.items():
        hits = sum(a == b for a, b in zip(found, right, strict=True))
        shares[name] = f"{hits / len(right):.1%}"
        print(f"{name:15} {shares[name]:>6} ± {100 * error_of_share(hits, len(right)):.1f}")
    print(f"Of {len(test)} texts, charlstm labels {shares['charlstm']} correctly", end=", ")
    print(f"and naive Bayes on words {shares['naive Bayes']}.")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"make": make, "divide": divide, "report": report}[command](*map(Path, arguments))
