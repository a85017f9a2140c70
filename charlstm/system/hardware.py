"""What this machine can do: how many cores, which number types they multiply, how much memory.

This module knows machines and nothing else. It imports nothing heavy, so that a plan can be made
without TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path
from typing import Literal

import numpy as np

ProductType = Literal["float32", "bfloat16"]

CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")

# Where a container reads how much memory it may use: control groups, version 2 and 1.
MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

# Flags that mean: bfloat16 is multiplied in hardware. Elsewhere it would be emulated.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def processor_count() -> int:
    """Return how many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def available_memory(
    meminfo: Path = MEMINFO, limits: tuple[Path, ...] = MEMORY_LIMITS
) -> int | None:
    """Return how many bytes of memory a new process may use; ``None`` where it can't be told.

    Args:
        meminfo: where Linux tells what is free, caches included.
        limits: where it tells what the container may use; the smallest number counts.
    """
    found = []
    with contextlib.suppress(OSError, LookupError, ValueError):
        fields = dict(line.split(":") for line in meminfo.read_text("ascii").splitlines())
        found.append(1024 * int(fields["MemAvailable"].split()[0]))
    for limit in limits:
        with contextlib.suppress(OSError, ValueError):  # "max" is no limit
            found.append(int(limit.read_text("ascii")))
    if (most := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        found.append(most)
    return min(found, default=None)


def processor_flags(cpuinfo: Path = CPUINFO) -> set[str]:
    """Return the flags of the first x86 core; none where there is no such description."""
    try:
        lines = cpuinfo.read_text("ascii", "replace").splitlines()
    except OSError:
        return set()
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return set(next(flags, "").split())


def product_type(precision: Literal["auto"] | ProductType, cpuinfo: Path = CPUINFO) -> ProductType:
    """Choose the type of training's matrix products: bfloat16 where it is native.

    Args:
        precision: what the user asked for.
        cpuinfo: where Linux describes the processor.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if BFLOAT16_FLAGS & processor_flags(cpuinfo) else "float32"


def floating_point_speed() -> float:
    """Return the float32 matrix-product rate of one processor in FLOP/s, the best of a few.

    The matrices are small enough for one thread: several would wait for whatever else runs.
    """
    size = 96
    a = np.ones((size, size), np.float32)

    def seconds() -> float:
        begin = time.perf_counter()
        a @ a
        return time.perf_counter() - begin

    return 2 * size**3 / min(seconds() for _ in range(50))


def int8_pairs_saturate(cpuinfo: Path = CPUINFO) -> bool:
    """Whether sums of two unsigned-by-signed products may be clipped: x86 without VNNI."""
    return not any("vnni" in flag for flag in processor_flags(cpuinfo))
