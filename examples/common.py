"""Read the files that the examples are given, and compute the errors of their figures.

python3 common.py FILE [replace]   prints FILE; with replace, undecodable bytes become U+FFFD
"""

import math
import statistics
import sys
from pathlib import Path


def read(path, errors="strict"):
    """Return the text of a file without carriage returns, or exit with a sentence."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig", errors).replace("\r", "").rstrip("\n")
    except OSError as error:
        sys.exit(f"{path}: {error.strerror}.")
    except UnicodeDecodeError:
        sys.exit(f"{path}: not a UTF-8 text. Convert it with iconv.")
    if "\0" in text:
        sys.exit(f"{path}: not a text: it has NUL bytes. If it is UTF-16, convert it with iconv.")
    if not text.strip():
        sys.exit(f"{path}: the file is empty.")
    return text + "\n"


def error_of_share(hits, count):
    """Return the standard error of hits / count. It is not 0 for a share of 0% or 100%."""
    share = (hits + 1) / (count + 2)
    return (share * (1 - share) / count) ** 0.5


def error_of_sum(values):
    """Return the standard error of the sum of independent values."""
    return statistics.stdev(values) * len(values) ** 0.5 if len(values) > 1 else math.inf


if __name__ == "__main__":
    sys.stdout.write(read(*sys.argv[1:]))
