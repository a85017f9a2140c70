"""Train a 2 x 512 model for a minute, then measure everything with it."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import generation, precision, start, training


def main():
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        command = [sys.executable, "-m", "charlstm", "train", "python-docs", "--size", "medium"]
        subprocess.run([*command, "--minutes", "1", "-q", "-o", model], check=True)
        start.main(model)
        generation.main(model)
        precision.main(model)
        training.main()


if __name__ == "__main__":
    main()
