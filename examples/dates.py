"""Make pairs of dates in two forms, divide pairs, and count exact answers.

python3 dates.py make                 prints made-up pairs, with a tab between the two forms
python3 dates.py divide WORK PAIRS    WORK/learn, WORK/prompts and WORK/right; prints a length
python3 dates.py report WORK          WORK/answers-*, from `charlstm generate --json`
"""

import json
import random
import sys
from calendar import month_name
from datetime import date, timedelta
from pathlib import Path

from common import error_of_share

FORMS = (
    "{d} {month} {y}|{d}{th} {month} {y}|{d} {mon} {y}|{d}. {m}. {y}|the {d}{th} of {month} {y}"
    "|{month} {d}, {y}|{month} {d}{th}, {y}|{mon}. {d}, {y}|on {month} {d} in {y}"
)


def make():
    """Print 5,000 dates from 1800 to 2029, as people write them, and in the ISO form."""
    rng = random.Random(1)
    for _ in range(5000):
        day = date(1800, 1, 1) + timedelta(rng.randrange(84000))
        ending = {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10 if day.day // 10 != 1 else 0, "th")
        month = month_name[day.month]
        form = rng.choice(FORMS.split("|"))
        written = form.format(
            d=day.day, m=day.month, y=day.year, month=month, mon=month[:3], th=ending
        )
        print(written, day.isoformat(), sep="\t")


def pairs_of(path):
    """Return the lines of a file that have a tab, each as (given, wanted)."""
    with open(path, encoding="utf-8") as lines:
        rows = [line.strip().split("\t") for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) > 2:
            sys.exit(f"Line {number} has {len(row)} columns. Give two, with a tab between them.")
    return [(row[0].strip(), row[1].strip()) for row in rows if len(row) == 2]


def divide(work, path):
    """Write nine tenths of the pairs for training, and those with other left sides for testing.

    Print the length that an answer may have: that of the longest one in the file, and a line end.
    """
    pairs = list(dict.fromkeys(pairs_of(path)))
    random.Random(1).shuffle(pairs)
    tested = min(500, len(pairs) // 10)
    learn = pairs[tested:]
    known = {given for given, _ in learn}
    test = [pair for pair in pairs[:tested] if pair[0] not in known]
    if not test:
        left = len({given for given, _ in pairs})
        if left < len(pairs):
            sys.exit(
                f"{len(pairs)} pairs have only {left} different left sides. Each text must become "
                "one other text."
            )
        sys.exit("There are too few lines with a text, a tab and another text.")
    (work / "learn").write_text("".join(f"{given}\t{wanted}\n" for given, wanted in learn))
    (work / "prompts").write_text("".join(f"{given}\t\n" for given, _ in test))
    (work / "right").write_text("".join(f"{given}\t{wanted}\n" for given, wanted in test))
    print(max(len(wanted) for _, wanted in pairs) + 1)


def trigrams(text):
    """Return the runs of three characters in a text with its ends marked."""
    return {f"  {text} "[i : i + 3] for i in range(len(text) + 1)}


def report(work):
    """Print the share of exact answers, and of those that copy the most similar known pair."""
    known = dict(pairs_of(work / "learn"))
    right = pairs_of(work / "right")
    methods = {}
    for network, name in (("attention", "with attention"), ("plain", "without")):
        with open(work / f"answers-{network}", encoding="utf-8") as lines:
            methods[name] = [json.loads(line)["text"].strip() for line in lines]
    parts = {given: trigrams(given) for given in known}
    nearest = []
    for given, _ in right:
        shared = {other: len(trigrams(given) & part) for other, part in parts.items()}
        nearest.append(known[max(shared, key=shared.get)])
    methods["nearest pair"] = nearest
    shares = {}
    for name, given in methods.items():
        hits = [a == wanted for a, (_, wanted) in zip(given, right, strict=True)]
        shares[name] = sum(hits) / len(hits)
        error = error_of_share(sum(hits), len(hits))
        print(f"{name:14} {shares[name]:6.1%} ± {100 * error:.1f}")
    pairs = zip(right, methods["with attention"], strict=True)
    for (given, wanted), answer in [pair for pair in pairs if pair[0][1] != pair[1]][:3]:
        print(f"wrong: {given!r} became {answer[:40]!r} instead of {wanted!r}")
    print(
        f"Of {len(right)} unseen texts, the network with attention rewrites "
        f"{shares['with attention']:.0%} exactly, the one without {shares['without']:.0%}; the "
        f"answer of the most similar pair is right for {shares['nearest pair']:.0%}."
    )


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"make": make, "divide": divide, "report": report}[command](*map(Path, arguments))
