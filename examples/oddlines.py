"""Make a log, corrupt lines of it, and measure how well scores find them (for oddlines.sh)."""

import datetime
import random
import re
import sys
from bisect import bisect_left, bisect_right
from pathlib import Path

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


def area(values, made, kinds):
    """Return the probability that an odd line of these kinds has a higher value than a usual one.

    A tie counts half.
    """
    usual = sorted(value for value, kind in zip(values, made, strict=True) if not kind)
    odd = [value for value, kind in zip(values, made, strict=True) if kind in kinds]
    ranks = [(bisect_left(usual, value) + bisect_right(usual, value)) / 2 for value in odd]
    return sum(ranks) / max(1, len(odd)) / len(usual)


def compare(old, mixed, kinds, scores):
    """Print the areas under the ROC curve of the model's scores and of the share of new words."""
    known = {word for line in lines_of(old) for word in line.split()}
    new = [[word not in known for word in line.split()] for line in lines_of(mixed)]
    made = lines_of(kinds)
    values = {
        "model": [float(score) for score in lines_of(scores)],
        "words never seen": [sum(line) / max(1, len(line)) for line in new],
    }
    print(f"\nArea under the ROC curve, {sum(map(bool, made))} odd lines of {len(made)}:")
    print(f"{'':<17}  all   ", *(f"{kind:>15}" for kind in KINDS))
    areas = {name: area(of, made, [*KINDS]) for name, of in values.items()}
    for name, of in values.items():
        parts = (f"{area(of, made, [kind]):>15.3f}" for kind in KINDS)
        print(f"{name:<17} {areas[name]:.3f}  ", *parts)
    model, words = areas.values()
    print(
        f"\nThe model puts an odd line above a usual one {model:.0%} of the time, "
        f"{'more' if model > words else 'not more'} often than the share of new words does."
    )


if __name__ == "__main__":
    {"make": make, "corrupt": corrupt, "compare": compare}[sys.argv[1]](*sys.argv[2:])
