"""Time to the first output: ``--help``, and the first character of ``generate``.

python -m benchmarks.start CHECKPOINT
"""

import sys

from benchmarks.timing import median_of, processor, seconds_of

RUNS = 11


def main(model):
    help_seconds = median_of(RUNS, lambda: seconds_of("--help"))
    first = median_of(
        RUNS, lambda: seconds_of("generate", model, "-n", 200, "--seed", 1, until_output=True)
    )
    print(f"startup, median of {RUNS} processes ({processor()})")
    print(f"  charlstm --help                              {help_seconds:.3f} s")
    print(f"  charlstm generate, first character           {first:.3f} s")


if __name__ == "__main__":
    main(sys.argv[1])
