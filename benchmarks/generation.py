"""Characters a second of ``charlstm generate``, whole process.

python -m benchmarks.generation CHECKPOINT
"""

import sys

from benchmarks.timing import median_of, seconds_of

LENGTH, COUNT, RUNS = 10_000, 128, 5
EACH = LENGTH // COUNT


def main(model):
    print(f"generation, whole process, median of {RUNS}")
    for precision in ("int8", "float32"):
        options = ["generate", model, "--precision", precision, "--seed", 1]
        one = median_of(RUNS, lambda options=options: seconds_of(*options, "-n", LENGTH))
        print(f"  {precision:<8} {LENGTH:,} characters in one sample   {one:6.2f} s")
        many = median_of(
            RUNS, lambda options=options: seconds_of(*options, "-n", EACH, "-c", COUNT)
        )
        print(f"  {precision:<8} {COUNT} samples of {EACH} characters      {many:6.2f} s")


if __name__ == "__main__":
    main(sys.argv[1])
