"""Time to quality: validation loss of the default recipe for several budgets in minutes.

Each run is a whole command without options other than its budget, one after the other.

python -m benchmarks.quality TEXT [MINUTES ...]
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import processor

MINUTES = ("1", "2", "3", "5", "10")


def train(*arguments, output=None):
    """Run ``charlstm train``; return its JSON report and the seconds that it takes."""
    with tempfile.TemporaryDirectory() as folder:
        place = ["-o", str(output or Path(folder) / "model"), "-q", "--json"]
        begin = time.perf_counter()
        command = [sys.executable, "-m", "charlstm", "train", *map(str, arguments), *place]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        return json.loads(said.splitlines()[-1]), time.perf_counter() - begin


def main(text, *minutes):
    print(f"{text}, default recipe ({processor()})\n")
    print("| minutes | seconds | epochs | loss, nats | bits per character |\n" + "| --- " * 5 + "|")
    for budget in minutes or MINUTES:
        told, seconds = train(text, "--minutes", budget)
        loss, bits = told["valid_loss"], told["valid_bits_per_character"]
        print(
            f"| {budget} | {seconds:.1f} | {told['epochs']:.1f} | {loss:.4f} | {bits:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
