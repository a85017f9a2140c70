"""Train a 2 x 512 model for a minute, then run all measurements with it.

python -m benchmarks [TEXT]     also measures time to quality on TEXT, such as tiny-shakespeare
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import attention, generation, page, precision, quality, start, training


def main():
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        command = [sys.executable, "-m", "charlstm", "train", "python-docs", "--size", "medium"]
        subprocess.run([*command, "--minutes", "1", "-q", "-o", model], check=True)
        start.main(model)
        generation.main(model)
        precision.main(model)
        page.main(model)
        training.main()
        attention.speed()
    for text in sys.argv[1:]:
        quality.main(text)


if __name__ == "__main__":
    main()
