"""Write a monthly series as text, and measure forecasts of it (for forecast.sh)."""

import json
import math
import random
import re
import statistics
import sys
from itertools import pairwise
from pathlib import Path

from common import error_of_sum

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
FIELD_END = re.compile(r"\s*[,;]\s*|\s+")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)


def make():
    """Print 60 made-up years: growth, seasons, and noise that lasts for some months."""
    draw, noise = random.Random(1), 0.0
    for year in range(60):
        values = []
        for month in range(12):
            noise = 0.7 * noise + draw.gauss(0, 0.05)
            season = 0.3 * math.sin(math.tau * (month - 3) / 12) + 0.1 * (month == 11)
            values.append(round(1000 * 1.02**year * math.exp(season + noise)))
        print(1960 + year, *values)


def years_of(path):
    """Return the fields of each line with its number. The header is left out, if there is one."""
    lines = enumerate(Path(path).read_text().split("\n"), 1)
    rows = [(number, FIELD_END.split(line.strip())) for number, line in lines if line.strip()]
    return rows if any(map(NUMBER.fullmatch, rows[0][1])) else rows[1:]


def series_of(path):
    """Return all values in order, and the month from which on they are forecast."""
    rows = years_of(path)
    if len(rows) < 8:
        sys.exit("The series needs at least 8 lines with 12 numbers each.")
    width = 12 if statistics.mode(len(fields) for _, fields in rows) == 12 else 13
    expected = "12 numbers" if width == 12 else "a year and 12 numbers"
    for line, fields in rows:
        wrong = [field for field in fields if not NUMBER.fullmatch(field)]
        if wrong:
            sys.exit(f"Line {line}: {wrong[0]!r} is not a number. Give {expected} in every line.")
        if len(fields) != width:
            sys.exit(f"Line {line} has {len(fields)} numbers. Give {expected} in every line.")
    for (_, before), (line, fields) in pairwise(rows):
        if width == 13 and float(fields[0]) != float(before[0]) + 1:
            sys.exit(f"Line {line}: {fields[0]} follows {before[0]}. Years must rise by one.")
    return [float(value) for _, fields in rows for value in fields[-12:]], 12 * (len(rows) * 3 // 4)


def unit_of(values, start):
    """Return the change that is written as one unit in a line whose second year starts here."""
    return (statistics.pstdev(values[start - 12 : start]) or 1.0) / 20


def as_text(values, start, unit):
    """Return twelve changes from the year before as numbers of two digits; 50 is no change."""
    changes = [(values[t] - values[t - 12]) / unit for t in range(start, start + 12)]
    return " ".join(f"{min(99, max(0, round(50 + change))):02}" for change in changes)


def write(series, old, newer, prompts):
    """Write the lines to learn, those that validate, and a prompt for each year to forecast."""
    values, end = series_of(series)
    lines = []
    for start in [*range(24, end - 11), *range(end, len(values), 12)]:
        unit = unit_of(values, start)
        prompt = f"{MONTHS[start % 12]} {as_text(values, start - 12, unit)} |"
        lines.append(prompt if start >= end else f"{prompt} {as_text(values, start, unit)}")
    known = end - 35
    for path, part in (
        (old, lines[: known - 12]),
        (newer, lines[known - 12 : known]),
        (prompts, lines[known:]),
    ):
        Path(path).write_text("".join(line + "\n" for line in part))


def compare(series, samples):
    """Print the forecasts of the last year, and the errors of all."""
    values, end = series_of(series)
    texts = [json.loads(line)["text"] for line in Path(samples).read_text().splitlines()]
    count = len(texts) * 12 // (len(values) - end)
    errors, naive, inside = [], [], []
    print("\nThe last year: month, median, 80% interval, true value")
    for start in range(end, len(values), 12):
        unit = unit_of(values, start)
        years, texts = [text.split() for text in texts[:count]], texts[count:]
        for month in range(12):
            before, true = values[start + month - 12], values[start + month]
            sampled = sorted(before + (int(year[month]) - 50) * unit for year in years)
            low, median, high = (sampled[round(x * (count - 1))] for x in (0.1, 0.5, 0.9))
            errors.append(abs(median - true))
            naive.append(abs(before - true))
            inside.append(low <= true <= high)
            if start + 12 == len(values):
                print(f"{MONTHS[month]}  {median:8.6g}  {low:8.6g} to {high:8.6g}  {true:8.6g}")
    report(errors, naive, inside)


def report(errors, naive, inside):
    """Print mean errors, and how often the interval contains the true value."""
    saved = [a - b for a, b in zip(naive, errors, strict=True)]
    by_year = [sum(saved[start : start + 12]) for start in range(0, len(saved), 12)]
    wins = sum(gain > 0 for gain in by_year)
    model, baseline = statistics.fmean(errors), statistics.fmean(naive)
    print(f"\nMean absolute error of {len(errors)} months:")
    print(f"median of the samples          {model:.4g}")
    print(f"same month of the year before  {baseline:.4g}")
    error = error_of_sum(by_year) / len(saved)
    print(f"difference                     {baseline - model:.4g} ± {error:.4g}")
    than = "smaller than" if model < baseline else "larger than"
    if abs(baseline - model) <= 2 * error:
        than = "about as large as"
    print(f"\nThe 80% intervals contain {statistics.fmean(inside):.0%} of the true values.")
    print(
        f"The error is {than} that of the simplest forecast ({model:.4g} against {baseline:.4g}), "
        f"and smaller in {wins} of {len(by_year)} years. "
        "Use a statistical model instead: this is a demonstration."
    )


if __name__ == "__main__":
    {"make": make, "write": write, "compare": compare}[sys.argv[1]](*sys.argv[2:])
