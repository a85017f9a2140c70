"""Divide texts of several authors into training text and pages, and name the author of each page.

python3 authors.py divide WORK FOLDER...   WORK/names, WORK/NAME.txt for training, WORK/pages
python3 authors.py report WORK             WORK/scores-NAME, from `charlstm score --json`

Every third file of a folder is held out, the last of two, or the last quarter of a single one. All
white space becomes single spaces, so that the width of lines says nothing about an author.
"""

import json
import sys
import zlib
from pathlib import Path

from common import error_of_share

PAGE = 1000
PAGES = 100
LONGEST = 2_000_000
WINDOW = 2**15  # zlib looks back this far.
SAMPLES = 16


def read(path):
    """Return the text of a file on one line."""
    return " ".join(path.read_text("utf-8", "replace").split())


def divide_author(folder):
    """Return the training text and the pages of an author; never from the same part of a file."""
    if not folder.is_dir():
        sys.exit(f"{folder}: {'not a' if folder.exists() else 'no such'} folder.")
    texts = [read(path) for path in sorted(folder.glob("*")) if path.is_file()] or [""]
    if len(texts) == 1:
        end = len(texts[0]) * 3 // 4
        texts = [texts[0][:end], texts[0][end:]]
    held_out = texts[2::3] or texts[-1:]
    training = " ".join(text for text in texts if text not in held_out)
    # The first page of a file often names its author.
    pages = [t[i : i + PAGE] for t in held_out for i in range(PAGE, len(t) - PAGE, PAGE)]
    if not training or not pages:
        sys.exit(f"{folder}: too little text. Give a folder of plain text files.")
    step = max(1, len(pages) // PAGES)
    return training, pages[::step][:PAGES]


def divide(work, folders):
    """Write the training texts, cut to the same length, and the pages, one per line."""
    authors = {folder.resolve().name: divide_author(folder) for folder in folders}
    if len(authors) < max(2, len(folders)):
        sys.exit("Give at least two folders with different names.")
    length = min(LONGEST, *(len(training) for training, _ in authors.values()))
    (work / "names").write_text("".join(f"{name}\n" for name in authors))
    with open(work / "pages", "w") as lines, open(work / "right", "w") as right:
        for name, (training, pages) in authors.items():
            (work / f"{name}.txt").write_text(training[:length])
            lines.writelines(page + "\n" for page in pages)
            right.writelines(name + "\n" for page in pages)


def zip_bits(page, training):
    """Return the bits per character of a compressed page, given pieces of the training text."""
    total = 0
    for index in range(SAMPLES):
        start = (len(training) - WINDOW) * index // SAMPLES
        coder = zlib.compressobj(9, zdict=training[max(0, start) :][:WINDOW])
        total += len(coder.compress(page) + coder.flush())
    return 8 * total / SAMPLES / PAGE


def report(work):
    """Print how many pages each method assigned to their author."""
    names = (work / "names").read_text().splitlines()
    pages = (work / "pages").read_text().splitlines()
    right = (work / "right").read_text().splitlines()
    bits = {"charlstm": {}, "zlib": {}}
    for name in names:
        training = (work / f"{name}.txt").read_bytes()
        lines = (work / f"scores-{name}").read_text().splitlines()
        bits["charlstm"][name] = [json.loads(line)["bits_per_character"] for line in lines]
        bits["zlib"][name] = [zip_bits(page.encode(), training) for page in pages]
    print(f"{'':8}  pages named right  bits/char of the author  " + "  ".join(names))
    shares = {}
    for method, table in bits.items():
        chosen = [min(names, key=lambda name: table[name][i]) for i in range(len(pages))]
        hits = [name if name == best else None for name, best in zip(right, chosen, strict=True)]
        share = shares[method] = sum(map(bool, hits)) / len(pages)
        deviation = 100 * error_of_share(sum(map(bool, hits)), len(pages))
        own = sum(table[name][i] for i, name in enumerate(right)) / len(pages)
        parts = [f"{hits.count(n)}/{right.count(n)}".rjust(len(n)) for n in names]
        print(f"{method:8}  {share:9.1%} ± {deviation:3.1f}  {own:23.2f}  " + "  ".join(parts))
    print(f"Of {len(pages)} pages, charlstm names the author of {shares['charlstm']:.0%}", end=", ")
    print(f"zip distance of {shares['zlib']:.0%}, and always naming the author with the", end=" ")
    print(f"most pages of {max(map(right.count, names)) / len(pages):.0%}.")


if __name__ == "__main__":
    command, work, *folders = sys.argv[1:]
    divide(Path(work), [*map(Path, folders)]) if command == "divide" else report(Path(work))
