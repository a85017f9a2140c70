"""Make a shell history, type lines, and judge suggestions for them (for autocomplete.sh)."""

import json
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path

from common import error_of_share

AT_ONCE = 5  # suggestions


def make():
    """Print the made-up history of a programmer who edits, tests and commits files."""
    draw = random.Random(1)
    folders = ["src", "docs", "tests", "tools", "web"]
    names = [
        "cache",
        "reader",
        "parser",
        "index",
        "table",
        "server",
        "client",
        "config",
        "paths",
        "report",
        "search",
    ]
    verbs = ["Add", "Fix", "Remove", "Rename", "Test", "Explain", "Simplify"]
    hosts = ["build.example.org", "db.example.org", "www.example.org"]
    for number in range(3000):
        if number % 8 == 0:  # some work on another file
            folder = draw.choices(folders, [5, 2, 4, 1, 1])[0]
            name = draw.choices(names, [1 / rank for rank in range(1, len(names) + 1)])[0]
        file, other = f"{folder}/{name}.py", draw.choice(names)
        commands = {
            f"vim {file}": 6,
            f"git diff {file}": 3,
            f"git add {file}": 3,
            f'git commit -m "{draw.choice(verbs)} the {other} of the {name}"': 4,
            f"python -m pytest tests/test_{name}.py{draw.choice(['', ' -q', ' -x'])}": 5,
            "git status": 4,
            f"grep -rn {other} {folder} | head -{draw.choice([5, 10, 20])}": 2,
            f"cd {folder}": 1,
            f"ssh {draw.choice(hosts)}": 1,
            f"sed -i s/{other}/{name}/ {file}": 2,
            f"scp {file} {draw.choice(hosts)}:/srv/{folder}/": 1,
            f"git log --oneline -{draw.randrange(3, 30)}": 1,
        }
        print(draw.choices([*commands], [*commands.values()])[0])


def lines_of(path):
    """Return the lines of a file."""
    return Path(path).read_text().split("\n")[:-1]


def type_lines(new):
    """Print the first third of each line, at least a character."""
    for line in lines_of(new):
        print(line[: (len(line) + 2) // 3])


def row(name, hits):
    """Return a line with the share of hits and its standard error."""
    if not hits:
        return f"{name:<18}      - of 0"
    share, error = sum(hits) / len(hits), error_of_share(sum(hits), len(hits))
    return f"{name:<18} {share:6.1%} ± {error:.1%} of {len(hits)}"


def compare(old, new, typed, suggested):
    """Print how often the right line is among five suggestions."""
    seen, lines = Counter(lines_of(old)), lines_of(new)
    common = [line for line, _ in seen.most_common()]
    frequent = [
        [line for line in common if line.startswith(start)][:AT_ONCE] for start in lines_of(typed)
    ]
    found = defaultdict(list)
    for sample in map(json.loads, lines_of(suggested)):
        found[sample["prompt"]].append(sample["prompt"] + sample["text"])
    model = [found[start][:AT_ONCE] for start in lines_of(typed)]
    print("The right line is among five suggestions after a third of it was typed:")
    shares = {}
    for name, suggestions in {"model": model, "frequent lines": frequent}.items():
        pairs = list(zip(lines, suggestions, strict=True))
        shares[name] = sum(line in five for line, five in pairs) / len(pairs)
        print(row(name, [line in five for line, five in pairs]))
        print(row("  seen before", [line in five for line, five in pairs if line in seen]))
        unseen = [line in five for line, five in pairs if line not in seen]
        print(row("  never seen", unseen))
        if name == "model":
            found_new = f"{sum(unseen)} of {len(unseen)}"
    of_model, of_frequent = shares.values()
    print(
        f"\nThe model finds {of_model:.0%} of the lines, the frequent lines {of_frequent:.0%}. "
        f"Of those that are new, the model finds {found_new}, and the frequent lines none."
    )


if __name__ == "__main__":
    {"make": make, "type": type_lines, "compare": compare}[sys.argv[1]](*sys.argv[2:])
