"""Make a log, corrupt lines of it, and measure how well scores find them (for oddlines.sh)."""

import datetime
import math
import random
import re
import sys
from bisect import bisect_left, bisect_right
from pathlib import Path

from common import error_of_sum

draw = random.Random(1)


def lines_of(path):
    """Return the lines of a file."""
    return Path(path).read_text(errors="replace").split("\n")[:-1]


def make():
    """Print the made-up log of a server: requests, jobs and a few warnings."""
    now = datetime.datetime(2026, 3, 1)
    pages = ["/", "/login", "/search?q=shoes", "/item/{}", "/img/{}.png", "/api/v2/stock/{}"]
    for job in range(4000, 12000):
        now += datetime.timedelta(seconds=round(draw.expovariate(0.02)))
        kind = draw.choices(["web", "job", "slow"], [6, 3, 1])[0]
        if kind == "web":
            page = draw.choice(pages).format(round(draw.paretovariate(0.7)) % 900)
            status = 302 if page == "/login" else draw.choices([200, 304, 404], [8, 2, 1])[0]
            client = f"10.0.{draw.randrange(4)}.{draw.randrange(20, 60)}"
            print(now, f"INFO web: {client} GET {page} {status} {draw.randrange(200, 9000)}")
        elif kind == "job":
            name, time = draw.choice(["resize", "mail", "index"]), draw.randrange(10, 800)
            print(now, f"INFO worker-{job % 4}: job {job} ({name}) took {time} ms")
        else:
            print(now, f"WARN db: slow query on table {draw.choice(['orders', 'users'])}, retry 1")


def swap_words(line):
    """Swap two different words."""
    words = line.split(" ")
    pairs = [(i, j) for i in range(len(words)) for j in range(i) if words[i] != words[j]]
    if pairs:
        i, j = draw.choice(pairs)
        words[i], words[j] = words[j], words[i]
    return " ".join(words)


def change_digits(line):
    """Replace each digit after the first 20 characters, often a date, by another one."""

    def other(digit):
        return draw.choice("0123456789".replace(digit[0], ""))

    return line[:20] + re.sub("[0-9]", other, line[20:])


def replace_line(_):
    """Return a line of Python's documentation."""
    import pydoc_data.topics

    topic = draw.choice([*pydoc_data.topics.topics.values()])
    return draw.choice([line for line in topic.split("\n") if line.strip()])


KINDS = {"words swapped": swap_words, "digits changed": change_digits, "another text": replace_line}


def corrupt(today, mixed, kinds):
    """Corrupt a tenth of the lines, and note how each line was corrupted."""
    lines = lines_of(today)
    made = [""] * len(lines)
    for index in draw.sample(range(len(lines)), len(lines) // 10):
        kind = draw.choice(list(KINDS))
        odd = KINDS[kind](lines[index])
        if odd != lines[index]:
            lines[index], made[index] = odd, kind
    Path(mixed).write_text("".join(line + "\n" for line in lines))
    Path(kinds).write_text("".join(kind + "\n" for kind in made))


def shares_below(values, others):
    """Return for each value the share of the others that are lower. A tie counts half."""
    others = sorted(others)
    return [(bisect_left(others, v) + bisect_right(others, v)) / 2 / len(others) for v in values]


def mean(values):
    """Return the mean of values, as text; a hyphen if there are none."""
    return f"{sum(values) / len(values):.3f}" if values else "-"


def compare(old, mixed, kinds, scores):
    """Print the areas under the ROC curve of the model's scores and of the share of new words.

    The area is the probability that an odd line has a higher value than a usual one.
    """
    known = {word for line in lines_of(old) for word in line.split()}
    new = [[word not in known for word in line.split()] for line in lines_of(mixed)]
    made = lines_of(kinds)
    values = {
        "model": [float(score) for score in lines_of(scores)],
        "words never seen": [sum(line) / max(1, len(line)) for line in new],
    }
    odd_kinds = [kind for kind in made if kind]
    print(f"\nArea under the ROC curve, {len(odd_kinds)} odd lines of {len(made)}:")
    print(f"{'':<17}  all   ", *(f"{kind:>15}" for kind in KINDS))
    shares = []
    for name, of in values.items():
        odd = [value for value, kind in zip(of, made, strict=True) if kind]
        usual = [value for value, kind in zip(of, made, strict=True) if not kind]
        above = shares_below(odd, usual)
        shares.append((above, shares_below(usual, odd)))
        pairs = [*zip(above, odd_kinds, strict=True)]
        parts = (mean([share for share, kind in pairs if kind == wanted]) for wanted in KINDS)
        print(f"{name:<17} {mean(above)}  ", *(f"{part:>15}" for part in parts))
    report(*zip(*shares, strict=True))


def report(odd, usual):
    """Print the difference of the areas with its standard error (DeLong and others, 1988).

    Each argument has two lists of shares, those by the model and those by the baseline.
    """
    model, words = (sum(shares) / len(shares) for shares in odd)
    errors = [
        error_of_sum([a - b for a, b in zip(*shares, strict=True)]) / len(shares[0])
        for shares in (odd, usual)
    ]
    error = math.hypot(*errors)
    print(f"difference        {model - words:+.3f} ± {error:.3f}")
    often = "more often than" if model > words else "less often than"
    if abs(model - words) <= 2 * error:
        often = "about as often as"
    print(
        f"\nThe model puts an odd line above a usual one {model:.0%} of the time, "
        f"{often} the share of new words does ({words:.0%})."
    )


if __name__ == "__main__":
    {"make": make, "corrupt": corrupt, "compare": compare}[sys.argv[1]](*sys.argv[2:])
