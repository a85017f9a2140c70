"""Many hostile checkpoints and corpora: ``python -m tests.reliability.fuzz KIND``.

KIND is ``checkpoints``, ``corpora`` or ``trainings`` (corpora that are actually trained on, for a
few steps). Each case must end in a result or in one clear sentence, within limits of time and
memory. Running out of memory doesn't count as such. The counts are printed as a table. Findings are
printed with their number: ``--only NUMBER`` with the same ``--seed`` reproduces a case, alone and
in this process. The exit status is 1 if there is any finding.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from tests.reliability.bounded import Maker, refuse_warnings, run_all, scratch

KINDS = {
    "checkpoints": "tests.reliability.checkpoints:maker",
    "corpora": "tests.reliability.corpora:maker",
    "trainings": "tests.reliability.corpora:training_maker",
}


def maker_of(kind: str) -> Maker:
    """Return the maker of the cases of a kind; modules are imported only when needed."""
    module, _, name = KINDS[kind].partition(":")
    maker: Maker = getattr(importlib.import_module(module), name)
    return maker


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.fuzz", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first case's number")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this time")
    parser.add_argument("--only", type=int, help="run this case alone, in this process")
    options = parser.parse_args()
    maker = maker_of(options.kind)
    if options.only is not None:
        return run_alone(maker, options.seed, options.only)
    report = run_all(
        maker,
        options.seed,
        options.first,
        options.count,
        options.workers,
        minutes=options.minutes,
    )
    print(report.table())
    print(
        f"\n{report.cases:,} {options.kind} in {report.seconds:.0f} s, seed {options.seed}: "
        f"{len(report.findings)} findings"
    )
    return bool(report.findings)


def run_alone(maker: Maker, seed: int, number: int) -> int:
    """Run one case alone; keep its files if it fails."""
    refuse_warnings()
    folder = Path(tempfile.mkdtemp(prefix="charlstm-fuzz-", dir=scratch()))
    os.chdir(folder)
    os.environ["CHARLSTM_CACHE"] = str(folder / "cache")
    try:
        print(*maker(seed, folder)(number), sep=": ")
    except Exception:
        traceback.print_exc()
        print(f"its files are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
