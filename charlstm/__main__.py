"""The ``charlstm`` command; also ``python -m charlstm``."""

from __future__ import annotations

import gc
import os
import sys

# Collect garbage rarely. Imports create many objects and hardly any garbage, and looking for it
# would take a twentieth of the time to the first character.
gc.set_threshold(100_000, 20, 20)

# NumPy's own matrix multiplications are few and small, and starting threads for them takes longer.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        from charlstm.cli.app import run_command_line

        sys.exit(run_command_line())
    except KeyboardInterrupt:  # during the imports, or a second one at the end
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
