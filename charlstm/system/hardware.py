"""The machine: number and speed of its processors, their number formats, the available memory.

It imports nothing heavy, so that a plan can be made without TensorFlow. GPUs are not known here.
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

# Flags of processors that multiply bfloat16 in hardware. Others would emulate it.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def processor_count() -> int:
    """Return the number of processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def available_memory(
    meminfo: Path = MEMINFO, limits: tuple[Path, ...] = MEMORY_LIMITS
) -> int | None:
    """Return the memory that a new process may use, in bytes; ``None`` if that is unknown.

    Args:
        meminfo: the file in which Linux reports free memory, caches included.
        limits: the files in which it reports the container's limit; the smallest number counts.
    """
    bounds = []
    with contextlib.suppress(OSError, LookupError, ValueError):
        fields = dict(line.split(":") for line in meminfo.read_text("ascii").splitlines())
        bounds.append(1024 * int(fields["MemAvailable"].split()[0]))
    for limit in limits:
        with contextlib.suppress(OSError, ValueError):  # "max" is no limit
            bounds.append(int(limit.read_text("ascii")))
    if (most := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
        bounds.append(most)
    return min(bounds, default=None)


def processor_flags(cpuinfo: Path = CPUINFO) -> set[str]:
    """Return the flags of the first x86 core; empty if the system has no such description."""
    try:
        lines = cpuinfo.read_text("ascii", "replace").splitlines()
    except OSError:
        return set()
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return set(next(flags, "").split())


def product_type(precision: Literal["auto"] | ProductType, cpuinfo: Path = CPUINFO) -> ProductType:
    """Return the number format of training's matrix products: bfloat16 where it is native.

    Args:
        precision: the user's choice.
        cpuinfo: the file in which Linux describes the processor.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if BFLOAT16_FLAGS & processor_flags(cpuinfo) else "float32"


def floating_point_speed() -> float:
    """Return the float32 matrix-product rate of one processor in FLOP/s, the best of 3,000 tries.

    The matrices are so small that NumPy's library takes one thread (of 96 x 96 and more it takes
    several, which on a busy machine wait for one another). All take some 30 ms, longer than a
    virtual processor usually waits for its turn.
    """
    size = 64
    a = np.ones((size, size), np.float32)

    def seconds() -> float:
        begin = time.perf_counter()
        a @ a
        return time.perf_counter() - begin

    return 2 * size**3 / min(seconds() for _ in range(3000))


def int8_pairs_saturate(cpuinfo: Path = CPUINFO) -> bool:
    """Whether sums of two unsigned-by-signed products may saturate: x86 without VNNI."""
    return not any("vnni" in flag for flag in processor_flags(cpuinfo))
