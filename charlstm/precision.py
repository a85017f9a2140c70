"""Which number type matrix products of training use on this processor.

This module knows processors and nothing else; it is apart from ``layers`` so that a plan can be
made without TensorFlow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from charlstm.config import Precision

ProductType = Literal["float32", "bfloat16"]

# Processor flags that mean: bfloat16 is multiplied in hardware. Elsewhere it would be emulated.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def product_type(precision: Precision, cpuinfo: Path = Path("/proc/cpuinfo")) -> ProductType:
    """Choose the type of matrix products: bfloat16 where the processor multiplies it natively.

    Args:
        precision: what the user asked for.
        cpuinfo: where Linux describes the processor; float32 where there is no such file.
    """
    if precision != "auto":
        return precision
    try:
        flags = cpuinfo.read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
    except OSError:
        return "float32"
    return "bfloat16" if BFLOAT16_FLAGS & set(flags) else "float32"
