"""What this processor can do: how many cores, which number types it multiplies natively.

This module knows processors and nothing else. It imports nothing heavy, so that a plan can be made
without TensorFlow.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from charlstm.config import Precision

ProductType = Literal["float32", "bfloat16"]

CPUINFO = Path("/proc/cpuinfo")

# Flags that mean: bfloat16 is multiplied in hardware. Elsewhere it would be emulated.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def processor_count() -> int:
    """Return how many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def processor_flags(cpuinfo: Path = CPUINFO) -> set[str]:
    """Return the flags of the first x86 core; none where there is no such description."""
    try:
        lines = cpuinfo.read_text("ascii", "replace").splitlines()
    except OSError:
        return set()
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return set(next(flags, "").split())


def product_type(precision: Precision, cpuinfo: Path = CPUINFO) -> ProductType:
    """Choose the type of training's matrix products: bfloat16 where it is native.

    Args:
        precision: what the user asked for.
        cpuinfo: where Linux describes the processor.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if BFLOAT16_FLAGS & processor_flags(cpuinfo) else "float32"


def int8_pairs_saturate(cpuinfo: Path = CPUINFO) -> bool:
    """Whether sums of two unsigned-by-signed products may be clipped: x86 without VNNI."""
    return not any("vnni" in flag for flag in processor_flags(cpuinfo))
