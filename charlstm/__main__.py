"""The ``charlstm`` command; also ``python -m charlstm``."""

from __future__ import annotations

import sys

from charlstm.cli import run_command_line


def main() -> None:
    """Run the command line and exit with its status."""
    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
